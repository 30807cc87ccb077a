"""What a debiasing method knows of the training set before the training: labels, groups, bias-only predictions, all on the CPU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from datasets import ClassLabel, Dataset

LABEL, GROUP, BIAS, WEIGHT = "label", "group", "bias_log_probs", "example_weight"
"""Columns of a labelled data set beside its inputs."""


@dataclass(frozen=True)
class TrainingFacts:
    """Args:
    n_labels: K, of the model.
    labels: ``(n,)`` the training examples' labels, indices in the model's order.
    groups: ``(n,)`` their groups, or None where the data have no column ``group``.
    group_names: names of all groups, in the order of their indices.
    bias_log_probs: ``(n, K)`` log-probabilities of the bias-only model, columns in the model's order of labels, or None.
    has_example_weight: whether the data have the column ``example_weight``.
    """

    n_labels: int
    labels: np.ndarray
    groups: np.ndarray | None = None
    group_names: tuple[str, ...] = ()
    bias_log_probs: np.ndarray | None = None
    has_example_weight: bool = False

    @classmethod
    def of(cls, data: Dataset, n_labels: int) -> TrainingFacts:
        """Read the columns of a map-style data set whose labels (and ``bias_log_probs``) are in the model's order already."""
        groups, names = None, ()
        if GROUP in data.column_names:
            groups = np.asarray(data[GROUP][:], dtype=np.int64)
            feature = data.features[GROUP]
            numbered = range(int(groups.max(initial=-1)) + 1)
            names = tuple(feature.names if isinstance(feature, ClassLabel) else map(str, numbered))
        bias = None
        if BIAS in data.column_names:
            bias = np.asarray(data.with_format("numpy", columns=[BIAS])[:][BIAS], dtype=np.float64)
        return cls(
            n_labels, np.asarray(data[LABEL][:], dtype=np.int64), groups, names, bias, WEIGHT in data.column_names
        )

    @property
    def group_sizes(self) -> np.ndarray:
        """``(n_groups,)`` training examples of each group."""
        return np.bincount(self.groups, minlength=len(self.group_names))

    @property
    def label_bias(self) -> np.ndarray:
        """``(n,)`` probability that the bias-only model gives to the right label, e^{b_y}."""
        return np.exp(self.bias_log_probs[np.arange(len(self.labels)), self.labels])

    def require_bias_log_probs(self, method: str) -> None:
        """Raises ValueError, in one line, unless every training example has a proper row of ``bias_log_probs``."""
        bias = self.bias_log_probs
        if bias is None:
            raise ValueError(
                f"Debiasing method {method} needs the training column {BIAS}: train a bias-only model first (trainer.bias_models)."
            )
        if bias.shape != (len(self.labels), self.n_labels):
            raise ValueError(
                f"Debiasing method {method}: {BIAS} has shape {bias.shape}, expected {(len(self.labels), self.n_labels)} (examples, labels)."
            )
        with np.errstate(over="ignore"):
            total = np.exp(bias).sum(1)
        wrong = np.flatnonzero(~(np.abs(total - 1) < 1e-3))  # NaN included
        if len(wrong):
            raise ValueError(
                f"Debiasing method {method}: {BIAS} of {len(wrong)} training examples (the first is example {wrong[0]}) are no "
                "log-probabilities: their exponentials do not add up to 1."
            )

    def require_groups(self, method: str) -> None:
        """Raises ValueError, in one line, unless there are two groups or more and each has two training examples or more."""
        if self.groups is None:
            raise ValueError(
                f"Debiasing method {method} needs the training column {GROUP}, which the data do not have."
            )
        if len(self.group_names) < 2:
            raise ValueError(
                f"Debiasing method {method} needs at least two groups; the data have one ({', '.join(self.group_names) or 'none'})."
            )
        for size, fault in ((0, "no training example"), (1, "a single training example")):
            poor = [name for name, n in zip(self.group_names, self.group_sizes, strict=True) if n == size]
            if poor:
                raise ValueError(
                    f"Debiasing method {method}: group {', '.join(poor)} has {fault}; give it more examples, or merge or leave out the group."
                )
