"""Trains a bias-only model by cross-fitting and adds its log-probabilities to the training data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from datasets import ClassLabel, Dataset
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from evenhand.trainer.bias_models.bias_model import BiasModel, cross_entropy
from evenhand.trainer.debiasing.method import Fit
from evenhand.trainer.debiasing.training_facts import BIAS, LABEL, TrainingFacts

TEMPERATURES = (0.1, 10.0)
"""Bounds of the calibrating temperature: predictions that are always right would want 0."""


def with_bias_log_probs(
    data: Dataset,
    model: BiasModel,
    fit: Fit | None = None,
    seed: int = 0,
    aligned: Mapping[str, bool | None] | None = None,
    sources: np.ndarray | None = None,
) -> tuple[Dataset, dict]:
    """``data`` with the column ``bias_log_probs`` of cross-fitted, calibrated predictions, and facts on the model.

    With predictions of a model on its own training examples, a method would take memorised labels for bias. The same data, model and
    seed give the same column.

    Args:
        data: training data with ``label``, a ``ClassLabel``, and the columns that ``model`` reads.
        model: see :func:`~evenhand.trainer.bias_models.registry.bias_model`.
        fit: needed by few-sample models alone.
        seed: of the folds, and of what the model draws.
        aligned: group name → True bias-aligned, False bias-conflicting, None neither; with it and a column ``group`` the facts
            compare the two sides.
        sources: ``(n,)`` numbers, equal for rows that were made from one example (copies, counterfactuals): such rows share a fold, as a
            model that was trained on one of them remembers the label of the others. Default: every row is an example of its own.

    Returns:
        The data, and ``kind`` with settings, ``temperature``, ``n``, with ``sources`` given ``n_sources``, how many they are, ``accuracy``, ``cross_entropy`` (nats, after calibration; and before),
        ``mean_label_probability``, and where sides are known ``accuracy_aligned`` and ``accuracy_conflicting``.

    Raises:
        ValueError: a missing column, labels without names, a label with fewer examples than folds, or rows of one source with different
            labels.
    """
    model.check(data)
    if not isinstance(data.features.get(LABEL), ClassLabel):
        raise ValueError(f"Bias model {model.kind} needs a column {LABEL} of named classes (datasets.ClassLabel).")
    names = data.features[LABEL].names
    labels = np.asarray(data[LABEL][:], dtype=np.int64)
    fold_of = stratified_folds(labels, names, model.folds, seed, sources)
    raw, found = model.cross_fitted(data, labels, len(names), fold_of, seed, fit)
    temperature = calibrating_temperature(raw, labels) if model.calibrate else 1.0
    log_probs = log_softmax(raw / temperature, axis=1)
    facts = model.report() | found | {"seed": seed, "n": len(labels), "temperature": temperature}
    if sources is not None:
        facts["n_sources"] = len(np.unique(sources))
    facts |= {"cross_entropy_uncalibrated": cross_entropy(raw, labels)} | _facts(data, log_probs, labels, aligned)
    if BIAS in data.column_names:
        data = data.remove_columns(BIAS)
    return data.add_column(BIAS, list(log_probs.astype(np.float32))), facts


def stratified_folds(
    labels: np.ndarray, names: list[str], folds: int, seed: int, sources: np.ndarray | None = None
) -> np.ndarray:
    """``(n,)`` fold of each row, 0 … folds − 1; rows of one source share theirs.

    Every fold has the same share of each label, to as many rows as the most copied source of that label has; without copies, to one.

    Args:
        labels: ``(n,)``.
        names: of the labels.
        folds: how many.
        seed: of the order in which sources are dealt.
        sources: ``(n,)`` numbers of the examples that the rows were made from; None: each row is its own.

    Raises:
        ValueError: a label with fewer sources than folds, or rows of one source with different labels.
    """
    sources = np.arange(len(labels)) if sources is None else np.asarray(sources)
    _, first, source_of, copies = np.unique(sources, return_index=True, return_inverse=True, return_counts=True)
    label_of = labels[first]
    if (labels != label_of[source_of]).any():
        raise ValueError("Bias-only model: rows that were made from one example have different labels.")
    generator, fold_of = np.random.default_rng(seed), np.empty(len(first), dtype=np.int64)
    for label, name in enumerate(names):
        members = generator.permutation(np.flatnonzero(label_of == label))
        if len(members) < folds:
            raise ValueError(
                f"Label {name} has {len(members)} training examples, fewer than the {folds} folds of the bias-only model."
            )
        rows = np.zeros(folds, dtype=np.int64)
        for member in members[
            np.argsort(-copies[members], kind="stable")
        ]:  # the largest first, so that the others even out
            fold_of[member] = fold = rows.argmin()
            rows[fold] += copies[member]
    return fold_of[source_of]


def calibrating_temperature(log_probs: np.ndarray, labels: np.ndarray) -> float:
    """T with the least cross-entropy of softmax(log p / T) (Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2)."""

    def loss(log_temperature: float) -> float:
        return cross_entropy(log_softmax(log_probs / np.exp(log_temperature), axis=1), labels)

    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))


def _facts(data: Dataset, log_probs: np.ndarray, labels: np.ndarray, aligned: Mapping[str, bool | None] | None) -> dict:
    right = log_probs.argmax(1) == labels
    label_probability = np.exp(log_probs[np.arange(len(labels)), labels])
    facts = {
        "accuracy": float(right.mean()),
        "cross_entropy": cross_entropy(log_probs, labels),
        "mean_label_probability": float(label_probability.mean()),
    }
    told = TrainingFacts.of(data, log_probs.shape[1])
    if aligned is None or told.groups is None:
        return facts
    for side, word in ((True, "aligned"), (False, "conflicting")):
        wanted = [index for index, name in enumerate(told.group_names) if aligned.get(name) is side]
        inside = np.isin(told.groups, wanted)
        if inside.any():
            facts[f"accuracy_{word}"] = float(right[inside].mean())
            facts[f"mean_label_probability_{word}"] = float(label_probability[inside].mean())
    return facts
