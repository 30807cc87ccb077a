"""How a study's page writes arms, their differences and verdicts."""

from __future__ import annotations

from evenhand.evaluation.arm_comparisons import Judgement
from evenhand.launch.page_text import ABSENT, estimate, probability
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.measured import MeasuredArm
from evenhand.model_cards.escaping import markdown

WORDS = {"better": "less bias", "worse": "more bias"}
"""What a verdict on a difference in bias is called."""


def difference(judged: Judgement | None, digits: int = 3) -> str:
    """A difference with its interval."""
    return ABSENT if judged is None else estimate(judged.difference, (judged.low, judged.high), True, digits)


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
    return text if measured.core else f"{text} *(exploratory)*"


def seeds_text(measured: MeasuredArm) -> str:
    """How many students, and what is missing: ``8``, ``2 of 3 (1 failed)``."""
    measured_count, wanted = len(measured.reports), len(measured.reports) + len(measured.failed) + len(measured.missing)
    parts = [f"{len(measured.failed)} failed"] if measured.failed else []
    parts += [f"{len(measured.missing)} not run yet"] if measured.missing else []
    return f"{measured_count} of {wanted} ({', '.join(parts)})" if parts else str(measured_count)
