"""Explanations of why mixing the output embedding could raise SEAT, each with the number that it predicts, and the rule that judges it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenhand.evaluation.arm_comparisons import Judgement, corrected_by_holm
from evenhand.launch.study.page.output_embedding_numbers import disagreement, judged, together

LEVEL = 0.05
UNCHANGED = math.log(1.1)
"""A distance counts as unchanged where the whole interval of its ratio lies between 1/1.1 and 1.1."""
VERDICTS = ("supported", "contradicted", "cannot tell", "pairs disagree", "not measured")
RULE = (
    "An explanation that predicts a rise is supported where the 95 % interval of its number lies above zero, contradicted where it lies "
    "below, both after Holm's correction over all explanations at 5 %; the one that predicts no change is supported where the interval "
    "stays within a factor of 1.1 and contradicted where, after the correction, it leaves out 1. Else the numbers cannot tell, which is "
    "no verdict against it. Where the pairs change a number differently (a difference of two pairs at 5 % after Holm's correction over them), "
    "their mean would be true of none of them, and there is no verdict, but for a claim of no change that every pair, each on its own after Holm's "
    "correction over them, contradicts. Support says that what the explanation needs does happen, not that "
    "it is the cause."
)


@dataclass(frozen=True)
class Explanation:
    """One reason that has been or could be given.

    Args:
        name: in a few words.
        claim: what it says happens, a sentence.
        quantity: of `output_embedding_numbers.changes`, which it predicts to rise.
        stays: it predicts no change instead.
    """

    name: str
    claim: str
    quantity: str
    stays: bool = False


EXPLANATIONS = (
    Explanation(
        "nothing new in the target",
        "The teacher holds a sentence and its gender twin so alike that mixing their hidden states leaves the target as it was: the "
        "student's twins stay as far apart at the exchanged word as without it",
        "word",
        stays=True,
    ),
    Explanation(
        "the sets move apart",
        "The difference of the two target sets' mean associations grows: the numerator's part of the change of mean |d| is positive",
        "numerator",
    ),
    Explanation(
        "d is a ratio",
        "All associations draw together, and d divides by their spread: the denominator's part of the change of mean |d| is positive",
        "spread",
    ),
    Explanation(
        "a narrower cone",
        "Averages of hidden states lie nearer the middle of the cloud, so all sentence vectors draw together: their mean cosine rises",
        "cosine",
    ),
    Explanation(
        "gender moves to the context",
        "Mixed where the word stands and not around it, gender is carried by the other words: twins come to lie further apart there",
        "other",
    ),
    Explanation(
        "names, which nobody mixes",
        "First names stand in hardly any pair of the mixup: |d| of the tests on names rises against that of the tests on terms",
        "names_over_terms",
    ),
    Explanation(
        "a worse student",
        "A mixed hidden state is that of no sentence, and imitating it costs the student language: its held-out masked-LM loss rises",
        "loss",
    ),
)


@dataclass(frozen=True)
class Judged:
    """An explanation with its number over seeds and what follows.

    Args:
        number: the mean over pairs.
        of_pairs: each pair's own, where the pairs disagree; else empty.
    """

    explanation: Explanation
    number: Judgement
    verdict: str
    of_pairs: tuple[Judgement, ...] = ()


def judge(by_pair: Sequence[Mapping[int, Mapping[str, float | None]]]) -> list[Judged]:
    """Every explanation, by `RULE`.

    Args:
        by_pair: changes of each seed of each pair, from `output_embedding_numbers.changes_by_seed`.
    """
    overall = together(by_pair)
    numbers = corrected_by_holm({one.name: judged(overall, one.quantity) for one in EXPLANATIONS})
    return [_judged(one, numbers[one.name], by_pair) for one in EXPLANATIONS]


def pairs_disagree(by_pair: Sequence[Mapping[int, Mapping[str, float | None]]], quantity: str) -> bool:
    """Whether two pairs change a quantity differently, at `LEVEL` after Holm's correction over the differences of pairs."""
    apart = disagreement(by_pair, quantity)
    return apart is not None and apart.p_value_holm is not None and apart.p_value_holm <= LEVEL


def _judged(explanation: Explanation, number: Judgement, by_pair: Sequence[Mapping]) -> Judged:
    if number.low is not None and pairs_disagree(by_pair, explanation.quantity):
        of_pairs = corrected_by_holm({i: judged(one, explanation.quantity) for i, one in enumerate(by_pair)}).values()
        against = explanation.stays and all(_significant(one) for one in of_pairs)
        return Judged(explanation, number, "contradicted" if against else "pairs disagree", tuple(of_pairs))
    return Judged(explanation, number, verdict_on(explanation, number))


def _significant(number: Judgement) -> bool:
    return number.p_value_holm is not None and number.p_value_holm <= LEVEL


def verdict_on(explanation: Explanation, number: Judgement) -> str:
    """One of `VERDICTS`."""
    if number.difference is None:
        return "not measured"
    if number.low is None:
        return "cannot tell"
    significant = _significant(number)
    if explanation.stays:
        if number.low > -UNCHANGED and number.high < UNCHANGED:
            return "supported"
        return "contradicted" if significant else "cannot tell"
    if not significant:
        return "cannot tell"
    return "supported" if number.low > 0 else "contradicted"
