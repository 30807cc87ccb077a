"""Labels beside a picture, each led to its point, so that dozens of points can be named and no label hides another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import ConnectionPatch
from matplotlib.transforms import offset_copy

from evenhand.model_cards.figures.arm_looks import ArmLook
from evenhand.model_cards.figures.canvas import plain

FONT_SIZE = 8
LINE_HEIGHT = 0.155
"""Inches from one label to the next."""
_BEND = 30
"""Points (1/72 inch) right of the axes where the labels begin."""


def height_for(count: int, at_least: float) -> float:
    """Height of a picture in inches that has room for so many labels."""
    return max(at_least, 1.3 + LINE_HEIGHT * count)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Places in the order of ``wanted``, as near to it as possible (least squares), at least ``gap`` apart, within [low, high].

    Less the gaps before it, each place is an isotonic regression (max-min formula; Robertson, Wright & Dykstra 1988), cut off at the bounds.

    Args:
        wanted: (n,) rising.
        gap: least distance; made smaller where n places do not fit.
        low, high: bounds.

    Returns:
        (n,) places.
    """
    count = len(wanted)
    gap = min(gap, (high - low) / max(count - 1, 1))
    shifted = np.asarray(wanted, dtype=float) - gap * np.arange(count)
    sums = np.concatenate([[0.0], np.cumsum(shifted)])
    first, last = np.triu_indices(count)
    means = np.full((count, count), np.nan)
    means[first, last] = (sums[last + 1] - sums[first]) / (last + 1 - first)
    fitted = [max(np.min(means[a, index:]) for a in range(index + 1)) for index in range(count)]
    return np.clip(fitted, low, high - gap * (count - 1)) + gap * np.arange(count)


def label_right(
    axes: Axes, points: Sequence[tuple[float, float]], labels: Sequence[str], looks: Sequence[ArmLook]
) -> None:
    """Write each label right of the axes, with a thin line to its point: level within the axes, bent outside, so that no two cross.

    Call it last: the axes' limits must stand.

    Args:
        axes: a linear vertical axis.
        points: (x, y) of each label, in data units.
        labels: any text.
        looks: of each; the label of one that stands out is bold, each has its marker before it.
    """
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())  # what is drawn here moves them no more
    axes.figure.draw_without_rendering()
    (low, high), right = axes.get_ylim(), axes.get_xlim()[1]
    heights = [(y - low) / (high - low) for _, y in points]
    order = sorted(range(len(points)), key=lambda index: (heights[index], -points[index][0]))
    inches = axes.bbox.height / axes.figure.dpi
    places = spread([heights[index] for index in order], LINE_HEIGHT / inches, 0.0, 1.0)
    # By points, not by shares of the axes: the layout narrows the axes until the labels fit, and they must not grow with it.
    beside = offset_copy(axes.transAxes, fig=axes.figure, x=_BEND, units="points")
    for index, place in zip(order, places, strict=True):
        (x, y), look = points[index], looks[index]
        leader = {"color": "#a8a8a8" if look.is_grey else look.colour, "linewidth": 0.6, "zorder": 0.4}
        axes.plot([x, right], [y, y], **leader)
        bent = ConnectionPatch((1, heights[index]), (1, place), axes.transAxes, beside, clip_on=False, **leader)
        bent.set_in_layout(False)
        axes.add_artist(bent)
        axes.annotate(
            plain(labels[index]), (1, place), xycoords="axes fraction", xytext=(_BEND + 11, 0), textcoords="offset points",
            fontsize=FONT_SIZE, va="center", color="#222222", fontweight="bold" if look.stands_out else "normal",
        )  # fmt: skip
        key = offset_copy(beside, fig=axes.figure, x=5, units="points")
        face = {"color": look.colour, "markerfacecolor": look.face, "markersize": 4.5}
        axes.plot([1], [place], look.marker, transform=key, clip_on=False, **face)
