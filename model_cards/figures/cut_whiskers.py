"""Whiskers that may be longer than a picture has room for: cut at its edge, where an arrow says so."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.transforms import offset_copy

from evenhand.model_cards.figures.canvas import LINE_WIDTH

_MARGIN = 0.05
_HEAD = 3
"""Points (1/72 inch) by which an arrow head stands within the axes."""
Interval = tuple[float, float]


def limits(
    values: Sequence[float],
    intervals: Sequence[Interval | None],
    widest: float,
    near: Sequence[float] = (),
    one_whole: bool = False,
) -> Interval:
    """Ends of an axis on which every value lies, and of the intervals as much as leaves the values their share of it.

    Args:
        values: at least one.
        intervals: any; ``None`` are left out.
        near: further values, each shown only where it is no farther away than ``widest`` lets an interval reach.
        widest: the axis is at most so many times as long as the range of the values. Of values that are all alike every interval is shown.
        one_whole: the shortest interval is shown whole even so: an axis shorter than all of them would magnify what cannot be told.

    Returns:
        (low, high), low < high.
    """
    low, high = min(values), max(values)
    ends = [*near, *(end for interval in intervals if interval is not None for end in interval)]
    whole_low, whole_high = min([low, *ends]), max([high, *ends])
    if high > low:
        room = (widest - 1) / 2 * (high - low)
        far = [value for value in near if not low - room <= value <= high + room]
        ends = [low, high, *(end for end in ends if end not in far)]
        whole_low, whole_high = min(ends), max(ends)
        least_low, least_high = low - room, high + room
        if one_whole and (given := [interval for interval in intervals if interval is not None]):
            shortest = min(given, key=lambda ends: ends[1] - ends[0])
            least_low, least_high = min(least_low, shortest[0]), max(least_high, shortest[1])
        whole_low, whole_high = max(whole_low, least_low), min(whole_high, least_high)
    margin = _MARGIN * (whole_high - whole_low) or 0.5
    return whole_low - margin, whole_high + margin


def draw_whisker(axes: Axes, interval: Interval, at: float, colour: str, upright: bool = False, **style) -> None:
    """The interval as a line, an arrow head at an edge of the axes that it goes beyond. The axes' limits must stand.

    Args:
        axes: where to.
        interval: (low, high) in data units.
        at: its place on the other axis.
        colour: of line and arrow heads.
        upright: along the vertical axis, not the horizontal one.
        style: what else matplotlib is to know of the line.
    """
    low, high = axes.get_ylim() if upright else axes.get_xlim()
    ends = [min(max(end, low), high) for end in interval]

    def draw(along: list[float], *kind: str, **look) -> None:
        across = [at] * len(along)
        axes.plot(*((across, along) if upright else (along, across)), *kind, color=colour, **style, **look)

    draw(ends, linewidth=LINE_WIDTH, solid_capstyle="butt")
    heads = ("v", "^") if upright else ("<", ">")
    beyond = (interval[0] < low, interval[1] > high)
    for head, edge, inwards, is_beyond in zip(heads, (low, high), (_HEAD, -_HEAD), beyond, strict=True):
        if is_beyond:
            shift = {"y" if upright else "x": inwards, "units": "points"}
            draw([edge], head, markersize=4.5, transform=offset_copy(axes.transData, fig=axes.figure, **shift))


def draw_level(axes: Axes, value: float, name: str) -> None:
    """A dotted line at a height, or at the edge of axes that it lies beyond which number it is. The axes' limits must stand."""
    low, high = axes.get_ylim()
    if low <= value <= high:
        axes.axhline(value, color="#000000", linewidth=1.1, linestyle=(0, (1, 2)), label=name, zorder=1)
        return
    edge, where, inwards = (0, "below", 7) if value < low else (1, "above", -7)
    axes.annotate(
        f"{name}: {value:.3f}, {where}", (1, edge), xycoords="axes fraction", xytext=(-4, inwards), textcoords="offset points",
        ha="right", va="center", fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )  # fmt: skip
