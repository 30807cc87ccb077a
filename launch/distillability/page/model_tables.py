"""Tables of the models' own numbers: teachers, students trained alone, distilled students."""

from __future__ import annotations

from evenhand.launch.distillability.models import TEACHER
from evenhand.launch.distillability.page.measured_task import MeasuredTask, Trained
from evenhand.launch.distillability.page.points import (
    PAIR,
    average,
    method_label,
    near_chance_mark,
    over_seeds,
    pair_cells,
)
from evenhand.launch.page_text import table
from evenhand.model_cards.escaping import markdown


def trained_lines(task: MeasuredTask) -> list[str]:
    """f_T and f_S by method and size: mean over seeds with its interval."""
    titles = [str(markdown(task.titles[metric.key])) for metric in task.shown]
    lines = ["## Trained without distillation", ""]
    for role, what in ((TEACHER, "Teachers, f_T"), ("alone", "Students alone, f_S")):
        rows = [_trained_row(task, place) for place in task.trained if place.role == role]
        if rows:
            lines += [f"{what}:", "", *table(["method", "size", "seeds", *titles], rows, text_columns=2)]
    return lines


def _trained_row(task: MeasuredTask, place: Trained) -> list[str]:
    found = task.table(place)
    numbers = [over_seeds(found.get(metric.key, {}), metric) for metric in task.shown]
    return [method_label(task, place.method), str(markdown(place.size)), task.seeds_text(place), *numbers]


def distilled_lines(task: MeasuredTask) -> list[str]:
    """g by method, sizes and how the student itself is trained."""
    titles = [str(markdown(task.titles[metric.key])) for metric in task.shown]
    rows = []
    for pair in task.pairs:
        found = task.table(pair)
        numbers = [over_seeds(found.get(metric.key, {}), metric) for metric in task.shown]
        rows.append([*pair_cells(task, pair), task.seeds_text(pair), *numbers])
    return ["## Distilled students, g", "", *table([*PAIR, "seeds", *titles], rows, text_columns=3)]


def drop_lines(task: MeasuredTask) -> list[str]:
    """In distribution against out of distribution: accuracy of f_T, f_S and g on either, and the loss between them."""
    if not task.drops:
        return []
    lines = ["## In distribution against out of distribution", ""]
    inside = task.metrics["test_accuracy"]
    for drop in task.drops:
        outside = task.metrics[f"{drop.key.removeprefix('test_minus_')}_accuracy"]
        header = [f"{what}, {name}" for what in ("ID", "OOD", "ID − OOD") for name in ("f_T", "f_S", "g")]
        rows = []
        for pair in task.pairs:
            places = task.teacher_of(pair), task.alone_of(pair), pair
            sides = [task.table(place) for place in places]
            marks = [
                near_chance_mark(task, place, found.get(inside.key, {}))
                for place, found in zip(places, sides, strict=True)
            ]
            numbers = [
                average(side.get(metric.key, {})) + mark
                for metric in (inside, outside)
                for side, mark in zip(sides, marks, strict=True)
            ]
            falls = [over_seeds(side.get(drop.key, {}), drop) for side in sides]
            rows.append([*pair_cells(task, pair), *numbers, *falls])
        name = markdown(task.titles[drop.key])
        lines += [f"{name}, means over seeds:", "", *table([*PAIR, *header], rows, text_columns=3)]
    return lines
