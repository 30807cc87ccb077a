"""Teachers that the study made from the original one: their bias before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evenhand.evaluation.over_seeds import aggregate_differences, aggregate_results
from evenhand.evaluation.report import EvaluationReport
from evenhand.evaluation.report_order import ordered_families, ordered_tests
from evenhand.evaluation.report_table import judged
from evenhand.launch.page_text import estimate, plural, probability, table
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.measured import MeasuredStudy, same_targets
from evenhand.model_cards.escaping import code, markdown

SIDES = ("before", "after")


def by_seed(change: Mapping) -> dict[int, Mapping]:
    """The changes of a teacher by seed; one that is not by seed is seed 0's."""
    return {0: change} if set(SIDES) <= set(change) else {int(seed): change[seed] for seed in sorted(change, key=int)}


def teacher_lines(measured: MeasuredStudy) -> list[str]:
    """A table for each such teacher; nothing where the study has none."""
    lines = []
    for name, change in measured.results.teacher_changes.items():
        of_seeds = by_seed(change)
        before, after = ([one[side] for one in of_seeds.values()] for side in SIDES)
        note = _note(measured, list(of_seeds)) + _measured_otherwise(measured, of_seeds)
        lines += [f"### The {markdown(name)} teacher", "", note, "", *_table(before, after)]
        lines += _losses(measured, name)
        if shared := debiased_words_of_the_tests(measured, name):
            words = ", ".join(str(markdown(word)) for word in shared)
            what = (
                "one word that these tests measure"
                if len(shared) == 1
                else f"{len(shared)} words that these tests measure"
            )
            whose = "it" if len(shared) == 1 else "them"
            lines += [
                f"Debiased were, among others, {what} ({words}): for {whose} the fall is what was trained, not a finding.",
                "",
            ]
    return ["## Teachers, before and after", "", *lines] if lines else []


def debiased_words_of_the_tests(measured: MeasuredStudy, name: str) -> list[str]:
    """Words of the tests among those that a teacher of the study was debiased on; empty for the original teacher."""
    of_seeds = by_seed(measured.results.teacher_changes.get(name) or {})
    return list(
        dict.fromkeys(word for one in of_seeds.values() for word in one.get("stereotype_words_of_the_tests") or ())
    )


def _note(measured: MeasuredStudy, seeds: list[int]) -> str:
    if len(seeds) > 1:
        return f"Means over {len(seeds)} teachers, one a seed, each with its own original; intervals are over words and seeds."
    note = "One model before and after, so the intervals are over words alone."
    return note + (
        f" Of the teachers of this scale, one a seed, only that of seed {seeds[0]} is known."
        if measured.results.planted
        else ""
    )


def _measured_otherwise(measured: MeasuredStudy, of_seeds: Mapping[int, Mapping]) -> str:
    """A warning where the teacher was measured before the study's measure was changed; its students are measured anew, it is not."""
    entry = measured.entries[0]
    found = [one["settings"] for one in of_seeds.values() if "settings" in one]
    other = [one for one in found if (one["pooling"], one["stimuli"]) != (entry["pooling"], entry["stimuli"])]
    if not other:
        return ""
    return (
        f" **Measured otherwise than its students**: with {code(other[0]['pooling'])} pooling on {markdown(other[0]['stimuli']['name'])}, before the study's "
        "measure was changed. To measure it again, remove teacher.json from its folder and run the study: it is not trained again."
    )


def _on_size(of_test: Mapping) -> str:
    """The verdict, which is on \\|d\\|, with the interval that it rests on: the one of the signed d says another thing."""
    ends = of_test.get("confidence_interval_absolute")
    shown = "" if ends is None else f": {estimate(of_test['difference_absolute'], ends, True)}"
    return f"{judged(of_test)}{shown}"


def _losses(measured: MeasuredStudy, name: str) -> list[str]:
    """What the change cost the teacher: its held-out loss beside the original's, as the reports of their students have them."""
    arms = [arm for arm in measured.arms.values() if arm.arm.teacher == name]
    plain = measured.arms[measured.study.baseline].reports
    pairs = {
        seed: (_teacher_loss(plain[seed]), _teacher_loss(report))
        for arm in arms
        for seed, report in arm.reports.items()
        if seed in plain and same_targets(report, plain[seed])
    }
    known = [pair for pair in pairs.values() if None not in pair]
    if not known:
        return []
    before, after = (float(np.mean(side)) for side in zip(*known, strict=True))
    return [
        f"Held-out masked-LM loss of the {markdown(name)} teacher: {number(after, False)} nats, of the original {number(before, False)} ("
        f"{'mean over ' if len(known) > 1 else ''}{plural(len(known), 'seed')}); its students are taught by a worse language model where the first is larger.",
        "",
    ]


def _teacher_loss(report: EvaluationReport) -> float | None:
    return ((report.training or {}).get("held_out_mlm_loss") or {}).get("teacher")


def _table(before: Sequence[Mapping], after: Sequence[Mapping]) -> list[str]:
    """Means over the teachers, and their differences paired by seed."""
    change = aggregate_differences(after, before)
    before, after = aggregate_results(before), aggregate_results(after)
    rows = []
    for name, test in ordered_tests(before):
        of_test = change["tests"][name]
        rows.append(
            [
                str(markdown(test["label"])),
                number(test["effect_size"]),
                number(after["tests"][name]["effect_size"]),
                estimate(of_test["difference"], of_test["confidence_interval"], True),
                probability(of_test["p_value_holm"]),
                "" if test["family"] == "control" else _on_size(of_test),
            ]
        )
    for family in ordered_families(change["families"]):
        of_family = change["families"][family]
        means = [number(side["families"][family]["mean_absolute_effect_size"], False) for side in (before, after)]
        shown = estimate(of_family["difference"], of_family["confidence_interval"], True)
        rows.append([f"**mean \\|d\\|**, {markdown(family)}", *means, shown, "", f"**{judged(of_family)}**"])
    return table(["test", "d before", "d after", "Δ", "p (flips, Holm)", "verdict on \\|d\\|: its Δ"], rows)
