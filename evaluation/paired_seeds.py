"""Paired differences over training seeds: Student's t, the difference that could have been found, and a ratio of two of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import optimize, stats

from evenhand.evaluation.detectable_effect import LEVEL, POWER

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over paired seeds with its Student-t interval."""

    mean: float
    low: float
    high: float
    n: int
    p_value: float


@dataclass(frozen=True)
class Ratio:
    """A ratio of two means over the same seeds.

    Args:
        value: ratio of the means, ``None`` where the denominator's mean is 0.
        low, high: Fieller's interval; ``None`` where it has no ends, because the denominator cannot be told from 0.
        n: seeds.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


def t_interval(values: Sequence[float]) -> Interval:
    """Mean of ``values`` with its two-sided 95 % Student-t interval and the p-value of the mean being 0 (one-sample t-test).

    Raises:
        ValueError: fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"An interval over seeds needs at least two seeds, not {len(values)}.")
    data = np.asarray(values, dtype=np.float64)
    error = data.std(ddof=1) / math.sqrt(len(data))
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, len(data) - 1) * error
    p_value = float(2 * stats.t.sf(abs(data.mean()) / error, len(data) - 1)) if error > 0 else float(data.mean() == 0)
    return Interval(float(data.mean()), float(data.mean() - reach), float(data.mean() + reach), len(data), p_value)


@lru_cache(maxsize=1024)
def detectable_in_errors(freedom: int, tests: int = 1, level: float = LEVEL, power: float = POWER) -> float:
    """The true difference, in standard errors, that a two-sided t-test finds with 80 % power (noncentral t).

    Args:
        freedom: degrees of freedom, at least 1.
        tests: number of tests that Holm's correction is over; the level is that of its first step, ``level`` / ``tests``.
    """
    critical = float(stats.t.ppf(1 - level / tests / 2, freedom))

    def shortfall(shift: float) -> float:
        # of the two tails, the far one vanishes, and scipy's value of it may be nan: then it is none
        far = float(stats.nct.cdf(-critical, freedom, shift))
        return float(stats.nct.sf(critical, freedom, shift)) + (far if math.isfinite(far) else 0.0) - power

    upper = critical + 1.0
    while shortfall(upper) < 0:
        upper *= 1.5
    return float(optimize.brentq(shortfall, 0.0, upper, xtol=1e-6))


def ratio_of_means(numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
    """Mean of the numerators over mean of the denominators, paired by seed, with Fieller's 95 % interval (Fieller 1954).

    The interval holds every ratio r for which the t-test of (numerator − r · denominator) does not reject a mean of 0. Where the
    denominator's own mean cannot be told from 0 that set has no ends on one side or both, and none are given.

    Raises:
        ValueError: another number of denominators than of numerators, or none.
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (numerators, denominators))
    if len(a) != len(b) or not len(a):
        raise ValueError(f"a ratio takes as many numerators as denominators, not {len(a)} and {len(b)}")
    n = len(a)
    value = float(a.mean() / b.mean()) if b.mean() != 0 else None
    if n < 2:
        return Ratio(value, None, None, n)
    squared = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) ** 2 / n
    (s_aa, s_ab), (_, s_bb) = np.cov(a, b, ddof=1)
    # (ā − r·b̄)² ≤ t²/n · (s_aa − 2 r s_ab + r² s_bb), a quadratic in r
    square = b.mean() ** 2 - squared * s_bb
    cross = a.mean() * b.mean() - squared * s_ab
    constant = a.mean() ** 2 - squared * s_aa
    if square <= 0:
        return Ratio(value, None, None, n)
    reach = math.sqrt(max(0.0, cross**2 - square * constant))
    return Ratio(value, float((cross - reach) / square), float((cross + reach) / square), n)
