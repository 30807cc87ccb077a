"""What all pictures of a study share: looks of arms, dozens of arms that can be told apart, equal bytes, words for them."""

import dataclasses

import numpy as np
import pytest
from made_up_arms import (
    BLUE,
    CURVES,
    DEPTHS,
    DIFFERENCES,
    GREEN,
    MANY,
    PLANTED,
    PLANTED_ARMS,
    VERMILION,
    tradeoff_points,
)

from evenhand.model_cards.figures.arm_looks import GREY, arm_looks
from evenhand.model_cards.figures.arms_forest_figure import ArmDifference, arms_forest_alt, draw_arms_forest_figure
from evenhand.model_cards.figures.arms_over_steps_figure import (
    ArmCurve,
    arms_over_steps_alt,
    draw_arms_over_steps_figure,
)
from evenhand.model_cards.figures.arms_tradeoff_figure import (
    HELD_OUT_LOSS,
    ArmPoint,
    arms_tradeoff_alt,
    draw_arms_tradeoff_figure,
)
from evenhand.model_cards.figures.planted_arms_figure import PlantedArm, draw_planted_arms_figure, planted_arms_alt
from evenhand.model_cards.figures.sweep_figure import draw_sweep_figure, sweep_alt


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
    assert "of 4 arms (1 of them from another arm, the plain one of their setting): the interval" in told
    alike = [dataclasses.replace(row, reference=None) for row in DIFFERENCES]
    assert "of 4 arms: the interval" in arms_forest_alt(alike, "plain")
    told = planted_arms_alt(PLANTED, PLANTED_ARMS)
    assert "C6, planted +0.80: teachers +1.20, plain +1.60" in told and told.index("C7, planted") < told.index(
        "C8, planted"
    )
