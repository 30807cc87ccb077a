"""Bias over training: what was measured while the student trained, one panel a unit, the loss below it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from evenhand.model_cards.figures.canvas import LINE_WIDTH, STYLES, plain, save, stacked_canvas
from evenhand.model_cards.figures.watch_panels import Panel, watch_panels

_PANEL_HEIGHT = 2.1
_MARKED_POINTS = 30
"""Beyond so many points a marker on each would hide the line."""


def draw_watch_figure(watch: Mapping[str, Any], path: str | Path) -> Path:
    """Lines over the optimiser step; the teacher is a dotted line of the same colour, the kept student a vertical one.

    Args:
        watch: the record ``watch`` of training.json.
        path: the PNG to write; its directory is made if needed.

    Returns:
        `path` as a `Path`. The same record gives the same bytes on one machine.

    Raises:
        ValueError: no measure was taken twice.
    """
    panels = watch_panels(watch)
    if not panels:
        raise ValueError("a picture of bias over training needs a measure that was taken twice at least")
    figure, axes = stacked_canvas(7.2, 0.6 + _PANEL_HEIGHT * len(panels), len(panels))
    chosen = watch.get("chosen")
    for number, (one, panel) in enumerate(zip(axes, panels, strict=True)):
        _draw(one, panel)
        if chosen:
            label = f"{'kept' if chosen['kept_best'] else 'last'} student, step {chosen['step']:,}"
            line = {"color": "#444444", "linewidth": 1.2, "linestyle": (0, (6, 3)), "zorder": 0.5}
            one.axvline(chosen["step"], label=None if number else label, **line)
        _legend(one)
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    axes[-1].set_xlabel("optimiser step (0: before training)")
    return save(figure, path)


def _draw(axes: Axes, panel: Panel) -> None:
    lowest = min(
        value for one in panel.series for value in (*one.values, *([one.teacher] if one.teacher is not None else []))
    )
    for (colour, marker), one in zip(STYLES, panel.series, strict=False):
        every = -(-len(one.steps) // _MARKED_POINTS)
        axes.plot(
            one.steps, one.values, color=colour, marker=marker, markersize=4, linewidth=LINE_WIDTH, markevery=every,
            label=plain(one.label),
        )  # fmt: skip
        if one.teacher is not None:
            axes.axhline(one.teacher, color=colour, linewidth=1.1, linestyle=(0, (1, 2)), zorder=1)
    if any(one.teacher is not None for one in panel.series):
        axes.plot([], [], color="#444444", linewidth=1.1, linestyle=(0, (1, 2)), label="teacher")
    if lowest < 0:
        axes.axhline(0, color="#999999", linewidth=0.8, zorder=0)
    elif "mean |d|" in panel.title:
        axes.set_ylim(bottom=0)
    axes.set_title(plain(panel.title), fontsize=9, fontweight="bold", loc="left")
    axes.grid(color="#dddddd", linewidth=0.6)


def _legend(axes: Axes) -> None:
    """Beside the axes, where it can hide no point; none for a single line."""
    if len(axes.get_legend_handles_labels()[0]) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8, borderaxespad=0)
