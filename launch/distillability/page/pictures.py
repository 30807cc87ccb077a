"""The pictures of one task, from its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evenhand.evaluation.distillability import CONTRIBUTION, DISTILLABILITY, Metric
from evenhand.launch.distillability.grid import ERM
from evenhand.launch.distillability.models import NO_REMEDY
from evenhand.launch.distillability.page.comparisons import Comparisons
from evenhand.launch.distillability.page.inside import Inside
from evenhand.launch.distillability.page.measured_task import MARK, PLAIN, SAME, VARIANTS, MeasuredTask, Pair, Trained
from evenhand.launch.page_folder import shown_picture
from evenhand.launch.page_text import plural
from evenhand.model_cards.escaping import markdown
from evenhand.model_cards.figures.attention_divergence_figure import (
    ATTENTION_CAPTION,
    attention_divergence_alt,
    attention_rows,
    draw_attention_divergence_figure,
)
from evenhand.model_cards.figures.cka_figure import CKA_CAPTION, cka_alt, draw_cka_figure
from evenhand.model_cards.figures.three_models_figure import (
    THREE_MODELS_CAPTION,
    ThreeModels,
    draw_three_models_figure,
    three_models_alt,
)
from evenhand.model_cards.figures.transfer_heat_figure import (
    TRANSFER_HEAT_CAPTION,
    TransferCell,
    TransferMap,
    draw_transfer_heat_figure,
    transfer_heat_alt,
)


def transfer_pictures(comparisons: Comparisons, folder: Path) -> list[str]:
    """Distillability and contribution as heat maps, of the worst group and of the spurious gap."""
    lines = []
    for key in comparisons.task.robust_keys:
        transfer = _transfer_map(comparisons, comparisons.task.metrics[key])
        if transfer.drawn:
            name = f"{comparisons.task.name}_{_metric_name(comparisons.task, key)}_changes.png"
            draw_transfer_heat_figure(transfer, folder / name)
            marked = any(cell.mark for cell in transfer.drawn)
            caption = TRANSFER_HEAT_CAPTION + f" {MARK}: one of the two models is near chance in some seed." * marked
            lines += shown_picture(name, transfer_heat_alt(transfer), caption)
    return lines


def _transfer_map(comparisons: Comparisons, metric: Metric) -> TransferMap:
    task = comparisons.task
    rows = list(dict.fromkeys((pair.method, pair.variant) for pair in task.pairs))
    columns = list(dict.fromkeys((pair.teacher, pair.student) for pair in task.pairs))
    panels = {}
    for kind, title in ((DISTILLABILITY, "distillability, g − f_T"), (CONTRIBUTION, "contribution, g − f_S")):
        panels[title] = {
            (rows.index((pair.method, pair.variant)), columns.index((pair.teacher, pair.student))): _cell(comparisons, kind, pair, metric)
            for pair in task.pairs
        }  # fmt: skip
    labels = [_row_label(task, method, variant) for method, variant in rows]
    sizes = [f"{teacher} → {student}" for teacher, student in columns]
    return TransferMap(task.titles[metric.key], metric.side == "lower", labels, sizes, panels)


def _cell(comparisons: Comparisons, kind: str, pair: Pair, metric: Metric) -> TransferCell:
    task, judged = comparisons.task, comparisons.get(kind, pair, metric)
    if judged is None or judged.effect.difference is None:
        return TransferCell(None, note=_why_absent(task, pair))
    ends, seeds = judged.effect.confidence_interval, judged.effect.differences.keys()
    models = pair, task.teacher_of(pair) if kind == DISTILLABILITY else task.alone_of(pair)
    mark = MARK if any(seeds & task.near_chance(model).keys() for model in models) else ""
    return TransferCell(judged.effect.difference, ends is not None and not ends[0] <= 0 <= ends[1], mark=mark)


def _why_absent(task: MeasuredTask, pair: Pair) -> str:
    keys = {
        key
        for place in (pair, task.teacher_of(pair), task.alone_of(pair))
        for key in task.places.get(place, {}).values()
    }
    return "failed" if keys & task.failed.keys() else "not run" if keys - task.reports.keys() else "–"


def _row_label(task: MeasuredTask, method: str, variant: str) -> str:
    label = task.results.grid.methods[method].label
    return f"{label}, {'plain' if variant == PLAIN else 'debiased'} g" if task.is_debiased(method) else label


def _metric_name(task: MeasuredTask, key: str) -> str:
    """Part of a file's name."""
    return "worst_group" if key == task.worst_group.key else "spurious_gap"


def models_pictures(task: MeasuredTask, folder: Path) -> list[str]:
    """f_T, f_S and g of every method, of the worst group and of the spurious gap."""
    lines = []
    for key in task.robust_keys:
        models = _three_models(task, task.metrics[key])
        if any(values for panel in models.panels.values() for values in panel.values()):
            name = f"{task.name}_{_metric_name(task, key)}_models.png"
            draw_three_models_figure(models, folder / name)
            lines += shown_picture(name, three_models_alt(models), THREE_MODELS_CAPTION)
    return lines


def _three_models(task: MeasuredTask, metric: Metric) -> ThreeModels:
    methods = list(dict.fromkeys(pair.method for pair in task.pairs))
    panels: dict[str, dict[tuple[int, int], list[float]]] = {}
    for pair in task.pairs:
        panel = panels.setdefault(f"{pair.teacher} → {pair.student}", {})
        row = methods.index(pair.method)
        alone = task.alone_of(pair)
        panel[row, 0] = _values(task, task.teacher_of(pair), metric)
        panel[row, 1 if alone.method == ERM else 3] = _values(task, alone, metric)
        panel[row, 2 if pair.variant == PLAIN else 4] = _values(task, pair, metric)
    labels = [task.results.grid.methods[method].label for method in methods]
    series = ["f_T", "f_S, plain", f"g, {VARIANTS[PLAIN]}", "f_S, debiased", f"g, {VARIANTS[SAME]}"]
    if not any(pair.variant == SAME for pair in task.pairs):
        series = series[:3]
    unit = "points" if metric.better == "nearer" else "%"
    title = f"{task.titles[metric.key]}, {unit}"
    return ThreeModels(title, labels, series, panels, 0.0 if metric.better == "nearer" else None)


def _values(task: MeasuredTask, place: Trained | Pair, metric: Metric) -> Sequence[float]:
    return [value for value in task.table(place).get(metric.key, {}).values() if value is not None]


def inside_pictures(task: MeasuredTask, insides: Sequence[Inside], folder: Path) -> list[str]:
    """CKA and attention divergence of the students of the largest teacher, without remedy, means over seeds; those of others stand in results.json."""
    own = [inside for inside in insides if inside.pair.remedy == NO_REMEDY]
    largest = [inside for inside in own if inside.pair.teacher == task.settings.teachers[-1]]
    lines = []
    for inside in largest or own:
        pair = inside.pair
        name = f"{task.name}_{pair.method}_{pair.teacher}_to_{pair.student}_{pair.variant}"
        lines += [f"**{markdown(task.cell_name(pair))}, {markdown(pair.teacher)} → {markdown(pair.student)}**", ""]
        over = f" Here means over {plural(inside.n, 'seed')}, and intervals over seeds."
        draw_cka_figure(inside.entry, folder / f"{name}_cka.png")
        lines += shown_picture(f"{name}_cka.png", cka_alt(inside.entry), CKA_CAPTION + over)
        if any(attention_rows(inside.entry).values()):
            draw_attention_divergence_figure(inside.entry, folder / f"{name}_attention.png")
            caption = ATTENTION_CAPTION + over
            lines += shown_picture(f"{name}_attention.png", attention_divergence_alt(inside.entry), caption)
    return lines
