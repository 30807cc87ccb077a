"""Comparing two sets of predictions of the same examples by a joint bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

BOOTSTRAP_SEED = 0
RESAMPLES = 2000
# Memory of one chunk of resampled counts, in numbers.
_CHUNK = 500_000


def bootstrap_scores(
    metric: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    labels: np.ndarray,
    predictions: Sequence[np.ndarray],
    *,
    resamples: int = RESAMPLES,
    seed: int | Sequence[int] = BOOTSTRAP_SEED,
) -> np.ndarray:
    """The metric of several predictions on the same resampled examples (Efron & Tibshirani 1993, chapter 6).

    Examples are drawn with replacement, with all their predictions, so differences between columns are paired. Equal
    examples (same label, same predictions) are counted together: the draws are then multinomial counts of few kinds,
    which is the same distribution at a fraction of the work.

    Args:
        metric: (labels (m,), predictions (m,), counts (r, m)) → (r,).
        labels: (n,).
        predictions: k arrays (n,).
        resamples: 2,000 by default.
        seed: of the generator.

    Returns:
        (resamples, k), NaN where the metric is not defined on a resample.
    """
    rows = np.stack([np.asarray(labels, dtype=np.float64), *(np.asarray(p, dtype=np.float64) for p in predictions)], 1)
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    scores = np.empty((resamples, len(predictions)))
    step = max(1, _CHUNK // len(kinds))
    for start in range(0, resamples, step):
        stop = min(resamples, start + step)
        drawn = generator.multinomial(counts.sum(), counts / counts.sum(), size=stop - start).astype(np.float64)
        for column in range(len(predictions)):
            scores[start:stop, column] = metric(kinds[:, 0], kinds[:, column + 1], drawn)
    return scores
