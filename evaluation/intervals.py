"""A confidence interval of an effect size by leaving out one word at a time."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

METHOD = "jackknife over words, atanh(d/2), Student t"
# d can pass 2 where the groups are unequal and fully separated, and atanh(1) is infinite.
LARGEST_HALF = 1 - 1e-9


def _transformed(d: float) -> float:
    return math.atanh(min(max(d / 2, -LARGEST_HALF), LARGEST_HALF))


def jackknife_interval(
    statistic: Callable[[Sequence[np.ndarray]], float], words: Sequence[Sequence[str]], confidence_level: float = 0.95
) -> tuple[float, float] | None:
    """The interval of an effect size, from deleting each word (with all its sentences) of each set in turn.

    The jackknife (Efron & Tibshirani 1993, chapter 11) in its form for several samples: the variances of the sets,
    (k−1)/k · Σ (z_i − mean z)² over the k words of a set, add up. It is taken on z = atanh(d/2), as |d| ends at 2, with
    Student's t at (number of words − 2) degrees of freedom. Words are the units because their sentences move together.

    Args:
        statistic: effect size from one boolean mask (n_set,) per set that says which sentences stay.
        words: per set (X, Y, A, B) the word of each sentence, (n_set,).
        confidence_level: between 0 and 1, 0.95 by default.

    Returns:
        (low, high) on the scale of d, or None where a set has one word or d is undefined for some deletion.
    """
    words = [np.asarray(of_set) for of_set in words]
    everything = [np.ones(len(of_set), dtype=bool) for of_set in words]
    estimate = statistic(everything)
    variance, n_words = 0.0, 0
    for index, of_set in enumerate(words):
        distinct = list(dict.fromkeys(of_set.tolist()))
        if len(distinct) < 2:
            return None
        deleted = [statistic([*everything[:index], of_set != w, *everything[index + 1 :]]) for w in distinct]
        if not np.isfinite(deleted).all():
            return None
        z = np.array([_transformed(d) for d in deleted])
        variance += (len(distinct) - 1) / len(distinct) * float(((z - z.mean()) ** 2).sum())
        n_words += len(distinct)
    if not math.isfinite(estimate):
        return None
    reach = float(stats.t.ppf((1 + confidence_level) / 2, n_words - 2)) * math.sqrt(variance)
    centre = _transformed(estimate)
    return 2 * math.tanh(centre - reach), 2 * math.tanh(centre + reach)
