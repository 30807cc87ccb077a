"""Teachers that the study made from the original one: their bias before and after."""

from __future__ import annotations

from collections.abc import Mapping

from evenhand.evaluation.paired_difference import compare_results
from evenhand.evaluation.report_order import ordered_families, ordered_tests
from evenhand.evaluation.report_table import judged
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.measured import MeasuredStudy
from evenhand.launch.study.page.number_text import estimate, probability, table
from evenhand.model_cards.escaping import markdown


def teacher_lines(measured: MeasuredStudy) -> list[str]:
    """A table for each such teacher; nothing where the study has none."""
    lines = []
    for name, sides in measured.results.teacher_changes.items():
        before, after = sides["before"], sides["after"]
        lines += [f"### The {markdown(name)} teacher", "", *_table(before, after)]
        if shared := sides.get("stereotype_words_of_the_tests"):
            words = ", ".join(str(markdown(word)) for word in shared)
            lines += [
                f"Debiased were, among others, {len(shared)} words that these tests measure ({words}): for them the fall is what was trained, not a finding.",
                "",
            ]
    if not lines:
        return []
    note = "One model before and after, so the intervals are over words alone."
    if measured.results.planted:
        note += " On this scale every seed has such a teacher; this is the one of seed 0."
    return ["## Teachers, before and after", "", note, "", *lines]


def _table(before: Mapping, after: Mapping) -> list[str]:
    change = compare_results(after, before)
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
                "" if test["family"] == "control" else judged(of_test),
            ]
        )
    for family in ordered_families(change["families"]):
        of_family = change["families"][family]
        means = [number(side["families"][family]["mean_absolute_effect_size"], False) for side in (before, after)]
        shown = estimate(of_family["difference"], of_family["confidence_interval"], True)
        rows.append([f"**mean \\|d\\|**, {markdown(family)}", *means, shown, "", f"**{judged(of_family)}**"])
    return table(["test", "d before", "d after", "Δ", "p (flips, Holm)", "verdict on \\|d\\|"], rows)
