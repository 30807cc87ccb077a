"""The pictures of a study's page, from its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evenhand.evaluation.paired_seeds import t_interval
from evenhand.launch.page_folder import shown_picture
from evenhand.launch.page_text import listed
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.findings import label_of
from evenhand.launch.study.page.glue_section import glue_scores, glue_tasks, mean_of
from evenhand.launch.study.page.measured import (
    GENDER,
    MeasuredArm,
    MeasuredStudy,
    common_seeds,
    mean_teacher,
    same_held_out_counts,
    teacher_loss,
)
from evenhand.launch.study.study_file import Section
from evenhand.model_cards.figures.arms_forest_figure import (
    ARMS_FOREST_CAPTION,
    ArmDifference,
    arms_forest_alt,
    draw_arms_forest_figure,
)
from evenhand.model_cards.figures.arms_over_steps_figure import (
    ArmCurve,
    arms_over_steps_alt,
    arms_over_steps_caption,
    draw_arms_over_steps_figure,
    drawn_steps,
)
from evenhand.model_cards.figures.arms_tradeoff_figure import (
    HELD_OUT_LOSS,
    ArmPoint,
    Quality,
    arms_tradeoff_alt,
    arms_tradeoff_caption,
    draw_arms_tradeoff_figure,
)
from evenhand.model_cards.figures.planted_arms_figure import (
    PLANTED_ARMS_CAPTION,
    PlantedArm,
    draw_planted_arms_figure,
    planted_arms_alt,
)
from evenhand.model_cards.figures.sweep_figure import SWEEP_CAPTION, Sweep, SweepPoint, draw_sweep_figure, sweep_alt


def forest_picture(measured: MeasuredStudy, folder: Path) -> list[str]:
    """All arms against the baseline, or what else they are compared with; those that failed or were not run stand in it too."""
    rows, groups = [], _groups(measured)
    baseline = measured.study.baseline
    for name, arm in measured.arms.items():
        against = measured.reference_of(name)
        if arm.same_as is not None or against is None:
            continue
        comparison = measured.comparison(name)
        family = comparison and comparison.families.get(GENDER)
        judged = family.words_and_seeds if family else None
        note = "failed" if arm.failed else "not run yet" if arm.missing else "no difference"
        rows.append(
            ArmDifference(
                label=arm.arm.label,
                role=measured.roles.in_pictures(name),
                difference=judged.difference if judged else None,
                interval=(judged.low, judged.high) if judged and judged.low is not None else None,
                detectable=(judged.detectable or None) if judged else None,
                of_seeds=tuple(value for value in family.of_seeds if value is not None) if family else (),
                group=groups.get(name),
                note=None if judged else note,
                reference=None if against == baseline else measured.study.arms[against].label,
            )
        )
    if not any(row.difference is not None for row in rows):
        return []
    label = measured.study.arms[baseline].label
    draw_arms_forest_figure(rows, label, folder / "forest.png")
    return shown_picture("forest.png", arms_forest_alt(rows, label), ARMS_FOREST_CAPTION)


def _groups(measured: MeasuredStudy) -> dict[str, str]:
    """Title of the first section that names an arm."""
    groups: dict[str, str] = {}
    for section in measured.study.sections:
        for name in section.arms:
            groups.setdefault(name, section.title)
    return groups


def _on_one_text(measured: MeasuredStudy) -> dict[str, dict[int, float]]:
    """Losses on the text that the baseline's were taken on: those on another would not stand on the same axis."""
    baseline = measured.study.baseline
    return {
        name: {
            seed: loss
            for seed, loss in of_seeds.items()
            if seed in measured.arms[baseline].reports and measured.same_text(name, baseline, seed)
        }
        for name, of_seeds in ((name, arm.losses()) for name, arm in measured.arms.items())
    }


def tradeoff_pictures(measured: MeasuredStudy, folder: Path) -> list[str]:
    """Bias against held-out loss, and against GLUE where two arms or more were measured on the same tasks."""
    lines = []
    losses = _on_one_text(measured)
    points = _points(measured, losses, teacher_loss(measured))
    if len(points) > 1:
        lines += _tradeoff_picture(points, HELD_OUT_LOSS, folder, "tradeoff_loss.png")
        left_out = [
            name for name, arm in measured.arms.items() if arm.losses() and not losses[name] and arm.same_as is None
        ]
        reasons: dict[str, list[str]] = {}
        for name in left_out:
            reasons.setdefault(_why_left_out(measured, name), []).append(label_of(measured, name))
        lines += [
            line
            for why, labels in reasons.items()
            for line in (f"Not in this picture, because {why}: {listed(labels)}.", "")
        ]
    fine_tuned = [name for name, arm in measured.arms.items() if glue_scores(arm)]
    tasks = glue_tasks(measured, fine_tuned)
    if tasks:
        means = {
            name: {seed: mean_of(s, tasks) for seed, s in glue_scores(measured.arms[name]).items()}
            for name in fine_tuned
        }
        points = _points(measured, means, None)
        quality = Quality(f"mean of {len(tasks)} GLUE tasks (points)", higher_is_better=True)
        if len(points) > 1:
            lines += _tradeoff_picture(points, quality, folder, "tradeoff_glue.png")
    return lines


def _why_left_out(measured: MeasuredStudy, name: str) -> str:
    """Why an arm's loss does not stand beside the baseline's."""
    own, base = measured.arms[name].reports, measured.arms[measured.study.baseline].reports
    paired = [seed for seed in own if seed in base]
    if not paired:
        return "the baseline has no student of their seeds yet"
    if all(same_held_out_counts(own[seed], base[seed]) for seed in paired):
        return (
            "their loss was taken on other masked tokens of the same text (rare tokens are masked more often, and their training text has other "
            "counts)"
        )
    return "their loss was taken on other text"


def _tradeoff_picture(points: list[ArmPoint], quality: Quality, folder: Path, name: str) -> list[str]:
    draw_arms_tradeoff_figure(points, quality, folder / name)
    return shown_picture(name, arms_tradeoff_alt(points, quality), arms_tradeoff_caption(points, quality))


def _points(
    measured: MeasuredStudy, qualities: Mapping[str, Mapping[int, float]], of_teacher: float | None
) -> list[ArmPoint]:
    """The arms that have both numbers, over the seeds that have both, and the teacher.

    The baseline stands at its mean, an arm where its paired difference puts it from there: seeds can differ more than arms do, and the mean of an
    arm with fewer of them then says first of all which ones it has. Intervals are over seeds, paired with the baseline: on a scale whose seeds have teachers of their own, and over words, an arm's own interval is
    many times as long as arms differ, since all of them rise and fall together.
    """
    points = []
    base = _with_both(
        measured.arms[measured.study.baseline].mean_magnitudes(), qualities.get(measured.study.baseline, {})
    )
    teacher = mean_teacher(measured)
    if teacher is not None and of_teacher is not None:
        bias = teacher["families"][GENDER]["mean_absolute_effect_size"]
        points.append(ArmPoint("teacher", "teacher", bias, None, of_teacher, None, teacher["runs"]))
    for name, of_arm in qualities.items():
        arm = measured.arms[name]
        both = _with_both(arm.mean_magnitudes(), of_arm)
        if not both[0] or arm.same_as is not None:
            continue
        (bias, bias_ends), (quality, quality_ends) = (
            _paired_mean(values, {} if name == measured.study.baseline else of_base)
            for values, of_base in zip(both, base, strict=True)
        )
        role = measured.roles.in_pictures(name)
        points.append(ArmPoint(arm.arm.label, role, bias, bias_ends, quality, quality_ends, len(both[0])))
    return points


def _with_both(*numbers: Mapping[int, float]) -> list[dict[int, float]]:
    """The numbers of the seeds that all of them have."""
    return [{seed: of[seed] for seed in of if all(seed in other for other in numbers)} for of in numbers]


def _paired_mean(values: Mapping[int, float], base: Mapping[int, float]) -> tuple[float, tuple[float, float] | None]:
    """Mean of ``base`` plus the mean difference from it over the seeds that both have (the mean of ``values`` where they have none), and about it the
    interval of that difference (from two such seeds on)."""
    differences = [value - base[seed] for seed, value in values.items() if seed in base]
    if not differences:
        return sum(values.values()) / len(values), None
    middle = sum(base.values()) / len(base)
    if len(differences) == 1:
        return middle + differences[0], None
    found = t_interval(differences)
    return middle + found.mean, (middle + found.low, middle + found.high)


def steps_picture(measured: MeasuredStudy, folder: Path) -> list[str]:
    """Mean |d| over training of the arms that were watched."""
    curves = []
    for name, arm in measured.arms.items():
        found = _curves(arm)
        steps = tuple(sorted({step for curve in found for step in curve}))
        seeds = tuple(tuple(curve.get(step) for step in steps) for curve in found)
        curve = ArmCurve(arm.arm.label, measured.roles.in_pictures(name), steps, seeds)
        # Seeds that were watched at other steps have none in common.
        if arm.same_as is None and len(drawn_steps(curve)) > 1:
            curves.append(curve)
    if not curves:
        return []
    watches = (
        report.training["watch"]
        for arm in measured.arms.values()
        for report in arm.reports.values()
        if _watched(report)
    )
    key = (
        None
        if measured.results.planted
        else next(((watch.get("teacher") or {}).get(_key(watch)) for watch in watches), None)
    )
    draw_arms_over_steps_figure(curves, folder / "over_training.png", key)
    shown = shown_picture("over_training.png", arms_over_steps_alt(curves, key), arms_over_steps_caption(curves, key))
    return shown + _from_where(measured)


def _from_where(measured: MeasuredStudy) -> list[str]:
    """What the plain students showed before any training: first weights taken from a teacher can hold more of the association, or less, than it."""
    baseline = measured.arms[measured.study.baseline]
    ends = [(curve[0], curve[max(curve)]) for curve in _curves(baseline) if curve.get(0) is not None and len(curve) > 1]
    if not ends:
        return []
    first, last = (sum(side) / len(ends) for side in zip(*ends, strict=True))
    return [
        f"{label_of(measured, measured.study.baseline)} begins at {number(first, False)}, with the first weights and before any training, and ends at "
        f"{number(last, False)}: what a student shows is what training left of its beginning as well as what it was taught.",
        "",
    ]


def _curves(arm: MeasuredArm) -> list[dict[int, float]]:
    """Step → mean |d| of each seed that was watched."""
    watches = [report.training["watch"] for report in arm.reports.values() if _watched(report)]
    return [
        {entry["step"]: entry[key] for entry in watch["curve"] if entry.get(key) is not None}
        for watch in watches
        if (key := _key(watch)) is not None
    ]


def _watched(report) -> bool:
    return bool((report.training or {}).get("watch"))


def _key(watch: Mapping) -> str | None:
    """The curve's name of mean |d| over the gender tests."""
    names = [name for name, settings in (watch.get("measures") or {}).items() if settings["measure"] == "seat"]
    return f"{names[0]}_mean_abs" if names else None


def sweep_picture(measured: MeasuredStudy, section: Section, folder: Path) -> list[str]:
    """Mean |d| and held-out loss along the sweep, over the seeds that every arm has: those of one arm alone would move its mean. Losses that
    were taken on different texts, as those of fractions of the corpus are, do not stand on one axis and are left out."""
    points = []
    arms = [measured.arms[name] for name in section.arms if measured.arms[name].arm.value is not None]
    seeds = common_seeds(arms)
    names = [name for name in section.arms if measured.arms[name].losses()]
    one_text = all(measured.same_text(names[0], name, seed) for name in names for seed in measured.arms[name].losses())
    for arm in arms:
        mean = arm.mean_over(seeds)
        interval = mean["families"][GENDER]["confidence_interval"] if mean else None
        biases, losses = (
            tuple(value for seed, value in of_seeds.items() if not seeds or seed in seeds)
            for of_seeds in (arm.mean_magnitudes(), arm.losses() if one_text else {})
        )
        points.append(SweepPoint(arm.arm.value, biases, interval and tuple(interval), losses))
    if sum(bool(point.biases) for point in points) < 2 or len({isinstance(point.value, str) for point in points}) > 1:
        return []
    found, teacher = measured.sweep(section), mean_teacher(measured)
    sweep = Sweep(
        section.x_label or section.title, tuple(points), teacher and teacher["families"][GENDER]["mean_absolute_effect_size"],
        teacher_loss(measured) if one_text else None, found and found.r, found and found.r_interval,
    )  # fmt: skip
    draw_sweep_figure(sweep, folder / f"{section.name}.png")
    return shown_picture(f"{section.name}.png", sweep_alt(sweep), SWEEP_CAPTION)


def planted_picture(measured: MeasuredStudy, folder: Path) -> list[str]:
    """Planted strength against d, arm by arm."""
    planted = measured.results.planted
    if not planted:
        return []
    teachers = next((found for arm in measured.arms.values() if (found := arm.teachers())), {})
    rows = [_planted_row("teachers", "teacher", teachers, mean_teacher(measured), planted)] if teachers else []
    rows += [
        _planted_row(arm.arm.label, measured.roles.in_pictures(name), arm.seat(), arm.mean, planted)
        for name, arm in measured.arms.items()
        if arm.same_as is None and arm.mean is not None
    ]
    draw_planted_arms_figure(planted, rows, folder / "planted.png")
    return shown_picture("planted.png", planted_arms_alt(planted, rows), PLANTED_ARMS_CAPTION)


def _planted_row(
    label: str, role: str, results: Mapping[int, Mapping], mean: Mapping, planted: Mapping[str, float]
) -> PlantedArm:
    sizes: dict[str, list[float]] = {}
    for result in results.values():
        for test in result["tests"].values():
            if test["label"] in planted and test["effect_size"] is not None:
                sizes.setdefault(test["label"], []).append(test["effect_size"])
    intervals = {
        test["label"]: test["confidence_interval"] for test in mean["tests"].values() if test["label"] in planted
    }
    return PlantedArm(
        label, role, {test: tuple(values) for test, values in sizes.items()},
        {test: None if ends is None else tuple(ends) for test, ends in intervals.items()},
    )  # fmt: skip
