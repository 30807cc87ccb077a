"""Exact permutation of words against a plain loop; drawn partitions against exact ones; memory."""

import tracemalloc
from itertools import combinations

import numpy as np
import pytest

from evenhand.evaluation import permutation
from evenhand.evaluation.permutation import permutation_test


def brute_force(sentences_of_word: list[np.ndarray], n_first: int, two_sided: bool) -> float:
    """All partitions of the words, means taken over the sentences themselves."""
    words = range(len(sentences_of_word))

    def difference(first):
        x = np.concatenate([sentences_of_word[w] for w in first])
        y = np.concatenate([sentences_of_word[w] for w in words if w not in first])
        return abs(x.mean() - y.mean()) if two_sided else x.mean() - y.mean()

    observed = difference(tuple(range(n_first)))
    every = [difference(first) for first in combinations(words, n_first)]
    return float(np.mean([value >= observed - 1e-12 for value in every]))


@pytest.mark.parametrize("two_sided", [True, False])
@pytest.mark.parametrize("n_first", [3, 4])
def test_words_with_unequal_sentences_match_a_brute_force_loop(two_sided, n_first):
    rng = np.random.default_rng(3)
    groups = [rng.normal(0.4 * (i < n_first), 1, size=rng.integers(2, 9)) for i in range(8)]
    sums, counts = [g.sum() for g in groups], [len(g) for g in groups]
    result = permutation_test(sums, counts, n_first, two_sided=two_sided, rng=rng)
    assert result.exact
    assert result.p_value == pytest.approx(brute_force(groups, n_first, two_sided), abs=1e-12)


def test_ties_count_in_favour_of_no_effect():
    # 0/1 units: of the 6 partitions of (1, 1, 0, 0), one reaches the observed difference, two its absolute value.
    ones = np.ones(4)
    rng = np.random.default_rng(0)
    assert permutation_test([1, 1, 0, 0], ones, 2, two_sided=False, rng=rng).p_value == pytest.approx(1 / 6)
    assert permutation_test([1, 1, 0, 0], ones, 2, two_sided=True, rng=rng).p_value == pytest.approx(2 / 6)
    assert permutation_test([0.1, 0.1, 0.1, 0.1], ones, 2, two_sided=True, rng=rng).p_value == 1


def test_drawn_partitions_agree_with_enumerated_ones_and_with_their_seed(monkeypatch):
    rng = np.random.default_rng(5)
    sums = rng.normal(size=14)
    exact = permutation_test(sums, np.ones(14), 5, two_sided=True, rng=rng)
    monkeypatch.setattr(permutation, "EXACT_LIMIT", 100)

    def draw(seed):
        return permutation_test(sums, np.ones(14), 5, two_sided=True, rng=np.random.default_rng(seed))

    drawn = draw(0)
    assert (drawn.exact, drawn.permutations) == (False, 99_999)
    assert drawn.p_value == draw(0).p_value
    assert drawn.p_value != draw(1).p_value
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.006)  # four standard errors of 99,999 draws


def test_drawn_p_value_is_never_zero_and_counts_the_observed_partition():
    s = np.concatenate([np.full(30, 1.0), np.full(30, -1.0)])
    result = permutation_test(s, np.ones(60), 30, two_sided=False, rng=np.random.default_rng(0))
    assert result.p_value == 1 / 100_000


def test_memory_does_not_grow_with_the_number_of_partitions(monkeypatch):
    def peak(samples):
        monkeypatch.setattr(permutation, "SAMPLES", samples)
        s = np.random.default_rng(0).normal(size=160)
        tracemalloc.start()
        permutation_test(s, np.ones(160), 80, two_sided=False, rng=np.random.default_rng(0))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(60_000) < 1.2 * peak(12_000) < 60e6
