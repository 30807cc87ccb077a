"""Dots and whiskers: the effect size of one test, a row for each model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand.model_cards.figures.canvas import LINE_WIDTH, STYLES, canvas, plain
from evenhand.model_cards.space.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OF_ROLE = {"teacher": STYLES[0], "student": STYLES[1], "model": STYLES[2]}


def association_plot(comparison: Comparison) -> Figure:
    """The figure of `comparison`: d with its interval by model, from the top in their order; the dotted line is zero."""
    rows = [(model, test) for model in comparison.models if (test := comparison.test(model.name))]
    figure, axes = canvas(4.8, 1.3 + 0.45 * len(rows))
    for place, (model, test) in enumerate(rows):
        colour, marker = _OF_ROLE[model.role]
        if test["confidence_interval"]:
            axes.plot(test["confidence_interval"], [place, place], color=colour, linewidth=LINE_WIDTH)
        if test["effect_size"] is not None:
            axes.plot([test["effect_size"]], [place], marker, color=colour, markersize=8)
    axes.axvline(0, color="#444444", linewidth=1, linestyle=(0, (2, 2)), zorder=0)
    axes.set_yticks(range(len(rows)), [_short(model.name) for model, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(-2.1, 2.1)
    _, test = rows[0]
    x, y, a = (_short(name) for name in (*test["targets"], test["attributes"][0]))
    axes.set_xlabel(f"SEAT effect size d\n← {y} nearer to {a}\n{x} nearer to {a} →")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    return figure


def _short(name: str) -> str:
    """A name that leaves room for the points."""
    return plain(name if len(name) <= 24 else f"{name[:23]}…")
