"""Arms that pictures of a study are drawn of, and what is read off the drawn axes."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from evenhand.model_cards.figures.arms_forest_figure import ArmDifference
from evenhand.model_cards.figures.arms_over_steps_figure import ArmCurve
from evenhand.model_cards.figures.arms_tradeoff_figure import ArmPoint
from evenhand.model_cards.figures.canvas import STYLES
from evenhand.model_cards.figures.planted_arms_figure import PlantedArm
from evenhand.model_cards.figures.sweep_figure import Sweep, SweepPoint

BLUE, VERMILION, GREEN = (colour.lower() for colour, _ in STYLES[:3])
MANY = [("baseline", "mlm+cos+ce (original)"), ("proposed", "mixup: logits + inputs (proposed)")]
MANY += [("core", f"planned arm {number}") for number in range(4)]
MANY += [("exploratory", f"counterfactual teacher number {number}") for number in range(39)]

DEPTHS = Sweep(
    "number of layers",
    (
        SweepPoint(6, (0.9, 1.0, 1.4), (0.8, 1.3), (5.0, 5.1, 5.5)),
        SweepPoint(1, (1.3,), None, (6.0,)),
        SweepPoint(3, (), None),
        SweepPoint(12, (0.7, 0.8), (0.5, 1.1)),
    ),
    teacher=0.85,
    teacher_loss=4.5,
    correlation=-0.82,
    correlation_interval=(-0.95, -0.5),
)


def tradeoff_points():
    return [
        ArmPoint("teacher", "teacher", 0.85, (0.7, 0.9), 4.7, None, 1),
        ArmPoint("plain", "baseline", 1.0, (0.0, 1.05), 5.0, (4.9, 5.2), 8),
        ArmPoint("ours", "proposed", 0.9, (0.85, 0.95), 5.1, None, 8),
        ArmPoint("few", "exploratory", 0.996, (0.1, 1.9), 4.8, (4.0, 5.6), 3),
    ]


def label_heights(axes):
    """Of the labels beside the axes: text to its height in shares of the axes."""
    return {text.get_text(): text.xy[1] for text in axes.texts}


CURVES = [
    ArmCurve("plain", "baseline", (0, 10, 20), ((0.5, 0.8, 1.0), (0.5, 0.6, 1.2))),
    ArmCurve("few", "exploratory", (0, 10, 20), ((0.4, 0.3, 0.2), (0.4, 0.5, None))),
    ArmCurve("unwatched", "core", (), ()),
]


DIFFERENCES = [
    ArmDifference("ours", "proposed", -0.2, (-0.3, -0.1), 0.15, (-0.25, -0.15), "Table 2"),
    ArmDifference("one seed", "core", 0.1, None, None, (0.1,), "Table 1"),
    ArmDifference("wide", "exploratory", 0.05, (-9.0, 0.4), 7.0, (0.0, 0.1, 0.05), "Table 2", reference="plain 5/2/1"),
    ArmDifference("broken", "exploratory", None, None, None, (), "Table 2", note="failed: x.log"),
    ArmDifference("narrow", "core", 0.02, (-0.05, 0.09), 0.1, (0.0, 0.04), "Table 2"),
]


PLANTED = {"C6": 0.8, "C7": -0.2, "C8": 0.0}
PLANTED_ARMS = [
    PlantedArm("teachers", "teacher", {"C6": (1.0, 1.4), "C8": (0.1, 0.1)}, {"C6": (0.9, 1.5)}),
    PlantedArm("plain", "baseline", {"C6": (1.5, 1.7), "C7": (-0.3,)}, {"C6": (1.2, 1.9), "C7": None}),
]


def marked(axes, marker, colour=None):
    """(x, y) of every point of lines with that marker, in data units."""
    lines = [line for line in axes.lines if line.get_marker() == marker and colour in (None, to_hex(line.get_color()))]
    return [point for line in lines if in_data(axes, line) for point in zip(*map(list, line.get_data()), strict=True)]


def in_data(axes, line):
    """Whether a line is drawn in the units of the axes, at most shifted by some points."""
    corners = list(zip(axes.get_xlim(), axes.get_ylim(), strict=True))
    apart = line.get_transform().transform(corners) - axes.transData.transform(corners)
    return bool(np.abs(apart).max() < 20)


def plain_lines(axes, colour=None):
    """Both ends of every thick line without marker."""
    lines = [line for line in axes.lines if line.get_marker() == "None" and line.get_linewidth() > 1]
    return [
        list(zip(*map(list, line.get_data()), strict=True))
        for line in lines
        if colour in (None, to_hex(line.get_color()))
    ]


def approx(points):
    return [pytest.approx(point) for point in points]
