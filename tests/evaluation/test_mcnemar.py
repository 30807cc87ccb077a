"""The exact test of McNemar, from predictions and from outcomes."""

import numpy as np
import pytest
from scipy import stats

from evenhand.evaluation.mcnemar import mcnemar, mcnemar_p_value


def test_equal_predictions_give_p_1_and_no_division_by_zero():
    labels, same = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1])
    with np.errstate(all="raise"):
        test = mcnemar(labels, same, same)
    assert (test.only_first_right, test.only_second_right, test.p_value) == (0, 0, 1.0)


def test_equal_accuracy_with_other_errors_gives_p_1():
    assert mcnemar([1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1]).p_value == 1.0


def test_p_is_the_two_sided_binomial_tail():
    labels = np.ones(40, dtype=int)
    first, second = labels.copy(), labels.copy()
    first[:3], second[3:15] = 0, 0
    test = mcnemar(labels, first, second)
    assert (test.only_first_right, test.only_second_right) == (12, 3)
    assert test.p_value == pytest.approx(2 * stats.binom.cdf(3, 15, 0.5), abs=1e-12)
    assert mcnemar(labels, second, first).p_value == test.p_value


def test_examples_that_both_get_wrong_in_other_ways_do_not_count():
    test = mcnemar([2, 2], [0, 1], [1, 0])
    assert test.only_first_right == test.only_second_right == 0


def test_mcnemar_is_exact_and_knows_identical_predictions():
    first, second = np.array([1, 1, 1, 1, 1, 0, 0.5, 0.5]), np.array([0, 0, 0, 0, 0, 1, 0.5, 1])
    assert mcnemar_p_value(first, second) == pytest.approx(stats.binomtest(5, 7, 0.5).pvalue)
    assert mcnemar_p_value(first, first) == 1.0
