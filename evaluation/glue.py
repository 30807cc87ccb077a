"""GLUE (Wang et al. 2019): an encoder is fine-tuned on each task and scored on its dev set."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

import numpy as np
from torch import nn
from tqdm.auto import tqdm

from evenhand.evaluation.encoder import max_length as longest_input
from evenhand.evaluation.glue_comparison import compare_results
from evenhand.evaluation.glue_data import HUB_NAME, HUB_REVISION, SUBSET_SEED, GlueTaskData, load_task, missing_rows
from evenhand.evaluation.glue_finetuning import FineTuning, check_applicable, fine_tune
from evenhand.evaluation.glue_result import GlueResult, GlueTaskRuns
from evenhand.evaluation.glue_store import GlueRun, find_run, save_run, turn
from evenhand.evaluation.glue_tasks import TASKS, task_key, task_keys
from evenhand.evaluation.models import tokenizer_sha256, weights_sha256

# Counted up when the training code changes in a way that changes predictions, so that no old run is taken for a new one.
RECIPE_VERSION = 1
Pair = tuple[str, int]
"""Task and seed."""


@dataclass(frozen=True)
class Glue:
    """GLUE as an evaluator: ``Glue(data="glue_data", tasks=["cola", "rte"]).run(model, tokenizer)``.

    For each task and seed a classifier is made of a copy of the model's body and a new head, trained on the task's
    training file for a fixed number of epochs, and scored once, after the last, on its dev file (the labels of GLUE's
    test files are not public). No epoch, seed or setting is picked by its dev score. Optimiser, schedule (linear decay,
    no warm-up) and clipping are in `FineTuning`.

    Args:
        data: ``"hub"`` (default) for nyu-mll/glue, or a directory in the layout of the GLUE download.
        tasks: names of the tasks (``"cola"`` or ``"CoLA"``); all nine by default.
        seeds: of head, order of examples and dropout; one run per task each, ``(0,)`` by default.
        epochs, learning_rate, batch_size, max_length, group_by_length, accumulation_steps: see `FineTuning`.
        max_train_samples: learn from so many examples only, chosen at random with a fixed seed: a number for all tasks,
            or a mapping from tasks to numbers. Such tasks are marked, and no GLUE average is made with them.
        max_eval_samples: likewise for the dev files.
        store: directory for finished runs: a (task, seed) with the same weights, tokenizer, data and settings is read
            from there and not run again. A run that was cut off leaves nothing behind and starts anew.
            Processes that use it at the same time divide its runs between them.
        confidence_level: of the intervals.
        progress: show a bar over (task, seed) pairs, and Trainer's own below it.

    Raises:
        ValueError: an argument that cannot be used; an unknown task (with the nearest one).

    Example:
        >>> result = Glue(data="glue_data", tasks=["cola", "rte"], seeds=(0, 1), store="runs/glue").run(model, tokenizer)
        >>> result.to_dict()["tasks"]["rte"]["metrics"]["accuracy"]["mean"]
    """

    data: str | Path = "hub"
    tasks: Sequence[str] | None = None
    seeds: Sequence[int] = (0,)
    epochs: int = 3
    learning_rate: float = 2e-5
    batch_size: int = 32
    max_length: int = 128
    max_train_samples: int | Mapping[str, int] | None = None
    max_eval_samples: int | Mapping[str, int] | None = None
    store: str | Path | None = None
    group_by_length: bool = True
    accumulation_steps: int = 1
    confidence_level: float = 0.95
    progress: bool = False

    measure = "glue"

    def __post_init__(self):
        _ = self.task_keys, self.fine_tuning
        if not 0 < self.confidence_level < 1:
            raise ValueError(f"confidence_level must lie between 0 and 1, not {self.confidence_level}")
        if isinstance(self.seeds, (str, int)) or not self.seeds:
            raise ValueError(f"seeds must be a list of at least one number, not {self.seeds!r}")
        for seed in self.seeds:
            if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
                raise ValueError(f"seeds must be whole numbers that are not negative, not {seed!r}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds names one seed twice: {list(self.seeds)}")
        for name in ("max_train_samples", "max_eval_samples"):
            self._limits(name)

    @cached_property
    def task_keys(self) -> tuple[str, ...]:
        """Keys of the tasks that will be run."""
        return task_keys(self.tasks)

    @cached_property
    def fine_tuning(self) -> FineTuning:
        """How a task is learnt."""
        return FineTuning(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            accumulation_steps=self.accumulation_steps,
            max_length=self.max_length,
            group_by_length=self.group_by_length,
        )

    @cached_property
    def loaded_data(self) -> dict[str, GlueTaskData]:
        """The examples of every task; read and checked once."""
        return {key: load_task(self._source, TASKS[key]) for key in self.task_keys}

    @cached_property
    def data_sha256(self) -> dict[str, str]:
        """Hash of each task's examples."""
        return {key: data.sha256 for key, data in self.loaded_data.items()}

    @property
    def _source(self) -> str | Path:
        return "hub" if str(self.data) == "hub" else Path(self.data)

    def settings(self) -> dict[str, object]:
        """What a result of this evaluator is filed under in a report; the data are read and checked here."""
        return {
            "data": self._data_facts(),
            "task_names": list(self.task_keys),
            "seeds": list(self.seeds),
            **self.fine_tuning.to_dict(),
            "max_train_samples": self._limits("max_train_samples"),
            "max_eval_samples": self._limits("max_eval_samples"),
            "subset_seed": SUBSET_SEED,
        }

    def run(self, model: nn.Module, tokenizer) -> GlueResult:
        """Fine-tune copies of ``model`` and score them; ``model`` itself is left as it was.

        It runs in float32 on the device that ``model`` is on.

        Args:
            model: a transformers encoder, with or without a head.
            tokenizer: its tokenizer.

        Raises:
            NotApplicable: transformers has no sequence classifier for such a model.
            FileNotFoundError, ValueError: data that cannot be read, a tokenizer without padding, NaN.
        """
        check_applicable(model, tokenizer)
        body_sha256, tokenizer_hash = weights_sha256(getattr(model, "base_model", model)), tokenizer_sha256(tokenizer)
        length = min(self.max_length, longest_input(model, tokenizer))
        # All before any training: a wrong file or directory should cost no run.
        self.settings()
        self._make_store()
        keys = {
            (task, seed): {
                "recipe_version": RECIPE_VERSION,
                "task": task,
                "seed": seed,
                "weights_sha256": body_sha256,
                "tokenizer_sha256": tokenizer_hash,
                "data_sha256": self.data_sha256[task],
                **self.fine_tuning.to_dict(),
                "max_length": length,
                **self._subset_sizes(task),
                "subset_seed": SUBSET_SEED,
            }
            for task in self.task_keys
            for seed in self.seeds
        }
        runs = self._runs(model, tokenizer, keys)
        return GlueResult(
            self.settings(),
            {task: self._task_runs(task, [runs[task, seed] for seed in self.seeds]) for task in self.task_keys},
            self.confidence_level,
        )

    def compare(self, result: GlueResult, reference: GlueResult) -> dict[str, object]:
        """How ``result`` differs from ``reference``, task by task and paired by example; see `compare_results`."""
        return compare_results(result, reference)

    def _make_store(self) -> None:
        if self.store is None:
            return
        try:
            Path(self.store).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"{self.store}: cannot be the directory of finished GLUE runs ({error.strerror})"
            ) from error

    def _runs(self, model: nn.Module, tokenizer, keys: Mapping[Pair, dict[str, object]]) -> dict[Pair, GlueRun]:
        """The runs with these keys. Those that another process is making with the same store come last, and are then found there: the students of a
        study are measured side by side and have one teacher."""
        found: dict[Pair, GlueRun] = {}
        with tqdm(total=len(keys), desc="GLUE", unit="run", disable=not self.progress, delay=2) as bar:
            for wait in (False, True):
                for task, seed in [pair for pair in keys if pair not in found]:
                    bar.set_postfix_str(f"{TASKS[task].name}, seed {seed}")
                    run = self._stored_or_run(model, tokenizer, keys[task, seed], wait)
                    if run is not None:
                        found[task, seed] = run
                        bar.update()
        return found

    def _stored_or_run(self, model: nn.Module, tokenizer, key: dict[str, object], wait: bool) -> GlueRun | None:
        """A run from the store or made now; ``None`` where another process is making it and ``wait`` is false."""
        store = None if self.store is None else Path(self.store)
        stored = None if store is None else find_run(store, key)
        if stored is not None:
            return stored
        # processes of one launch (WORLD_SIZE, as every launcher sets it) train each run together: none may go its own way
        if store is None or int(os.environ.get("WORLD_SIZE", "1")) > 1:
            return self._made(model, tokenizer, key, store)
        with turn(store, key, wait) as mine:
            return (find_run(store, key) or self._made(model, tokenizer, key, store)) if mine else None

    def _made(self, model: nn.Module, tokenizer, key: dict[str, object], store: Path | None) -> GlueRun:
        data = self.loaded_data[str(key["task"])]
        dev = {name: split.subset(key["max_eval_samples"]) for name, split in data.dev.items()}
        start = time.monotonic()
        predictions, initialised = fine_tune(
            model,
            tokenizer,
            data.train.subset(key["max_train_samples"]),
            dev,
            n_classes=data.task.n_classes,
            seed=int(key["seed"]),
            settings=self.fine_tuning,
            progress=self.progress,
        )
        labels = {name: np.array(split.labels) for name, split in dev.items()}
        environment = {
            "torch": metadata.version("torch"),
            "transformers": metadata.version("transformers"),
            "device": next(model.parameters()).device.type,
        }
        seconds = round(time.monotonic() - start, 1)
        run = GlueRun(key, predictions, labels, tuple(initialised), seconds, environment)
        if store is not None:
            save_run(store, run)
        return run

    def _task_runs(self, task: str, runs: Sequence[GlueRun]) -> GlueTaskRuns:
        data, sizes = self.loaded_data[task], self._subset_sizes(task)
        train = data.train.subset(sizes["max_train_samples"])
        dev = {name: split.subset(sizes["max_eval_samples"]) for name, split in data.dev.items()}
        subset = {name: {"n": n, "of": of} for name, n, of in missing_rows(data, train, dev)}
        return GlueTaskRuns(data.task, tuple(runs), len(train), subset, data.skipped_rows)

    def _data_facts(self) -> dict[str, object]:
        hub = self._source == "hub"
        return {
            "source": f"hub, revision {HUB_REVISION}" if hub else "directory",
            "name": HUB_NAME if hub else Path(self.data).name,
            "sha256": dict(self.data_sha256),
        }

    def _subset_sizes(self, task: str) -> dict[str, int | None]:
        """Numbers of examples that a task is limited to; ``None`` where the limit leaves nothing out."""
        data = self.loaded_data[task]
        train, dev = (self._limits(name).get(task) for name in ("max_train_samples", "max_eval_samples"))
        return {
            "max_train_samples": train if train is not None and train < len(data.train) else None,
            "max_eval_samples": dev if dev is not None and dev < max(map(len, data.dev.values())) else None,
        }

    def _limits(self, argument: str) -> dict[str, int]:
        """Task → number of examples, for the tasks that are limited."""
        given = getattr(self, argument)
        if given is None:
            return {}
        if isinstance(given, Mapping):
            limits = {task_key(name): number for name, number in given.items()}
            other = [task for task in limits if task not in self.task_keys]
            if other:
                raise ValueError(
                    f"{argument} limits {other[0]!r}, which is not among the tasks: {', '.join(self.task_keys)}"
                )
        else:
            limits = dict.fromkeys(self.task_keys, given)
        for number in limits.values():
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(f"{argument} must be a whole number of at least 1, not {number!r}")
        return limits
