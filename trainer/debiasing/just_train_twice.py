"""JTT: a model trained for a short time shows by its errors which examples the second training must not neglect.

Liu et al. 2021, "Just Train Twice: Improving Group Robustness without Training Group Information": stage 1 trains an
identification model by ERM for T epochs, too few to fit the minority; its errors on the training set are the error set E. Stage 2
trains a new model on data in which E is λ_up times as frequent. Needs no groups; T and λ_up are tuned on a validation set with groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from datasets import Dataset

from evenhand.trainer.debiasing.method import DebiasingMethod, Fit
from evenhand.trainer.debiasing.training_facts import GROUP, LABEL, WEIGHT, TrainingFacts


@dataclass(frozen=True)
class JustTrainTwice(DebiasingMethod):
    """Weights λ_up on the error set and 1 elsewhere, divided by their mean: upsampling by λ_up, without its noise.

    The weights hold for the cross-entropy and for the KD term: both would see the upsampled data.

    Args:
        identification_epochs: T > 0, epochs of the identification run. Default 2; the paper's are 1 to 2 for CelebA and text, 60 for Waterbirds.
        upweight: λ_up > 1. Default 6, the paper's for text; 50 and 100 for its images.
    """

    identification_epochs: float = 2.0
    upweight: float = 6.0
    name = "jtt"

    def __post_init__(self) -> None:
        if not 0 < self.identification_epochs < float("inf"):
            raise ValueError(
                f"Debiasing method {self.name}: identification_epochs is {self.identification_epochs}; it must be above 0."
            )
        if not 1 < self.upweight < float("inf"):
            raise ValueError(f"Debiasing method {self.name}: upweight is {self.upweight}; it must be above 1.")

    def before_training(self, data: Dataset, fit: Fit, seed: int = 0) -> tuple[Dataset, dict]:
        """Train the identification model and add the column ``example_weight``.

        Returns:
            The data, and facts: how many errors, and their share of each group where the data have groups.

        Raises:
            ValueError: the identification model makes no error, or nothing but errors.
        """
        labels = np.asarray(data[LABEL][:])
        wrong = fit(data, self.identification_epochs, seed)(data).argmax(1) != labels
        if wrong.all() or not wrong.any():
            kind, remedy = ("nothing but errors", "more") if wrong.all() else ("no error", "fewer")
            raise ValueError(
                f"Debiasing method {self.name}: after {self.identification_epochs:g} epochs the identification model makes {kind} on the "
                f"training set, so there is nothing to upweight; set {remedy} identification_epochs."
            )
        weights = np.where(wrong, self.upweight, 1.0)
        weights = (weights / weights.mean()).astype(np.float32)
        if WEIGHT in data.column_names:
            data = data.remove_columns(WEIGHT)
        return data.add_column(WEIGHT, weights), self._facts(data, wrong)

    def _facts(self, data: Dataset, wrong: np.ndarray) -> dict:
        facts: dict = {"error_set": int(wrong.sum()), "error_rate": float(wrong.mean())}
        if GROUP in data.column_names:
            told = TrainingFacts.of(data, 0)
            facts["error_rate_by_group"] = {
                name: float(wrong[told.groups == index].mean())
                for index, name in enumerate(told.group_names)
                if (told.groups == index).any()
            }
        return facts

    def attach(self, model, facts: TrainingFacts, seed: int = 0) -> None:
        """Raises ValueError if :meth:`before_training` was not called; :meth:`check` does not ask, so that it may come before that."""
        if not facts.has_example_weight:
            raise ValueError(
                f"Debiasing method {self.name} needs the training column {WEIGHT}: call its before_training on the training data first."
            )
        super().attach(model, facts, seed)

    def kd_weights(self, logits, labels, batch, model, hidden_states=None) -> torch.Tensor:
        return batch["example_weight"]
