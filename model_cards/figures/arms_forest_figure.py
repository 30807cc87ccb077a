"""All arms against the baseline: the difference in mean |d| with its interval, and what could have been detected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from evenhand.model_cards.figures.arm_looks import ArmLook, arm_looks
from evenhand.model_cards.figures.canvas import canvas, plain, save
from evenhand.model_cards.figures.cut_whiskers import draw_whisker

ARMS_FOREST_CAPTION = (
    "Each arm minus the baseline, or minus the arm that the note below the picture names, paired by seed: the mean with its interval over words and seeds (an arrow: longer than the picture), each seed a small "
    "point below it, at the right the numbers. Shaded: differences smaller than what these seeds would find with 80 % power. Hollow: exploratory."
)
_ROW_HEIGHT = 0.22
_WIDEST = 2.5
"""The axis has room for intervals up to so many times the median's reach; longer ones end in an arrow, and their ends stand at the right."""
_SHADE = "#e3e3e3"
_ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1}


@dataclass(frozen=True)
class ArmDifference:
    """One arm minus the baseline, paired by seed.

    Args:
        label: as the tables print it.
        role: of `arm_looks.ROLES`; neither teacher nor baseline.
        difference: Δ mean \\|d\\|, or ``None`` where there is none.
        interval: of the difference (words × seeds), or ``None``.
        detectable: the smallest difference that these seeds would find with 80 % power, > 0, or ``None``.
        of_seeds: the difference of each seed.
        group: heading under which the row stands, or ``None``; rows of one group stand together, groups in the order of their first row.
        note: what stands in the row of an arm without a difference, e.g. ``"failed"`` or ``"not run yet"``.
        reference: label of the arm that this one is compared with where that is not the baseline, or ``None``; said in a note below.
    """

    label: str
    role: str
    difference: float | None
    interval: tuple[float, float] | None
    detectable: float | None
    of_seeds: tuple[float, ...] = ()
    group: str | None = None
    note: str | None = None
    reference: str | None = None


def draw_arms_forest_figure(
    differences: Sequence[ArmDifference], baseline: str, path: str | Path, level: float = 0.95
) -> Path:
    """One row an arm: the mean difference with its interval, every seed a faint point, the detectable difference shaded, numbers and n at the right.

    Args:
        differences: the rows, from the top down.
        baseline: label of the arm that all others are compared with.
        path: the PNG to write; its directory is made if needed.
        level: of the intervals.

    Returns:
        `path` as a `Path`. The same differences give the same bytes on one machine.

    Raises:
        ValueError: no arm has a difference, or roles that `arm_looks` refuses.
    """
    lines = _lines(differences)
    if not any(row.difference is not None for row in differences):
        raise ValueError("the picture of all arms against the baseline needs an arm with a difference")
    others = list(dict.fromkeys(row.reference for row in differences if row.reference is not None))
    figure, axes = canvas(8.4, 1.3 + _ROW_HEIGHT * len(lines) + 0.2 * len(others))
    reach = _reach(differences)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-0.7, len(lines) - 0.3)
    axes.axvline(0, color="#444444", linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    ticks = []
    for y, line in zip(range(len(lines) - 1, -1, -1), lines, strict=True):
        if isinstance(line, str):
            _write(axes, 0, y, plain(line, 60), fontsize=8.5, fontweight="bold", bbox=_ON_WHITE)
        else:
            ticks.append((y, _name(line[0], others), line[1].stands_out))
            _draw_row(axes, *line, y)
    axes.set_yticks([y for y, _, _ in ticks], [name for _, name, _ in ticks], fontsize=8)
    for tick, (_, _, stands_out) in zip(axes.get_yticklabels(), ticks, strict=True):
        tick.set_fontweight("bold" if stands_out else "normal")
    axes.tick_params(axis="y", length=0)
    _write(
        axes,
        1,
        len(lines) - 0.35,
        f"Δ, {100 * level:g} % interval (words and seeds); seeds",
        fontsize=8,
        color="#444444",
    )
    notes = ["shaded: too small to be detected with 80 % power"]
    notes += [f"[{number}] against: {plain(other)}" for number, other in enumerate(others, start=1)]
    axes.set_xlabel("\n".join([f"Δ mean |d| from: {plain(baseline)} (left: less association)", *notes]), fontsize=9)
    axes.grid(axis="x", color="#eeeeee", linewidth=0.6)
    return save(figure, path)


def arms_forest_alt(differences: Sequence[ArmDifference], baseline: str) -> str:
    """Alternative text of the picture: how many intervals leave zero, on which side, and the proposed arm's numbers."""
    run = [row for row in differences if row.difference is not None]
    below = [row for row in run if row.interval is not None and row.interval[1] < 0]
    above = [row for row in run if row.interval is not None and row.interval[0] > 0]
    others = sum(row.reference is not None for row in run)
    elsewhere = f" ({others} of them from another arm, the plain one of their setting)" if others else ""
    told = "".join(f" {row.label}: {_numbers(row)}." for row in run if row.role == "proposed")
    return (
        f"Forest plot of the difference in mean |d| from {baseline} of {len(run)} arms{elsewhere}: the interval lies wholly below zero "
        f"for {len(below)}, wholly above for {len(above)}.{told}"
    )


def _lines(differences: Sequence[ArmDifference]) -> list[str | tuple[ArmDifference, ArmLook]]:
    """The rows from the top down, each group under its heading, groups in the order of their first row."""
    drawn = list(zip(differences, arm_looks([row.role for row in differences]), strict=True))
    lines: list[str | tuple[ArmDifference, ArmLook]] = []
    for group in dict.fromkeys(row.group for row in differences):
        lines += [] if group is None else [group]
        lines += [(row, look) for row, look in drawn if row.group == group]
    return lines


def _name(row: ArmDifference, others: list[str]) -> str:
    """Its label, with the number of the note where it is compared with another arm than the baseline."""
    return plain(row.label) + ("" if row.reference is None else f" [{others.index(row.reference) + 1}]")


def _reach(differences: Sequence[ArmDifference]) -> float:
    """Half the width of the axis: every mean and seed lies within, and all but the longest intervals and shades."""
    within = [
        abs(value) for row in differences if row.difference is not None for value in (row.difference, *row.of_seeds)
    ]
    for ends in (
        [max(map(abs, row.interval)) for row in differences if row.interval is not None],
        [row.detectable for row in differences if row.detectable is not None],
    ):
        within += [min(end, _WIDEST * float(np.median(ends))) for end in ends]
    return 1.06 * max(within) or 1.0


def _draw_row(axes: Axes, row: ArmDifference, look: ArmLook, y: int) -> None:
    if row.difference is None:
        _write(axes, 1, y, plain(row.note or "no difference"), fontsize=8, color="#8a1c00")
        return
    if row.detectable is not None:
        shade = Rectangle(
            (-row.detectable, y - 0.5), 2 * row.detectable, 1, facecolor=_SHADE, edgecolor="none", zorder=0.2
        )
        axes.add_patch(shade)
    seeds = {"color": look.colour, "markersize": 3, "alpha": 0.5, "zorder": 2}
    axes.plot(row.of_seeds, [y - 0.25] * len(row.of_seeds), ".", **seeds)
    if row.interval is not None:
        draw_whisker(axes, row.interval, y, look.colour, zorder=3)
    axes.plot(
        [row.difference], [y], look.marker, color=look.colour, markerfacecolor=look.face, zorder=4,
        markersize=7 if look.stands_out else 5,
    )  # fmt: skip
    _write(axes, 1, y, _numbers(row), fontsize=8, fontweight="bold" if look.stands_out else "normal")


def _numbers(row: ArmDifference) -> str:
    ends = "[none]" if row.interval is None else f"[{row.interval[0]:+.2f}, {row.interval[1]:+.2f}]"
    return f"{row.difference:+.3f} {ends}" + (f", n = {len(row.of_seeds)}" if row.of_seeds else "")


def _write(axes: Axes, x: float, y: float, text: str, **style) -> None:
    """Text at a share of the axes' width and the height of a row."""
    place = {"xycoords": ("axes fraction", "data"), "xytext": (5, 0), "textcoords": "offset points"}
    axes.annotate(text, (x, y), **place, va="center", annotation_clip=False, **style)
