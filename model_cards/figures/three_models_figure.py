"""Teacher, students alone and distilled students side by side: one row a method, one panel a pair of sizes, every seed a point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from evenhand.model_cards.figures.canvas import STYLES, canvas_grid, plain, save

_LOOKS = (STYLES[5], STYLES[4], STYLES[0], STYLES[3], STYLES[1])
"""Colour and marker of each series, in order."""
_ROW = 0.5
_WIDTH = 8.4


@dataclass(frozen=True)
class ThreeModels:
    """One metric of several models.

    Args:
        metric: what it is called, with its unit.
        rows: labels of the methods, from the top down.
        series: labels of the kinds of models, five at most; those without a value anywhere are not in the legend.
        panels: label of the pair -> (row, series) -> value of each seed.
        ideal: drawn as a line, or ``None``.
    """

    metric: str
    rows: Sequence[str]
    series: Sequence[str]
    panels: Mapping[str, Mapping[tuple[int, int], Sequence[float]]]
    ideal: float | None = None


THREE_MODELS_CAPTION = (
    "Large: means over seeds; small: every seed. f_T: the teacher, g: the student distilled from it, itself trained plainly (by ERM) or debiased with the "
    "teacher's method, f_S: the student that is trained alone in the same way. A method of the distillation alone has the teacher and the plain f_S of ERM."
)


def draw_three_models_figure(models: ThreeModels, path: str | Path) -> Path:
    """Two panels a row; within each, a line a method with its models above each other.

    Args:
        models: what is drawn.
        path: the PNG to write; its directory is made if needed.

    Returns:
        ``path`` as a `Path`. The same numbers give the same bytes on one machine.

    Raises:
        ValueError: no number, or more than five series.
    """
    if len(models.series) > len(_LOOKS):
        raise ValueError(f"the picture tells {len(_LOOKS)} kinds of models apart, not {len(models.series)}")
    values = [value for panel in models.panels.values() for of_seeds in panel.values() for value in of_seeds]
    if not values:
        raise ValueError(f"the picture of {models.metric} needs at least one number")
    columns = min(2, len(models.panels))
    rows = math.ceil(len(models.panels) / columns)
    figure, axes = canvas_grid(_WIDTH, 0.75 + rows * (0.55 + _ROW * len(models.rows)), rows, columns)
    low, high = min(values), max(values)
    room = 0.04 * (high - low) or 1.0
    for one, (title, panel) in zip(axes, models.panels.items(), strict=False):
        _draw_panel(one, models, panel)
        one.set_title(plain(title, 60), fontsize=9)
        one.set_xlim(low - room, high + room)
        one.tick_params(axis="x", labelbottom=True, labelsize=8)
    for one in axes[len(models.panels) :]:
        one.set_visible(False)
    keys = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=6, label=plain(label))
        for series, (label, (colour, marker)) in enumerate(zip(models.series, _LOOKS, strict=False))
        if any(panel.get((row, series)) for panel in models.panels.values() for row in range(len(models.rows)))
    ]
    figure.legend(handles=keys, loc="outside upper left", ncols=len(keys), frameon=False, fontsize=8)
    figure.supxlabel(plain(models.metric, 80), fontsize=9)
    return save(figure, path)


def _draw_panel(axes: Axes, models: ThreeModels, panel: Mapping[tuple[int, int], Sequence[float]]) -> None:
    count, rows = len(models.series), len(models.rows)
    for (row, series), values in panel.items():
        if not values:
            continue
        y = rows - 1 - row + 0.66 * ((count - 1) / 2 - series) / max(count - 1, 1)
        colour, marker = _LOOKS[series]
        axes.plot(values, [y] * len(values), ".", color=colour, markersize=3.5, alpha=0.55, zorder=2)
        axes.plot([math.fsum(values) / len(values)], [y], marker, color=colour, markersize=6, zorder=3)
    for edge in range(rows - 1):
        axes.axhline(edge + 0.5, color="#d8d8d8", linewidth=0.6, zorder=0.5)
    if models.ideal is not None:
        axes.axvline(models.ideal, color="#444444", linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    axes.set_yticks(range(rows), [plain(label) for label in reversed(models.rows)], fontsize=8)
    axes.set_ylim(-0.5, rows - 0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#eeeeee", linewidth=0.6)


def three_models_alt(models: ThreeModels) -> str:
    """Alternative text: the range of the means of each kind of models."""
    parts = []
    for index, label in enumerate(models.series):
        means = [
            math.fsum(values) / len(values)
            for panel in models.panels.values()
            for (_, series), values in panel.items()
            if series == index and values
        ]
        if means:
            parts.append(f"{label} {min(means):.1f} to {max(means):.1f}")
    methods = f"{len(models.rows)} method{'' if len(models.rows) == 1 else 's'}"
    return f"Dot plot of {models.metric} for {methods}, means over seeds: {'; '.join(parts)}."
