"""The jackknife interval against a plain loop, and its coverage on data with a known effect."""

import math

import numpy as np
import pytest
from scipy import stats

from evenhand.evaluation.effect_size import effect_size
from evenhand.evaluation.intervals import jackknife_interval

WORDS = [["a", "a", "b", "c", "c"], ["d", "e", "e", "f"]]


def difference_of(sets):
    def statistic(keep):
        return effect_size(*(values[mask] for values, mask in zip(sets, keep, strict=True)))

    return statistic


def test_interval_matches_a_hand_loop():
    sets = [np.array([0.3, 0.5, 0.1, 0.6, 0.2]), np.array([0.0, 0.4, -0.1, 0.2])]
    low, high = jackknife_interval(difference_of(sets), WORDS, 0.9)
    variance = 0.0
    for index in range(2):
        z = []
        for word in sorted(set(WORDS[index])):
            left = [v[[w != word or i != index for w in WORDS[i]]] for i, v in enumerate(sets)]
            z.append(math.atanh(effect_size(*left) / 2))
        variance += 2 / 3 * sum((value - sum(z) / 3) ** 2 for value in z)
    centre, reach = math.atanh(effect_size(*sets) / 2), stats.t.ppf(0.95, 4) * math.sqrt(variance)
    assert (low, high) == pytest.approx((2 * math.tanh(centre - reach), 2 * math.tanh(centre + reach)))


def test_a_set_of_one_word_has_no_interval():
    sets = [np.array([0.3, 0.5, 0.1]), np.array([0.0, 0.4, 0.2])]
    assert jackknife_interval(difference_of(sets), [["a"] * 3, ["b", "c", "c"]]) is None


def test_full_separation_with_unequal_groups_stays_finite():
    sets = [np.array([1.0]).repeat(9), np.array([0.0]).repeat(3)]
    interval = jackknife_interval(difference_of(sets), [list("aaabbbccc"), list("def")])
    assert np.isfinite(interval).all()


def test_coverage_when_sentences_of_a_word_move_together():
    rng = np.random.default_rng(11)
    words = [[f"{side}{i}" for i in range(8) for _ in range(4)] for side in "xy"]
    # s = group + word + sentence, deviations 1 and .5: in the population d = 1 / sqrt(1.25 + .25).
    truth, covered = 1 / math.sqrt(1.5), 0
    for _ in range(400):
        sets = [g + rng.normal(size=8).repeat(4) + 0.5 * rng.normal(size=32) for g in (0.5, -0.5)]
        low, high = jackknife_interval(difference_of(sets), words)
        covered += low <= truth <= high
    assert 0.92 <= covered / 400 <= 0.99
