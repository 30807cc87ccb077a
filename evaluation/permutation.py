"""Permutation p-values of a difference of means between two groups of units.

A unit is what is moved as a whole: a sentence for the p-value of May et al. 2019 (one-sided, kept for comparison with
published numbers: sentences of one word are not independent, so it is anti-conservative), a word with all its sentences
for the default one (two-sided).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice
from math import comb

import numpy as np

EXACT_LIMIT = 100_000
SAMPLES = 99_999
# Keys of one chunk of partitions: 8 MB whatever the number of partitions.
CHUNK_ELEMENTS = 1_000_000


@dataclass(frozen=True)
class PermutationTest:
    """A p-value and how it came about: all partitions (``exact``) or ``permutations`` random ones."""

    p_value: float
    exact: bool
    permutations: int


def permutation_test(
    sums: np.ndarray, counts: np.ndarray, n_first: int, *, two_sided: bool, rng: np.random.Generator
) -> PermutationTest:
    """How often does a random partition of the units separate the means at least as much as the observed one?

    The statistic is the difference of means, Σ sums / Σ counts over the first group − the same over the second.
    Partitions keep the number of units in each group. Ties count. When there are at most 100,000 partitions all are
    enumerated and the observed one is among them; else 99,999 are drawn and p = (1 + #) / 100,000.

    Args:
        sums: (units,) the sum of s over the sentences of each unit; the first ``n_first`` units are the first group.
        counts: (units,) the number of sentences of each unit.
        n_first: number of units of the first group.
        two_sided: compare absolute values; else only large positive differences count.
        rng: used only when partitions are drawn.
    """
    sums, counts = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    n_units = len(sums)
    total_sum, total_count = sums.sum(), counts.sum()

    def statistic(members: np.ndarray) -> np.ndarray:
        first_sum, first_count = sums[members].sum(axis=-1), counts[members].sum(axis=-1)
        difference = first_sum / first_count - (total_sum - first_sum) / (total_count - first_count)
        return np.abs(difference) if two_sided else difference

    exact = comb(n_units, n_first) <= EXACT_LIMIT
    partitions = _all_partitions(n_units, n_first) if exact else _random_partitions(n_units, n_first, rng)
    # Sums of the same numbers in another order differ in the last bits: a tie must stay a tie.
    observed = statistic(np.arange(n_first)) - 1e-12 * np.abs(sums / counts).max()
    reached = sum(int(np.count_nonzero(statistic(members) >= observed)) for members in partitions)
    if exact:
        n_partitions = comb(n_units, n_first)
        return PermutationTest(reached / n_partitions, True, n_partitions)
    return PermutationTest((1 + reached) / (SAMPLES + 1), False, SAMPLES)


def _all_partitions(n_units: int, n_first: int) -> Iterator[np.ndarray]:
    """Every choice of ``n_first`` of ``n_units``, as index arrays (chunk, n_first)."""
    every = combinations(range(n_units), n_first)
    rows = max(1, CHUNK_ELEMENTS // n_units)
    while chunk := list(islice(every, rows)):
        yield np.array(chunk)


def _random_partitions(n_units: int, n_first: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """`SAMPLES` uniform choices of ``n_first`` of ``n_units``, as index arrays (chunk, n_first)."""
    rows = max(1, CHUNK_ELEMENTS // n_units)
    for start in range(0, SAMPLES, rows):
        keys = rng.random((min(rows, SAMPLES - start), n_units))
        yield np.argpartition(keys, n_first - 1, axis=1)[:, :n_first]
