r"""Where the standard deviation that d divides by comes from.

d = (mean of s over X − mean of s over Y) / standard deviation of s over X ∪ Y. A report keeps, by word, the mean of s in units of that
deviation, so the sum of squares of s over all N sentences is N − 1 and falls into three parts: between X and Y (which is d itself),
between the words of a set, and between the sentences of a word. A change of \|d\| is a change of the first part against the other two:
it falls when the sets come together, and as well when words, or the templates around them, come to differ more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """Shares of the sum of squares of s; they add up to 1.

    Args:
        between_sets: of the difference of X and Y: d² · n_X · n_Y / (N (N − 1)).
        between_words: of words within X and within Y.
        within_words: of the sentences of a word.
    """

    between_sets: float
    between_words: float
    within_words: float


def spread_of(test: Mapping[str, object]) -> Spread | None:
    """The shares of one test in its JSON form; ``None`` where it has no d.

    Args:
        test: with ``associations``: by set "X" and "Y" and word, ``[sentences, standardised mean of s]``.
    """
    if test["effect_size"] is None or test["associations"] is None:
        return None
    sets = [np.array(list(test["associations"][role].values()), dtype=np.float64) for role in "XY"]
    counts = [float(of_set[:, 0].sum()) for of_set in sets]
    means = [float(of_set[:, 0] @ of_set[:, 1]) / count for of_set, count in zip(sets, counts, strict=True)]
    total = sum(counts) - 1
    between_sets = (means[0] - means[1]) ** 2 * counts[0] * counts[1] / sum(counts) / total
    between_words = (
        sum(float(of_set[:, 0] @ (of_set[:, 1] - mean) ** 2) for of_set, mean in zip(sets, means, strict=True)) / total
    )
    return Spread(between_sets, between_words, max(0.0, 1 - between_sets - between_words))
