"""A model's own number over seeds. Student's t knows no ends, so its interval is cut at those of what is measured."""

from __future__ import annotations

from evenhand.evaluation.distillability import BySeed, Metric, seed_mean

Bounds = tuple[float, float]
"""The smallest and the largest value that a measure can have."""
SHARE: Bounds = (0.0, 1.0)
"""Also of a Jensen–Shannon divergence in bits."""
SHARE_DIFFERENCE: Bounds = (-1.0, 1.0)
CORRELATION: Bounds = (-1.0, 1.0)
"""Also of the unbiased CKA, which noise may take below 0."""
CORRELATION_DIFFERENCE: Bounds = (-2.0, 2.0)
CKA_DISTANCE: Bounds = (0.0, 2.0)
"""1 − CKA."""
_PERCENT: Bounds = (0.0, 100.0)
PERCENT_DIFFERENCE: Bounds = (-100.0, 100.0)


def bounds_of(metric: Metric) -> Bounds:
    """Of a group metric in percent: what is better nearer 0 is a difference of two accuracies, all else a share."""
    return PERCENT_DIFFERENCE if metric.better == "nearer" else _PERCENT


def own_mean(by_seed: BySeed, bounds: Bounds) -> dict[str, object]:
    """As `seed_mean`, the interval cut at the bounds.

    Args:
        by_seed: a metric's value by seed.
        bounds: what no value can pass.
    """
    found = seed_mean(by_seed)
    ends = found["confidence_interval"]
    low, high = bounds
    return found | {"confidence_interval": ends and [max(low, ends[0]), min(high, ends[1])]}
