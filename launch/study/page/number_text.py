"""How a study's page writes numbers, arms and verdicts; one place, so that tables and sentences print the same digits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evenhand.evaluation.arm_comparisons import Judgement
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.measured import MeasuredArm
from evenhand.model_cards.escaping import markdown

ABSENT = "–"
WORDS = {"better": "less bias", "worse": "more bias"}
"""What a verdict on a difference in bias is called."""


def estimate(value: float | None, ends: Sequence[float | None] | None, signed: bool = False, digits: int = 3) -> str:
    """``0.933 [0.24, 1.38]``; without an interval the number alone."""
    if value is None:
        return ABSENT
    shown = number(value, signed, digits)
    return shown if not ends or None in ends else f"{shown} {interval(ends, signed, max(digits - 1, 2))}"


def interval(ends: Sequence[float], signed: bool = True, digits: int = 2) -> str:
    """``[+0.24, +1.38]``."""
    return f"[{number(ends[0], signed, digits)}, {number(ends[1], signed, digits)}]"


def difference(judged: Judgement | None, digits: int = 3) -> str:
    """A difference with its interval."""
    return ABSENT if judged is None else estimate(judged.difference, (judged.low, judged.high), True, digits)


def probability(p: float | None) -> str:
    """Three decimals; smaller ones as ``< 0.001``."""
    if p is None:
        return ABSENT
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def detail(judged: Judgement, digits: int = 3) -> str:
    """What stands behind a difference in a sentence: ``, p (Holm) 0.012; detectable 0.110``; p alone where nothing was corrected."""
    text = "" if judged.p_value is None else f", p {probability(judged.p_value)}"
    text = text if judged.p_value_holm is None else f", p (Holm) {probability(judged.p_value_holm)}"
    return text if judged.detectable is None else f"{text}; detectable {number(judged.detectable, False, digits)}"


def detailed(judged: Judgement | None, digits: int = 3) -> str:
    """The same with the difference, for a table's cell: ``+0.120 [+0.05, +0.19], p (Holm) 0.012; detectable 0.110``."""
    return (
        ABSENT if judged is None or judged.difference is None else difference(judged, digits) + detail(judged, digits)
    )


def judged_text(judged: Judgement | None) -> str:
    """The verdict in a table: of one that Holm's correction takes back it says so; without one, the worst that is not excluded."""
    if judged is None or judged.verdict is None:
        return ABSENT
    if judged.verdict in WORDS:
        return f"**{WORDS[judged.verdict]}**" + ("" if judged.holds or judged.holds is None else " (not after Holm)")
    if judged.worst_case is None:
        return "not distinguishable"
    return f"not distinguishable (≤ {number(judged.worst_case, False)} more)"


def arm_label(measured: MeasuredArm) -> str:
    """The arm as a table's first cell: label, whether it is exploratory, whose students it shares."""
    text = str(markdown(measured.arm.label))
    return text if measured.arm.core else f"{text} *(exploratory)*"


def seeds_text(measured: MeasuredArm) -> str:
    """How many students, and what is missing: ``8``, ``2 of 3 (1 failed)``."""
    measured_count, wanted = len(measured.reports), len(measured.reports) + len(measured.failed) + len(measured.missing)
    parts = [f"{len(measured.failed)} failed"] if measured.failed else []
    parts += [f"{len(measured.missing)} not run yet"] if measured.missing else []
    return f"{measured_count} of {wanted} ({', '.join(parts)})" if parts else str(measured_count)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> list[str]:
    """A Markdown table; all columns but the first ``text_columns`` to the right."""
    rule = ["---" if index < text_columns else "---:" for index in range(len(header))]
    return [*(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)), ""]


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def plural_of(count: float, one: str, several: str) -> str:
    """``1.0 pass``, ``2.5 passes``."""
    return f"{count:.1f} {one if f'{count:.1f}' == '1.0' else several}"


def plural(count: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
