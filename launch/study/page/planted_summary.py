"""The summary's sentences where the truth is known: for each planted strength, what distillation, L_ce and the mixup do to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from evenhand.evaluation.arm_comparisons import Judgement
from evenhand.launch.page_text import listed, plural
from evenhand.launch.study.page.findings import label_of
from evenhand.launch.study.page.measured import MeasuredStudy
from evenhand.launch.study.page.number_text import detail, difference
from evenhand.launch.study.page.planted_changes import (
    REFERENCE,
    TEACHER,
    PlantedGroup,
    planted_changes,
    planted_groups,
)
from evenhand.launch.study.page.planted_section import near_ceiling
from evenhand.launch.study.study_file import ORIGINAL
from evenhand.model_cards.escaping import markdown

Change = tuple[PlantedGroup, str, str]
"""Group, arm, and what it is compared with (`REFERENCE` or `TEACHER`)."""


def planted_sentences(measured: MeasuredStudy) -> list[str]:
    """One item a planted strength; none where nothing was planted. Verdicts are those after Holm's correction over strengths and arms."""
    on_d, on_z = planted_changes(measured), planted_changes(measured, on_z=True)
    baseline, proposed, without = measured.study.baseline, measured.roles.proposed, _without_soft_targets(measured)
    sentences = []
    for group in planted_groups(measured.results.planted or {}):
        asked = [
            (TEACHER, baseline, "plain students show {} of it than their teachers"),
            (
                REFERENCE,
                without,
                f"{label_of(measured, without)}, students without L_ce, show {{}} of it than plain ones"
                if without
                else "",
            ),
            (
                REFERENCE,
                proposed,
                f"{label_of(measured, proposed)} shows {{}} of it than plain students" if proposed else "",
            ),
        ]
        asked += [
            (TEACHER, name, f"the students of {label_of(measured, name)} show {{}} of it than that teacher")
            for name, arm in measured.study.arms.items()
            if arm.teacher != ORIGINAL and measured.arms[name].same_as is None
        ]
        near = near_ceiling(measured, group)
        parts = []
        for against, name, words in asked:
            change = on_d.get((group, name, against))
            if change is None or change.difference is None:
                continue
            sign = "Δd" if group.strength else "Δ \\|d\\|"
            text = f"{words.format(_compared(change))}, {sign} {difference(change)}{detail(change)}"
            if near:
                text += f" (on z, which has no end, {_compared(on_z[group, name, against]).rstrip(',')}: {difference(on_z[group, name, against])})"
            parts.append(text)
        if not parts:
            continue
        what = "" if group.strength else " (what is measured is then noise, which has no sign left in \\|d\\|)"
        end = (
            f" In {listed([str(markdown(test)) for test in near])} the teachers are near the end of d, so amplification is squeezed."
            if near
            else ""
        )
        others = _others(measured, group, on_d, on_z if near else on_d, {without, proposed})
        sentences.append(
            f"Where {group.title}{what}: {'; '.join(parts)}. {others}Over seeds, each with its own corpus and teacher.{end}"
        )
    return sentences


def changed_most_first(
    group: PlantedGroup, changes: Mapping[Change, Judgement], marking: Mapping[Change, Judgement], verdict: str
) -> list[str]:
    """Arms whose change from their reference arm holds after the correction, from the largest.

    Args:
        changes: on d, from `planted_changes`.
        marking: that must hold too: on z where the teachers are near the end of d, else ``changes`` itself.
        verdict: ``"better"`` or ``"worse"``.
    """
    found = {
        name: abs(judged.difference)
        for (of, name, against), judged in changes.items()
        if of == group
        and against == REFERENCE
        and all(one.verdict == verdict and one.holds for one in (judged, marking[of, name, against]))
    }
    return sorted(found, key=lambda name: -found[name])


def _others(
    measured: MeasuredStudy,
    group: PlantedGroup,
    changes: Mapping[Change, Judgement],
    marking: Mapping[Change, Judgement],
    said: Collection[str | None],
) -> str:
    """The other arms that change what was planted, each against the plain arm of its setting or, where it is plain itself, the baseline."""
    asked = {name for of, name, against in changes if of == group and against == REFERENCE and name not in said}
    if not asked:
        return ""
    parts = []
    for verdict, word in (("better", "less"), ("worse", "more")):
        names = [name for name in changed_most_first(group, changes, marking, verdict) if name in asked]
        shown = [f"{label_of(measured, name)} ({difference(changes[group, name, REFERENCE])})" for name in names]
        many = f"{len(names)} show" if len(names) > 1 else "1 shows" if names else "none shows"
        parts.append(f"{many} **{word}** of it" + (f": {listed(shown)}" if shown else ""))
    on_both = "" if marking is changes else ", on d and on z"
    return f"Of the {plural(len(asked), 'other arm')}, each against its reference, after the correction{on_both}, {'; '.join(parts)}. "


def _without_soft_targets(measured: MeasuredStudy) -> str | None:
    """The arm that differs from the baseline in nothing but that L_ce is switched off."""
    found = (
        name
        for name in measured.study.arms
        if measured.roles.only_terms_changed(name) == ("ce",) and measured.reference_of(name) == measured.study.baseline
    )
    return next(found, None)


def _compared(judged: Judgement) -> str:
    side = {"better": "less", "worse": "more"}.get(judged.verdict)
    if side is None:
        return "neither more nor less, as far as can be told,"
    return f"**{side}**" if judged.holds is not False else f"perhaps {side} (the correction takes that back)"
