"""The examples of the guides and of the README run as they stand, and the guides' links lead somewhere."""

import os
import re
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
GUIDES = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*GUIDES, *(page for page in [ROOT / "README.md"] if page.is_file())]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def python_blocks(page: Path) -> list[tuple[int, str]]:
    """``(line of the block's first line of code, code)`` of every ```python block."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in BLOCK.finditer(text)]


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=lambda page: page.name)
def test_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(page)
    for package in sorted(set(re.findall(r"package:(\w+)", "".join(code for _, code in blocks)))):
        pytest.importorskip(package)
    torch.set_num_threads(1)
    namespace = {"__name__": "example"}
    for line, code in blocks:
        # blank lines before the code, so that an error names the page's own line
        exec(compile("\n" * line + code, str(page), "exec"), namespace)


def test_every_guide_that_adds_code_has_an_example():
    assert {page.name for page in GUIDES if python_blocks(page)} >= {
        "new_evaluator.md",
        "new_supervision_transform.md",
        "new_teacher_family.md",
    }


def test_links_of_the_guides_lead_to_files():
    links = [(page, link) for page in GUIDES for link in LINK.findall(page.read_text(encoding="utf-8"))]
    assert links
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []
