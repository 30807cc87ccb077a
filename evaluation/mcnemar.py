"""The exact test of McNemar (1947): do two models differ on the same items?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

MCNEMAR = "exact McNemar (two-sided sign test over the items on which the models differ)"


@dataclass(frozen=True)
class McNemar:
    """Examples that only the one, or only the other, got right, and the p-value of no difference in accuracy."""

    only_first_right: int
    only_second_right: int
    p_value: float


def mcnemar(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> McNemar:
    """Are the examples that only one of two classifiers got right split evenly between them?

    Args:
        labels, first, second: (n,) labels and the two classifiers' predictions.
    """
    labels, first, second = (np.asarray(values) for values in (labels, first, second))
    first_right, second_right = first == labels, second == labels
    return McNemar(
        int((first_right & ~second_right).sum()),
        int((~first_right & second_right).sum()),
        mcnemar_p_value(first_right, second_right),
    )


def mcnemar_p_value(outcomes: np.ndarray, reference: np.ndarray) -> float:
    """Two-sided exact p of equal outcomes; 1 where they are identical, as then nothing speaks against it.

    Args:
        outcomes, reference: (n,) of the two models, in the same order: numbers, of which only the larger counts, or
            whether each item was got right.
    """
    more, less = int((outcomes > reference).sum()), int((outcomes < reference).sum())
    return float(binomtest(more, more + less, 0.5).pvalue) if more + less else 1.0
