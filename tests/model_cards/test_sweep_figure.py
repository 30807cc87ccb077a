"""A sweep's picture: every seed, means, intervals, the teacher and r are the given numbers."""

import pytest
from made_up_arms import BLUE, DEPTHS, approx, in_data, marked, plain_lines

from evenhand.model_cards.figures.sweep_figure import Sweep, SweepPoint, draw_sweep_figure


def test_a_sweep_has_every_seed_the_means_their_intervals_the_teacher_and_r(drawn):
    bias, loss = drawn(draw_sweep_figure, DEPTHS)
    assert marked(bias, ".") == [(1, 1.3), (6, 0.9), (6, 1.0), (6, 1.4), (12, 0.7), (12, 0.8)]
    assert marked(bias, "o") == approx([(1, 1.3), (6, 1.1), (12, 0.75)])
    assert plain_lines(bias, BLUE) == [[(6, 0.8), (6, 1.3)], [(12, 0.5), (12, 1.1)]]
    assert [set(line.get_ydata()) for line in bias.lines if line.get_label() == "teacher"] == [{0.85}]
    assert bias.get_title(loc="left") == "Pearson r = -0.82, 95 % interval [-0.95, -0.50], 3 arms"
    assert 4.5 in [line.get_ydata()[0] for line in loss.lines if line.get_label() == "teacher"]
    assert marked(loss, "o") == approx([(1, 6.0), (6, 5.2)]) and "nats" in loss.get_ylabel()
    assert [text.get_text() for text in loss.get_xticklabels()] == ["1", "6", "12"] and loss.get_xscale() == "linear"
    for axes in (bias, loss):
        low, high = axes.get_ylim()
        assert all(low < y < high for line in axes.lines if in_data(axes, line) for y in line.get_ydata())


def test_means_of_few_seeds_are_hollow_and_the_legend_says_of_how_many(drawn):
    (axes,) = drawn(draw_sweep_figure, Sweep("layers", (SweepPoint(1, (1.0,) * 8), SweepPoint(2, (1.1,) * 7))))
    faces = {
        line.get_xdata()[0]: (line.get_markerfacecolor(), line.get_label())
        for line in axes.lines
        if line.get_marker() == "o"
    }
    assert faces[1][0] != "white" and faces[1][1].startswith("mean, ")
    assert faces[2][0] == "white" and faces[2][1].startswith("mean of fewer than 8 seeds")


def test_long_intervals_and_a_far_teacher_do_not_flatten_a_sweep(drawn):
    points = (SweepPoint(1, (1.0, 1.1), (-5.0, 1.2)), SweepPoint(2, (1.2,), (1.1, 9.0)))
    (axes,) = drawn(draw_sweep_figure, Sweep("layers", points, teacher=7.0))
    low, high = axes.get_ylim()
    assert low > 0.5 and high < 2
    assert (marked(axes, "v"), marked(axes, "^")) == ([(1, low)], [(2, high)])
    assert [text.get_text() for text in axes.texts] == ["teacher: 7.000, above"]
    assert "teacher" not in [line.get_label() for line in axes.lines]


def test_values_that_would_crowd_stand_on_a_logarithmic_axis_and_words_in_their_order(drawn):
    (axes,) = drawn(draw_sweep_figure, Sweep("α", tuple(SweepPoint(a, (1.0,)) for a in (20.0, 0.1, 0.4))))
    assert axes.get_xscale() == "log" and [text.get_text() for text in axes.get_xticklabels()] == ["0.1", "0.4", "20"]
    words = ("per occurrence", "per batch")
    (axes,) = drawn(draw_sweep_figure, Sweep("λ", tuple(SweepPoint(word, (1.0, 2.0)) for word in words)))
    assert [text.get_text() for text in axes.get_xticklabels()] == list(words)
    assert marked(axes, "o") == [(0, 1.5), (1, 1.5)] and not axes.get_title(loc="left")


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ((SweepPoint(1, ()),), "needs an arm with a number"),
        ((SweepPoint(1, (1.0,)), SweepPoint("all", (1.0,))), "mixes numbers and text"),
        ((SweepPoint(1, (1.0,)), SweepPoint(1.0, (1.0,))), "has a value twice"),
    ],
)
def test_a_sweep_that_cannot_be_drawn_is_refused(points, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        draw_sweep_figure(Sweep("x", points), tmp_path / "sweep.png")
    assert not list(tmp_path.iterdir())
