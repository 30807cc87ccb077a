"""The contract of bias-only models, and what those on fixed features share.

A bias-only model sees only what a shortcut needs (one of two sentences, bags of words, colours) or too few examples for more. Debiasing
methods read its log-probabilities b of the training examples.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from datasets import Dataset

from evenhand.trainer.debiasing.method import Fit
from evenhand.trainer.logistic_regression import Features, fit_logistic_regression


@dataclass(frozen=True)
class BiasModel:
    """Args:
    folds: k ≥ 2 of cross-fitting: an example's prediction comes from a model trained on the other k − 1 folds, in which no copy of it is.
    calibrate: whether one temperature is fitted to the cross-fitted predictions (Guo et al. 2017). Default true.
    """

    folds: int = 5
    calibrate: bool = True
    kind = ""
    columns = ()
    """Input columns that it reads."""
    needs_fit = False
    """Whether it trains models of the debiased one's kind."""

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ValueError(f"Bias model {self.kind}: folds is {self.folds}; it must be 2 or more.")

    def check(self, data: Dataset) -> None:
        """Raises ValueError, in one line, if an input column is missing."""
        missing = [column for column in self.columns if column not in data.column_names]
        if missing:
            raise ValueError(
                f"Bias model {self.kind} needs the column {missing[0]}; the data have {', '.join(data.column_names)}."
            )

    def cross_fitted(
        self, data: Dataset, labels: np.ndarray, n_labels: int, fold_of: np.ndarray, seed: int, fit: Fit | None
    ) -> tuple[np.ndarray, dict]:
        """``(n, n_labels)`` log-probabilities, each row from a model that was not trained on it, and facts for the report.

        Args:
            labels: ``(n,)``.
            fold_of: ``(n,)`` fold of each example, 0 … folds − 1.
            fit: trains a model of the debiased one's kind, see :data:`~evenhand.trainer.debiasing.method.Fit`.
        """
        raise NotImplementedError

    def report(self) -> dict:
        """Kind and settings as plain values."""
        return {"kind": self.kind} | asdict(self)


@dataclass(frozen=True)
class FeatureModel(BiasModel):
    """A logistic regression on features that need no labels, computed once for all folds.

    Args:
        strengths: values of C > 0 of the L2-penalised logistic regression (the loss is a sum over examples); the one whose cross-fitted
            predictions have the least cross-entropy is taken. One value: no choice.
    """

    strengths: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "strengths", tuple(float(strength) for strength in self.strengths))
        if not self.strengths or not all(0 < strength < float("inf") for strength in self.strengths):
            raise ValueError(f"Bias model {self.kind}: strengths must be one or more numbers above 0.")

    def features(self, data: Dataset) -> Features:
        """``(n, n_features)`` of all examples, dense or sparse."""
        raise NotImplementedError

    def cross_fitted(self, data, labels, n_labels, fold_of, seed, fit) -> tuple[np.ndarray, dict]:
        features, found = self.features(data), []
        for strength in self.strengths:
            log_probs = np.empty((len(labels), n_labels))
            for fold in range(self.folds):
                inside = fold_of == fold
                model = fit_logistic_regression(features[~inside], labels[~inside], n_labels, strength)
                log_probs[inside] = model.log_probabilities(features[inside])
            found.append((cross_entropy(log_probs, labels), strength, log_probs))
        _, strength, log_probs = min(found, key=lambda one: one[:2])
        return log_probs, {"strength": strength, "n_features": features.shape[1]}


def cross_entropy(log_probs: np.ndarray, labels: np.ndarray) -> float:
    """Mean of −log p of the labels, in nats."""
    return float(-log_probs[np.arange(len(labels)), labels].mean())


def standardised(features: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and standard deviation 1; constant ones become 0."""
    deviation = features.std(0)
    return (features - features.mean(0)) / np.where(deviation < 1e-12, 1.0, deviation)
