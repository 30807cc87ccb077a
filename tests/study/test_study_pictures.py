"""What the pictures and the control's sentence of a study's page are given: paired intervals over seeds, and the drawn words."""

import copy
import dataclasses

import numpy as np
import pytest
from made_up_study import made_up_results, made_up_study, measured_seat
from scipy import stats

from evenhand.evaluation.over_seeds import aggregate_results
from evenhand.launch.study.page import pictures
from evenhand.launch.study.page.drawn_words import drawn_words_lines
from evenhand.launch.study.page.measured import MeasuredStudy
from evenhand.launch.study.page.opening import reading_lines


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    study = made_up_study(tmp_path_factory.mktemp("tiny"), only=["table2"])
    return made_up_results(study, measured_seat())


@pytest.fixture(scope="module")
def measured(results):
    return MeasuredStudy(results)


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


def with_seeds(results, kept):
    """Results in which some arms have some of their seeds alone."""
    reports = {
        name: {seed: of_arm[seed] for seed in kept.get(name, of_arm)} for name, of_arm in results.reports.items()
    }
    return dataclasses.replace(results, reports=reports)


def test_an_arm_with_fewer_seeds_stands_where_its_paired_difference_puts_it(results):
    measured = MeasuredStudy(with_seeds(results, {"proposed": [0, 1]}))
    points = {point.label: point for point in pictures._points(measured, pictures._on_one_text(measured), None)}
    base, ours = (MeasuredStudy(results).arms[name] for name in ("original", "proposed"))
    for numbers, found in (("mean_magnitudes", "bias"), ("losses", "quality")):
        plain, mixed = (getattr(arm, numbers)() for arm in (base, ours))
        change = np.mean([mixed[seed] - plain[seed] for seed in (0, 1)])
        assert getattr(points["mixup (proposed)"], found) == pytest.approx(np.mean(list(plain.values())) + change)
        assert abs(np.mean([mixed[0], mixed[1]]) - np.mean(list(plain.values())) - change) > 1e-3  # not its own mean
    assert points["mixup (proposed)"].seeds == 2


def test_a_sweep_is_drawn_over_the_seeds_that_every_arm_has(tmp_path_factory, tmp_path, monkeypatch):
    study = made_up_study(tmp_path_factory.mktemp("tiny"), only=["table2", "figure1"])
    measured = MeasuredStudy(
        with_seeds(made_up_results(study, measured_seat()), {"depth-1": [1, 2], "depth-2": [2, 0, 1]})
    )
    drawn = []
    monkeypatch.setattr(pictures, "draw_sweep_figure", lambda sweep, path: drawn.append(sweep))
    pictures.sweep_picture(measured, study.sections[-1], tmp_path)
    for point in drawn[0].points:
        arm = measured.arms[f"depth-{point.value}"]
        assert point.biases == pytest.approx([arm.mean_magnitudes()[seed] for seed in arm.seat() if seed in (1, 2)])
        assert len(point.biases) == len(point.losses) == 2
        results = [arm.seat()[seed] for seed in arm.seat() if seed in (1, 2)]
        of_two = aggregate_results(results)["families"]["gender"]["confidence_interval"]
        assert point.interval == pytest.approx(of_two)


def test_losses_on_other_text_are_not_drawn_along_a_sweep(tmp_path_factory, tmp_path, monkeypatch):
    study = made_up_study(tmp_path_factory.mktemp("tiny"), only=["table2", "figure1"])
    results = made_up_results(study, measured_seat())
    drawn = []
    monkeypatch.setattr(pictures, "draw_sweep_figure", lambda sweep, path: drawn.append(sweep))
    pictures.sweep_picture(MeasuredStudy(results), study.sections[-1], tmp_path)
    for report in results.reports["depth-1"].values():
        report.training["held_out_mlm_loss"]["n_targets"] += 1  # of another text
    pictures.sweep_picture(MeasuredStudy(results), study.sections[-1], tmp_path)
    one_text, other = drawn
    assert all(point.losses for point in one_text.points) and one_text.teacher_loss is not None
    assert not any(point.losses for point in other.points) and other.teacher_loss is None
    assert [point.biases for point in other.points] == [point.biases for point in one_text.points]


def test_under_the_curves_stands_where_the_plain_students_began(results, tmp_path):
    final = [one.training["watch"]["curve"][-1]["seat_mean_abs"] for one in results.reports["original"].values()]
    (line,) = [line for line in pictures.steps_picture(MeasuredStudy(results), tmp_path) if "begins at" in line]
    assert line.startswith(
        f"*original* begins at 0.000, with the first weights and before any training, and ends at {np.mean(final):.3f}:"
    )


def test_the_page_warns_of_means_over_other_seeds(results):
    few = "\n".join(reading_lines(MeasuredStudy(with_seeds(results, {"proposed": [0, 1], "hopeless": []}))))
    plain = MeasuredStudy(results).arms["original"].mean_magnitudes()
    assert len(plain) == 4 and "compare arms by their differences" in few
    common = set(plain) & {0, 1} & set(results.reports["mix-input"])
    means = [np.mean([plain[seed] for seed in seeds]) for seeds in (plain, common)]
    assert f"is {means[0]:.3f} over its 4 seeds, and {means[1]:.3f} over the 2 seeds that every arm has" in few
    whole = {name: [0, 1, 2] for name in results.reports if len(results.reports[name]) > 2} | {"hopeless": []}
    assert "compare arms by their differences" not in "\n".join(
        reading_lines(MeasuredStudy(with_seeds(results, whole)))
    )


def test_what_is_not_in_the_trade_off_is_named_with_its_reason(results, tmp_path):
    reports = {name: dict(of_arm) for name, of_arm in results.reports.items()}
    for seed in (0, 1, 2):
        del reports["original"][seed]
    reports["proposed"] = {3: copy.deepcopy(reports["proposed"][3])}
    reports["proposed"][3].training["held_out_mlm_loss"]["n_targets"] += 1  # of another text
    reports["original"][3] = copy.deepcopy(reports["original"][3])
    reports["later"] = {3: copy.deepcopy(reports["original"][3])}
    reports["later"][3].training["held_out_mlm_loss"]["teacher"] += 0.01  # as many tokens, but others
    lines = pictures.tradeoff_pictures(MeasuredStudy(dataclasses.replace(results, reports=reports)), tmp_path)
    said = [line for line in lines if line.startswith("Not in this picture")]
    assert said == [
        "Not in this picture, because the baseline has no student of their seeds yet: *mixup: inputs*, *unrelated pairs* and *fails*.",
        "Not in this picture, because their loss was taken on other text: *mixup (proposed)*.",
        "Not in this picture, because their loss was taken on other masked tokens of the same text (rare tokens are masked more often, and their "
        "training text has other counts): *to come*.",
    ]


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
