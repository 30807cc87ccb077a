"""Bias against quality of all arms of a study, each named where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from evenhand.model_cards.figures.arm_looks import ArmLook, arm_looks
from evenhand.model_cards.figures.canvas import canvas, plain, save
from evenhand.model_cards.figures.cut_whiskers import draw_whisker, limits
from evenhand.model_cards.figures.margin_labels import height_for, label_right

_WIDEST = 2.5
"""Times the range of the arms that an axis may be long, so that long whiskers and a far teacher do not press them together; longer only where
the shortest whisker needs it."""


@dataclass(frozen=True)
class Quality:
    """What the horizontal axis is.

    Args:
        label: with its unit.
        higher_is_better: which side is the good one.
    """

    label: str
    higher_is_better: bool


HELD_OUT_LOSS = Quality("held-out masked-LM loss (nats)", higher_is_better=False)


@dataclass(frozen=True)
class ArmPoint:
    """One arm, or the teacher: means over its seeds.

    Args:
        label: as the tables print it.
        role: of `arm_looks.ROLES`.
        bias: mean \\|d\\| of SEAT's gender tests.
        bias_interval: about ``bias``, as long as that of its difference from the baseline over seeds alone, or ``None``.
        quality: mean over the same seeds.
        quality_interval: about ``quality``, in the same way, or ``None``.
        seeds: how many.
    """

    label: str
    role: str
    bias: float
    bias_interval: tuple[float, float] | None
    quality: float
    quality_interval: tuple[float, float] | None
    seeds: int


def draw_arms_tradeoff_figure(points: Sequence[ArmPoint], quality: Quality, path: str | Path) -> Path:
    """One point an arm, named beside the axes; baseline, proposed and core arms stand out, and have whiskers where intervals are given.

    Args:
        points: of the arms that have both numbers.
        quality: what the horizontal axis is.
        path: the PNG to write; its directory is made if needed.

    Returns:
        `path` as a `Path`. The same points give the same bytes on one machine.

    Raises:
        ValueError: no point, or roles that `arm_looks` refuses.
    """
    if not points:
        raise ValueError("the picture of bias against quality needs an arm that has both")
    looks = arm_looks([point.role for point in points])
    figure, axes = canvas(8.4, height_for(len(points), at_least=4.8))
    _set_limits(axes, points, looks)
    places = [_within(axes, point) for point in points]
    for point, place, look in zip(points, places, looks, strict=True):
        if not look.is_grey and place == (point.quality, point.bias):
            _whiskers(axes, point, look)
        axes.plot(
            *place, look.marker, color=look.colour, markerfacecolor=look.face, zorder=look.height, clip_on=False,
            markersize=9 if look.stands_out else 6,
        )  # fmt: skip
    better = "higher is better" if quality.higher_is_better else "lower is better"
    axes.set_xlabel(f"{plain(quality.label, 60)}; {better}")
    axes.set_ylabel("mean |d|, six gender tests; lower is less association")
    axes.grid(color="#eeeeee", linewidth=0.6)
    labels = [_label(point, place) for point, place in zip(points, places, strict=True)]
    label_right(axes, places, labels, looks)
    return save(figure, path)


def arms_tradeoff_caption(points: Sequence[ArmPoint], quality: Quality) -> str:
    """What stands under the picture: which side is the better one, and what is drawn of these points."""
    looks = arm_looks([point.role for point in points])
    told = [
        f"Better quality is to the {'right' if quality.higher_is_better else 'left'}, less association is below: one point an arm (its number of "
        "seeds in brackets), the baseline at its mean, every other where its difference from the baseline, paired by seed, puts it. The baseline and the proposed arm are bold, other planned arms in colour."
    ]
    if any(point.role == "exploratory" for point in points):
        told.append("Hollow circles are exploratory arms.")
    drawn = [point for point, look in zip(points, looks, strict=True) if not look.is_grey]
    if any(point.bias_interval is not None or point.quality_interval is not None for point in drawn):
        told.append(
            "Whiskers are 95 % intervals over seeds alone, with these words, of the difference from the baseline, paired by seed (an arrow: longer "
            "than the picture): the baseline, which they are against, has none."
        )
    return " ".join(told)


def arms_tradeoff_alt(points: Sequence[ArmPoint], quality: Quality) -> str:
    """Alternative text of the picture: what stands where, and the numbers of the teacher, the baseline and the proposed arm."""
    named = [
        f"{point.label}: mean |d| {point.bias:.3f}, {point.quality:.3f}"
        for point in points
        if point.role in ("teacher", "baseline", "proposed")
    ]
    return (
        f"Scatter plot of mean |d| over six gender tests (upwards) against {quality.label} (to the right) of {len(points)} "
        f"models, each named{'; ' if named else ''}{'; '.join(named)}."
    )


def _set_limits(axes: Axes, points: Sequence[ArmPoint], looks: Sequence[ArmLook]) -> None:
    """Axes on which every arm lies; whiskers, and a teacher far from its students, may go beyond."""
    arms = [point for point in points if point.role != "teacher"] or points
    reaching = [point for point, look in zip(points, looks, strict=True) if not look.is_grey]
    teacher = [point for point in points if point.role == "teacher"]
    near = ([point.quality for point in teacher], [point.bias for point in teacher])
    across, upright = [p.quality_interval for p in reaching], [p.bias_interval for p in reaching]
    axes.set_xlim(limits([p.quality for p in arms], across, _WIDEST, near[0], one_whole=True))
    axes.set_ylim(limits([p.bias for p in arms], upright, _WIDEST, near[1], one_whole=True))


def _within(axes: Axes, point: ArmPoint) -> tuple[float, float]:
    """Where the point is drawn: at its numbers, or at the edge nearest to them."""
    ends = ((point.quality, axes.get_xlim()), (point.bias, axes.get_ylim()))
    x, y = (min(max(value, low), high) for value, (low, high) in ends)
    return x, y


def _whiskers(axes: Axes, point: ArmPoint, look: ArmLook) -> None:
    style = {"alpha": 0.55, "zorder": look.height - 0.5}
    if point.quality_interval is not None:
        draw_whisker(axes, point.quality_interval, point.bias, look.colour, **style)
    if point.bias_interval is not None:
        draw_whisker(axes, point.bias_interval, point.quality, look.colour, upright=True, **style)


def _label(point: ArmPoint, place: tuple[float, float]) -> str:
    if place != (point.quality, point.bias):
        return f"{plain(point.label, 12)}: {point.bias:.3f} at {point.quality:.2f}, beyond"
    return point.label if point.role == "teacher" else f"{plain(point.label, 34)} ({point.seeds})"
