r"""Intervals of group metrics, for one model and for the difference of two on the same examples.

With a strong shortcut accuracies of 0 and of 100 % are common, and a bootstrap of examples that all agree has no width, so
shares are not resampled: intervals of one model come from Wilson's, and differences from draws of the shares of the four
paired outcomes (both right, one right, the other right, none), which have a width however the examples came out. The smallest
of several accuracies needs care of its own: a bootstrap of it lies too low (tests/evaluation/test_group_intervals.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evenhand.evaluation.group_metrics import GroupAccuracy
from evenhand.evaluation.percentages import wilson_interval
from evenhand.evaluation.resampling import FEWEST_ITEMS, distance_interval, percentile_interval

DRAWS = 9_999
FLIPS = 99_999
WILSON = "Wilson"
NEWCOMBE = "Newcombe's hybrid of two Wilson intervals"
WORST = "least of the groups' Wilson intervals, the upper ends Bonferroni-corrected"
PAIRED = f"paired outcomes by group, Dirichlet(½) posterior (Jeffreys), {DRAWS:,} draws"
SAME_EXAMPLES = (
    f"paired outcomes of the same examples in both splits, Dirichlet(½) posterior (Jeffreys), {DRAWS:,} draws"
)
PAIRED_DROPS = (
    f"paired outcomes of both models on the same examples in both splits, Dirichlet posterior, {DRAWS:,} draws"
)
FLIPPED = f"sign flips over examples, {FLIPS:,} draws"
TOO_FEW = f"no interval of the difference: fewer than {FEWEST_ITEMS} examples on a side"


def difference_of_shares(first: np.ndarray, second: np.ndarray, confidence_level: float) -> tuple[float, float]:
    """Interval of 100·(mean of ``first`` − mean of ``second``), shares of different examples (Newcombe 1998, method 10).

    Args:
        first, second: (m,) and (k,) whether each example was right; neither empty.
    """
    shares = [float(np.mean(side)) for side in (first, second)]
    ends = [wilson_interval(float(np.sum(side)), len(side), confidence_level) for side in (first, second)]
    (low_a, high_a), (low_b, high_b) = ends
    difference = shares[0] - shares[1]
    below = math.hypot(shares[0] - low_a, high_b - shares[1])
    above = math.hypot(high_a - shares[0], shares[1] - low_b)
    return 100 * max(-1.0, difference - below), 100 * min(1.0, difference + above)


def worst_group_interval(groups: Sequence[GroupAccuracy], confidence_level: float) -> tuple[float, float]:
    """Interval of the lowest of the groups' true accuracies, in percent.

    The lowest accuracy found is no unbiased estimate of it: of several equally good groups one is lowest by chance. The
    lower end is the least of the groups' lower ends (the truly worst group's own covers), the upper end the least of their
    upper ends, each at a k-th of the tail, as that of any group may be the least.

    Args:
        groups: of one split; empty ones are left out.
    """
    there = [group for group in groups if group.n]
    tail = (1 - confidence_level) / 2
    low = min(group.interval(confidence_level)[0] for group in there)
    high = min(group.interval(1 - 2 * tail / len(there))[1] for group in there)
    return low, high


def paired_share_draws(
    first: np.ndarray, second: np.ndarray, seed: int | Sequence[int], draws: int = DRAWS
) -> np.ndarray:
    """Draws of two models' accuracies on the same examples, in percent.

    The shares of the four paired outcomes have a Dirichlet posterior with half an example added to each (Jeffreys' prior),
    a smoothed Bayesian bootstrap (Rubin 1981).

    Args:
        first, second: (m,) whether each model was right.
        seed: of the draws.
        draws: how many.

    Returns:
        (draws, 2).
    """
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    cells = [(first & second).sum(), (first & ~second).sum(), (~first & second).sum(), (~first & ~second).sum()]
    shares = np.random.default_rng(seed).dirichlet(np.array(cells) + 0.5, size=draws)
    return 100 * np.column_stack([shares[:, 0] + shares[:, 1], shares[:, 0] + shares[:, 2]])


def accuracy_difference_interval(
    first: np.ndarray, second: np.ndarray, seed: int | Sequence[int], confidence_level: float
) -> tuple[float, float] | None:
    """Interval of accuracy of the first − second on the same examples, in percentage points; ``None`` for fewer than
    `FEWEST_ITEMS`."""
    if len(first) < FEWEST_ITEMS:
        return None
    draws = paired_share_draws(first, second, seed)
    return percentile_interval(draws[:, 0] - draws[:, 1], len(first), confidence_level)


def gap_difference_interval(
    sides: Sequence[tuple[np.ndarray, np.ndarray]], seed: int, confidence_level: float
) -> tuple[float, float] | None:
    """Interval of the first model's \\|gap\\| less the second's, in percentage points (`distance_interval`).

    Args:
        sides: for the two sets of examples whose accuracies a gap is the difference of (aligned and conflicting, or ID and
            OOD): (m,) whether the first model was right, and whether the second was.
        seed: of the draws.

    Returns:
        (low, high), or ``None`` where a side has fewer than `FEWEST_ITEMS` examples.
    """
    fewest = min(len(first) for first, _ in sides)
    if fewest < FEWEST_ITEMS:
        return None
    one, other = (paired_share_draws(*side, [seed, index]) for index, side in enumerate(sides))
    draws = one - other
    gaps = [100 * float(np.mean(sides[0][model]) - np.mean(sides[1][model])) for model in (0, 1)]
    return distance_interval(draws[:, 0], draws[:, 1], *gaps, 0.0, fewest, confidence_level)


def gap_difference_p_value(sides: Sequence[tuple[np.ndarray, np.ndarray]], seed: int) -> float:
    """Two-sided p of the two models having one signed gap, by exchanging them at random on every example.

    Only the examples count on which they differ; the number of those that fall to the first model is binomial.

    Args:
        sides: as for `gap_difference_interval`.
        seed: of the flips.
    """
    generator, observed, drawn = np.random.default_rng([seed, 2]), 0.0, 0.0
    for sign, (first, second) in zip((1, -1), sides, strict=True):
        more, less = int((first & ~second).sum()), int((~first & second).sum())
        observed += sign * (more - less) / len(first)
        drawn = drawn + sign * (2 * generator.binomial(more + less, 0.5, size=FLIPS) - more - less) / len(first)
    return float((1 + (np.abs(drawn) >= abs(observed) - 1e-12).sum()) / (1 + FLIPS))


def drop_difference_interval(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], seed: int, confidence_level: float
) -> tuple[float, float] | None:
    """Interval of one model's \\|drop\\| less another's between two splits of the same examples, in percentage points
    (`distance_interval`).

    A model's change on an example (right in the first split − right in the second) is −1, 0 or 1, and its drop is the mean
    of them. The shares of the nine pairs of changes have a Dirichlet posterior with two examples in all added, shared out
    so that each model's own four outcomes have half an example each, as in `paired_share_draws`.

    Args:
        one, other: of the two models, ((m,), (m,)) whether it was right on each example in the first and the second split.
        seed: of the draws.

    Returns:
        (low, high), or ``None`` for fewer than `FEWEST_ITEMS` examples.
    """
    changes = [_changes(model) for model in (one, other)]
    cells = np.bincount(3 * (changes[0] + 1) + changes[1] + 1, minlength=9)
    prior = np.outer((1, 2, 1), (1, 2, 1)).ravel() / 8
    shares = np.random.default_rng(seed).dirichlet(cells + prior, size=DRAWS).reshape(-1, 3, 3)
    draws = [100 * (margin[:, 2] - margin[:, 0]) for margin in (shares.sum(2), shares.sum(1))]
    drops = [100 * float(np.mean(change)) for change in changes]
    return distance_interval(*draws, *drops, 0.0, len(changes[0]), confidence_level)


def drop_difference_p_value(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], seed: int
) -> float:
    """Two-sided p of the two models having one signed drop, by exchanging them at random on every example, in both splits at
    once.

    Args:
        one, other, seed: as for `drop_difference_interval`.
    """
    differences = _changes(one) - _changes(other)
    generator, drawn = np.random.default_rng([seed, 2]), 0
    for size in (1, 2):
        n = int((np.abs(differences) == size).sum())
        drawn = drawn + size * (2 * generator.binomial(n, 0.5, size=FLIPS) - n)
    return float((1 + (np.abs(drawn) >= abs(differences.sum())).sum()) / (1 + FLIPS))


def _changes(model: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(m,) −1, 0 or 1: right in the first split − right in the second."""
    first, second = (np.asarray(side, dtype=np.int64) for side in model)
    return first - second


def worst_group_difference_interval(
    groups: Sequence[tuple[np.ndarray, np.ndarray]], seed: int, confidence_level: float
) -> tuple[float, float] | None:
    """Interval of the first model's worst-group accuracy less the second's, in percentage points.

    The least of several accuracies lies lower than the least true one, by more where groups are alike, and the least of drawn
    ones lower still; the two models' biases cancel only where they are alike in that. The interval reaches from the lowest to
    the highest end of three: that of the draws' differences, that of the same draws moved by twice their bias (once for their
    own, once for the estimate's), and that of the accuracies in the two groups found to be worst.

    Args:
        groups: by group with examples, (m,) whether the first model was right, and whether the second was.

    Returns:
        (low, high), or ``None`` where a group has fewer than `FEWEST_ITEMS` examples.
    """
    fewest = min(len(first) for first, _ in groups)
    if fewest < FEWEST_ITEMS:
        return None
    drawn = np.stack([paired_share_draws(*group, [seed, 3, index]) for index, group in enumerate(groups)])
    worst = [int(np.argmin([np.mean(group[model]) for group in groups])) for model in (0, 1)]
    least = drawn.min(axis=0)
    found = [100 * min(float(np.mean(group[model])) for group in groups) for model in (0, 1)]
    bent = least[:, 0] - least[:, 1]
    unbent = bent - 2 * (bent.mean() - (found[0] - found[1]))
    straight = drawn[worst[0], :, 0] - drawn[worst[1], :, 1]
    ends = [percentile_interval(draws, fewest, confidence_level) for draws in (bent, unbent, straight)]
    return min(low for low, _ in ends), max(high for _, high in ends)
