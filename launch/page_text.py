"""How the pages of studies write numbers, lists and tables; one place, so that tables and sentences print the same digits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evenhand.launch.results_tables import number

ABSENT = "–"


def estimate(value: float | None, ends: Sequence[float | None] | None, signed: bool = False, digits: int = 3) -> str:
    """``0.933 [0.24, 1.38]``; without an interval the number alone."""
    if value is None:
        return ABSENT
    shown = number(value, signed, digits)
    return shown if not ends or None in ends else f"{shown} {interval(ends, signed, max(digits - 1, 2))}"


def interval(ends: Sequence[float], signed: bool = True, digits: int = 2) -> str:
    """``[+0.24, +1.38]``."""
    return f"[{number(ends[0], signed, digits)}, {number(ends[1], signed, digits)}]"


def probability(p: float | None) -> str:
    """Three decimals; smaller ones as ``< 0.001``."""
    if p is None:
        return ABSENT
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> list[str]:
    """A Markdown table; all columns but the first ``text_columns`` to the right."""
    rule = ["---" if index < text_columns else "---:" for index in range(len(header))]
    return [*(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)), ""]


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def passes(epochs: float) -> str:
    """How often a text was gone through: ``2.5``, ``1.0``; less than once with two digits that say something, ``0.044``."""
    return f"{epochs:.1f}" if round(epochs, 2) >= 1 else f"{epochs:.2g}"


def plural(count: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
