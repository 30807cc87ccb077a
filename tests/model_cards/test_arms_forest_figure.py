"""All arms against the baseline: difference, interval, seeds and numbers of each row."""

import pytest
from made_up_arms import DIFFERENCES, VERMILION, marked, plain_lines
from matplotlib.patches import Rectangle

from evenhand.model_cards.figures.arms_forest_figure import draw_arms_forest_figure


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
