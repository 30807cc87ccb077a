"""Where the truth is known: what was planted in the corpora beside what SEAT measures, for the teachers and for every arm."""

from __future__ import annotations

from collections.abc import Mapping

from evenhand.launch.page_text import ABSENT, estimate, listed, table
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.measured import CEILING, MeasuredStudy, mean_teacher
from evenhand.launch.study.page.number_text import arm_label, detailed, judged_text
from evenhand.launch.study.page.planted_changes import (
    REFERENCE,
    TEACHER,
    PlantedGroup,
    planted_changes,
    planted_groups,
    teacher_sizes,
)
from evenhand.model_cards.escaping import markdown


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
        "even without any association, because noise has no sign left in it. What was planted is a difference of shares, not a d: with +0.80 the share of male words beside words of the first set (career) "
        "is 80 points above that beside words of the second (family). d, in units of a standard deviation, is larger.".replace(
            "|", "\\|"
        ),
        "",
        *_measured_table(measured, groups),
        *_ceiling_note(measured, groups),
        *_change_table(measured, groups, on_z=False),
        *_change_table(measured, groups, on_z=True),
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


def _change_table(measured: MeasuredStudy, groups: list[PlantedGroup], on_z: bool) -> list[str]:
    """Changes from the teachers and from the reference arms, on d or on z = atanh(d/2)."""
    size, signed = ("\\|z\\|", "z") if on_z else ("\\|d\\|", "d")
    header = ["arm"]
    for group in groups:
        what = f"Δ{signed}" if group.strength else f"Δ {size}"
        header += [f"{what} where {group.title}, from its teacher", "from its reference", "verdict"]
    changes, rows = planted_changes(measured, on_z), []
    for name, arm in measured.arms.items():
        if arm.same_as is not None or not arm.reports:
            continue
        cells = []
        for group in groups:
            reference = changes.get((group, name, REFERENCE))
            cells += [detailed(changes.get((group, name, TEACHER))), detailed(reference), judged_text(reference)]
        rows.append([arm_label(arm), *cells])
    if on_z:
        title = "**The same on z = atanh(d/2), which has no end**, so that a change near the end of d counts for as much as one near 0."
    else:
        title = (
            "**Change of d in the direction that was planted, over seeds: above 0 is more association than the teacher, or the reference arm, "
            f"has.** Holm's correction is over strengths and arms ({_tested(changes, TEACHER)} changes from teachers, {_tested(changes, REFERENCE)} from reference arms)."
        )
    return [title, "", *table(header, rows)]


def _tested(changes: Mapping, against: str) -> int:
    return sum(judged.p_value is not None for (_, _, other), judged in changes.items() if other == against)


def near_ceiling(measured: MeasuredStudy, group: PlantedGroup) -> list[str]:
    """Labels of the group's tests in which the teachers are so near the end of d that amplification has little room."""
    return [test for test, size in teacher_sizes(measured, group).items() if size > CEILING]


def _ceiling_note(measured: MeasuredStudy, groups: list[PlantedGroup]) -> list[str]:
    sizes = {test: size for group in groups for test, size in teacher_sizes(measured, group).items() if size > CEILING}
    if not sizes:
        return []
    shown = listed([f"{markdown(test)} ({number(size, False, 2)})" for test, size in sizes.items()])
    return [
        f"Near the ceiling: mean \\|d\\| of the teachers is above {number(CEILING, False, 1)} in {shown}. \\|d\\| cannot exceed 2 (for sets of equal size), so in these tests there is "
        "little room for a student to show more of the association: amplification is squeezed, and the changes on z below are the fairer ones.",
        "",
    ]
