"""Where the truth is known: what was planted in the corpora beside what SEAT measures, for the teachers and for every arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evenhand.evaluation.arm_comparisons import Judgement, over_seeds
from evenhand.evaluation.report_order import natural
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.measured import MeasuredArm, MeasuredStudy, mean_teacher
from evenhand.launch.study.page.number_text import ABSENT, arm_label, difference, estimate, table
from evenhand.model_cards.escaping import markdown


@dataclass(frozen=True)
class PlantedGroup:
    """The tests of one planted strength.

    Args:
        strength: planted association.
        tests: labels, in natural order.
    """

    strength: float
    tests: tuple[str, ...]

    @property
    def title(self) -> str:
        """E.g. ``an association of +0.80 was planted (C6, C6b)``."""
        what = f"an association of {number(self.strength, digits=2)}" if self.strength else "none"
        return f"{what} was planted ({', '.join(self.tests)})"


def planted_groups(planted: Mapping[str, float]) -> list[PlantedGroup]:
    """The strengths from the strongest down, each with its tests."""
    strengths = sorted(set(planted.values()), reverse=True)
    return [
        PlantedGroup(s, tuple(sorted((test for test, own in planted.items() if own == s), key=natural)))
        for s in strengths
    ]


def signed_means(results: Mapping[int, Mapping], group: PlantedGroup) -> dict[int, float]:
    """Mean signed d over the group's tests, by seed; of a strength of 0 the mean of \\|d\\|, as there is no sign to expect."""
    means = {}
    for seed, result in results.items():
        sizes = [test["effect_size"] for test in result["tests"].values() if test["label"] in group.tests]
        if len(sizes) == len(group.tests) and None not in sizes:
            means[seed] = float(np.mean(sizes if group.strength else np.abs(sizes)))
    return means


def planted_change(
    measured: MeasuredStudy, arm: MeasuredArm, group: PlantedGroup, reference: MeasuredArm | None
) -> Judgement:
    """Difference of `signed_means` from a reference arm, or from each seed's own teacher (``None``), over seeds."""
    own = signed_means(arm.seat(), group)
    other = signed_means(arm.teachers() if reference is None else reference.seat(), group)
    seeds = sorted(own.keys() & other.keys())
    towards_zero = [(own[seed] - other[seed]) * (1 if group.strength >= 0 else -1) for seed in seeds]
    return over_seeds(towards_zero) if seeds else Judgement(None)


def planted_lines(measured: MeasuredStudy) -> list[str]:
    """The section, or nothing where the truth is not known."""
    planted = measured.results.planted
    if not planted:
        return []
    groups = planted_groups(planted)
    return [
        "## What was planted, and what is measured",
        "",
        "Each seed has a corpus of its own with these associations in it, a teacher trained on that corpus, and a student of every arm: "
        "the seeds cover all that is random here. Where nothing was planted, a mean of |d| stands in place of the signed d, and it is not 0 "
        "even without any association, because noise has no sign left in it.".replace("|", "\\|"),
        "",
        *_measured_table(measured, groups),
        *_change_table(measured, groups),
    ]


def _measured_table(measured: MeasuredStudy, groups: list[PlantedGroup]) -> list[str]:
    tests = [(test, group.strength) for group in groups for test in group.tests]
    header = ["model", *(f"{markdown(test)}, planted {number(strength, digits=2)}" for test, strength in tests)]
    means = [("teachers", mean_teacher(measured))]
    means += [(arm_label(arm), arm.mean) for arm in measured.arms.values() if arm.same_as is None]
    rows = []
    for label, mean in means:
        if mean is not None:
            by_label = {test["label"]: test for test in mean["tests"].values()}
            rows.append([label, *(_cell(by_label.get(test)) for test, _ in tests)])
    return ["**Measured d, mean over seeds, with the interval over words and seeds.**", "", *table(header, rows)]


def _cell(test: Mapping | None) -> str:
    return ABSENT if test is None else estimate(test["effect_size"], test["confidence_interval"], True)


def _change_table(measured: MeasuredStudy, groups: list[PlantedGroup]) -> list[str]:
    header = ["arm"]
    for group in groups:
        what = "Δd" if group.strength else "Δ \\|d\\|"
        header += [f"{what} where {group.title}, from its teacher", "from its reference", "detectable"]
    rows = []
    for name, arm in measured.arms.items():
        if arm.same_as is not None or not arm.reports:
            continue
        reference = measured.reference_of(name)
        cells = []
        for group in groups:
            change = planted_change(measured, arm, group, measured.arms[reference]) if reference else None
            cells += [difference(planted_change(measured, arm, group, None)), difference(change)]
            cells.append(number(change.detectable if change else None, False))
        rows.append([arm_label(arm), *cells])
    lines = [
        "**Change of d in the direction that was planted, over seeds: above 0 is more association than the teacher, or the reference arm, has.**",
        "",
    ]
    return [*lines, *table(header, rows)]
