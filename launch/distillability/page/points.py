"""How the page writes percentages, their differences, verdicts and models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evenhand.evaluation.distillability import BySeed, Metric, seed_mean
from evenhand.launch.distillability.page.comparisons import Judged
from evenhand.launch.distillability.page.measured_task import MARK, VARIANTS, MeasuredTask, Pair, Trained
from evenhand.launch.distillability.page.own_numbers import bounds_of, own_mean
from evenhand.launch.page_text import ABSENT, interval, probability
from evenhand.launch.results_tables import number
from evenhand.model_cards.escaping import markdown

DIGITS = 1
_FIXED = "\N{NO-BREAK SPACE}"


def points(value: float | None, ends: Sequence[float] | None = None, signed: bool = False, digits: int = DIGITS) -> str:
    """``87.5 [85.2, 89.9]``; without an interval the number alone."""
    if value is None:
        return ABSENT
    shown = number(_rounded(value, digits), signed, digits)
    return f"{shown} {interval([_rounded(end, digits) for end in ends], signed, digits)}" if ends else shown


def _rounded(value: float, digits: int) -> float:
    """Never −0.0."""
    return round(value, digits) + 0.0


def over_seeds(by_seed: BySeed, metric: Metric) -> str:
    """A model's own number: mean and interval over seeds."""
    found = own_mean(by_seed, bounds_of(metric))
    return points(found["value"], found["confidence_interval"])


def near_chance_mark(task: MeasuredTask, place: Trained | Pair, seeds: Iterable[int]) -> str:
    """`MARK` behind a number that a model near chance has a part in.

    Args:
        task, place: whose number.
        seeds: that it is a mean over.
    """
    return f"{_FIXED}{MARK}" if set(seeds) & task.near_chance(place).keys() else ""


def average(by_seed: BySeed) -> str:
    """The same without the interval."""
    return points(seed_mean(by_seed)["value"])


def change(judged: Judged | None) -> str:
    """A difference with its interval."""
    return (
        ABSENT if judged is None else points(judged.effect.difference, judged.effect.confidence_interval, signed=True)
    )


def bold_change(judged: Judged) -> str:
    """A difference with its interval, in bold where Holm's correction leaves it."""
    return f"**{change(judged)}**" if judged.holds else change(judged)


def judged_word(judged: Judged | None) -> str:
    """The verdict: of one that Holm's correction takes back it says so; without one, the worst that is not excluded; of one seed none."""
    if judged is None or judged.verdict is None:
        return ABSENT
    if judged.effect.n < 2:
        return "too few seeds".replace(" ", _FIXED)
    if judged.verdict in ("better", "worse"):
        return f"**{judged.verdict}**" + ("" if judged.holds is not False else " (not after Holm)".replace(" ", _FIXED))
    # on one line: a cell that breaks makes all rows of a long table higher
    text = (
        "not distinguishable"
        if judged.worst_case is None
        else f"not distinguishable (≤ {points(judged.worst_case)} worse)"
    )
    return text.replace(" ", _FIXED)


def tested(judged: Judged | None) -> list[str]:
    """Four cells: the difference, p (Holm), the verdict and what could have been found."""
    return [
        change(judged),
        probability(judged.effect.p_value_holm if judged else None),
        judged_word(judged),
        reach(judged),
    ]


TESTED = ("p (Holm)", "verdict", "detectable (with Holm)")
"""Headings of the last three cells of `tested`."""


def reach(judged: Judged | None) -> str:
    """What the test could have found, alone and at the first step of Holm's correction."""
    if judged is None or judged.alone is None:
        return ABSENT
    return f"{points(judged.alone)} ({points(judged.effect.detectable)})"


def method_label(task: MeasuredTask, method: str) -> str:
    """As in the file."""
    return str(markdown(task.results.grid.methods[method].label))


def pair_cells(task: MeasuredTask, pair: Pair) -> list[str]:
    """Three cells: method, sizes of teacher and student, how the student itself is trained."""
    how = VARIANTS[pair.variant] if task.is_debiased(pair.method) else ABSENT
    return [method_label(task, pair.method), f"{markdown(pair.teacher)} → {markdown(pair.student)}", how]


PAIR = ("method", "teacher → student", "student")
"""Headings of `pair_cells`."""
