"""Correlation and slope along a sweep, against scipy and numpy."""

import math

import numpy as np
import pytest
from scipy import stats

from evenhand.evaluation.sweeps import along_sweep, fisher_interval

LAYERS = [1.0, 2.0, 3.0, 4.0, 6.0]
RNG = np.random.default_rng(3)
NUMBERS = {x: {seed: 1.2 - 0.05 * x + 0.04 * RNG.normal() for seed in range(4)} for x in LAYERS}


def test_r_of_the_means_with_its_interval_is_scipys():
    found = along_sweep(NUMBERS)
    theirs = stats.pearsonr(LAYERS, [np.mean(list(NUMBERS[x].values())) for x in LAYERS])
    assert found.r == pytest.approx(theirs.statistic)
    assert found.r_interval == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert found.arms == tuple(LAYERS)


def test_within_seeds_r_and_slope_are_those_of_each_seed():
    found = along_sweep(NUMBERS)
    of_seeds = [[NUMBERS[x][seed] for x in LAYERS] for seed in range(4)]
    assert found.r_of_seeds == pytest.approx([stats.pearsonr(LAYERS, one).statistic for one in of_seeds])
    slopes = [np.polyfit(LAYERS, one, 1)[0] for one in of_seeds]
    theirs = stats.ttest_1samp(slopes, 0).confidence_interval(0.95)
    assert (found.slope.low, found.slope.high) == pytest.approx((theirs.low, theirs.high))
    z = stats.ttest_1samp(np.arctanh(found.r_of_seeds), 0).confidence_interval(0.95)
    assert found.r_over_seeds[1:] == pytest.approx((math.tanh(z.low), math.tanh(z.high)))


def test_only_seeds_that_every_arm_has_are_paired_and_arms_without_a_number_are_left_out():
    some = {x: dict(of_seeds) for x, of_seeds in NUMBERS.items()} | {9.0: {}}
    del some[3.0][1], some[6.0][2]
    found = along_sweep(some)
    assert found.seeds == (0, 3) and 9.0 not in found.arms
    means = [np.mean([some[x][seed] for seed in (0, 3)]) for x in LAYERS]
    assert found.r == pytest.approx(np.corrcoef(LAYERS, means)[0, 1])


def test_what_no_correlation_can_be_told_of():
    assert along_sweep({1.0: {0: 0.5}, 2.0: {0: 0.6}}) is None
    flat = along_sweep({x: {0: 0.5, 1: 0.5} for x in (1.0, 2.0, 3.0)})
    assert flat.r is None and flat.r_over_seeds is None and flat.slope.mean == pytest.approx(0)
    assert fisher_interval(0.5, 3) is None
    three = along_sweep({x: {0: x, 1: 2 * x - x**2} for x in (1.0, 2.0, 3.0)})
    assert three.r_of_seeds[0] == pytest.approx(1) and three.r_over_seeds is None and three.slope is not None
    exact = along_sweep({x: {0: x, 1: 2 * x} for x in (1.0, 2.0, 3.0, 4.0)})
    assert exact.r == pytest.approx(1) and exact.r_interval[0] == pytest.approx(1)
