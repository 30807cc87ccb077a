"""What mean |d| would be if the words carried no association: it is not 0, as noise has no sign left in |d|."""

from collections.abc import Mapping, Sequence

import numpy as np

from evenhand.evaluation.permutation import Stream, byte_table, group_sums, partitions

PERMUTATIONS = 10_000


def noise_floor(
    associations: Sequence[Mapping[str, Mapping[str, Sequence[float]]]],
    observed: float,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> dict[str, float | int]:
    """The distribution of mean \\|d\\| over a family of tests when words are labelled X and Y at random.

    The words of each test's X ∪ Y are dealt anew into sets of the same size; the standard deviation in d does not depend
    on the labels. Tests with the same target words share the deal, as they share the words (C7 and C7b): a mean over
    dependent tests varies more.

    Args:
        associations: of each test, by set "X" and "Y" and word, ``[sentences, standardised mean of s]``.
        observed: mean \\|d\\| of these tests.
        seed: of the deals; each set of target words has its own stream.
        permutations: number of deals.

    Returns:
        ``expected`` and ``quantile_95`` of mean \\|d\\|, ``p_value`` of the observed one, (k+1)/(n+1) where k of the n
        deals reach it, and ``permutations``.
    """
    by_targets: dict[tuple, list[np.ndarray]] = {}
    for of_test in associations:
        words = {role: sorted(of_test[role]) for role in "XY"}
        values = np.array([of_test[role][word] for role in "XY" for word in words[role]], dtype=np.float64)
        by_targets.setdefault((tuple(words["X"]), tuple(words["Y"])), []).append(values)
    total = np.zeros(permutations)
    for (x, y), tests in by_targets.items():
        stream = Stream(seed, "/".join([*x, "", *y]), "noise floor")
        deals = list(partitions(len(x) + len(y), len(x), permutations, stream))
        for values in tests:
            total += np.concatenate([_magnitudes(values, packed) for packed in deals])
    means = total / len(associations)
    reached = int(np.count_nonzero(means >= observed - 1e-12))
    return {
        "expected": float(means.mean()),
        "quantile_95": float(np.quantile(means, 0.95)),
        "p_value": (reached + 1) / (permutations + 1),
        "permutations": permutations,
    }


def _magnitudes(values: np.ndarray, packed: np.ndarray) -> np.ndarray:
    """|d| of one test for each deal; values (words, 2) are number of sentences and standardised mean."""
    counts, sums = values[:, 0], values[:, 0] * values[:, 1]
    first_sum, first_count = group_sums(packed, byte_table(sums)), group_sums(packed, byte_table(counts))
    return np.abs(first_sum / first_count - (sums.sum() - first_sum) / (counts.sum() - first_count))
