"""Whether pairs of students had one teacher: it is made again where a study goes on without its folder, and then not the same to the last digit."""

from __future__ import annotations

from collections.abc import Mapping

from evenhand.launch.page_text import listed, plural
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.measured import GENDER, MeasuredStudy, teacher_weights
from evenhand.model_cards.escaping import markdown


def teacher_makings_lines(measured: MeasuredStudy) -> list[str]:
    """One line where students that are compared were distilled from different makings of the teacher that they share; nothing otherwise."""
    apart: dict[str, int] = {}
    pairs, makings = 0, {}
    for name, arm in measured.arms.items():
        against = measured.reference_of(name)
        if against is None or arm.same_as is not None:
            continue
        reference = measured.arms[against]
        if arm.arm.teacher != reference.arm.teacher:
            continue
        for seed in sorted(set(arm.reports) & set(reference.reports)):
            own, its = (teacher_weights(one.reports[seed]) for one in (arm, reference))
            pairs += 1
            if None not in (own, its) and own != its:
                apart[name] = apart.get(name, 0) + 1
                makings |= {own: arm.teachers().get(seed), its: reference.teachers().get(seed)}
    if not apart:
        return []
    arms = listed([f"*{markdown(measured.study.arms[name].label)}*" for name in apart])
    return [
        "- **Not every pair had one teacher.** Where a study goes on without the folder of its teacher, that is made again by the same recipe, and trainings of two machines are not "
        f"the same to the last digit. Of {plural(pairs, 'pair')} of students, {sum(apart.values())} had two makings of it ({arms}): their differences hold that of the makings too."
        + _sizes(list(makings.values()))
    ]


def _sizes(teachers: list[Mapping | None]) -> str:
    """How far the makings are from each other."""
    found = [number(size, False) for size in map(_mean_magnitude, teachers) if size is not None]
    return f" The makings' mean \\|d\\|: {', '.join(found)}." if found else ""


def _mean_magnitude(teacher: Mapping | None) -> float | None:
    return None if teacher is None else teacher["families"].get(GENDER, {}).get("mean_absolute_effect_size")
