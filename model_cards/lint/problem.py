"""One thing that must not be published, and where it stands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """What is wrong, and the 1-based line of the file where it is; None where a file as a whole is meant."""

    line: int | None
    text: str


def located(file: str, problems: Iterable[Problem]) -> list[str]:
    """``FILE:LINE: text`` for each problem, in the order of the lines; what concerns the whole file comes first."""
    ordered = sorted(problems, key=lambda problem: problem.line or 0)
    return [" ".join(f"{file}{f':{line}' if line else ''}: {text}".split()) for line, text in ordered]


def shortened(text: str, width: int = 80) -> str:
    """``text`` on one line, cut at ``width`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
