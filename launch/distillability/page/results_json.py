"""results.json: everything that the page of a study of distillability says, for machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from evenhand.evaluation.distillability import CONTRIBUTION, DISTILLABILITY, METHOD, Metric
from evenhand.evaluation.paired_seeds import CONFIDENCE
from evenhand.launch.distillability.models import GridModel
from evenhand.launch.distillability.page.comparisons import KINDS, Judged
from evenhand.launch.distillability.page.debiasing import Debiasing, pooled_debiasing
from evenhand.launch.distillability.page.measured_grid import MeasuredGrid, TaskPage
from evenhand.launch.distillability.page.measured_task import MeasuredTask, Pair, Trained
from evenhand.launch.distillability.page.over_tasks import OverTasks
from evenhand.launch.distillability.page.own_numbers import PERCENT_DIFFERENCE, bounds_of, own_mean

SCHEMA, SCHEMA_VERSION = "evenhand-distillability-results", 1


def results_json(measured: MeasuredGrid, summary: list[str]) -> dict[str, Any]:
    """Plain values.

    Args:
        measured: the study's numbers.
        summary: the sentences of the page's summary.

    Returns:
        ``schema`` and ``schema_version``, the study's facts, ``findings`` over tasks, and by task ``models`` (reports by hash, numbers over seeds),
        ``comparisons`` (each with Holm's p-value and what could have been found), ``groups``, ``debiasing`` (gains over all sizes), ``near_chance``, ``inside`` and ``findings``.
    """
    grid, results = measured.results.grid, measured.results
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "study": grid.name,
        "title": grid.title,
        "scale": grid.scale,
        "scale_note": grid.settings.note,
        "paper": dict(grid.paper),
        "command": results.command,
        "environments": measured.environments,
        "models": measured.counts,
        "methods": {name: {"label": method.label, "distils": method.distils} for name, method in grid.methods.items()},
        "remedies": {name: {"label": one.label, "question": one.question} for name, one in grid.remedies.items()},
        "differences": dict(KINDS),
        "confidence_level": CONFIDENCE,
        "interval_method": METHOD,
        "findings": {key: _over_tasks(found) for key, found in measured.findings.items()},
        "tasks": {name: _task(page) for name, page in measured.tasks.items()},
        "summary": summary,
    }  # fmt: skip


def _over_tasks(found: OverTasks) -> dict[str, Any]:
    return {
        "claim": found.claim,
        "verdict": found.verdict,
        "tasks": dict(found.words),
        "p_values_holm": dict(found.p_values),
        "holds": {task: found.holds(task) for task in found.words},
    }


def _task(page: TaskPage) -> dict[str, Any]:
    task = page.task
    data: dict[str, Any] = {
        "label": task.settings.label,
        "question": task.settings.question,
        "seeds": task.n_seeds,
        "sizes": list(task.settings.sizes),
        "failed": [_named(task.models[key]) | dict(failure) for key, failure in task.failed.items()],
        "not_run_yet": [_named(model) for model in task.missing],
    }
    if task.example is None:
        return data
    return data | {
        "data": task.example["data"],
        "judged_split": task.judged_split,
        "gap_split": task.gap_split,
        "shifted_splits": task.shifted,
        "splits": list(task.splits),
        "metrics": {key: _metric(task, metric) for key, metric in task.metrics.items()},
        "models": [_model(task, place) for place in task.places],
        "comparisons": list(_comparisons(page)),
        "groups": [*_groups(page, DISTILLABILITY), *_groups(page, CONTRIBUTION)],
        "debiasing": [_debiasing(method, one) for method, one in pooled_debiasing(page).items()],
        "near_chance": _near_chance(task),
        "inside": [inside.to_dict() for inside in page.insides],
        "findings": [finding.to_dict() for finding in page.findings],
    }


def _named(model: GridModel) -> dict[str, Any]:
    return {"method": model.method, "seed": model.seed, "name": model.name}


def _metric(task: MeasuredTask, metric: Metric) -> dict[str, Any]:
    title = task.titles.get(metric.key, f"accuracy, {metric.group}")
    return {"title": title, "better": metric.better, "group": metric.group}


def _place(place: Trained | Pair) -> dict[str, Any]:
    return {"role": "distilled", **place._asdict()} if isinstance(place, Pair) else place._asdict()


def _model(task: MeasuredTask, place: Trained | Pair) -> dict[str, Any]:
    keys, found = task.places[place], task.table(place)
    return {
        **_place(place),
        "reports": {str(seed): task.reports[key].sha256 for seed, key in keys.items() if key in task.reports},
        "numbers": {key: _mean(found[key], metric) for key, metric in task.metrics.items() if key in found},
    }


def _mean(by_seed: Mapping, metric: Metric) -> dict[str, Any]:
    found = own_mean(by_seed, bounds_of(metric))
    return {key: found[key] for key in ("value", "confidence_interval", "values")}


def _comparisons(page: TaskPage) -> Iterable[dict[str, Any]]:
    task, comparisons = page.task, page.comparisons
    overall = [metric for metric in task.metrics.values() if metric.group is None]
    of_metric = {metric.key: comparisons.of(metric) for metric in overall}
    for comparison in comparisons.cells:
        judged = {key: found[comparison] for key, found in of_metric.items()}
        numbers = {key: _judged(one) for key, one in judged.items() if one.effect.difference is not None}
        yield {"kind": comparison.kind, **_place(comparison.place), "metrics": numbers}


def _groups(page: TaskPage, kind: str) -> Iterable[dict[str, Any]]:
    for split in page.task.splits:
        for (method, variant), found in page.comparisons.of_groups(kind, split).items():
            groups = {name: _judged(judged) for name, judged in found.items()}
            yield {"kind": kind, "split": split, "method": method, "variant": variant, "groups": groups}


def _debiasing(method: str, found: Debiasing) -> dict[str, Any]:
    """Of all sizes together; gains."""
    numbers = {name: _judged(one) for name, one in found.judged.items()}
    left = own_mean(found.left, PERCENT_DIFFERENCE)
    return {
        "method": method,
        "what": found.case,
        "not_after_holm": found.taken_back,
        "gains": numbers,
        "gap_left": {key: left[key] for key in ("value", "confidence_interval", "values")},
        "corrects_too_far": found.corrects_too_far,
    }


def _near_chance(task: MeasuredTask) -> dict[str, Any]:
    found = {place: task.near_chance(place) for place in task.places}
    models = [
        {**_place(place), "accuracy": {str(seed): value for seed, value in seeds.items()}}
        for place, seeds in found.items()
        if seeds
    ]
    return {"chance": task.chance, "below": task.least_accuracy, "models": models}


def _judged(judged: Judged) -> dict[str, Any]:
    effect = judged.effect
    return {
        "difference": effect.difference,
        "confidence_interval": effect.confidence_interval and list(effect.confidence_interval),
        "p_value": effect.p_value,
        "p_value_holm": effect.p_value_holm,
        "detectable": judged.alone,
        "detectable_holm": effect.detectable,
        "verdict": judged.verdict,
        "worst_case": judged.worst_case,
        "differences": {str(seed): value for seed, value in effect.differences.items()},
        "note": effect.note,
    }
