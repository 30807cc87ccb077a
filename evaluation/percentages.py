"""Percentages of items with an outcome, and the difference of two models on the same items."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from evenhand.evaluation.mcnemar import MCNEMAR, mcnemar_p_value
from evenhand.evaluation.resampling import distance_interval, percentile_interval, resampled_means
from evenhand.evaluation.scores import Difference, Score

WILSON = "Wilson"
BOOTSTRAP = "paired percentile bootstrap over items, 9,999 resamples"


def preferences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """1 where ``first`` is the larger, 0 where ``second`` is, ½ where they are equal; each (n,).

    A tie counts half, so that a model without any preference stands at 50 % and one item can move the percentage by one
    item's share at most. Counted as "not the first", ties would put a model that prefers nothing at 0 %.
    """
    return np.where(first > second, 1.0, np.where(first < second, 0.0, 0.5))


def wilson_interval(successes: float, n: int, confidence_level: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion; ``successes`` may be fractional (ties)."""
    z = float(stats.norm.ppf((1 + confidence_level) / 2))
    share, slack = successes / n, z * z / n
    centre = (share + slack / 2) / (1 + slack)
    reach = z / (1 + slack) * math.sqrt(share * (1 - share) / n + slack / (4 * n))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def percentage_score(
    outcomes: np.ndarray,
    *,
    key: str,
    name: str,
    ideal: float | None,
    better: str,
    confidence_level: float,
    note: str | None = None,
) -> Score:
    """100 × the mean of ``outcomes`` (n,), numbers from 0 to 1, with Wilson's interval."""
    n = len(outcomes)
    if n == 0:
        return Score(key, name, None, "%", 0, None, confidence_level, None, ideal, better, note or "no items")
    low, high = wilson_interval(float(outcomes.sum()), n, confidence_level)
    value = 100 * float(outcomes.mean())
    return Score(key, name, value, "%", n, (100 * low, 100 * high), confidence_level, WILSON, ideal, better, note)


def percentage_difference(outcomes: np.ndarray, reference: np.ndarray, score: Score, seed: int) -> Difference:
    """Difference of two percentages of the same items, model − reference.

    Args:
        outcomes, reference: (n,) of the model and the reference, in the same order.
        score: of the model; its key, name, ideal and direction are taken. Where better is ``"nearer"``, difference and
            interval are of the distance from the ideal, while the p-value is of equal outcomes: two models on opposite
            sides of the ideal differ, though neither is nearer.
        seed: of the resamples.
    """
    n, level = len(outcomes), score.confidence_level
    if n == 0:
        return Difference(score.key, score.name, None, "%", 0, None, level, better=score.better, note="no items")
    draws = 100 * resampled_means(np.column_stack([outcomes, reference]), seed=seed)
    value, other = 100 * float(outcomes.mean()), 100 * float(reference.mean())
    if score.better == "nearer":
        difference = abs(value - score.ideal) - abs(other - score.ideal)
        interval = distance_interval(draws[:, 0], draws[:, 1], value, other, score.ideal, n, level)
    else:
        difference = value - other
        interval = percentile_interval(draws[:, 0] - draws[:, 1], n, level)
    return Difference(
        *(score.key, score.name, difference, "percentage points", n, interval, level),
        interval_method=BOOTSTRAP if interval else None,
        p_value=mcnemar_p_value(outcomes, reference),
        p_value_method=MCNEMAR,
        better=score.better,
        note=None if interval else "no interval: too few items, or all agree",
    )
