"""Changes of the association where its true strength is known: from each seed's teacher and from the reference arm, on d and on z."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evenhand.evaluation.arm_comparisons import Judgement, corrected_by_holm, over_seeds
from evenhand.evaluation.intervals import to_z
from evenhand.evaluation.report_order import natural
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.measured import MeasuredArm, MeasuredStudy

TEACHER = "teacher"
"""Stands for each seed's own teacher where a reference is named."""
REFERENCE = "reference"


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


def signed_means(results: Mapping[int, Mapping], group: PlantedGroup, on_z: bool = False) -> dict[int, float]:
    """Mean signed d over the group's tests, by seed; of a strength of 0 the mean of \\|d\\|, as there is no sign to expect.

    Args:
        on_z: z = atanh(d/2) in place of d: d ends at 2, z does not.
    """
    means = {}
    for seed, result in results.items():
        sizes = [test["effect_size"] for test in result["tests"].values() if test["label"] in group.tests]
        if len(sizes) == len(group.tests) and None not in sizes:
            sizes = [to_z(size) for size in sizes] if on_z else sizes
            means[seed] = math.fsum(sizes if group.strength else map(abs, sizes)) / len(sizes)
    return means


def planted_change(
    measured: MeasuredStudy, arm: MeasuredArm, group: PlantedGroup, reference: MeasuredArm | None, on_z: bool = False
) -> Judgement:
    """Difference of `signed_means` from a reference arm, or from each seed's own teacher (``None``), over seeds; not corrected."""
    own = signed_means(arm.seat(), group, on_z)
    other = signed_means(arm.teachers() if reference is None else reference.seat(), group, on_z)
    seeds = sorted(own.keys() & other.keys())
    towards_zero = [(own[seed] - other[seed]) * (1 if group.strength >= 0 else -1) for seed in seeds]
    return over_seeds(towards_zero) if seeds else Judgement(None)


def planted_changes(measured: MeasuredStudy, on_z: bool = False) -> dict[tuple[PlantedGroup, str, str], Judgement]:
    """Every change of the scale, by (group, arm, `TEACHER` or `REFERENCE`), with Holm's correction over groups × arms: one family for the
    changes from the teachers, one for those from the reference arms. Empty where nothing was planted."""
    corrected = {}
    for against in (TEACHER, REFERENCE):
        found, to_come = {}, 0
        for group in planted_groups(measured.results.planted or {}):
            for name, arm in measured.arms.items():
                reference = measured.reference_of(name)
                if arm.same_as is not None or (against == REFERENCE and reference is None):
                    continue
                if arm.reports:
                    other = None if against == TEACHER else measured.arms[reference]
                    found[group, name, against] = planted_change(measured, arm, group, other, on_z)
                else:
                    to_come += 1
        corrected |= corrected_by_holm(found, to_come)
    return corrected


def teacher_sizes(measured: MeasuredStudy, group: PlantedGroup) -> dict[str, float]:
    """Mean \\|d\\| of the teachers in each test of the group, over the seeds that any arm has; empty without teachers."""
    teachers = next((found for arm in measured.arms.values() if (found := arm.teachers())), {})
    sizes: dict[str, list[float]] = {}
    for result in teachers.values():
        for test in result["tests"].values():
            if test["label"] in group.tests and test["effect_size"] is not None:
                sizes.setdefault(test["label"], []).append(abs(test["effect_size"]))
    return {label: float(np.mean(sizes[label])) for label in group.tests if label in sizes}
