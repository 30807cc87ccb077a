"""Exact permutation of words against a plain loop; drawn partitions are partitions, uniform, and cost no memory."""

import tracemalloc
from collections import Counter
from itertools import combinations
from math import comb

import numpy as np
import pytest
from scipy import stats

from evenhand.evaluation import permutation
from evenhand.evaluation.permutation import (
    Stream,
    all_partitions,
    byte_table,
    drawn_partitions,
    group_sums,
    label_p_values,
    pack,
    permutation_test,
    random_partitions,
    unpack,
)


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


def test_exact_p_value_is_scipys():
    rng = np.random.default_rng(8)
    x, y = rng.normal(0.7, 1, 7), rng.normal(0, 1, 7)

    def statistic(x, y, axis):
        return x.mean(axis=axis) - y.mean(axis=axis)

    theirs = stats.permutation_test((x, y), statistic, n_resamples=np.inf, alternative="greater", vectorized=True)
    ours = permutation_test(np.concatenate([x, y]), np.ones(14), 7, two_sided=False, rng=rng)
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=1e-12)


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


@pytest.mark.parametrize(("n_units", "n_first"), [(128, 64), (48, 24), (13, 5), (16, 2)])
def test_a_drawn_partition_is_a_permutation_without_replacement(n_units, n_first):
    # A published tool draws both groups with replacement: units repeat, others are in neither group.
    chunks = list(random_partitions(n_units, n_first, 20_000, np.random.default_rng(2)))
    members = np.concatenate([unpack(chunk, n_units) for chunk in chunks])
    assert members.shape == (20_000, n_units)
    assert (members.sum(axis=1) == n_first).all()
    # Every unit is as often in the first group as chance has it.
    share, error = n_first / n_units, np.sqrt(n_first / n_units * (1 - n_first / n_units) / 20_000)
    assert np.abs(members.mean(axis=0) - share).max() < 5 * error


@pytest.mark.parametrize("n_first", [2, 4, 6])
def test_drawn_partitions_are_uniform_over_all_partitions(n_first):
    chunks = random_partitions(8, n_first, 28_000, np.random.default_rng(6))
    seen = Counter(bytes([value]) for chunk in chunks for value in chunk[0])
    assert len(seen) == comb(8, n_first)
    assert stats.chisquare(list(seen.values())).pvalue > 0.001


def test_drawn_partitions_spread_as_enumerated_ones_and_resampling_with_replacement_does_not():
    # Means of groups drawn with replacement vary by √(15/16) of what partitions of 16 units do: p comes out too small.
    rng = np.random.default_rng(1)
    s = rng.normal(size=16)
    table = byte_table(s)
    ours = np.concatenate([group_sums(chunk, table) for chunk in random_partitions(16, 8, 20_000, rng)]) / 8
    ours = ours - (s.sum() / 8 - ours)
    exact = np.concatenate([group_sums(chunk, table) for chunk in all_partitions(16, 8)]) / 8
    exact = exact - (s.sum() / 8 - exact)
    replaced = rng.choice(s, (20_000, 8)).mean(axis=1) - rng.choice(s, (20_000, 8)).mean(axis=1)
    assert ours.std() == pytest.approx(exact.std(), rel=0.015)
    assert replaced.std() / exact.std() == pytest.approx(np.sqrt(15 / 16), abs=0.015)


def test_enumeration_holds_every_partition_once():
    members = np.concatenate([unpack(chunk, 9) for chunk in all_partitions(9, 4)])
    assert {tuple(np.flatnonzero(row)) for row in members} == set(combinations(range(9), 4))
    assert len(members) == comb(9, 4)


def test_packing_and_sums_over_bits_are_plain_sums():
    rng = np.random.default_rng(0)
    members, values = rng.random((50, 21)) < 0.4, rng.normal(size=21)
    packed = pack(members)
    assert (unpack(packed, 21) == members).all()
    np.testing.assert_allclose(group_sums(packed, byte_table(values)), members @ values, atol=1e-12)


def test_several_labels_at_once_have_the_p_values_they_have_alone():
    rng = np.random.default_rng(7)
    sums, counts = rng.normal(size=10), rng.integers(2, 6, size=10).astype(float)
    orders = [rng.permutation(10) for _ in range(5)]
    labels = pack(np.array([[unit in order[:4] for unit in range(10)] for order in orders]))
    p_values, exact, n = label_p_values(sums, counts, 4, labels, two_sided=True, rng=rng)
    assert (exact, n) == (True, comb(10, 4))
    alone = [permutation_test(sums[o], counts[o], 4, two_sided=True, rng=rng).p_value for o in orders]
    assert p_values == pytest.approx(alone)


def test_memory_does_not_grow_with_the_number_of_partitions(monkeypatch):
    def peak(samples):
        monkeypatch.setattr(permutation, "SAMPLES", samples)
        s = np.random.default_rng(0).normal(size=512)
        tracemalloc.start()
        permutation_test(s, np.ones(512), 256, two_sided=False, rng=np.random.default_rng(0))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(150_000) < 1.05 * peak(50_000) < 12e6


def test_partitions_of_a_stream_are_drawn_once_and_are_those_of_its_generator():
    stream, sums = Stream(3, "C6", "sentences"), np.random.default_rng(0).normal(size=40)
    drawn_partitions.cache_clear()
    found = [permutation_test(sums, np.ones(40), 20, two_sided=False, rng=stream) for _ in range(2)]
    assert found[0] == found[1] == permutation_test(sums, np.ones(40), 20, two_sided=False, rng=stream.generator())
    assert (drawn_partitions.cache_info().misses, drawn_partitions.cache_info().hits) == (1, 1)
    others = [Stream(4, "C6", "sentences"), Stream(3, "C7", "sentences"), Stream(3, "C6", "words")]
    first = drawn_partitions(40, 20, 99, stream)[0]
    assert not any(np.array_equal(first, drawn_partitions(40, 20, 99, other)[0]) for other in others)
    permutation_test(np.ones(257), np.ones(257), 100, two_sided=False, rng=stream)  # too many units to keep
    assert drawn_partitions.cache_info().misses == 5
