"""Statistics over paired seeds, against scipy's tests, simulation and the definition of Fieller's interval."""

import numpy as np
import pytest
from scipy import stats

from evenhand.evaluation.paired_seeds import detectable_in_errors, ratio_of_means, t_interval

A = [-0.21, -0.05, -0.14, -0.30, -0.11]
B = [0.031, 0.020, 0.024, 0.040, 0.029]


@pytest.mark.parametrize("seeds", [3, 8])
@pytest.mark.parametrize("tests", [1, 44])
def test_a_true_difference_of_the_detectable_size_is_found_four_times_in_five(seeds, tests):
    shift = detectable_in_errors(seeds - 1, tests)
    draws = np.random.default_rng(0).normal(loc=shift / np.sqrt(seeds), size=(60_000, seeds))
    t = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / np.sqrt(seeds))
    p = 2 * stats.t.sf(np.abs(t), seeds - 1)
    assert np.mean(p <= 0.05 / tests) == pytest.approx(0.8, abs=0.01)


def test_with_many_seeds_the_detectable_difference_is_the_normal_approximations():
    assert detectable_in_errors(10_000) == pytest.approx(stats.norm.ppf(0.975) + stats.norm.ppf(0.8), abs=1e-3)


def test_fiellers_ends_are_the_ratios_that_a_t_test_only_just_does_not_reject():
    ratio = ratio_of_means(A, B)
    assert ratio.value == pytest.approx(np.mean(A) / np.mean(B))
    assert ratio.low < ratio.value < ratio.high and ratio.n == 5
    for end in (ratio.low, ratio.high):
        rejected = stats.ttest_1samp(np.array(A) - end * np.array(B), 0).pvalue
        assert rejected == pytest.approx(0.05, abs=1e-9)


def test_a_ratio_to_what_cannot_be_told_from_nothing_has_no_ends():
    ratio = ratio_of_means(A, [0.03, -0.02, 0.01, -0.04, 0.02])
    assert ratio.value is None or (ratio.low is None and ratio.high is None)
    assert ratio_of_means([1.0], [2.0]) == ratio_of_means([1.0], [2.0]).__class__(0.5, None, None, 1)
    assert ratio_of_means([1.0, 2.0], [1.0, -1.0]).value is None


def test_ratios_and_intervals_refuse_what_cannot_be_paired():
    with pytest.raises(ValueError, match="not 2 and 1"):
        ratio_of_means([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="at least two seeds"):
        t_interval([1.0])
