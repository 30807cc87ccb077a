"""How a number moves along a sweep (layers, temperature): Pearson's r as a paper prints it, and slopes that respect the seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from evenhand.evaluation.paired_seeds import CONFIDENCE, Interval, t_interval

LARGEST_R = 1 - 1e-12
"""r of exactly 1 has no finite z."""


@dataclass(frozen=True)
class Sweep:
    r"""Correlation and slope of a number with the value that a sweep changes.

    Args:
        arms: values of the sweep, n ≥ 3, each with at least one seed.
        r: Pearson's r between these values and the arms' means, over ``seeds``, so that every arm is measured with the same ones; where no
            seed is common, over all that each arm has.
        r_interval: at 95 %, by Fisher's z with n − 3 degrees of freedom in its variance: what one can say of other values of the
            sweep, were the arms' means without noise. ``None`` for three arms.
        r_of_seeds: r of each seed that every arm has.
        r_over_seeds: their mean on Fisher's z, brought back, and Student's t interval over seeds; ``None`` for fewer than two such seeds, or
            for three arms, where a seed's z has no variance (n − 3 is 0) and one near ±∞ would be the mean.
        slope_of_seeds: least-squares slope of each such seed, in units of the number per unit of the value.
        slope: their mean with its interval over seeds.
        seeds: that every arm has.
    """

    arms: tuple[float, ...]
    r: float | None
    r_interval: tuple[float, float] | None
    r_of_seeds: tuple[float, ...]
    r_over_seeds: tuple[float, float, float] | None
    slope_of_seeds: tuple[float, ...]
    slope: Interval | None
    seeds: tuple[int, ...]


def along_sweep(numbers: Mapping[float, Mapping[int, float]]) -> Sweep | None:
    """Correlation and slope over the arms that have a number.

    Args:
        numbers: value of the sweep → seed → number, e.g. layers → seed → mean \\|d\\|.

    Returns:
        ``None`` for fewer than three values with a number.
    """
    measured = {value: of_seeds for value, of_seeds in sorted(numbers.items()) if of_seeds}
    if len(measured) < 3:
        return None
    values = list(measured)
    seeds = sorted(set.intersection(*(set(of_seeds) for of_seeds in measured.values())))
    means = [float(np.mean([of_seeds[seed] for seed in seeds or of_seeds])) for of_seeds in measured.values()]
    r = _pearson(values, means)
    of_seeds = [[measured[value][seed] for value in values] for seed in seeds]
    correlations = [_pearson(values, one) for one in of_seeds]
    slopes = [float(stats.linregress(values, one).slope) for one in of_seeds]
    defined = [one for one in correlations if one is not None]
    return Sweep(
        arms=tuple(values),
        r=r,
        r_interval=fisher_interval(r, len(values)),
        r_of_seeds=tuple(defined),
        r_over_seeds=_mean_correlation(defined) if len(values) > 3 else None,
        slope_of_seeds=tuple(slopes),
        slope=t_interval(slopes) if len(slopes) > 1 else None,
        seeds=tuple(seeds),
    )


def fisher_interval(r: float | None, n: int) -> tuple[float, float] | None:
    """The 95 % interval of a correlation over n pairs by Fisher's z, whose standard error is 1/√(n − 3); ``None`` for n < 4."""
    if r is None or n < 4:
        return None
    reach = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) / math.sqrt(n - 3)
    return math.tanh(_z(r) - reach), math.tanh(_z(r) + reach)


def _mean_correlation(correlations: Sequence[float]) -> tuple[float, float, float] | None:
    if len(correlations) < 2:
        return None
    found = t_interval([_z(r) for r in correlations])
    return math.tanh(found.mean), math.tanh(found.low), math.tanh(found.high)


def _pearson(x: Sequence[float], y: Sequence[float]) -> float | None:
    """``None`` where one side does not vary."""
    if min(np.std(x), np.std(y)) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def _z(r: float) -> float:
    return math.atanh(min(max(r, -LARGEST_R), LARGEST_R))
