"""Intervals of group metrics: published examples, how often they cover, and what a bootstrap would do."""

import numpy as np
import pytest
from scipy import stats

from evenhand.evaluation import group_intervals
from evenhand.evaluation.group_intervals import (
    accuracy_difference_interval,
    difference_of_shares,
    drop_difference_interval,
    drop_difference_p_value,
    gap_difference_interval,
    gap_difference_p_value,
    paired_share_draws,
    worst_group_difference_interval,
    worst_group_interval,
)
from evenhand.evaluation.group_metrics import GroupAccuracy
from evenhand.evaluation.mcnemar import mcnemar_p_value
from evenhand.evaluation.paired_predictions import bootstrap_scores


def rights(n, share):
    return np.arange(n) < round(n * share)


def paired(generator, n, first, second, shared=0.6):
    """Outcomes of two models with given accuracies, alike on the shared part of the examples."""
    one = generator.random(n)
    other = np.where(generator.random(n) < shared, one, generator.random(n))
    return one < first, other < second


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # Newcombe 1998, table II, method 10
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 20), (0.6791, 1.0000)),
    ],
)
def test_differences_of_shares_have_the_published_intervals(first, second, expected):
    sides = [np.arange(n) < right for right, n in (first, second)]
    low, high = difference_of_shares(*sides, 0.95)
    assert (low / 100, high / 100) == pytest.approx(expected, abs=5e-5)


def test_the_worst_groups_interval_is_the_least_of_wilsons_with_a_corrected_upper_end():
    groups = [GroupAccuracy("a", True, 50, 45), GroupAccuracy("empty", None, 0, 0), GroupAccuracy("b", False, 10, 4)]
    low, high = worst_group_interval(groups, 0.95)
    wilson = [stats.binomtest(4, 10).proportion_ci(level, "wilson") for level in (0.95, 0.975)]
    assert low == pytest.approx(100 * wilson[0].low) and high == pytest.approx(100 * wilson[1].high)


def test_the_worst_groups_interval_covers_where_a_bootstrap_does_not():
    generator, n, share = np.random.default_rng(0), 25, 0.8  # four groups that are equally good
    covered, by_bootstrap, rounds = 0, 0, 400
    for _ in range(rounds):
        found = generator.binomial(n, share, 4)
        low, high = worst_group_interval([GroupAccuracy(str(i), None, n, int(k)) for i, k in enumerate(found)], 0.95)
        covered += low <= 100 * share <= high
        least = generator.binomial(n, found / n, (300, 4)).min(1) / n
        by_bootstrap += np.quantile(least, 0.025) <= share <= np.quantile(least, 0.975)
    assert covered / rounds >= 0.92
    assert by_bootstrap / rounds < 0.85, "else the simple bootstrap would do"


@pytest.mark.parametrize(
    ("first", "second"),
    [((0.95, 0.5), (0.9, 0.6)), ((0.8, 0.8), (0.9, 0.7)), ((0.7, 0.8), (0.9, 0.6)), ((0.99, 0.02), (1.0, 0.0))],
)
def test_differences_of_gaps_cover(first, second, monkeypatch):
    monkeypatch.setattr(group_intervals.paired_share_draws, "__defaults__", (999,))
    generator, covered, rounds = np.random.default_rng(1), 0, 120
    truth = 100 * (abs(first[0] - first[1]) - abs(second[0] - second[1]))
    for _ in range(rounds):
        sides = [paired(generator, 60, a, b) for a, b in zip(first, second, strict=True)]
        low, high = gap_difference_interval(sides, 0, 0.95)
        covered += low <= truth <= high
    assert covered / rounds >= 0.9


@pytest.mark.parametrize(
    ("first", "second"),
    [((0.8, 0.8, 0.8), (0.8, 0.8, 0.8)), ((0.9, 0.9, 0.6), (0.8, 0.8, 0.8)), ((0.9, 0.9, 0.9), (0.95, 0.5, 0.9))],
)
def test_differences_of_worst_groups_cover(first, second, monkeypatch):
    monkeypatch.setattr(group_intervals.paired_share_draws, "__defaults__", (999,))
    generator, covered, rounds = np.random.default_rng(2), 0, 120
    for _ in range(rounds):
        groups = [paired(generator, 50, a, b) for a, b in zip(first, second, strict=True)]
        low, high = worst_group_difference_interval(groups, 0, 0.95)
        covered += low <= 100 * (min(first) - min(second)) <= high
    assert covered / rounds >= 0.9


def on_the_same_examples(generator, n, *drops, shared=0.8):
    """Outcomes of models in two splits of the same examples, alike on the shared part: an example is easy or hard in both."""
    easy = generator.random(n)
    return [
        tuple(np.where(generator.random(n) < shared, easy, generator.random(n)) < share for share in shares)
        for shares in drops
    ]


def test_drops_on_the_same_examples_are_covered_as_often_as_meant_where_unpaired_intervals_are_too_wide(monkeypatch):
    monkeypatch.setattr(group_intervals.paired_share_draws, "__defaults__", (1999,))
    generator, rounds = np.random.default_rng(4), 500
    covered, unpaired = 0, 0
    for _ in range(rounds):
        ((inside, outside),) = on_the_same_examples(generator, 150, (0.85, 0.75))
        low, high = accuracy_difference_interval(inside, outside, 0, 0.95)
        covered += low <= 10 <= high
        low, high = difference_of_shares(inside, outside, 0.95)
        unpaired += low <= 10 <= high
    assert 0.925 <= covered / rounds <= 0.975  # two and a half standard errors
    assert unpaired / rounds > 0.98, "else the unpaired form would do"


@pytest.mark.parametrize(
    ("first", "second"),
    [((0.95, 0.5), (0.9, 0.6)), ((0.8, 0.8), (0.9, 0.7)), ((0.8, 0.7), (0.85, 0.6)), ((0.99, 0.02), (1.0, 0.0))],
)
def test_differences_of_drops_on_the_same_examples_cover(first, second, monkeypatch):
    monkeypatch.setattr(group_intervals, "DRAWS", 999)
    generator, covered, rounds = np.random.default_rng(3), 0, 400
    truth = 100 * (abs(first[0] - first[1]) - abs(second[0] - second[1]))
    for _ in range(rounds):
        low, high = drop_difference_interval(*on_the_same_examples(generator, 80, first, second), 0, 0.95)
        covered += low <= truth <= high
    assert covered / rounds >= 0.91


def test_the_difference_of_drops_has_about_walds_interval_of_the_examples_differences():
    generator = np.random.default_rng(8)
    one, other = on_the_same_examples(generator, 2000, (0.9, 0.6), (0.9, 0.75))
    steps = 100 * ((one[0] * 1 - one[1]) - (other[0] * 1 - other[1]))
    error = 1.96 * steps.std() / np.sqrt(2000)
    found = drop_difference_interval(one, other, 0, 0.95)
    assert found == pytest.approx((steps.mean() - error, steps.mean() + error), abs=0.2)
    assert drop_difference_interval(*([side[:9] for side in model] for model in (one, other)), 0, 0.95) is None


def test_a_drops_prior_is_that_of_one_model_alone():
    """With one model that has no drop at all, the interval is about that of the other's own drop."""
    generator = np.random.default_rng(9)
    ((inside, outside),) = on_the_same_examples(generator, 400, (0.9, 0.7))
    still = np.ones(400, dtype=bool)
    found = drop_difference_interval((inside, outside), (still, still), 0, 0.95)
    assert found == pytest.approx(accuracy_difference_interval(inside, outside, 0, 0.95), abs=0.6)


def test_the_p_value_of_a_drop_is_that_of_all_exchanges_of_whole_examples():
    one = np.array([1, 1, 1, 1, 0, 1, 1, 0, 1], bool), np.array([0, 0, 1, 0, 0, 1, 0, 1, 0], bool)
    other = np.array([1, 1, 0, 1, 0, 0, 1, 1, 1], bool), np.array([1, 1, 1, 0, 1, 1, 1, 0, 1], bool)
    steps = (one[0] * 1 - one[1]) - (other[0] * 1 - other[1])
    assert {1, 2} <= set(np.abs(steps)), "both sizes of a step must be there, or one is not tested"
    signs = np.array(np.meshgrid(*[[-1, 1]] * 9)).reshape(9, -1).T
    exact = np.mean(np.abs(signs @ steps) >= abs(steps.sum()))
    assert 0.01 < exact < 0.9 and drop_difference_p_value(one, other, 0) == pytest.approx(exact, abs=0.005)


def test_two_models_that_use_the_shortcut_on_every_example_still_have_an_interval_of_their_difference():
    sides = [(rights(40, 1.0), rights(40, 1.0)), (rights(40, 0.0), rights(40, 0.0))]
    low, high = gap_difference_interval(sides, 0, 0.95)
    assert -15 < low < 0 < high < 15
    # examples that all agree: nothing varies when they are drawn again
    assert np.ptp(bootstrap_scores(lambda y, p, c: c @ (y == p), np.zeros(40), [np.zeros(40)])) == 0


def test_paired_draws_have_the_posteriors_mean_and_depend_on_the_seed_alone():
    first, second = np.array([1, 1, 1, 0, 0]), np.array([1, 1, 0, 1, 0])
    draws = paired_share_draws(first, second, 3)
    assert draws.mean(0) == pytest.approx([100 * (3 + 1) / (5 + 2)] * 2, abs=1)
    assert np.array_equal(draws, paired_share_draws(first, second, 3))
    # models that agree differ less than independent ones with the same accuracies
    agreeing = paired_share_draws(first, first, 3)
    assert np.std(agreeing[:, 0] - agreeing[:, 1]) < 0.8 * np.std(draws[:, 0] - draws[:, 1])


def test_an_accuracys_difference_has_about_the_interval_of_newcombes_paired_method():
    # 200 examples, 30 that only the first and 12 that only the second got right; Wald's: 9 ± 6.2
    first = np.r_[np.ones(130), np.ones(30), np.zeros(12), np.zeros(28)].astype(bool)
    second = np.r_[np.ones(130), np.zeros(30), np.ones(12), np.zeros(28)].astype(bool)
    low, high = accuracy_difference_interval(first, second, 0, 0.95)
    error = np.sqrt(30 + 12 - (30 - 12) ** 2 / 200) / 200
    assert (low, high) == pytest.approx((100 * (0.09 - 1.96 * error), 100 * (0.09 + 1.96 * error)), abs=0.8)


def test_few_examples_have_no_interval():
    few = (rights(9, 0.5), rights(9, 0.2))
    assert accuracy_difference_interval(*few, 0, 0.95) is None
    assert gap_difference_interval([few, (rights(50, 0.5), rights(50, 0.5))], 0, 0.95) is None
    assert worst_group_difference_interval([few, (rights(50, 0.5), rights(50, 0.5))], 0, 0.95) is None


def test_the_p_value_of_a_gap_is_that_of_all_sign_flips():
    aligned = np.array([1, 1, 1, 1, 0, 1, 1, 1], dtype=bool), np.array([1, 0, 0, 1, 1, 1, 0, 1], dtype=bool)
    conflicting = np.array([0, 0, 1, 0, 0], dtype=bool), np.array([1, 1, 0, 0, 1], dtype=bool)
    steps = np.r_[aligned[0] * 1 - aligned[1], -1.6 * (conflicting[0] * 1 - conflicting[1])] / 8
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(steps[steps != 0]))).reshape(np.count_nonzero(steps), -1)
    exact = np.mean(np.abs(steps[steps != 0] @ signs) >= abs(steps.sum()) - 1e-12)
    assert gap_difference_p_value([aligned, conflicting], 0) == pytest.approx(exact, abs=0.005)


def test_with_one_side_the_p_value_of_a_gap_is_mcnemars():
    generator = np.random.default_rng(5)
    first, second = paired(generator, 80, 0.8, 0.65)
    same = rights(30, 0.5), rights(30, 0.5)
    assert gap_difference_p_value([(first, second), same], 0) == pytest.approx(
        mcnemar_p_value(first, second), abs=0.005
    )


def test_resamples_within_strata_keep_their_sizes():
    labels, strata = np.repeat([0, 1], [30, 10]), np.repeat([7, 3], [30, 10])
    shares = bootstrap_scores(lambda y, p, c: c @ (y == 1) / c.sum(-1), labels, [labels], strata=strata)
    assert np.ptp(shares) == 0 and shares[0, 0] == 0.25
    free = bootstrap_scores(lambda y, p, c: c @ (y == 1) / c.sum(-1), labels, [labels])
    assert np.ptp(free) > 0.2
