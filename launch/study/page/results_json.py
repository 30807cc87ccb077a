"""results.json: everything that a study's page says, for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from evenhand.evaluation.arm_comparisons import Judgement
from evenhand.evaluation.over_seeds import aggregate_results
from evenhand.launch.study.page.findings import answer
from evenhand.launch.study.page.glue_section import glue_changes, glue_scores, glue_tasks, mean_of
from evenhand.launch.study.page.measured import (
    MeasuredArm,
    MeasuredStudy,
    mean_teacher,
    teacher_loss,
    uniform_loss,
    unigram_loss,
)
from evenhand.launch.study.page.planted_changes import REFERENCE, TEACHER, planted_changes
from evenhand.launch.study.page.printed import mismatches, printed_correlation, printed_difference
from evenhand.launch.study.page.teacher_section import SIDES, by_seed
from evenhand.launch.study.study_file import Section

SCHEMA, SCHEMA_VERSION = "evenhand-study-results", 1
_TEST_MEAN = ("label", "family", "effect_size", "confidence_interval", "effect_sizes")
_FAMILY_MEAN = ("mean_absolute_effect_size", "confidence_interval", "mean_absolute_effect_sizes")
_FAMILY_CHANGE = ("difference", "confidence_interval", "differences", "verdict", "worst_case")
_TEST_CHANGE = (
    "difference", "confidence_interval", "p_value", "p_value_holm", "difference_absolute", "confidence_interval_absolute", "verdict",
    "differences", "over_seeds",
)  # fmt: skip


def results_json(measured: MeasuredStudy, summary: list[str]) -> dict[str, Any]:
    """Plain values.

    Args:
        measured: the study's numbers.
        summary: the sentences of the page's summary.

    Returns:
        ``schema`` and ``schema_version``, the study's facts, ``arms`` (reports by hash, means, losses), ``comparisons`` (each with
        Holm's p-value and what could have been found), ``sections`` (printed numbers, correlation, GLUE), ``planted``, ``summary``.
    """
    study, results = measured.study, measured.results
    teacher = mean_teacher(measured)
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "study": study.name,
        "title": study.title,
        "scale": study.scale,
        "scale_note": study.scale_note,
        "paper": dict(study.paper),
        "command": results.command,
        "baseline": study.baseline,
        "environments": measured.environments,
        "students": measured.counts,
        "comparisons_corrected_for": measured.tests,
        "seat": [{"pooling": entry["pooling"], "stimuli": entry["stimuli"]} for entry in measured.entries],
        "teacher": {"seat": _seat(teacher), "held_out_mlm_loss": teacher_loss(measured)},
        "unigram_held_out_mlm_loss": unigram_loss(measured),
        "uniform_held_out_mlm_loss": uniform_loss(measured),
        "arms": {name: _arm(measured, arm, results.study.arms[name].core) for name, arm in measured.arms.items()},
        "pools": {measured.roles.pool: measured.roles.controls} if measured.roles.pool else {},
        "comparisons": [_comparison(measured, one, other) for one, other in measured.comparisons],
        "other_settings": [_other_setting(measured, which) for which in range(1, len(measured.entries))],
        "sections": {section.name: _section(measured, section) for section in study.sections},
        "printed_averages_that_do_not_match": [asdict(mean) for mean in mismatches(study.sections)],
        "not_at_this_scale": dict(study.settings.without),
        "teacher_changes": {
            name: {when: _seat(aggregate_results([one[when] for one in by_seed(change).values()])) for when in SIDES}
            for name, change in results.teacher_changes.items()
        },
        "planted": _planted(measured),
        "summary": summary,
    }


def _arm(measured: MeasuredStudy, arm: MeasuredArm, core: bool) -> dict[str, Any]:
    from_teacher = measured.from_teachers.get(arm.arm.name)
    return {
        "label": arm.arm.label,
        "core": core,
        "value": arm.arm.value,
        "teacher": arm.arm.teacher,
        "same_students_as": arm.same_as,
        "recipe_sha256": arm.arm.recipe.sha256,
        "reports": {str(seed): report.sha256 for seed, report in arm.reports.items()},
        "failed": {str(seed): log for seed, log in arm.failed.items()},
        "not_run_yet": list(arm.missing),
        "seat": _seat(arm.mean),
        "against_teacher": _changes(arm.against_teacher),
        "from_teacher": asdict(from_teacher) if from_teacher else None,
        "held_out_mlm_loss": {str(seed): loss for seed, loss in arm.losses().items()},
        "glue": {str(seed): scores for seed, scores in glue_scores(arm).items()},
    }


def _seat(mean: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Means over seeds with their intervals, by test and family."""
    if mean is None:
        return None
    return {
        "runs": mean["runs"],
        "tests": {name: _named(test, _TEST_MEAN) for name, test in mean["tests"].items()},
        "families": {name: _named(family, _FAMILY_MEAN) for name, family in mean["families"].items()},
    }


def _changes(changes: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Differences by family."""
    if changes is None:
        return None
    families = {name: _named(family, _FAMILY_CHANGE) for name, family in changes["families"].items()}
    return {"runs": changes["runs"], "families": families}


def _named(record: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: record[key] for key in keys}


def _comparison(measured: MeasuredStudy, arm: str, against: str) -> dict[str, Any]:
    ratio = measured.per_nat(arm, against)
    compared = measured.comparisons[arm, against].to_dict()
    return {
        **compared,
        "tests": {name: _named(test, _TEST_CHANGE) for name, test in compared["tests"].items()},
        "answer": answer(measured, arm, against),
        "per_nat": asdict(ratio) if ratio else None,
    }


def _other_setting(measured: MeasuredStudy, which: int) -> dict[str, Any]:
    entry = measured.entries[which]
    compared = [one.to_dict() for one in measured.other_entry(which).values()]
    families = [{key: one[key] for key in ("arm", "against", "seeds", "families")} for one in compared]
    return {"pooling": entry["pooling"], "stimuli": entry["stimuli"], "comparisons": families}


def _section(measured: MeasuredStudy, section: Section) -> dict[str, Any]:
    data: dict[str, Any] = {
        "title": section.title,
        "question": section.question,
        "kind": section.kind,
        "arms": list(section.arms),
        "printed": {arm: dict(row) for arm, row in section.printed.items()},
        "printed_differences": _printed_differences(measured, section),
    }
    if section.kind == "sweep":
        sweep = measured.sweep(section)
        data |= {"printed_r": printed_correlation(section), "sweep": asdict(sweep) if sweep else None}
    tasks = glue_tasks(measured, section.arms)
    if tasks:
        data["glue"] = {"tasks": tasks, "arms": {name: _glue(measured, name, tasks) for name in section.arms}}
    return data


def _printed_differences(measured: MeasuredStudy, section: Section) -> dict[str, float]:
    changes = {
        name: printed_difference(section, name, reference)
        for name in section.arms
        if (reference := measured.reference_of(name)) is not None
    }
    return {name: change for name, change in changes.items() if change is not None}


def _glue(measured: MeasuredStudy, name: str, tasks: list[str]) -> dict[str, Any]:
    means = {str(seed): mean_of(scores, tasks) for seed, scores in glue_scores(measured.arms[name]).items()}
    changes = {task: asdict(judged) for task, judged in glue_changes(measured, name, tasks).items()}
    return {"mean_of_tasks": means, "differences": changes}


def _planted(measured: MeasuredStudy) -> dict[str, Any] | None:
    planted: Mapping[str, float] | None = measured.results.planted
    if not planted:
        return None
    on_d, on_z = planted_changes(measured), planted_changes(measured, on_z=True)
    changes = [
        {
            "strength": group.strength,
            "tests": list(group.tests),
            "arm": name,
            "from_teacher": asdict(on_d[group, name, TEACHER]),
            "from_reference": _plain(on_d.get((group, name, REFERENCE))),
            "from_teacher_on_z": asdict(on_z[group, name, TEACHER]),
            "from_reference_on_z": _plain(on_z.get((group, name, REFERENCE))),
        }
        for group, name, against in on_d
        if against == TEACHER
    ]
    return {"strengths": dict(planted), "changes": changes}


def _plain(judged: Judgement | None) -> dict[str, Any] | None:
    return asdict(judged) if judged else None
