"""Bias over training: means where every seed was measured, within a band of the seeds."""

import pytest
from made_up_arms import BLUE, CURVES, approx, in_data, label_heights
from matplotlib.colors import to_hex

from evenhand.model_cards.figures.arm_looks import GREY
from evenhand.model_cards.figures.arms_over_steps_figure import (
    ArmCurve,
    arms_over_steps_caption,
    draw_arms_over_steps_figure,
)


def test_curves_are_means_where_every_seed_was_measured_within_a_band_of_the_seeds(drawn):
    (axes,) = drawn(draw_arms_over_steps_figure, CURVES, teacher=0.7)
    curves = {to_hex(line.get_color()): line for line in axes.lines if len(line.get_xdata()) > 1 and in_data(axes, line)
              and line.get_zorder() >= 2}  # fmt: skip
    assert list(curves[BLUE].get_xdata()) == [0, 10, 20] and list(curves[BLUE].get_ydata()) == approx([0.5, 0.7, 1.1])
    assert list(curves[GREY].get_xdata()) == [0, 10] and list(curves[GREY].get_ydata()) == approx([0.4, 0.4])
    (band,) = axes.collections
    corners = {tuple(map(float, corner)) for corner in band.get_paths()[0].vertices}
    assert corners == {(0, 0.5), (10, 0.6), (10, 0.8), (20, 1.0), (20, 1.2)}
    assert [0.7, 0.7] in [list(line.get_ydata()) for line in axes.lines if line.get_linestyle() not in ("-", "None")]
    assert set(label_heights(axes)) == {"plain (2)", "few (2)", "teacher"}


def test_the_caption_of_the_curves_says_only_what_is_drawn(drawn):
    whole = arms_over_steps_caption(CURVES, 0.7)
    assert "dotted line is the teacher" in whole and "Bands" in whole and "grey" in whole
    alone = [ArmCurve("plain", "core", (0, 10), ((0.5, 0.8), (0.4, 0.9)))]
    told = arms_over_steps_caption(alone)
    assert not any(word in told for word in ("teacher", "Bands", "grey"))
    (axes,) = drawn(draw_arms_over_steps_figure, alone)
    assert not axes.collections


def test_curves_without_two_steps_or_with_other_lengths_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at two steps at least"):
        draw_arms_over_steps_figure([ArmCurve("a", "core", (0,), ((1.0,),))], tmp_path / "a.png")
    with pytest.raises(ValueError, match="'a' has 2 steps, but a seed with 1 numbers"):
        draw_arms_over_steps_figure([ArmCurve("a", "core", (0, 1), ((1.0,),))], tmp_path / "a.png")
