"""Percentages with ties, their intervals, and the difference of two models."""

import numpy as np
import pytest
from scipy import stats

from evenhand.evaluation.percentages import percentage_difference, percentage_score, preferences, wilson_interval


def score_of(outcomes, ideal=50.0, better="nearer"):
    outcomes = np.array(outcomes, dtype=float)
    return percentage_score(outcomes, key="k", name="n", ideal=ideal, better=better, confidence_level=0.95)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (3, 10), (131, 262), (262, 262)])
def test_wilson_is_scipys(k, n):
    expected = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(k, n, 0.95) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_tie_counts_half():
    assert preferences(np.array([2.0, 1.0, 1.0]), np.array([1.0, 2.0, 1.0])).tolist() == [1.0, 0.0, 0.5]


def test_nothing_biased_is_ideal_and_one_item_in_ten_moves_the_score_by_no_more_than_itself():
    """A published score is 0 where no item is biased, and −0.8 where one of ten is: it counts unbiased items against."""
    n, values = 10, []
    for biased in range(n + 1):
        first, second = np.zeros(n), np.zeros(n)
        first[:biased] = 1.0
        values.append(score_of(preferences(first, second)).value)
    assert values[0] == 50.0 and values[-1] == 100.0
    assert np.abs(np.diff(values)).max() <= 100 / n
    # The same with items of both kinds, in any order of turning one of them round.
    outcomes = np.random.default_rng(0).choice([0.0, 0.5, 1.0], size=n)
    for row in range(n):
        for other in (0.0, 0.5, 1.0):
            changed = outcomes.copy()
            changed[row] = other
            assert abs(score_of(changed).value - score_of(outcomes).value) <= 100 / n + 1e-9


def test_a_single_item_has_a_wide_interval():
    score = score_of([1.0])
    assert score.value == 100.0 and score.confidence_interval[0] < 25 and score.confidence_interval[1] == 100.0


def test_no_items_have_no_value():
    score = score_of([])
    assert score.value is None and score.n == 0 and score.note
    assert percentage_difference(np.array([]), np.array([]), score, 0).difference is None


def test_difference_towards_the_ideal():
    generator = np.random.default_rng(1)
    far, near = (generator.random(300) < 0.8).astype(float), (generator.random(300) < 0.52).astype(float)
    difference = percentage_difference(near, far, score_of(near), seed=0).to_dict()
    assert difference["difference"] == pytest.approx(abs(100 * near.mean() - 50) - abs(100 * far.mean() - 50))
    assert difference["verdict"] == "better" and difference["worst_case"] == 0.0
    low, high = difference["confidence_interval"]
    assert low < difference["difference"] < high
    turned = percentage_difference(far, near, score_of(far), seed=0).to_dict()
    assert turned["verdict"] == "worse" and turned["difference"] == pytest.approx(-difference["difference"])


def test_difference_of_a_lower_is_better_percentage_keeps_its_sign():
    model, reference = np.array([0.0] * 40 + [1.0] * 10), np.array([1.0] * 25 + [0.0] * 25)
    difference = percentage_difference(model, reference, score_of(model, 0.0, "lower"), seed=0)
    assert difference.difference == pytest.approx(20.0 - 50.0)


def test_few_items_claim_nothing():
    """Five of five items better would be an interval of no width to a bootstrap."""
    model, reference = np.zeros(5), np.ones(5)
    difference = percentage_difference(model, reference, score_of(model, 0.0, "lower"), seed=0).to_dict()
    assert difference["difference"] == -100.0
    assert difference["confidence_interval"] is None and difference["verdict"] == "not distinguishable"
    assert difference["p_value"] == pytest.approx(0.0625)
