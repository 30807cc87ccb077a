"""The Trainer subclass that distils a masked language model."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evenhand.trainer.batches import EndlessStream, EpochSampler, PaddingCollator, sequence_lengths
from evenhand.trainer.checkpoints import latest_complete_checkpoint
from evenhand.trainer.distillation_config import DistillationArguments
from evenhand.trainer.distillation_step import mean_terms, prepare_micro_batch, student_loss, teacher_signals
from evenhand.trainer.masking import XlmMasking
from evenhand.trainer.mlm_parts import MlmParts
from evenhand.trainer.objective import TERMS, DistillationObjective
from evenhand.trainer.randomness import derive_seed, generator_for
from evenhand.trainer.redirected_forward import call_inside
from evenhand.trainer.resumable_trainer import ResumableTrainer
from evenhand.trainer.student import freeze_position_embeddings
from evenhand.trainer.supervision import SupervisionTransform
from evenhand.trainer.teacher import check_same_vocabulary, check_widths, place_teacher
from evenhand.trainer.token_counts import count_tokens

_PLAIN = SupervisionTransform()


class NonFiniteLossError(RuntimeError):
    """A loss term became NaN or infinite; the last checkpoint written before is good."""


class DistillationTrainer(ResumableTrainer):
    """Distils ``teacher`` into ``model`` with the objective of DistilBERT (Sanh et al. 2019) and optional supervision transforms.

    Means are over the whole optimiser step (all micro-batches, all processes), so the gradient does not depend on how a batch
    is split. Masks, mixing coefficients and dropout are drawn from (seed, optimiser step, micro-batch, process), so a resumed run
    equals an uninterrupted one. Every loss term is logged unweighted.

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
        masking: the corruption itself, if not built from ``args`` and ``token_counts``: anything with ``corrupt(input_ids, attention_mask, generator)``.
        kwargs: passed on to ``Trainer``.

    Raises:
        ValueError: no tokenizer, vocabularies that differ (named by the first differing token), unequal widths with α_cos > 0, a missing teacher.
        NonFiniteLossError: during training, naming the term.
    """

    # compute_loss divides by counts of the whole optimiser step itself (transformers#47688)
    loss_is_scaled_for_ga = True

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
        masking: XlmMasking | None = None,
        **kwargs,
    ) -> None:
        if processing_class is None:
            raise ValueError("DistillationTrainer needs processing_class, the tokenizer of student and teacher.")
        self.objective = objective or DistillationObjective()
        self.supervision = supervision or SupervisionTransform()
        args = args or DistillationArguments()
        if self.objective.needs_teacher and teacher is None:
            raise ValueError(
                "The objective has teacher terms (alpha_ce, alpha_cos or alpha_mse above 0), but no teacher was given."
            )
        if teacher_processing_class is not None:
            check_same_vocabulary(processing_class, teacher_processing_class)
        if self.objective.needs_teacher:
            check_widths(model, teacher, self.objective.alpha_cos)
        if args.freeze_position_embeddings:
            freeze_position_embeddings(model)
        super().__init__(
            model=model,
            args=args,
            data_collator=PaddingCollator(processing_class.pad_token_id),
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            **kwargs,
        )
        self.masking = masking or self._default_masking(token_counts)
        self._student_parts = MlmParts(model)
        # a plain attribute of a plain object: the optimiser, DDP and checkpoints must not find the teacher
        self._teacher_parts = None
        if teacher is not None and self.objective.needs_teacher:
            self._teacher_parts = MlmParts(place_teacher(teacher, self.args.device, self.args.teacher_dtype))

    def _default_masking(self, token_counts: torch.Tensor | None) -> XlmMasking:
        tokenizer, args = self.processing_class, self.args
        if token_counts is None:
            size = len(tokenizer)
            uniform = args.mlm_smoothing == 0 or self.train_dataset is None
            token_counts = torch.ones(size) if uniform else count_tokens(self.train_dataset, size)
        return XlmMasking(
            token_counts, tokenizer.mask_token_id, tokenizer.all_special_ids, args.mlm_probability, args.mlm_smoothing
        )

    # -- data ------------------------------------------------------------------------------------------------------

    def get_train_dataloader(self) -> DataLoader:
        """Batches stay on the CPU until :meth:`training_step`, because masks and indices are worked out there."""
        if self.train_dataset is None:
            raise ValueError("DistillationTrainer: training needs a train_dataset.")
        streaming = isinstance(self.train_dataset, IterableDataset)
        dataset = self.train_dataset
        if streaming:
            dataset = EndlessStream(dataset)
            self.accelerator.dataloader_config.dispatch_batches = False
        else:
            self._train_sampler = self._sampler()
        loader = DataLoader(
            dataset,
            batch_size=self._train_batch_size,
            sampler=self._train_sampler,
            drop_last=self.args.dataloader_drop_last,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory and self.args.device.type == "cuda",
            num_workers=self.args.dataloader_num_workers,
            persistent_workers=self.args.dataloader_persistent_workers,
            prefetch_factor=self.args.dataloader_prefetch_factor,
        )
        return self.accelerator.prepare_data_loader(loader, device_placement=False)

    def _sampler(self) -> EpochSampler:
        strategy, args = self.args.train_sampling_strategy, self.args
        return EpochSampler(
            len(self.train_dataset),
            args.data_seed if args.data_seed is not None else args.seed,
            sequence_lengths(self.train_dataset) if strategy == "group_by_length" else None,
            args.train_batch_size * args.gradient_accumulation_steps * args.world_size,
        )

    def get_batch_samples(self, epoch_iterator, num_batches: int, device: torch.device):
        """Fetch one optimiser step's micro-batches, corrupt them, and count both denominators in one collective."""
        batches = []
        if self.control.should_training_stop:  # all steps were done before a resume
            return batches, None
        for number in range(num_batches):
            batch = next(epoch_iterator, None)
            if batch is None:
                break
            batches.append(self._prepare_batch(batch, self.state.global_step, number))
        counts = sum((batch["counts"] for batch in batches), torch.zeros(2, dtype=torch.long)).to(device)
        counts = self.accelerator.reduce(counts, "sum")
        self._window.count(counts)
        for batch in batches:
            for name, value in {"tokens_seen": int(batch["counts"][1]), **batch["supervision_counts"]}.items():
                self._counts[name] = self._counts.get(name, 0) + value
        return batches, counts

    def _prepare_batch(self, batch: dict, step: int, number: int, evaluating: bool = False) -> dict:
        key = ("eval" if evaluating else "train", self.args.seed, step, number, self.args.process_index)
        prepared = prepare_micro_batch(
            batch,
            self.masking,
            self.objective,
            _PLAIN if evaluating else self.supervision,
            generator_for("masks", *key),
            generator_for("supervision", *key),
        )
        prepared["dropout_seed"] = derive_seed("dropout", *key)
        prepared["evaluating"] = evaluating
        return prepared

    # -- loss ------------------------------------------------------------------------------------------------------

    def compute_loss(self, model: nn.Module, inputs: dict, return_outputs: bool = False, num_items_in_batch=None):
        """Σ α·sum/count · processes of one micro-batch; ``num_items_in_batch`` holds both counts of the whole step."""
        supervision = _PLAIN if inputs["evaluating"] else self.supervision
        student, teacher, signals = self._student_parts, self._teacher_parts, None
        if teacher is not None:
            signals = teacher_signals(teacher, inputs, self.objective, supervision)
        denominators = self.objective.denominators(num_items_in_batch)

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
                    self.args.head_chunk_size,
                )

        torch.manual_seed(inputs["dropout_seed"])
        loss, sums = call_inside(model, student.model, loss_inside, inputs["input_ids"])
        if not inputs["evaluating"]:
            self._window.add(sums, self.state.global_step + 1)
        # DDP and ZeRO average gradients over processes; the denominators are global already
        loss = loss * self.accelerator.num_processes
        return (loss, {"sums": sums}) if return_outputs else loss

    # -- evaluation ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def evaluate(self, eval_dataset: Dataset | None = None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict:
        """Loss and unweighted terms on held-out data; sums and counts are gathered, never logits.

        No supervision transform is applied, so that runs with and without one are comparable; masks depend on the seed, the
        batch number and the process only, so that all evaluations of a run see the same ones.
        """
        dataset = eval_dataset if eval_dataset is not None else self.eval_dataset
        if dataset is None:
            raise ValueError("DistillationTrainer.evaluate needs an eval_dataset.")
        # not prepared by accelerate: its even_batches would count some examples twice
        mine = range(self.args.process_index, len(dataset), self.args.world_size)
        loader = DataLoader(dataset, batch_size=self.args.eval_batch_size, collate_fn=self.data_collator, sampler=mine)
        training = self.model.training
        self.model.eval()
        sums = torch.zeros(len(TERMS), device=self.args.device)
        counts = torch.zeros(2, dtype=torch.long, device=self.args.device)
        for number, batch in enumerate(tqdm(loader, desc="Evaluating", disable=self.args.disable_tqdm, leave=False)):
            inputs = self._prepare_inputs(self._prepare_batch(batch, 0, number, evaluating=True))
            _, outputs = self.compute_loss(self.model, inputs, return_outputs=True, num_items_in_batch=inputs["counts"])
            sums, counts = sums + outputs["sums"], counts + inputs["counts"]
        self.model.train(training)
        sums, counts = (self.accelerator.reduce(value, "sum") for value in (sums, counts))
        terms = mean_terms(sums, self.objective.denominators(counts), self.objective)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in terms.items()}
        metrics[f"{metric_key_prefix}_loss"] = sum(
            self.objective.weights[name] * value for name, value in terms.items()
        )
        metrics[f"{metric_key_prefix}_mlm_targets"] = int(counts[0])
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    # -- logs ------------------------------------------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the unweighted mean of every term since the last log; stop on a term that is not finite."""
        if "loss" in logs and self._window.steps:
            logs |= self.check_finite()
            self._window.clear()
        super().log(logs, start_time)

    def check_finite(self) -> dict[str, float]:
        """Unweighted means of the terms since the last log.

        Raises:
            NonFiniteLossError: one of them is not finite; the first step and the terms are named.
        """
        sums = self.accelerator.reduce(self._window.sums, "sum")
        terms = mean_terms(sums, self.objective.denominators(self._window.counts), self.objective)
        broken = [name for name, value in terms.items() if not math.isfinite(value)]
        if broken:
            # one step later the optimiser has spread it to every term
            since = dict(
                zip(TERMS, self.accelerator.gather(self._window.broken_since[None]).amin(0).tolist(), strict=True)
            )
            first = min(since[name] for name in broken)
            names = ", ".join(name for name in broken if since[name] == first)
            raise NonFiniteLossError(
                f"Loss term {names} is not finite at step {first}; training stopped. The last complete "
                f"checkpoint is {latest_complete_checkpoint(self.args.output_dir) or 'none'}. Lower the learning rate or check the data."
            )
        return terms
