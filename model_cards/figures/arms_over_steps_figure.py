"""Bias over training: mean |d| of every arm by optimiser step, mean and band over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from evenhand.model_cards.figures.arm_looks import ArmLook, arm_looks
from evenhand.model_cards.figures.canvas import LINE_WIDTH, canvas, save
from evenhand.model_cards.figures.margin_labels import height_for, label_right

_MARKED_POINTS = 20
"""Beyond so many points a marker on each would hide the line."""


@dataclass(frozen=True)
class ArmCurve:
    """One arm over training.

    Args:
        label: as the tables print it.
        role: of `arm_looks.ROLES`, not the teacher.
        steps: (n,) rising optimiser steps; 0 is before training.
        seeds: of each seed, (n,) mean \\|d\\| at these steps; ``None`` where it was not measured.
    """

    label: str
    role: str
    steps: tuple[int, ...]
    seeds: tuple[tuple[float | None, ...], ...]


def draw_arms_over_steps_figure(curves: Sequence[ArmCurve], path: str | Path, teacher: float | None = None) -> Path:
    """A line an arm, the mean of its seeds at the steps that all of them have; a band from lowest to highest seed for baseline and proposed.

    Args:
        curves: of the arms that were watched.
        path: the PNG to write; its directory is made if needed.
        teacher: its mean \\|d\\|, a dotted line, or ``None``.

    Returns:
        `path` as a `Path`. The same curves give the same bytes on one machine.

    Raises:
        ValueError: no arm has two steps, a seed without a number for every step, or roles that `arm_looks` refuses.
    """
    checked = [_Drawn.of(curve) for curve in curves]
    if not any(len(one.steps) > 1 for one in checked):
        raise ValueError("the picture of bias over training needs an arm that was measured at two steps at least")
    looks = arm_looks([curve.role for curve in curves])
    figure, axes = canvas(8.4, height_for(len(curves) + (teacher is not None), at_least=4.4))
    ends, labels = [], []
    for curve, one, look in zip(curves, checked, looks, strict=True):
        if not one.steps:
            continue
        _draw(axes, one, look)
        ends.append((one.steps[-1], one.means[-1]))
        labels.append((f"{curve.label} ({len(curve.seeds)})", look))
    if teacher is not None:
        axes.axhline(teacher, color="#000000", linewidth=1.1, linestyle=(0, (1, 2)), zorder=1)
        ends.append((ends[0][0], teacher))
        labels.append(("teacher", arm_looks(["teacher"])[0]))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("optimiser step (0: before training)")
    axes.set_ylabel("mean |d|, six gender tests")
    axes.grid(color="#eeeeee", linewidth=0.6)
    axes.margins(x=0.02)
    label_right(axes, ends, [label for label, _ in labels], [look for _, look in labels])
    return save(figure, path)


def arms_over_steps_caption(curves: Sequence[ArmCurve], teacher: float | None = None) -> str:
    """What stands under the picture of these curves; nothing that is not in it."""
    drawn = [
        (curve, look)
        for curve, look in zip(curves, arm_looks([curve.role for curve in curves]), strict=True)
        if drawn_steps(curve)
    ]
    told = [
        "mean |d| of the six gender tests while the students trained: the mean over the seeds of each arm (their number in brackets)."
    ]
    if any(look.stands_out and len(curve.seeds) > 1 for curve, look in drawn):
        told.append("Bands, of baseline and proposed arm, go from the lowest to the highest seed.")
    if any(look.is_grey for _, look in drawn):
        told.append("Thin and grey: arms that are exploratory, or for which no colour is left.")
    if teacher is not None:
        told.append("The dotted line is the teacher.")
    return " ".join(told)


def drawn_steps(curve: ArmCurve) -> tuple[int, ...]:
    """The steps at which every seed of an arm has a number: those that its line goes through."""
    return _Drawn.of(curve).steps


def arms_over_steps_alt(curves: Sequence[ArmCurve], teacher: float | None = None) -> str:
    """Alternative text of the picture: first and last mean of each arm that stands out."""
    parts = []
    for curve in curves:
        one = _Drawn.of(curve)
        if curve.role in ("baseline", "proposed") and one.steps:
            first, last = (f"{one.means[end]:.3f} at step {one.steps[end]:,}" for end in (0, -1))
            parts.append(f"{curve.label}: {first}, {last}")
    if teacher is not None:
        parts.append(f"teacher: {teacher:.3f}")
    told = "; ".join(parts)
    return f"Line chart of mean |d| by optimiser step of {len(curves)} arms, means over seeds{'; ' + told if told else ''}."


@dataclass(frozen=True)
class _Drawn:
    """The steps at which every seed of an arm has a number; mean, lowest and highest there."""

    steps: tuple[int, ...]
    means: tuple[float, ...]
    lowest: tuple[float, ...]
    highest: tuple[float, ...]

    @classmethod
    def of(cls, curve: ArmCurve) -> _Drawn:
        for values in curve.seeds:
            if len(values) != len(curve.steps):
                raise ValueError(f"{curve.label!r} has {len(curve.steps)} steps, but a seed with {len(values)} numbers")
        columns = [
            (step, values)
            for step, *values in zip(curve.steps, *curve.seeds, strict=True)
            if values and None not in values
        ]
        return cls(
            tuple(step for step, _ in columns),
            tuple(sum(values) / len(values) for _, values in columns),
            tuple(min(values) for _, values in columns),
            tuple(max(values) for _, values in columns),
        )


def _draw(axes: Axes, one: _Drawn, look: ArmLook) -> None:
    width = 0.9 if look.is_grey else 1.5 * LINE_WIDTH if look.stands_out else LINE_WIDTH
    if look.stands_out:  # more than two bands on top of each other cannot be told apart
        fill, edge = to_rgba(look.colour, 0.1), to_rgba(look.colour, 0.4)
        axes.fill_between(one.steps, one.lowest, one.highest, facecolor=fill, edgecolor=edge, linewidth=0.6, zorder=0.6)
    style = (
        {}
        if look.is_grey
        else {"marker": look.marker, "markersize": 4, "markevery": -(-len(one.steps) // _MARKED_POINTS)}
    )
    axes.plot(
        one.steps,
        one.means,
        color=look.colour,
        linewidth=width,
        alpha=0.6 if look.is_grey else 1,
        zorder=look.height,
        **style,
    )
