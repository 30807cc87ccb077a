"""Deep feature reweighting: the last layer of a trained network is trained again on group-balanced held-out data.

Kirichenko, Izmailov & Wilson 2023, "Last Layer Re-Training is Sufficient for Robustness to Spurious Correlations": after ERM
(here also after distillation), logistic regression with an L1 penalty on standardised representations of a held-out part in which every
group is cut down to the size of the smallest; several such draws are averaged; the penalty is chosen by worst-group accuracy on half of
that part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from evenhand.trainer.debiasing.last_layer import last_layer, representations
from evenhand.trainer.debiasing.method import DebiasingMethod
from evenhand.trainer.debiasing.training_facts import TrainingFacts
from evenhand.trainer.logistic_regression import LogisticRegression, fit_logistic_regression

STRENGTHS = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)
"""C of the authors' search for Waterbirds."""
NAMED = 5
"""So many groups or labels are named in a message; of further ones their number is."""


@dataclass(frozen=True)
class DeepFeatureReweighting(DebiasingMethod):
    """Plain cross-entropy while the network is trained; :meth:`after_training` replaces its last layer.

    As in the paper the whole held-out part is fitted on: its smallest group, a few dozen examples at most, decides how large the balanced
    subsets are, and a half kept back to measure on would cost half of them. So a run has no held-out number of the student it saves; the
    tests are for that, and training.json has the numbers of the network before (``held_out_before_fit``).

    Args:
        draws: how many balanced subsets are averaged, ≥ 1. Default 10.
        strengths: values of C among which one is chosen (the penalty is ‖W‖₁, C multiplies the loss); one value: no choice.
        splits: how many random halvings the choice of C is averaged over. Default 3.
    """

    draws: int = 10
    strengths: tuple[float, ...] = STRENGTHS
    splits: int = 3
    name = "dfr"
    needs_held_out_groups = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "strengths", tuple(float(strength) for strength in self.strengths))
        if self.draws < 1 or self.splits < 1:
            raise ValueError(f"Debiasing method {self.name}: draws and splits must be 1 or more.")
        if not self.strengths or not all(0 < strength < float("inf") for strength in self.strengths):
            raise ValueError(f"Debiasing method {self.name}: strengths must be one or more numbers above 0.")

    def check_held_out(
        self, model, train: TrainingFacts, held_out: TrainingFacts | None, label_names: Sequence[str]
    ) -> None:
        """Refuses, by name, a held-out part without one of the groups that the training data have.

        A group that they do not have either cannot occur in the data; with one that only the held-out part lacks, the new layer would
        be balanced over the others and nobody would know.
        """
        last_layer(model)  # refuses a model without one
        what = f"Debiasing method {self.name} retrains the last layer on the validation split"
        if held_out is None or not len(held_out.labels):
            raise ValueError(f"{what}, which these data do not have; give them one, or use another method.")
        if held_out.groups is None:
            raise ValueError(
                f"{what}, balanced by group, but its examples have no column group; add it, or use another method."
            )
        sizes, trained = _sizes(held_out), _sizes(train)
        remedy = "give the split more examples, merge groups, or use another method."
        missing = [name for name, n in trained.items() if n and not sizes.get(name)]
        if missing:
            raise ValueError(
                f"{what}, which has no example of group {_named(missing)}, though the training data do; {remedy}"
            )
        present = [name for name, n in sizes.items() if n]
        if len(present) < 2:
            raise ValueError(f"{what}, which needs at least two groups there; it has one ({present[0]}); {remedy}")
        single = [name for name, n in sizes.items() if n == 1]
        if single:
            raise ValueError(f"{what}, which has a single example of group {_named(single)}, and needs two; {remedy}")
        unlabelled = [name for number, name in enumerate(label_names) if number not in set(held_out.labels.tolist())]
        if unlabelled:
            raise ValueError(f"{what}, which has no example of label {_named(unlabelled)}; {remedy}")

    def after_training(self, model, held_out: Iterable[Mapping], seed: int = 0) -> dict:
        """Retrain the last layer in place.

        Returns:
            Facts: the chosen C, its worst-group accuracy on the halves it was chosen on, the size of each group in a draw, how many
            examples were fitted on.

        Raises:
            ValueError: no held-out examples, a single group, or a group with fewer than two.
        """
        vectors, labels, groups = representations(model, held_out)
        check_groups(groups, labels, model.config.num_labels)
        mean, deviation = vectors.mean(0), vectors.std(0)
        deviation[deviation < 1e-12] = 1.0  # a dead unit: its weight is 0 whatever the scale
        vectors = (vectors - mean) / deviation
        generator = np.random.default_rng(seed)
        strength, worst = self._choose(vectors, labels, groups, generator)
        fits = []
        for _ in range(self.draws):
            chosen = balanced(groups, generator)
            fits.append(_fit(vectors[chosen], labels[chosen], model.config.num_labels, strength))
        weights = np.mean([fit.weights for fit in fits], 0) / deviation[:, None]
        intercepts = np.mean([fit.intercepts for fit in fits], 0) - mean @ weights
        layer = last_layer(model)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weights.T))
            if layer.bias is None:
                layer.bias = torch.nn.Parameter(layer.weight.new_zeros(len(intercepts)))
            layer.bias.copy_(torch.from_numpy(intercepts))
        return {
            "strength": strength,
            "worst_group_accuracy_when_chosen": worst,
            "examples_of_each_group": int(np.bincount(groups)[np.unique(groups)].min()),
            "fitted_on": len(groups),
        }

    def _choose(self, vectors, labels, groups, generator: np.random.Generator) -> tuple[float, float | None]:
        """C by worst-group accuracy, averaged over halvings; of equals the strongest penalty. With one C there is no choice."""
        if len(self.strengths) == 1:
            return self.strengths[0], None
        n_labels, worst = int(labels.max()) + 1, np.zeros(len(self.strengths))
        for _ in range(self.splits):
            fitted, judged = _halves(groups, generator)
            fitted = fitted[balanced(groups[fitted], generator)]
            for index, strength in enumerate(self.strengths):
                fit = _fit(vectors[fitted], labels[fitted], n_labels, strength)
                right = fit.log_probabilities(vectors[judged]).argmax(1) == labels[judged]
                worst[index] += min(right[groups[judged] == group].mean() for group in np.unique(groups)) / self.splits
        best = min(range(len(worst)), key=lambda index: (-worst[index].round(12), self.strengths[index]))
        return self.strengths[best], float(worst[best])


def _sizes(facts: TrainingFacts) -> dict[str, int]:
    """Examples of each group by name: two splits need not number their groups alike."""
    if facts.groups is None:
        return {}
    return dict(zip(facts.group_names, facts.group_sizes.tolist(), strict=True))


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def check_groups(groups: np.ndarray, labels: np.ndarray, n_labels: int) -> None:
    """Raises ValueError, in one line, unless there are two groups or more of at least two examples, and examples of every label."""
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < 2:
        raise ValueError("Debiasing method dfr needs at least two groups in the held-out part; it has one.")
    if sizes.min() < 2:
        raise ValueError(
            f"Debiasing method dfr: group number {names[sizes.argmin()]} has a single held-out example; it needs at least two."
        )
    missing = np.setdiff1d(np.arange(n_labels), labels)
    if len(missing):
        raise ValueError(f"Debiasing method dfr: label number {missing[0]} has no held-out example.")


def balanced(groups: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Indices of a random subset in which every group that occurs is as large as the smallest."""
    names, sizes = np.unique(groups, return_counts=True)
    return np.concatenate([generator.permutation(np.flatnonzero(groups == name))[: sizes.min()] for name in names])


def _halves(groups: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices of two halves that both have examples of every group."""
    first, second = [], []
    for name in np.unique(groups):
        members = generator.permutation(np.flatnonzero(groups == name))
        first.append(members[: len(members) // 2])
        second.append(members[len(members) // 2 :])
    return np.concatenate(first), np.concatenate(second)


def _fit(vectors: np.ndarray, labels: np.ndarray, n_labels: int, strength: float) -> LogisticRegression:
    return fit_logistic_regression(vectors, labels, n_labels, strength, penalty="l1")
