"""Planted beside measured: a panel for each test, in rows that can be read."""

import itertools

import pytest
from made_up_arms import MANY, PLANTED, PLANTED_ARMS, approx, marked, plain_lines

from evenhand.model_cards.figures.planted_arms_figure import PlantedArm, draw_planted_arms_figure


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
