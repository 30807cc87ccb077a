"""Does what the proposed mixup does depend on the setting: steps, depth, weights? Differences of differences, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from evenhand.evaluation.arm_comparisons import Judgement, corrected_by_holm, over_seeds
from evenhand.evaluation.sweeps import Sweep, along_sweep
from evenhand.launch.page_text import ABSENT, interval, listed, plural, probability, table
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.findings import label_of
from evenhand.launch.study.page.measured import GENDER, MeasuredStudy
from evenhand.launch.study.page.number_text import difference
from evenhand.launch.study.page.roles import PROPOSED

_LENGTH = {("corpus", "fraction"), ("training", "max_steps"), ("training", "num_train_epochs")}
"""Settings of a recipe that make a training longer or shorter and change nothing else."""


@dataclass(frozen=True)
class SettingChange:
    """The mixup at another setting than the study's.

    Args:
        arm: the mixed arm there; its reference is the plain one of the same setting.
        of_seeds: Δ mean \\|d\\| by seed.
        there: their mean over seeds.
        against_usual: by how much Δ differs from that of the study's setting, over the seeds of both; corrected by Holm over the settings.
        steps: optimiser steps, where it differs from the study's setting in the length of the training alone; else ``None``.
    """

    arm: str
    of_seeds: Mapping[int, float]
    there: Judgement
    against_usual: Judgement
    steps: int | None


def setting_changes(measured: MeasuredStudy) -> list[SettingChange]:
    """One of each setting at which the proposed mixup was run, the study's own left out."""
    usual = measured.roles.proposed
    if usual is None or measured.comparison(usual) is None:
        return []
    own = _changes(measured, usual)
    names = [
        name
        for name in measured.study.arms
        if name != usual
        and measured.roles.only_mixing(name) == PROPOSED
        and not measured.roles.against_baseline(name)
        and measured.arms[name].same_as is None
        and measured.comparison(name) is not None
    ]
    changes = {name: _changes(measured, name) for name in names}
    apart = {
        name: over_seeds([change[seed] - own[seed] for seed in sorted(change.keys() & own.keys())], better=None)
        for name, change in changes.items()
        if change.keys() & own.keys()
    }
    corrected = corrected_by_holm(apart)
    return [
        SettingChange(
            name,
            changes[name],
            over_seeds(list(changes[name].values())),
            corrected[name],
            _steps(measured, name, usual),
        )
        for name in corrected
    ]


def along_steps(measured: MeasuredStudy) -> Sweep | None:
    """Δ mean \\|d\\| of the mixup along log10 of the optimiser steps, over the settings that differ in the length of the training alone;
    ``None`` for fewer than three lengths."""
    usual = measured.roles.proposed
    by_steps = {change.steps: change.of_seeds for change in setting_changes(measured) if change.steps}
    own = None if usual is None else _steps_of(measured, usual)
    if not by_steps or not own:
        return None
    by_steps[own] = _changes(measured, usual)
    return along_sweep({math.log10(steps): of_seeds for steps, of_seeds in by_steps.items()})


def setting_lines(measured: MeasuredStudy) -> list[str]:
    """The section; nothing where the mixup was run at one setting alone."""
    changes = setting_changes(measured)
    if not changes:
        return []
    usual = measured.roles.proposed
    header = [
        "setting",
        "steps",
        "Δ mean \\|d\\| by the mixup",
        "against the study's setting",
        "p",
        "p (Holm)",
        "detectable",
    ]
    own = measured.comparison(usual).families[GENDER].seeds_alone
    rows = [
        [
            f"the study's: {label_of(measured, usual)}",
            _shown_steps(measured, usual),
            difference(own),
            ABSENT,
            ABSENT,
            ABSENT,
            ABSENT,
        ]
    ]
    for change in changes:
        apart = change.against_usual
        rows.append(
            [
                label_of(measured, change.arm), _shown_steps(measured, change.arm), difference(change.there), difference(apart),
                probability(apart.p_value), probability(apart.p_value_holm), number(apart.detectable, False),
            ]
        )  # fmt: skip
    return [
        "## Does what the mixup does depend on the setting?",
        "",
        "The change of mean \\|d\\| from the plain arm of the same setting to the mixed one, and by how much it differs from that at the study's own "
        "setting, seed by seed. Over seeds alone, with these words. These comparisons were chosen after the arms: *exploratory*. With a fraction of the corpus there is less text as well as "
        "fewer steps.",
        "",
        *table(header, rows),
    ]


def setting_sentences(measured: MeasuredStudy) -> list[str]:
    """What follows: settings at which the mixup does something else, and how it goes with the length of the training."""
    changes, sentences = setting_changes(measured), []
    if not changes:
        return []
    different = [
        change
        for change in changes
        if change.against_usual.p_value_holm is not None and change.against_usual.p_value_holm <= 0.05
    ]
    for change in different:
        side = "less" if change.against_usual.difference < 0 else "more"
        sentences.append(
            f"With {label_of(measured, change.arm)} the mixup leaves {side} bias, against plain distillation there, than at the study's setting: "
            f"Δ mean \\|d\\| {difference(change.there)}, {difference(change.against_usual)} from the study's, "
            f"p (Holm) {probability(change.against_usual.p_value_holm)}; over seeds alone, exploratory."
        )
    if not different:
        sentences.append(
            f"At {plural(len(changes), 'other setting')} the mixup does nothing else, as far as can be told, than at the study's: see *Does what the "
            "mixup does depend on the setting?*"
        )
    along = along_steps(measured)
    if along is not None and along.slope is not None:
        slope, lengths = along.slope, [f"{round(10**log):,}" for log in along.arms]
        if slope.low > 0:
            what = "The longer students train, the **less** the mixup lowers their bias, or the more it raises it"
        elif slope.high < 0:
            what = "The longer students train, the **more** the mixup lowers their bias"
        else:
            what = "Whether what the mixup does depends on the length of the training **cannot be told**"
        sentences.append(
            f"{what}: Δ mean \\|d\\| changes by {number(slope.mean)} {interval((slope.low, slope.high), digits=3)} with ten times the steps (at "
            f"{listed(lengths)} steps; {plural(slope.n, 'seed')}, with these words; not corrected, exploratory)."
        )
    return sentences


def _changes(measured: MeasuredStudy, name: str) -> dict[int, float]:
    comparison = measured.comparison(name)
    changes = zip(comparison.seeds, comparison.families[GENDER].of_seeds, strict=True)
    return {seed: change for seed, change in changes if change is not None}


def _steps(measured: MeasuredStudy, name: str, usual: str) -> int | None:
    return _steps_of(measured, name) if measured.roles.differences(name, usual) <= _LENGTH else None


def _steps_of(measured: MeasuredStudy, name: str) -> int | None:
    report = next(iter(measured.arms[measured.name_of(name)].reports.values()))
    return (report.training or {}).get("steps")


def _shown_steps(measured: MeasuredStudy, name: str) -> str:
    steps = _steps_of(measured, name)
    return ABSENT if steps is None else f"{steps:,}"
