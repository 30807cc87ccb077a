"""Bias along a sweep: depth, temperature or any other setting against mean |d|, seed by seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import offset_copy

from evenhand.model_cards.figures.canvas import STYLES, legend_above, plain, save, stacked_canvas
from evenhand.model_cards.figures.cut_whiskers import draw_level, draw_whisker, limits

SWEEP_CAPTION = (
    "mean |d| of the six gender tests along the sweep: every seed that all arms have a small point, the mean of each arm with its interval over words and seeds, the teacher "
    "a dotted line (an arrow: longer than the picture). r is over the arms' means; the interval of an arm says how sure its mean is, not whether two arms differ."
)
FEW_SEEDS = 8
"""Means of fewer seeds are drawn hollow."""
_CROWDED = 0.04
"""Neighbours nearer than this share of the whole range cannot be told apart on a linear axis."""
_WIDEST = 3
"""Times the range of the seeds that an axis may be long, so that long whiskers and a far teacher do not flatten the sweep."""
_SEEDS_LEFT = -5
"""Points (1/72 inch) by which the seeds stand left of their mean, which would hide them."""
_BIAS, _LOSS = "mean |d|, six gender tests", "held-out loss (nats)"


@dataclass(frozen=True)
class SweepPoint:
    """One arm of a sweep.

    Args:
        value: of the setting; a number, or text (``"per sequence"``) which then stands in the order given.
        biases: mean \\|d\\| of each seed; none where the arm was not run.
        interval: of their mean (words × seeds), or ``None``.
        losses: held-out masked-LM loss of each seed in nats; none where it was not measured.
    """

    value: float | str
    biases: tuple[float, ...]
    interval: tuple[float, float] | None = None
    losses: tuple[float, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """A sweep with what is known of it.

    Args:
        x_label: the setting, with its unit.
        points: its arms.
        teacher: the teacher's mean \\|d\\|, or ``None``.
        teacher_loss: the teacher's held-out masked-LM loss, or ``None``.
        correlation: Pearson's r of setting and mean \\|d\\|, or ``None``.
        correlation_interval: its interval, or ``None``.
        level: of all intervals.
    """

    x_label: str
    points: tuple[SweepPoint, ...]
    teacher: float | None = None
    teacher_loss: float | None = None
    correlation: float | None = None
    correlation_interval: tuple[float, float] | None = None
    level: float = 0.95


def draw_sweep_figure(sweep: Sweep, path: str | Path) -> Path:
    """Every seed a small point, the mean of each arm a large one with its interval, the teacher a dotted line, r in the title.

    A panel below has the held-out loss where it was measured. Numbers stand on a linear axis, or on a logarithmic one where they would crowd.

    Args:
        sweep: what to draw.
        path: the PNG to write; its directory is made if needed.

    Returns:
        `path` as a `Path`. The same sweep gives the same bytes on one machine.

    Raises:
        ValueError: no arm has a number, a value comes twice, or numbers and text are mixed as values.
    """
    run, places = _run_points(sweep)
    with_loss = any(point.losses for point in run)
    figure, panels = stacked_canvas(7.2, 5.8 if with_loss else 4.2, 1 + with_loss)
    _draw_panel(panels[0], sweep, places, [(point, point.biases, point.interval) for point in run], sweep.teacher)
    panels[0].set_ylabel(_BIAS)
    legend_above(panels[0], 2)
    if title := _correlation(sweep, len(run)):
        panels[0].set_title(title, fontsize=9, fontweight="bold", loc="left", pad=38)
    if with_loss:
        measured = [(point, point.losses, None) for point in run if point.losses]
        _draw_panel(panels[1], sweep, places, measured, sweep.teacher_loss)
        panels[1].set_ylabel(_LOSS)
    panels[-1].set_xlabel(plain(sweep.x_label, 90))
    panels[-1].set_xticks(list(places.values()), [_value(value) for value in places])
    panels[-1].minorticks_off()
    return save(figure, path)


def sweep_alt(sweep: Sweep) -> str:
    """Alternative text of the picture: what it shows, and the means from one end of the sweep to the other."""
    run, _ = _run_points(sweep)
    means = "; ".join(f"{_value(p.value)}: {np.mean(p.biases):.3f} (n = {len(p.biases)})" for p in run)
    teacher = "" if sweep.teacher is None else f"; teacher {sweep.teacher:.3f}"
    title = _correlation(sweep, len(run))
    return f"Plot of mean |d| against {sweep.x_label}, by seed with the mean of each arm: {means}{teacher}." + (
        f" {title}." if title else ""
    )


def _run_points(sweep: Sweep) -> tuple[list[SweepPoint], dict[float | str, float]]:
    """The points that were run, and the place of each value on the horizontal axis, both from left to right."""
    run = [point for point in sweep.points if point.biases]
    if not run:
        raise ValueError(f"the picture of the sweep over {sweep.x_label!r} needs an arm with a number")
    kinds = {isinstance(point.value, str) for point in run}
    if len(kinds) > 1:
        raise ValueError(f"the sweep over {sweep.x_label!r} mixes numbers and text as values")
    if len({point.value for point in run}) < len(run):
        raise ValueError(f"the sweep over {sweep.x_label!r} has a value twice")
    if kinds == {True}:
        return run, {point.value: float(place) for place, point in enumerate(run)}
    run.sort(key=lambda point: point.value)
    return run, {point.value: float(point.value) for point in run}


def _draw_panel(axes: Axes, sweep: Sweep, places: dict, rows: list, teacher: float | None) -> None:
    """Points of each seed, the means joined by a line where the values are numbers, intervals, the teacher."""
    (colour, marker), level = STYLES[0], f"{100 * sweep.level:g} %"
    beside = offset_copy(axes.transData, fig=axes.figure, x=_SEEDS_LEFT, units="points")
    _set_scale(axes, list(places.values()))
    drawn = [value for _, values, _ in rows for value in values]
    axes.set_ylim(limits(drawn, [interval for _, _, interval in rows], _WIDEST, [] if teacher is None else [teacher]))
    means = [(places[point.value], float(np.mean(values)), len(values) < FEW_SEEDS) for point, values, _ in rows]
    if not isinstance(rows[0][0].value, str):
        axes.plot([x for x, _, _ in means], [y for _, y, _ in means], color=colour, linewidth=1, alpha=0.6)
    for (x, _, _), (_, values, interval) in zip(means, rows, strict=True):
        axes.plot([x] * len(values), values, ".", color=colour, markersize=4, alpha=0.55, transform=beside)
        if interval is not None:
            draw_whisker(axes, interval, x, colour, upright=True)
    labels = (f"mean, {level} interval", f"mean of fewer than {FEW_SEEDS} seeds, {level} interval")
    for hollow, label in zip((False, True), labels, strict=True):
        own = [(x, y) for x, y, few in means if few == hollow]
        if own:
            face = "white" if hollow else colour
            axes.plot(*zip(*own, strict=True), marker, color=colour, markerfacecolor=face, markersize=7, label=label)
    axes.plot([], [], ".", color=colour, markersize=4, alpha=0.55, label="a seed")
    if teacher is not None:
        draw_level(axes, teacher, "teacher")
    axes.grid(color="#dddddd", linewidth=0.6)


def _set_scale(axes: Axes, places: list[float]) -> None:
    """Linear with room at both ends, or logarithmic where neighbours would crowd on a linear axis."""
    low, high = min(places), max(places)
    if low > 0 and high > low and float(np.diff(places).min()) < _CROWDED * (high - low):
        axes.set_xscale("log")
        room = (high / low) ** 0.06
        axes.set_xlim(low / room, high * room)
    else:
        room = 0.06 * (high - low) or 0.5
        axes.set_xlim(low - room, high + room)


def _correlation(sweep: Sweep, arms: int) -> str | None:
    if sweep.correlation is None:
        return None
    interval = sweep.correlation_interval
    ends = "" if interval is None else f", {100 * sweep.level:g} % interval [{interval[0]:+.2f}, {interval[1]:+.2f}]"
    return f"Pearson r = {sweep.correlation:+.2f}{ends}, {arms} arms"


def _value(value: float | str) -> str:
    return plain(value, 24) if isinstance(value, str) else f"{value:g}"
