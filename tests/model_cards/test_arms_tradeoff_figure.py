"""Bias against quality: every arm at its numbers, labels that lead to their points."""

import pytest
from made_up_arms import BLUE, label_heights, marked, plain_lines, tradeoff_points
from matplotlib.patches import ConnectionPatch

from evenhand.model_cards.figures.arm_looks import GREY
from evenhand.model_cards.figures.arms_tradeoff_figure import (
    HELD_OUT_LOSS,
    ArmPoint,
    Quality,
    arms_tradeoff_caption,
    draw_arms_tradeoff_figure,
)


def test_the_trade_off_has_each_arm_at_its_numbers_and_whiskers_for_those_in_colour(drawn):
    (axes,) = drawn(draw_arms_tradeoff_figure, tradeoff_points(), HELD_OUT_LOSS)
    for marker, place in (("P", (4.7, 0.85)), ("o", (5.0, 1.0)), ("s", (5.1, 0.9)), ("o", (4.8, 0.996))):
        assert place in marked(axes, marker)
    low, _ = axes.get_ylim()
    assert low > 0.5  # the points keep their share of the picture; the long whisker ends there, with an arrow
    thick = plain_lines(axes)
    assert [(5.0, low), (5.0, 1.05)] in thick and marked(axes, "v", BLUE) == [(5.0, low)]
    assert [(4.9, 1.0), (5.2, 1.0)] in thick and [(5.1, 0.85), (5.1, 0.95)] in thick
    assert len(thick) == 4 and not plain_lines(axes, GREY)
    assert "lower is better" in axes.get_xlabel()
    (axes,) = drawn(draw_arms_tradeoff_figure, tradeoff_points(), Quality("GLUE (points)", higher_is_better=True))
    assert axes.get_xlabel() == "GLUE (points); higher is better"


def test_the_caption_of_the_trade_off_says_which_side_is_better_and_only_what_is_drawn():
    loss = arms_tradeoff_caption(tradeoff_points(), HELD_OUT_LOSS)
    assert "Better quality is to the left" in loss and "Hollow circles" in loss and "seeds alone" in loss
    bare = [ArmPoint("a", "baseline", 1.0, None, 70.0, None, 3)]
    glue = arms_tradeoff_caption(bare, Quality("GLUE", higher_is_better=True))
    assert "Better quality is to the right" in glue and "Hollow" not in glue and "hiskers" not in glue


def test_a_teacher_far_from_its_students_stands_at_the_edge_with_its_numbers(drawn):
    far = ArmPoint("teacher", "teacher", 1.7, (1.5, 1.8), 3.0, None, 1)
    (axes,) = drawn(draw_arms_tradeoff_figure, [far, *tradeoff_points()[1:]], HELD_OUT_LOSS)
    assert marked(axes, "P") == [(axes.get_xlim()[0], axes.get_ylim()[1])] and axes.get_xlim()[0] > 4
    assert "teacher: 1.700 at 3.00, beyond" in label_heights(axes)


def test_every_label_is_led_to_its_own_point(drawn):
    points = tradeoff_points()
    (axes,) = drawn(draw_arms_tradeoff_figure, points, HELD_OUT_LOSS)
    low, high = axes.get_ylim()
    heights = label_heights(axes)
    assert sorted(heights, key=heights.get) == ["teacher", "ours (8)", "few (3)", "plain (8)"]
    shares = {point.label: (point.bias - low) / (high - low) for point in points}
    assert abs(shares["few"] - heights["few (3)"]) > 0.005  # too near to the label above it, and moved
    bent = {patch.xy2[1]: patch.xy1[1] for patch in axes.artists + axes.patches if isinstance(patch, ConnectionPatch)}
    for point, text in zip(points, ("teacher", "plain (8)", "ours (8)", "few (3)"), strict=True):
        assert low + bent[heights[text]] * (high - low) == pytest.approx(point.bias)
        across = [line.get_data() for line in axes.lines if line.get_linewidth() < 1]
        assert ([point.quality, axes.get_xlim()[1]], [point.bias] * 2) in [tuple(map(list, data)) for data in across]
