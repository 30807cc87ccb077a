"""Pictures of a study's page: the numbers in them are the given ones, dozens of arms can be told apart, bad input is one line."""

import importlib
import itertools

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import ConnectionPatch, Rectangle

from evenhand.model_cards.figures.arm_looks import GREY, arm_looks
from evenhand.model_cards.figures.arms_forest_figure import ArmDifference, arms_forest_alt, draw_arms_forest_figure
from evenhand.model_cards.figures.arms_over_steps_figure import (
    ArmCurve,
    arms_over_steps_alt,
    arms_over_steps_caption,
    draw_arms_over_steps_figure,
)
from evenhand.model_cards.figures.arms_tradeoff_figure import (
    HELD_OUT_LOSS,
    ArmPoint,
    Quality,
    arms_tradeoff_alt,
    arms_tradeoff_caption,
    draw_arms_tradeoff_figure,
)
from evenhand.model_cards.figures.canvas import STYLES
from evenhand.model_cards.figures.planted_arms_figure import PlantedArm, draw_planted_arms_figure, planted_arms_alt
from evenhand.model_cards.figures.sweep_figure import Sweep, SweepPoint, draw_sweep_figure, sweep_alt

BLUE, VERMILION, GREEN = (colour.lower() for colour, _ in STYLES[:3])
MANY = [("baseline", "mlm+cos+ce (original)"), ("proposed", "mixup: logits + inputs (proposed)")]
MANY += [("core", f"planned arm {number}") for number in range(4)]
MANY += [("exploratory", f"counterfactual teacher number {number}") for number in range(39)]


@pytest.fixture
def drawn(monkeypatch):
    """``drawn(draw, *arguments)``: the pairs of axes of the figure that ``draw`` would have saved."""

    def draw(function, *arguments, **named):
        kept = []
        monkeypatch.setattr(
            importlib.import_module(function.__module__), "save", lambda figure, path: kept.append(figure)
        )
        function(*arguments, path="picture.png", **named)
        return kept[0].axes

    return draw


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


# how arms look


def test_baseline_and_proposed_have_colours_of_their_own_exploratory_arms_are_hollow_and_grey():
    looks = arm_looks(["teacher", "core", "baseline", "exploratory", "proposed", "core", "core", "core", "core"])
    assert [look.colour.lower() for look in looks[:3]] == ["#000000", GREEN, BLUE]
    assert (looks[3].colour, looks[3].face, looks[4].colour.lower()) == (GREY, "white", VERMILION)
    assert [look.stands_out for look in looks] == [False, False, True, False, True, False, False, False, False]
    assert [look.is_grey for look in looks[5:]] == [False, False, True, True]
    assert looks[7].face == GREY and looks[7].marker != looks[8].marker


@pytest.mark.parametrize(
    ("roles", "message"),
    [(["best"], "baseline, proposed, core, exploratory, not 'best'"), (["baseline", "baseline"], "one baseline at most, not 2")],
)  # fmt: skip
def test_unknown_roles_and_two_baselines_are_refused(roles, message):
    with pytest.raises(ValueError, match=message):
        arm_looks(roles)


# a sweep

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


# bias against quality


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


# bias over training

CURVES = [
    ArmCurve("plain", "baseline", (0, 10, 20), ((0.5, 0.8, 1.0), (0.5, 0.6, 1.2))),
    ArmCurve("few", "exploratory", (0, 10, 20), ((0.4, 0.3, 0.2), (0.4, 0.5, None))),
    ArmCurve("unwatched", "core", (), ()),
]


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


# all arms against the baseline

DIFFERENCES = [
    ArmDifference("ours", "proposed", -0.2, (-0.3, -0.1), 0.15, (-0.25, -0.15), "Table 2"),
    ArmDifference("one seed", "core", 0.1, None, None, (0.1,), "Table 1"),
    ArmDifference("wide", "exploratory", 0.05, (-9.0, 0.4), 7.0, (0.0, 0.1, 0.05), "Table 2", reference="plain 5/2/1"),
    ArmDifference("broken", "exploratory", None, None, None, (), "Table 2", note="failed: x.log"),
    ArmDifference("narrow", "core", 0.02, (-0.05, 0.09), 0.1, (0.0, 0.04), "Table 2"),
]


def test_each_row_of_the_forest_has_its_arms_difference_interval_seeds_shade_and_numbers(drawn):
    (axes,) = drawn(draw_arms_forest_figure, DIFFERENCES, "plain")
    rows = dict(zip([text.get_text() for text in axes.get_yticklabels()], axes.get_yticks(), strict=True))
    assert sorted(rows, key=rows.get, reverse=True) == ["ours", "wide [1]", "broken", "narrow", "one seed"]
    assert (-0.2, rows["ours"]) in marked(axes, "s") and (0.1, rows["one seed"]) in marked(axes, "D")
    assert dict(marked(axes, ".", VERMILION)) == dict.fromkeys((-0.25, -0.15), rows["ours"] - 0.25)
    low, high = axes.get_xlim()
    assert -low == high and low > -2
    lines = plain_lines(axes)
    assert [(-0.3, rows["ours"]), (-0.1, rows["ours"])] in lines
    assert [(low, rows["wide [1]"]), (0.4, rows["wide [1]"])] in lines  # cut at the edge, where an arrow says so
    assert (low, rows["wide [1]"]) in marked(axes, "<") and not marked(axes, ">")
    shades = {
        patch.get_y() + 0.5: (patch.get_x(), patch.get_width())
        for patch in axes.patches
        if isinstance(patch, Rectangle)
    }
    assert shades == {rows["ours"]: (-0.15, 0.3), rows["wide [1]"]: (-7, 14), rows["narrow"]: (-0.1, 0.2)}
    texts = {text.get_text(): text.xy[1] for text in axes.texts}
    assert texts["-0.200 [-0.30, -0.10], n = 2"] == rows["ours"] and texts["failed: x.log"] == rows["broken"]
    assert (
        texts["+0.100 [none], n = 1"] == rows["one seed"] and texts["+0.050 [-9.00, +0.40], n = 3"] == rows["wide [1]"]
    )
    assert texts["Table 2"] > rows["ours"] and rows["narrow"] > texts["Table 1"] > rows["one seed"]
    assert "from: plain (" in axes.get_xlabel() and "[1] against: plain 5/2/1" in axes.get_xlabel()


def test_a_forest_without_a_difference_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs an arm with a difference"):
        draw_arms_forest_figure(DIFFERENCES[3:4], "plain", tmp_path / "forest.png")


# planted beside measured

PLANTED = {"C6": 0.8, "C7": -0.2, "C8": 0.0}
PLANTED_ARMS = [
    PlantedArm("teachers", "teacher", {"C6": (1.0, 1.4), "C8": (0.1, 0.1)}, {"C6": (0.9, 1.5)}),
    PlantedArm("plain", "baseline", {"C6": (1.5, 1.7), "C7": (-0.3,)}, {"C6": (1.2, 1.9), "C7": None}),
]


def test_a_panel_for_each_planted_test_by_rising_strength_with_the_arms_numbers(drawn):
    panels = drawn(draw_planted_arms_figure, PLANTED, PLANTED_ARMS)
    assert [axes.get_title() for axes in panels] == ["C7, planted -0.20", "C8, planted +0.00", "C6, planted +0.80"]
    c7, c8, c6 = panels
    assert [text.get_text() for text in c7.get_yticklabels()] == ["teachers", "plain"] and list(c7.get_yticks()) == [
        1,
        0,
    ]
    assert marked(c6, "P") == approx([(1.2, 1)]) and marked(c6, "o") == approx([(1.6, 0)])
    assert marked(c6, ".") == [(1.0, 0.75), (1.4, 0.75), (1.5, -0.25), (1.7, -0.25)]
    assert [line for line in plain_lines(c6) if line[0][1] == line[1][1]] == [
        [(0.9, 1), (1.5, 1)],
        [(1.2, 0), (1.9, 0)],
    ]
    assert [1.2, 1.2] in [
        approx(list(line.get_xdata())) for line in c6.lines if line.get_linestyle() not in ("-", "None")
    ]
    assert (marked(c7, "o"), marked(c7, "P"), marked(c8, "o")) == ([(-0.3, 0)], [], [])


def test_more_tests_than_fit_side_by_side_stand_below(drawn):
    planted = {f"T{number}": number / 10 for number in range(5)}
    panels = drawn(draw_planted_arms_figure, planted, [PlantedArm("a", "proposed", dict.fromkeys(planted, (1.0,)), {})])
    assert [axes.get_visible() for axes in panels] == [True] * 5 + [False]
    panels[0].figure.draw_without_rendering()
    assert len({round(axes.get_position().y0, 3) for axes in panels[:5]}) == 2
    names = [label for axes in (panels[0], panels[3]) for label in axes.get_yticklabels()]
    assert [(name.get_text(), name.get_fontsize(), name.get_fontweight()) for name in names] == [("a", 8, "bold")] * 2


@pytest.mark.parametrize("arms", [6, 16])
def test_in_every_row_of_panels_baseline_and_proposed_are_bold_and_all_names_of_one_size(arms, drawn):
    planted = {f"T{number}": number / 10 for number in range(6)}
    of_arms = [PlantedArm(label, role, dict.fromkeys(planted, (1.0,)), {}) for role, label in MANY[:arms]]
    panels = drawn(draw_planted_arms_figure, planted, of_arms)
    panels[0].figure.draw_without_rendering()
    shown = [
        [(name.get_text(), name.get_fontsize(), name.get_fontweight()) for name in axes.get_yticklabels()]
        for axes in panels
    ]
    assert shown[0] == shown[3] and len(shown[0]) == arms
    assert [weight for _, _, weight in shown[0]] == ["bold"] * 2 + ["normal"] * (arms - 2)
    assert {size for row in shown for _, size, _ in row} == {8}
    assert not any(text for place in (1, 2, 4, 5) for text, _, _ in shown[place])
    assert len({axes.get_ylim() for axes in panels}) == 1


def test_many_arms_of_six_tests_stay_lower_than_two_screens(drawn):
    planted = {f"T{number}": number / 10 for number in range(6)}
    of_arms = [PlantedArm(label, role, dict.fromkeys(planted, (1.0,)), {}) for role, label in MANY]
    figure = drawn(draw_planted_arms_figure, planted, of_arms)[0].figure
    assert figure.get_size_inches()[1] < 10 and figure.get_size_inches()[0] < 9.4
    figure.canvas.draw()
    titles = [axes.title.get_window_extent() for axes in figure.axes]
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(titles))


def test_nothing_planted_or_measured_and_unknown_tests_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'C9' has no planted strength; planted are C6"):
        draw_planted_arms_figure({"C6": 1.0}, [PlantedArm("a", "core", {"C9": (1.0,)}, {})], tmp_path / "x.png")
    for planted, arms in (({}, PLANTED_ARMS), (PLANTED, [PlantedArm("a", "core", {"C6": ()}, {})])):
        with pytest.raises(ValueError, match="at least one planted test and one measured arm"):
            draw_planted_arms_figure(planted, arms, tmp_path / "x.png")


# dozens of arms


def pictures_of_many():
    """Name to (function, arguments) with 45 arms whose numbers lie close together."""
    draws = np.random.default_rng(3)
    bias, loss = draws.normal(0.9, 0.05, 45), draws.normal(5.1, 0.1, 45)
    points = [
        ArmPoint(label, role, float(b), (float(b) - 0.3, float(b) + 0.3), float(q), None, 3)
        for (role, label), b, q in zip(MANY, bias, loss, strict=True)
    ]
    curves = [
        ArmCurve(label, role, (0, 10, 20), ((0.5, float(b) - 0.1, float(b)),))
        for (role, label), b in zip(MANY, bias, strict=True)
    ]
    rows = [
        ArmDifference(label, role, float(b) - 0.9, (float(b) - 1.2, float(b) - 0.6), 0.3, (float(b) - 0.9,), "all")
        for (role, label), b in zip(MANY, bias, strict=True)
    ]
    planted = [
        PlantedArm(label, role, {"C6": (float(b),), "C7": (0.0,)}, {})
        for (role, label), b in zip(MANY, bias, strict=True)
    ]
    return {
        "tradeoff": (draw_arms_tradeoff_figure, (points, HELD_OUT_LOSS)),
        "steps": (draw_arms_over_steps_figure, (curves,)),
        "forest": (draw_arms_forest_figure, (rows, "plain")),
        "planted": (draw_planted_arms_figure, ({"C6": 0.8, "C7": 0.0}, planted)),
    }


@pytest.mark.parametrize("name", ["tradeoff", "steps", "forest", "planted"])
def test_of_45_arms_every_label_can_be_read_and_nothing_is_cut_off(name, drawn):
    function, arguments = pictures_of_many()[name]
    axes = drawn(function, *arguments)[0]
    axes.figure.canvas.draw()  # once, as for a file: the layout must be right then
    pixels = np.asarray(axes.figure.canvas.buffer_rgba())
    texts = [text for text in (*axes.texts, *axes.get_yticklabels()) if text.get_text()]
    shown = " ".join(text.get_text() for text in texts)
    assert all(label in shown for _, label in MANY)
    # A box has room above and below the letters of its line; letters overlap where boxes do by a quarter.
    letters = [text.get_window_extent().expanded(1, 0.75) for text in texts]
    assert not any(one.overlaps(other) for index, one in enumerate(letters) for other in letters[:index])
    assert 900 < pixels.shape[1] < 1400
    assert all(edge.min() > 250 for edge in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]))


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (draw_sweep_figure, (DEPTHS,)),
        (draw_arms_tradeoff_figure, (tradeoff_points(), HELD_OUT_LOSS)),
        (draw_arms_over_steps_figure, (CURVES,)),
        (draw_arms_forest_figure, (DIFFERENCES, "plain")),
        (draw_planted_arms_figure, (PLANTED, PLANTED_ARMS)),
    ],
)
def test_the_same_numbers_give_the_same_bytes(function, arguments, tmp_path):
    one, two = (function(*arguments, path=tmp_path / f"{number}.png") for number in (1, 2))
    assert one.read_bytes() == two.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.png", "2.png"]


# in words


def test_alternative_texts_say_what_is_drawn_with_its_numbers():
    assert sweep_alt(DEPTHS) == (
        "Plot of mean |d| against number of layers, by seed with the mean of each arm: 1: 1.300 (n = 1); 6: 1.100 (n = 3); "
        "12: 0.750 (n = 2); teacher 0.850. Pearson r = -0.82, 95 % interval [-0.95, -0.50], 3 arms."
    )
    told = arms_tradeoff_alt(tradeoff_points(), HELD_OUT_LOSS)
    assert "of 4 models" in told and "plain: mean |d| 1.000, 5.000; ours: mean |d| 0.900, 5.100" in told
    told = arms_over_steps_alt(CURVES, 0.7)
    assert "plain: 0.500 at step 0, 1.100 at step 20; teacher: 0.700" in told
    told = arms_forest_alt(DIFFERENCES, "plain")
    assert (
        "of 4 arms" in told
        and "below zero for 1, wholly above for 0" in told
        and "ours: -0.200 [-0.30, -0.10], n = 2" in told
    )
    told = planted_arms_alt(PLANTED, PLANTED_ARMS)
    assert "C6, planted +0.80: teachers +1.20, plain +1.60" in told and told.index("C7, planted") < told.index(
        "C8, planted"
    )
