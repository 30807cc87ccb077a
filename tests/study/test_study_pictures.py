"""What the pictures and the control's sentence of a study's page are given: paired intervals over seeds, and the drawn words."""

import numpy as np
import pytest
from made_up_study import made_up_results, made_up_study, measured_seat
from scipy import stats

from evenhand.launch.study.page import pictures
from evenhand.launch.study.page.drawn_words import drawn_words_lines
from evenhand.launch.study.page.measured import MeasuredStudy


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    study = made_up_study(tmp_path_factory.mktemp("tiny"), only=["table2"])
    return MeasuredStudy(made_up_results(study, measured_seat()))


def test_whiskers_of_the_trade_off_are_over_seeds_and_paired_with_the_baseline(measured):
    losses = {name: arm.losses() for name, arm in measured.arms.items()}
    points = {point.label: point for point in pictures._points(measured, losses, 2.5)}
    base, ours = (measured.arms[name].mean_magnitudes() for name in ("original", "proposed"))
    changes = [ours[seed] - base[seed] for seed in ours]
    reach = stats.t.ppf(0.975, len(changes) - 1) * np.std(changes, ddof=1) / np.sqrt(len(changes))
    mean = np.mean(list(ours.values()))
    assert points["mixup (proposed)"].bias_interval == pytest.approx((mean - reach, mean + reach))
    changes = [losses["proposed"][seed] - losses["original"][seed] for seed in ours]
    reach = stats.t.ppf(0.975, len(changes) - 1) * np.std(changes, ddof=1) / np.sqrt(len(changes))
    mean = np.mean(list(losses["proposed"].values()))
    assert points["mixup (proposed)"].quality_interval == pytest.approx((mean - reach, mean + reach))
    for label in ("original", "teacher"):
        assert (points[label].bias_interval, points[label].quality_interval) == (None, None)


def test_the_words_that_the_control_drew_stand_on_the_page_with_how_much_of_them_is_grammar(measured):
    (section,) = measured.study.sections
    assert drawn_words_lines(measured, section) == []
    pair = {
        "pair": ["the", "river"],
        "occurrences": [30, 10],
        "in_place_of": ["he", "woman"],
        "occurrences_of_those": [20, 20],
    }
    reports = measured.arms["random-pairs"].reports
    for report in reports.values():
        report.training["supervision"] = {"random_pairs": {"pairs": [pair]}}
    line, _ = drawn_words_lines(measured, section)
    assert (
        "drawn were the/river" in line
        and "are 75 % of the occurrences" in line
        and "and 50 % of those of the gender words" in line
    )
    last = list(reports.values())[-1]
    last.training["supervision"] = {"random_pairs": {"pairs": [pair | {"pair": ["of", "with"]}]}}
    line, _ = drawn_words_lines(measured, section)
    assert (
        f"each of {len(reports)} seeds has a draw of its own; seed 0 drew the/river" in line and "75 to 100 %" in line
    )
