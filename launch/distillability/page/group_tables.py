"""The accuracy of every group (bias type): how it changes, and what it is in f_T, f_S and g."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenhand.evaluation.distillability import CONTRIBUTION, DISTILLABILITY
from evenhand.launch.distillability.page.change_tables import folded
from evenhand.launch.distillability.page.comparisons import KINDS, Comparisons
from evenhand.launch.distillability.page.measured_task import ROLES, VARIANTS, MeasuredTask, Pair, Trained
from evenhand.launch.distillability.page.points import (
    bold_change,
    method_label,
    near_chance_mark,
    over_seeds,
    pair_cells,
)
from evenhand.launch.page_text import ABSENT, table
from evenhand.model_cards.escaping import markdown


def group_lines(comparisons: Comparisons) -> list[str]:
    """By split: how the accuracy of every group changes, the mean over pairs of sizes; and, folded, what it is."""
    task = comparisons.task
    lines = ["## Group by group", ""]
    if not task.group_metrics:
        return []
    several = len({(pair.teacher, pair.student) for pair in task.pairs}) > 1
    marks = {kind: _near_chance_rows(comparisons, kind) for kind in (DISTILLABILITY, CONTRIBUTION)}
    pooled = ", the mean over pairs of sizes" if several else ""
    lines += [f"Change of each group's accuracy in points{pooled}; bold: p (Holm, over the table) below 0.05.", ""]
    splits = list(task.splits.items())
    for name, split in splits:
        groups = [metric.group for metric in task.groups_of_split(name)]
        of_group = {group["group"]: group for group in split["groups"]}
        for kind in (DISTILLABILITY, CONTRIBUTION):
            rows = []
            for (method, variant), found in comparisons.of_groups(kind, name).items():
                how = VARIANTS[variant] if task.is_debiased(method) else ABSENT
                how += marks[kind].get((method, variant), "")
                rows.append([method_label(task, method), how, *(bold_change(found[group]) for group in groups)])
            header = ["method", "student", *(_group_heading(of_group[group]) for group in groups)]
            title = f"{markdown(name)}: {kind} ({KINDS[kind]})"
            body = table(header, rows, text_columns=2)
            lines += [f"**{title}**", "", *body] if kind == DISTILLABILITY else folded(title, body)
        lines += _level_lines(task, name)
    return lines


def _near_chance_rows(comparisons: Comparisons, kind: str) -> dict[tuple[str, str], str]:
    """Marks of the rows that pool a difference with a model near chance."""
    task, found = comparisons.task, {}
    for pair in task.pairs:
        other = task.teacher_of(pair) if kind == DISTILLABILITY else task.alone_of(pair)
        seeds = comparisons.get(kind, pair, task.worst_group).effect.differences
        if mark := max(near_chance_mark(task, place, seeds) for place in (pair, other)):
            found[pair.method, pair.variant] = mark
    return found


def _group_heading(group: Mapping[str, Any]) -> str:
    side = {True: ", aligned", False: ", conflicting", None: ""}[group["aligned"]]
    return f"{markdown(group['group'])}{side} (n = {group['n']:,})"


def _level_lines(task: MeasuredTask, split: str) -> list[str]:
    """One row a model: its accuracy on every group, the mean over seeds with its interval."""
    metrics = task.groups_of_split(split)
    of_group = {group["group"]: group for group in task.splits[split]["groups"]}
    rows = []
    for place in (*task.trained, *task.pairs):
        found = task.table(place)
        if found:
            numbers = [over_seeds(found.get(metric.key, {}), metric) for metric in metrics]
            rows.append([*_model_cells(task, place), task.seeds_text(place), *numbers])
    header = ["method", "model", "size", "student", "seeds"]
    header += [_group_heading(of_group[metric.group]) for metric in metrics]
    return folded(f"{markdown(split)}: accuracy of every group in f_T, f_S and g", table(header, rows, text_columns=4))


def _model_cells(task: MeasuredTask, place: Trained | Pair) -> list[str]:
    """Four cells: method, kind of model, size or sizes, and how a distilled student is trained."""
    if isinstance(place, Pair):
        method, sizes, how = pair_cells(task, place)
        return [method, "g", sizes, how]
    return [method_label(task, place.method), ROLES[place.role], str(markdown(place.size)), ABSENT]
