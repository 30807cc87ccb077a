"""The contract of a debiasing method: what it needs of the data, what it trains or remembers beside the student, and its losses.

A method changes the per-example loss ℓ_i of labelled training, (1−a)·mean_i ℓ_i + a·T²·mean_i w_i·KL(teacher_i ‖ student_i), or the
teacher's distribution, or the weights w_i; a method of two stages also does something before or after the training (JTT's
identification run, DFR's last layer). A new one is one new file with a subclass of :class:`DebiasingMethod` and one line in
:mod:`~evenhand.trainer.debiasing.registry`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset
from torch import nn
from transformers import PreTrainedModel

from evenhand.trainer.debiasing.training_facts import TrainingFacts
from evenhand.trainer.loss_terms import at_least_fp32

SUBMODULE = "debiasing"
"""Name of the student's submodule in which a method keeps its parameters and buffers while the student is trained."""

Predictor = Callable[[Dataset], np.ndarray]
"""``data -> (n, K)`` log-probabilities of a trained model, in the order of the data's labels."""
Fit = Callable[[Dataset, float | None, int], Predictor]
"""``(data, epochs, seed) -> predictor``: trains a new model of the kind that is to be debiased with plain cross-entropy and no teacher;
``epochs`` None: as long as the debiased one."""


class DebiasingMethod:
    """Base class, and ERM: plain cross-entropy. Methods are frozen dataclasses of their settings; what changes lives in the submodule.

    How one is used: :meth:`before_training` on the training data; :meth:`attach` before the optimiser is built; in each training micro-batch :meth:`losses`,
    :meth:`extra_losses`, :meth:`teacher_log_probs`, :meth:`kd_weights` and :meth:`step_sums` inside the wrapped call, ``model`` being
    the student itself and not DDP's wrapper; :meth:`after_step` once for each optimiser step; :meth:`detach` before the student is
    saved; :meth:`after_training` on the plain student. Held-out losses are plain cross-entropy, so that runs with and without a method are comparable.

    Means are over the examples of the whole optimiser step: a method gives values of single examples and leaves sums to the trainer.
    ``batch`` holds, where the data have them, ``bias_log_probs`` ``(n, n_labels)`` fp32 in the order of the *model's* labels, ``group``
    ``(n,)`` int64, ``example_weight`` ``(n,)`` fp32; if :attr:`needs_groups` also ``group_counts`` ``(n_groups,)``, how many examples
    of each group the whole optimiser step has over all micro-batches and processes.
    """

    name = "erm"
    needs_bias_log_probs = False
    needs_groups = False
    needs_hidden = False
    """Whether :meth:`losses` reads ``hidden``, the ``(n, width)`` input of the last classification layer."""
    needs_hidden_states = False
    """Whether :meth:`extra_losses` and :meth:`kd_weights` read ``hidden_states``, the student's tuple of all its layers' outputs
    (an encoder-decoder's: those of its encoder)."""
    needs_teacher = False
    needs_held_out_groups = False
    """Whether :meth:`after_training` retrains on a held-out part that has groups. That part is not held out afterwards: what is measured
    on it has to be measured before, and to be reported as of the network before (``held_out_before_fit`` in training.json)."""

    def before_training(self, data: Dataset, fit: Fit, seed: int = 0) -> tuple[Dataset, dict]:
        """The data to train on, and facts for the report; ``fit`` trains further models of the same kind. Default: as they are."""
        return data, {}

    def after_training(self, model: PreTrainedModel, held_out: Iterable[Mapping], seed: int = 0) -> dict:
        """Change the trained student in place, and return facts for the report. Default: nothing.

        Args:
            model: a plain student, its submodule detached, on its device.
            held_out: batches of examples it was not trained on, in a fixed order, as
                :func:`~evenhand.trainer.classifier_fit.labelled_batches` gives them: ``student``, the model's inputs; ``labels``, indices of
                the model's; ``group``.
        """
        return {}

    def check(self, facts: TrainingFacts) -> None:
        """Whether the training data have what the method needs.

        Raises:
            ValueError: one line that names the method and what is missing: ``bias_log_probs``, groups, a second group, an example of a group.
        """
        if self.needs_bias_log_probs:
            facts.require_bias_log_probs(self.name)
        self.check_groups(facts)

    def check_groups(self, facts: TrainingFacts) -> None:
        """The part of :meth:`check` that can be asked before a bias-only model was trained.

        Raises:
            ValueError: one line that names the method and what is missing: groups, a second group, an example of a group.
        """
        if self.needs_groups:
            facts.require_groups(self.name)

    def check_held_out(
        self, model: PreTrainedModel, train: TrainingFacts, held_out: TrainingFacts | None, label_names: Sequence[str]
    ) -> None:
        """Whether :meth:`after_training` will find what it needs; asked before the training, so that none is done in vain. Default: it does.

        Args:
            model: the student before its training.
            train: of the examples that it is trained on.
            held_out: the same of the held-out part, None where there is none.
            label_names: the model's, in its order.

        Raises:
            ValueError: one line that names the method and what is missing.
        """

    def attach(self, model: PreTrainedModel, facts: TrainingFacts, seed: int = 0) -> None:
        """Check the data and add what is trained or remembered beside the student as ``model.debiasing``.

        Args:
            model: the student; its optimiser, DDP and checkpoints then know the submodule.
            facts: labels, groups and bias log-probabilities of the training set.
            seed: of the submodule's initial weights.

        Raises:
            ValueError: see :meth:`check`.
        """
        self.check(facts)
        module = self.module(model, facts, torch.Generator().manual_seed(seed))
        if module is not None:
            setattr(model, SUBMODULE, module.to(next(model.parameters()).device))

    def module(self, model: PreTrainedModel, facts: TrainingFacts, generator: torch.Generator) -> nn.Module | None:
        """Parameters and buffers that live beside the student, on the CPU in fp32; None (default): the method has none."""
        return None

    def detach(self, model: PreTrainedModel) -> None:
        """Remove ``model.debiasing``: what is saved is a plain student."""
        if SUBMODULE in model._modules:
            delattr(model, SUBMODULE)

    def losses(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        batch: Mapping[str, torch.Tensor],
        model: PreTrainedModel,
        hidden: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Per-example losses of a micro-batch, times ``batch["example_weight"]`` where there is one.

        Args:
            logits: ``(n, n_labels)`` of the student, of any precision.
            labels: ``(n,)`` indices of the model's labels.
            batch: see the class.
            model: the student with its submodule.
            hidden: ``(n, width)`` input of the last classification layer, if :attr:`needs_hidden`.

        Returns:
            ``(n,)`` in at least fp32.
        """
        losses = self.example_losses(at_least_fp32(logits), labels, batch, getattr(model, SUBMODULE, None), hidden)
        weights = batch.get("example_weight")
        return losses if weights is None else losses * weights.to(losses)

    def example_losses(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        batch: Mapping[str, torch.Tensor],
        module: nn.Module | None,
        hidden: torch.Tensor | None,
    ) -> torch.Tensor:
        """As :meth:`losses`, before ``example_weight``; ``logits`` are at least fp32, ``module`` is the submodule. For subclasses."""
        return F.cross_entropy(logits, labels, reduction="none")

    def extra_losses(
        self,
        labels: torch.Tensor,
        batch: Mapping[str, torch.Tensor],
        model: PreTrainedModel,
        hidden_states: tuple[torch.Tensor, ...] | None = None,
    ) -> torch.Tensor | None:
        """``(n,)`` losses of what is trained beside the student; their mean over the step is added with weight 1. None: nothing is."""
        return None

    def teacher_log_probs(
        self, log_probs: torch.Tensor, labels: torch.Tensor, batch: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """The teacher's distribution ``(n, n_labels)`` at the objective's temperature, as log-probabilities, changed by the method."""
        return log_probs

    def kd_weights(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        batch: Mapping[str, torch.Tensor],
        model: PreTrainedModel,
        hidden_states: tuple[torch.Tensor, ...] | None = None,
    ) -> torch.Tensor | None:
        """``(n,)`` weights of the KD term, without gradient; None: all are 1."""
        return None

    def step_sums(
        self, logits: torch.Tensor, labels: torch.Tensor, batch: Mapping[str, torch.Tensor]
    ) -> torch.Tensor | None:
        """A vector without gradient that the trainer adds up over the micro-batches and processes of an optimiser step; None: none."""
        return None

    def after_step(self, sums: torch.Tensor, model: PreTrainedModel) -> None:
        """Called after an optimiser step with the total of :meth:`step_sums`, the same on all processes; may change buffers."""

    def report(self) -> dict:
        """Name and settings, as plain values for reports."""
        return {"name": self.name} | (asdict(self) if is_dataclass(self) else {})
