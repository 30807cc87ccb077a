"""The part of a study's page on the paper's open question: why does mixing the output embedding raise SEAT?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from evenhand.evaluation.arm_comparisons import ArmComparison, Judgement, compare_arms
from evenhand.evaluation.stimuli import GENDER_TESTS, LABELS
from evenhand.launch.results_tables import number, probability
from evenhand.launch.study.page.output_embedding_explanations import RULE, Judged, judge, pairs_disagree
from evenhand.launch.study.page.output_embedding_numbers import (
    NAMES,
    OutputPair,
    changes_by_seed,
    judged,
    output_pairs,
    together,
)
from evenhand.launch.study.page.output_embedding_tables import (
    arms_table,
    changes_table,
    estimate,
    label_of,
    models_of,
    parts_table,
    reach,
)
from evenhand.launch.study.results import StudyResults

TITLE = "Why does mixing the output embedding raise SEAT?"
PRINTED = tuple(LABELS[name] for name in GENDER_TESTS)
"""Columns of the paper's tables."""
_OF_TWINS = ("word", "other", "numerator", "spread")


def output_embedding_section(results: StudyResults) -> list[str]:
    """Tables and generated text on what mixing the teacher's last hidden state does to a student.

    Every pair of arms that differ in nothing else is compared seed by seed; the seed is the unit of all intervals but those that are said
    to be over words and seeds.

    Args:
        results: of the study so far.

    Returns:
        Lines of Markdown, headings of the second level and below; none where the study has no such pair of arms.
    """
    pairs = output_pairs(results.study)
    if not pairs:
        return []
    by_pair = {pair: changes_by_seed(results, pair) for pair in pairs}
    ready = {pair: by_seed for pair, by_seed in by_pair.items() if by_seed}
    printed = {pair: rise for pair in pairs if (rise := printed_rise(results, pair)) is not None}
    lines = [f"## {TITLE}", "", _opening(results, printed), ""]
    absent = [_against(results, pair) for pair in pairs if pair not in ready]
    if absent:
        lines += [f"Not run yet with a seed in common: {'; '.join(absent)}.", ""]
    if not ready:
        return lines
    overall = together(list(ready.values()))
    lines += [*arms_table(results, list(ready)), *changes_table(results, ready, overall)]
    lines += [*parts_table(results, list(ready)), "### What the numbers say", ""]
    lines += [*_rise(results, ready, overall, [rise[0] for rise in printed.values()]), ""]
    return [
        *lines,
        *_target(results, list(ready)),
        *_explanations(results, list(ready), judge(list(ready.values()))),
        "",
    ]


def printed_rise(results: StudyResults, pair: OutputPair) -> tuple[float, float, float] | None:
    """The paper's change of mean \\|d\\|, recomputed from its rows: of all six tests, of those on names, of those on terms; ``None`` where
    it does not print both arms."""
    rows = [_printed_row(results, arm) for arm in (pair.with_output, pair.without)]
    if None in rows:
        return None
    names = [LABELS[name] for name in NAMES]
    terms = [label for label in PRINTED if label not in names]
    means = [[np.mean([abs(row[label]) for label in labels]) for labels in (PRINTED, names, terms)] for row in rows]
    return tuple(float(one - other) for one, other in zip(*means, strict=True))


def _printed_row(results: StudyResults, arm: str) -> Mapping[str, float] | None:
    rows = (section.printed.get(arm, {}) for section in results.study.sections)
    return next((row for row in rows if all(label in row for label in PRINTED)), None)


def _against(results: StudyResults, pair: OutputPair) -> str:
    return f"{label_of(results, pair.with_output)} against {label_of(results, pair.without)}"


def _opening(results: StudyResults, printed: Mapping[OutputPair, tuple[float, float, float]]) -> str:
    of_paper = [
        f"{_against(results, pair)}, mean \\|d\\| {number(rise)} (tests on names {number(names)}, on terms {number(terms)})"
        for pair, (rise, names, terms) in printed.items()
    ]
    said = f" In the paper's rows, of single runs: {'; '.join(of_paper)}. Why, it leaves open." if of_paper else ""
    return (
        "The output embedding is the teacher's last hidden state, the target of the cosine loss; mixed, it is the average of a sentence's "
        f"and its gender twin's at the words of a pair.{said} Below, arms that differ in nothing else are compared seed by seed. A twin is "
        "the sentence with its gendered word exchanged (up to 24 pairs of words in 8 frames); distances are 1 − cosine of hidden states of "
        "the last layer."
    )


def _rise(
    results: StudyResults, by_pair: Mapping[OutputPair, Mapping], overall: Mapping, printed: Sequence[float]
) -> list[str]:
    """Whether there is anything to explain."""
    if pairs_disagree(list(by_pair.values()), "mean"):
        each = "; ".join(
            f"{_against(results, pair)} {_interval(judged(by_seed, 'mean'), 'mean')}"
            for pair, by_seed in by_pair.items()
        )
        said = f"**Is there a rise?** It depends on what else is mixed: the pairs of arms change mean \\|d\\| differently, over seeds: {each}."
    else:
        said = _rise_in_words(judged(overall, "mean"), len(by_pair), len(overall), printed)
    lines = [said, ""]
    for pair, comparison in _over_words(results, by_pair).items():
        change = comparison.families["gender"].words_and_seeds
        if change.low is None:
            continue
        word = "lower" if change.high < 0 else "higher" if change.low > 0 else "not distinguishable"
        lines.append(
            f"- {_against(results, pair)}, over words and seeds: mean \\|d\\| {number(change.difference)} "
            f"[{number(change.low)}, {number(change.high)}], {word} ({_seeds(len(comparison.seeds))}; a change of "
            f"±{number(change.detectable, False)} would be found with 80 % power)."
        )
    return lines


def _interval(found: Judgement, quantity: str) -> str:
    return estimate(found, quantity) if found.low is not None else number(found.difference)


def _rise_in_words(mean: Judgement, n_pairs: int, n_seeds: int, printed: Sequence[float]) -> str:
    question, where = (
        "**Is there a rise?**",
        "in the one pair of arms" if n_pairs == 1 else f"over {n_pairs} pairs of arms",
    )
    if mean.difference is None:
        return f"{question} Cannot be told {where}: no seed has all of them."
    if mean.low is None:
        change = f"{number(mean.difference)} {where}"
        return f"{question} Cannot be told: mean \\|d\\| changes by {change} in one seed, which has no interval."
    change = f"{number(mean.difference)} [{number(mean.low)}, {number(mean.high)}] {where}, {_seeds(n_seeds)}"
    if mean.low > 0:
        return f"{question} Yes: mean \\|d\\| changes by {change}."
    if mean.high < 0:
        return f"{question} No, a fall: mean \\|d\\| changes by {change}. The paper's rise does not appear here."
    excluded = ""
    if printed and mean.high < min(printed):
        excluded = " A rise as large as the paper's lies outside this interval, with these words."
    compared = ""
    if printed and mean.detectable > max(printed):
        compared = ", more than any rise in the paper"
    elif printed and mean.detectable > min(printed):
        compared = ", more than the smallest rise in the paper"
    return (
        f"{question} Cannot be told: mean \\|d\\| changes by {change}, and it takes a change of ±{number(mean.detectable, False)}{compared}, to "
        f"be found with 80 % power.{excluded} What follows is about what mixing the output embedding does to a student, not yet about a rise."
    )


def _over_words(results: StudyResults, pairs: Mapping[OutputPair, Mapping]) -> dict[OutputPair, ArmComparison]:
    """The pairs by SEAT's own statistics."""
    names = {name for pair in pairs for name in (pair.with_output, pair.without)}
    seat = {
        name: {seed: report.measures["seat"][0]["model"] for seed, report in results.reports[name].items()}
        for name in names
    }
    compared = compare_arms(seat, [(pair.with_output, pair.without) for pair in pairs])
    return {pair: compared[pair.with_output, pair.without] for pair in pairs}


def _target(results: StudyResults, pairs: Sequence[OutputPair]) -> list[str]:
    """How much there is to mix: a sentence on the teacher, where it was measured."""
    label, teachers = models_of(results, pairs)[0]
    if label != "teacher" or any(one.distances is None or one.share is None for one in teachers):
        return []
    distance, share = (
        float(np.mean(values)) for values in zip(*((t.distances["word"], t.share) for t in teachers), strict=True)
    )
    halfway = 1 - math.sqrt(1 - distance / 2)
    return [
        f"**How much is there to mix?** In the teacher, twins are {number(distance, False)} apart at the exchanged word, {100 * share:.0f} % of the "
        f"distance between different words; halfway between the two lies {number(halfway, False)} from either (for vectors of one length).",
        "",
    ]


def _explanations(results: StudyResults, pairs: Sequence[OutputPair], explained: Sequence[Judged]) -> list[str]:
    """One line an explanation, and what they come to."""
    lines = ["**Which explanations do the numbers bear out?**", ""]
    by_verdict: dict[str, list[str]] = {}
    for one in explained:
        claim = one.explanation.claim.replace("|d|", "\\|d\\|")
        lines.append(f"- *{one.explanation.name}*: **{one.verdict}**. {claim}. {_evidence(results, pairs, one)}")
        by_verdict.setdefault(one.verdict, []).append(f"*{one.explanation.name}*")
    told = [f"{verdict}: {', '.join(names)}" for verdict, names in by_verdict.items()]
    lines += ["", f"Together, {'; '.join(told)}.", "", RULE]
    if any(one.verdict == "not measured" and one.explanation.quantity in _OF_TWINS for one in explained):
        lines += [
            "",
            "What was not measured comes from `twin_distance`: name it in `evaluation.measures` and run the study again.",
        ]
    return lines


def _evidence(results: StudyResults, pairs: Sequence[OutputPair], one: Judged) -> str:
    found, quantity = one.number, one.explanation.quantity
    if one.of_pairs:
        each = [
            f"{_against(results, pair)} {_interval(of_pair, quantity)}"
            for pair, of_pair in zip(pairs, one.of_pairs, strict=True)
        ]
        return f"Measured: {'; '.join(each)}."
    if found.difference is None:
        return "There is no number for it."
    if found.p_value_holm is None:
        return f"Measured: {estimate(found, quantity)} in one seed, which has no interval."
    return (
        f"Measured: {estimate(found, quantity)}, p after Holm {probability(found.p_value_holm)}; "
        f"{reach(found.detectable_holm, quantity)} would be found with 80 % power under the correction."
    )


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"
