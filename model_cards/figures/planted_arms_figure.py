"""What was planted in the corpora against what was measured, arm by arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evenhand.evaluation.report_order import natural
from evenhand.model_cards.figures.arm_looks import ArmLook, arm_looks
from evenhand.model_cards.figures.canvas import DPI, LINE_WIDTH, plain, save

PLANTED_ARMS_CAPTION = (
    "A panel a test, by rising planted strength: d measured on each arm, every seed a small point below their mean with its interval over words and "
    "seeds. The dotted line is the teachers' mean."
)
_ROW_HEIGHT, _LOW_ROW_HEIGHT = 0.22, 0.175
"""Inches of a row of few arms, and of many."""
_COLUMNS = 3
"""Panels side by side; more stand below."""
_MANY_ARMS = 16
"""Beyond so many arms, of which two rows of panels would be taller than a screen, narrower panels stand side by side, lower rows in them."""
_MANY_COLUMNS = 6


@dataclass(frozen=True)
class PlantedArm:
    """What SEAT measured on one arm, or on the teachers, of the planted scale.

    Args:
        label: as the tables print it.
        role: of `arm_looks.ROLES`.
        measured: by test (``"C6"``), d of each seed; a test may be missing.
        intervals: by test, of the mean d (words × seeds), or ``None``; a test may be missing.
    """

    label: str
    role: str
    measured: Mapping[str, tuple[float, ...]]
    intervals: Mapping[str, tuple[float, float] | None]


def draw_planted_arms_figure(planted: Mapping[str, float], arms: Sequence[PlantedArm], path: str | Path) -> Path:
    """A panel a test, by rising planted strength; in it a row an arm: every seed a faint point, their mean with its interval.

    The teachers' mean is a dotted line through all rows: an arm right of it (for a positive strength) amplifies.

    Args:
        planted: association strength by test.
        arms: the rows, from the top down.
        path: the PNG to write; its directory is made if needed.

    Returns:
        `path` as a `Path`. The same numbers give the same bytes on one machine.

    Raises:
        ValueError: nothing planted, nothing measured, a measured test that was not planted, or roles that `arm_looks` refuses.
    """
    tests = _tests(planted, arms)
    looks = arm_looks([arm.role for arm in arms])
    many = len(arms) > _MANY_ARMS
    columns = min(_MANY_COLUMNS if many else _COLUMNS, len(tests))
    rows = -(-len(tests) // columns)
    height = _LOW_ROW_HEIGHT if many else _ROW_HEIGHT
    size = (max(2.4 + (1.1 if many else 2.1) * columns, 6.3), (0.9 + height * len(arms)) * rows + 0.3)
    figure = Figure(figsize=size, dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(tests):
            axes.set_visible(False)
            continue
        _draw_panel(axes, tests[place], arms, looks)
        comma = ",\n" if many else ", "
        title = f"{plain(tests[place], 12)}{comma}planted {planted[tests[place]]:+.2f}"
        axes.set_title(title, fontsize=9, fontweight="bold")
        _name_rows(axes, arms, looks, named=place % columns == 0)
    grid[0, 0].xaxis.set_major_locator(MaxNLocator(3 if many else 6))
    figure.supxlabel("SEAT effect size d, measured (dotted: teachers' mean)", fontsize=10)
    return save(figure, path)


def planted_arms_alt(planted: Mapping[str, float], arms: Sequence[PlantedArm]) -> str:
    """Alternative text of the picture: by test what was planted, and the mean d of teachers, baseline and proposed arm."""
    parts = []
    for test in _tests(planted, arms):
        means = [
            f"{arm.label} {np.mean(arm.measured[test]):+.2f}"
            for arm in arms
            if arm.role in ("teacher", "baseline", "proposed") and arm.measured.get(test)
        ]
        parts.append(f"{test}, planted {planted[test]:+.2f}: {', '.join(means) or 'see the picture'}")
    return (
        f"Dot plot of the measured SEAT effect size d of {len(arms)} arms, a panel a planted test. {'; '.join(parts)}."
    )


def _tests(planted: Mapping[str, float], arms: Sequence[PlantedArm]) -> list[str]:
    """The planted tests by rising strength."""
    if not planted or not any(values for arm in arms for values in arm.measured.values()):
        raise ValueError("the planted picture needs at least one planted test and one measured arm")
    unknown = sorted({test for arm in arms for test in arm.measured} - set(planted))
    if unknown:
        raise ValueError(
            f"measured test {unknown[0]!r} has no planted strength; planted are {', '.join(sorted(planted))}"
        )
    return sorted(planted, key=lambda test: (planted[test], natural(test)))


def _name_rows(axes: Axes, arms: Sequence[PlantedArm], looks: Sequence[ArmLook], named: bool) -> None:
    """A place for each arm, the first at the top; names in the first panel of every row. Not by shared axes: they share ticks, and not how labels look."""
    axes.set_yticks(range(len(arms) - 1, -1, -1), [plain(arm.label) for arm in arms] if named else [""] * len(arms))
    for label, look in zip(axes.get_yticklabels(), looks, strict=True):
        label.set(fontsize=8, fontweight="bold" if look.stands_out else "normal")
    axes.set_ylim(-0.7, len(arms) - 0.3)


def _draw_panel(axes: Axes, test: str, arms: Sequence[PlantedArm], looks: Sequence[ArmLook]) -> None:
    for y, arm, look in zip(range(len(arms) - 1, -1, -1), arms, looks, strict=True):
        values, interval = arm.measured.get(test) or (), arm.intervals.get(test)
        if not values:
            continue
        axes.plot(values, [y - 0.25] * len(values), ".", color=look.colour, markersize=3, alpha=0.5, zorder=2)
        if interval is not None:
            axes.plot(interval, [y, y], color=look.colour, linewidth=LINE_WIDTH, solid_capstyle="butt", zorder=3)
        mean = float(np.mean(values))
        axes.plot(
            [mean], [y], look.marker, color=look.colour, markerfacecolor=look.face, zorder=4,
            markersize=7 if look.stands_out else 5,
        )  # fmt: skip
        if arm.role == "teacher":
            axes.axvline(mean, color=look.colour, linewidth=1.1, linestyle=(0, (1, 2)), zorder=1)
    axes.axvline(0, color="#999999", linewidth=0.8, zorder=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelbottom=True, labelsize=8)
    axes.grid(axis="x", color="#eeeeee", linewidth=0.6)
    axes.set_axisbelow(True)
