"""The Trainer subclass that distils a masked language model."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evenhand.trainer.distillation_config import DistillationArguments
from evenhand.trainer.distillation_step import mean_terms, prepare_micro_batch, student_loss, teacher_signals
from evenhand.trainer.length_pieces import cutting_for
from evenhand.trainer.masked_text_trainer import PLAIN, MaskedTextTrainer, NonFiniteLossError
from evenhand.trainer.masking import XlmMasking
from evenhand.trainer.objective import DistillationObjective
from evenhand.trainer.randomness import generator_for
from evenhand.trainer.redirected_forward import call_inside
from evenhand.trainer.supervision import SupervisionTransform
from evenhand.trainer.watching import TRADEOFF, Watch, in_main_process

__all__ = ["DistillationTrainer", "NonFiniteLossError"]


class DistillationTrainer(MaskedTextTrainer):
    """Distils ``teacher`` into ``model`` with the objective of DistilBERT (Sanh et al. 2019) and optional supervision transforms.

    Means are over the whole optimiser step (all micro-batches, all processes), so the gradient does not depend on how a batch
    is split. Masks, mixing coefficients and dropout are drawn from (seed, optimiser step, place of the micro-batch in the effective
    batch), so a resumed run equals an uninterrupted one, and the number of processes does not matter. Every loss term is logged unweighted.

    Args:
        model: the student, an ``AutoModelForMaskedLM`` model.
        teacher: a masked LM with the same vocabulary, placed and frozen here; None only if ``objective`` has no teacher term (plain masked-LM
            training).
        args: :class:`DistillationArguments`.
        objective: weights, temperature, positions. Default 5 / 2 / 1, T = 2.
        supervision: a transform of (student inputs, teacher logits, teacher hidden), e.g. ``GenderMixup``. Default: none.
        train_dataset: examples with ``input_ids``, special tokens included; a map-style or iterable data set.
        eval_dataset: the same, held out.
        processing_class: the student's tokenizer.
        teacher_processing_class: the teacher's tokenizer, compared with the student's token by token.
        token_counts: ``(vocab_size,)`` counts for the smoothing of mask positions; counted from ``train_dataset`` if not given.
        watch: measures taken at every evaluation, and the trade-off that may choose the student.
        masking: the corruption itself, if not built from ``args`` and ``token_counts``: anything with ``corrupt(input_ids, attention_mask, generator)``.
        kwargs: passed on to ``Trainer``.

    Raises:
        ValueError: no tokenizer, vocabularies that differ (named by the first differing token), unequal widths with α_cos > 0, a missing teacher.
        NonFiniteLossError: during training, naming the term.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        teacher: PreTrainedModel | None = None,
        args: DistillationArguments | None = None,
        *,
        objective: DistillationObjective | None = None,
        supervision: SupervisionTransform | None = None,
        train_dataset: Dataset | IterableDataset | None = None,
        eval_dataset: Dataset | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        teacher_processing_class: PreTrainedTokenizerBase | None = None,
        token_counts: torch.Tensor | None = None,
        watch: Watch | None = None,
        masking: XlmMasking | None = None,
        **kwargs,
    ) -> None:
        self.objective = objective or DistillationObjective()
        self.supervision = supervision or SupervisionTransform()
        super().__init__(
            model,
            teacher,
            args,
            {"": (model, self.objective)},
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            teacher_processing_class=teacher_processing_class,
            token_counts=token_counts,
            watch=watch,
            masking=masking,
            **kwargs,
        )
        self._student_parts = self._parts_of(model)
        self._cutting = cutting_for(self.args.device, self.args.length_pieces, (teacher or model).base_model)

    def _prepare(self, batch: dict, masking: XlmMasking, key: tuple, evaluating: bool) -> dict:
        return prepare_micro_batch(
            batch,
            masking,
            self.objective,
            PLAIN if evaluating else self.supervision,
            generator_for("masks", *key),
            generator_for("supervision", *key),
            self._cutting,
        )

    def _supervision_means(self, batch: dict) -> dict[str, tuple[float, int]]:
        return self.supervision.means(batch["plan"])

    def _loss_and_sums(self, model: nn.Module, inputs: dict, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        supervision = PLAIN if inputs["evaluating"] else self.supervision
        student, teacher, signals = self._student_parts, self._teacher_parts, None
        if teacher is not None:
            signals = teacher_signals(teacher, inputs, self.objective, supervision)
        denominators = self.objective.denominators(counts)

        def loss_inside(_):
            with self.accelerator.autocast():
                return student_loss(
                    student,
                    teacher,
                    signals,
                    inputs,
                    self.objective,
                    supervision,
                    denominators,
                    self.args.head_rows_at_once(),
                )

        torch.manual_seed(inputs["dropout_seed"])
        return call_inside(model, student.model, loss_inside, inputs["input_ids"])

    def _means(self, sums: torch.Tensor, counts: torch.Tensor) -> dict[str, float]:
        return mean_terms(sums, self.objective.denominators(counts), self.objective)

    def _weighted(self, terms: dict[str, float]) -> dict[str, float]:
        return {"loss": sum(self.objective.weights[name] * value for name, value in terms.items())}

    def _with_measures(self, metrics: dict[str, float]) -> dict[str, float]:
        metrics |= in_main_process(lambda: self.watch.measure(self._student_parts.model, self.processing_class))
        return metrics | {TRADEOFF: self.watch.weighted(metrics)} if self.watch.tradeoff else metrics
