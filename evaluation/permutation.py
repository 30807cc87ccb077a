"""Permutation p-values of a difference of means between two groups of units.

A unit is what is moved as a whole: a sentence for the p-value of May et al. 2019 (one-sided, kept for comparison with
published numbers: sentences of one word are not independent, so it is anti-conservative), a word with all its sentences
for the default one (two-sided).

A partition is a row of bits, one per unit, set for the first group. Eight units make a byte, so the sum over a group is
one table look-up per byte: 99,999 partitions of 128 units take about 50 ms on one core, and memory does not grow with
their number.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, islice
from math import comb

import numpy as np

EXACT_LIMIT = 100_000
SAMPLES = 99_999
# Partitions of one chunk.
CHUNK = 16_384
KEPT_UNITS = 256
"""Drawn partitions of more units are not kept: 32 kinds of this many take 100 MB."""
_BITS_OF_BYTE = (np.arange(256)[:, None] >> np.arange(8)) & 1
_ONES_OF_BYTE = _BITS_OF_BYTE.sum(axis=1).astype(np.int32)


@dataclass(frozen=True)
class PermutationTest:
    """A p-value and how it came about: all partitions (``exact``) or ``permutations`` random ones."""

    p_value: float
    exact: bool
    permutations: int


@dataclass(frozen=True)
class Stream:
    """What a test's random numbers are known by: those of each test and purpose are its own, so that no result depends on which others
    were computed, and the partitions that one model needed are there for the next."""

    seed: int
    name: str
    purpose: str

    def generator(self) -> np.random.Generator:
        """From the beginning."""
        key = hashlib.sha256(f"{self.name}/{self.purpose}".encode()).digest()[:8]
        return np.random.default_rng([self.seed, int.from_bytes(key, "big")])


def permutation_test(
    sums: np.ndarray, counts: np.ndarray, n_first: int, *, two_sided: bool, rng: np.random.Generator | Stream
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
        rng: used only when partitions are drawn; those of a :class:`Stream` are drawn once and kept, see `drawn_partitions`.
    """
    observed = pack(np.arange(len(sums))[None, :] < n_first)
    p_values, exact, permutations = label_p_values(sums, counts, n_first, observed, two_sided=two_sided, rng=rng)
    return PermutationTest(float(p_values[0]), exact, permutations)


def label_p_values(
    sums: np.ndarray,
    counts: np.ndarray,
    n_first: int,
    labels: np.ndarray,
    *,
    two_sided: bool,
    rng: np.random.Generator | Stream,
) -> tuple[np.ndarray, bool, int]:
    """p-values as in `permutation_test` of several partitions at once, against the same enumerated or drawn ones.

    Args:
        sums, counts, n_first, two_sided, rng: as in `permutation_test`.
        labels: partitions of the units to test, packed (bytes, labels), see `pack`.

    Returns:
        p-values (labels,), whether all partitions were enumerated, and the number of partitions.
    """
    sums, counts = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    difference = _mean_difference(sums, counts, two_sided)
    # Sums of the same numbers in another order differ in the last bits: a tie must stay a tie.
    observed = difference(labels) - 1e-12 * np.abs(sums / counts).max()
    exact = comb(len(sums), n_first) <= EXACT_LIMIT
    chunks = all_partitions(len(sums), n_first) if exact else partitions(len(sums), n_first, SAMPLES, rng)
    reached, total = np.zeros(len(observed), dtype=np.int64), 0
    for chunk in chunks:
        values = difference(chunk)
        reached += np.count_nonzero(values >= observed[:, None], axis=1)
        total += len(values)
    return (reached / total if exact else (1 + reached) / (total + 1)), exact, total


def _mean_difference(sums: np.ndarray, counts: np.ndarray, two_sided: bool):
    """The statistic as a function of packed partitions."""
    sum_table, count_table = byte_table(sums), byte_table(counts)
    total_sum, total_count = sums.sum(), counts.sum()

    def difference(packed: np.ndarray) -> np.ndarray:
        first_sum, first_count = group_sums(packed, sum_table), group_sums(packed, count_table)
        value = first_sum / first_count - (total_sum - first_sum) / (total_count - first_count)
        return np.abs(value) if two_sided else value

    return difference


def pack(membership: np.ndarray) -> np.ndarray:
    """Boolean memberships (partitions, units) as bytes (ceil(units / 8), partitions), unit i in bit i mod 8."""
    return np.ascontiguousarray(np.packbits(membership, axis=1, bitorder="little").T)


def unpack(packed: np.ndarray, n_units: int) -> np.ndarray:
    """The opposite of `pack`: boolean (partitions, units)."""
    return np.unpackbits(packed.T, axis=1, count=n_units, bitorder="little").astype(bool)


def byte_table(values: np.ndarray) -> np.ndarray:
    """Per byte of units and value of that byte, the sum of ``values`` (units,) over its set bits: (bytes, 256)."""
    padded = np.zeros(-(-len(values) // 8) * 8)
    padded[: len(values)] = values
    return padded.reshape(-1, 8) @ _BITS_OF_BYTE.T


def group_sums(packed: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Sums over the first group of each partition, (partitions,), of the values that `byte_table` was made from."""
    total = np.zeros(packed.shape[1])
    for of_byte, row in zip(table, packed, strict=True):
        total += of_byte[row]
    return total


@lru_cache(maxsize=4)
def all_partitions(n_units: int, n_first: int) -> tuple[np.ndarray, ...]:
    """Every choice of ``n_first`` of ``n_units``, packed, in chunks (bytes, partitions)."""
    every, chunks = combinations(range(n_units), n_first), []
    while members := list(islice(every, CHUNK)):
        membership = np.zeros((len(members), n_units), dtype=bool)
        np.put_along_axis(membership, np.array(members, dtype=np.intp).reshape(len(members), n_first), True, axis=1)
        chunks.append(pack(membership))
    return tuple(chunks)


def partitions(n_units: int, n_first: int, samples: int, rng: np.random.Generator | Stream) -> Iterable[np.ndarray]:
    """`random_partitions` of a generator, or of a stream's; the stream's are kept unless they are too large."""
    if not isinstance(rng, Stream):
        return random_partitions(n_units, n_first, samples, rng)
    if n_units > KEPT_UNITS:
        return random_partitions(n_units, n_first, samples, rng.generator())
    return drawn_partitions(n_units, n_first, samples, rng)


@lru_cache(maxsize=32)
def drawn_partitions(n_units: int, n_first: int, samples: int, stream: Stream) -> tuple[np.ndarray, ...]:
    """`random_partitions` of a stream's generator. Drawing them takes longer than using them, and every model, every pooling and every step at
    which a student is watched asks for the same ones. 99,999 of 128 units take 1.6 MB."""
    return tuple(random_partitions(n_units, n_first, samples, stream.generator()))


def random_partitions(n_units: int, n_first: int, samples: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """``samples`` independent, uniform choices of ``n_first`` of ``n_units``, packed, in chunks (bytes, partitions).

    Each starts as a fair coin per unit, a uniform choice among those of its size; then units picked at random are
    taken out (or put in) until the size is right, which keeps it uniform. No unit is ever in a group twice.
    """
    for start in range(0, samples, CHUNK):
        packed = random_bits(n_units, min(CHUNK, samples - start), rng)
        surplus = _ONES_OF_BYTE[packed].sum(axis=0) - n_first
        unfinished = np.flatnonzero(surplus)
        while len(unfinished):
            unit = rng.integers(n_units, size=len(unfinished), dtype=np.int32)
            byte, bit = unit >> 3, (1 << (unit & 7)).astype(np.uint8)
            sign = np.sign(surplus[unfinished])
            fits = ((packed[byte, unfinished] & bit) != 0) == (sign > 0)
            chosen = unfinished[fits]
            packed[byte[fits], chosen] ^= bit[fits]
            surplus[chosen] -= sign[fits]
            unfinished = unfinished[surplus[unfinished] != 0]
        yield packed


def random_bits(n_units: int, samples: int, rng: np.random.Generator) -> np.ndarray:
    """A fair coin for each unit, packed, (bytes, samples)."""
    packed = rng.integers(0, 256, size=(-(-n_units // 8), samples), dtype=np.uint8)
    packed[-1] &= np.uint8(0xFF >> (-n_units % 8))
    return packed
