"""What every training on masked text with one teacher shares: data, masks, counts of a whole step, held-out losses, logs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from accelerate.utils import DynamoBackend
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evenhand.trainer.batch_shards import EMPTY, CollateOrEmpty, NoMasking, ShardOfBatches
from evenhand.trainer.batches import EndlessStream, EpochSampler, PaddingCollator, sequence_lengths
from evenhand.trainer.checkpoints import latest_complete_checkpoint
from evenhand.trainer.deepspeed_precision import FullPrecisionAfterTraining
from evenhand.trainer.distillation_config import DistillationArguments
from evenhand.trainer.masking import XlmMasking
from evenhand.trainer.mlm_parts import MlmParts
from evenhand.trainer.objective import TERMS, DistillationObjective
from evenhand.trainer.randomness import derive_seed
from evenhand.trainer.resumable_trainer import ResumableTrainer
from evenhand.trainer.stop_signals import leave_signals_to_the_trainer
from evenhand.trainer.student import freeze_position_embeddings
from evenhand.trainer.supervision import SupervisionTransform
from evenhand.trainer.teacher import check_same_vocabulary, check_widths, place_teacher
from evenhand.trainer.token_counts import count_tokens
from evenhand.trainer.watching import MeasureAtStart, Watch, undisturbed

PLAIN = SupervisionTransform()
_NO_MASKING = NoMasking()


class NonFiniteLossError(RuntimeError):
    """A loss term became NaN or infinite; the last checkpoint written before is good."""


class MaskedTextTrainer(ResumableTrainer):
    """Reads and masks text, counts the denominators of a whole optimiser step, evaluates on held-out text, logs every term.

    A subclass says what is trained: it prepares a micro-batch (:meth:`_prepare`), computes its loss (:meth:`_loss_and_sums`), and names the
    sums that are logged (:attr:`_sum_names`, :meth:`_means`).

    Args:
        model: what is trained, one student or a module of several.
        teacher: a masked LM, placed and frozen here; None where no objective has a teacher term.
        students: by name (empty for a single one), each with its objective: checked against the teacher; positions are frozen here.
        args, train_dataset, eval_dataset, processing_class, teacher_processing_class, token_counts, watch, masking, kwargs: see
            :class:`~evenhand.trainer.distillation_trainer.DistillationTrainer`.
    """

    # compute_loss divides by counts of the whole optimiser step itself (transformers#47688)
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: nn.Module,
        teacher: PreTrainedModel | None,
        args: DistillationArguments | None,
        students: Mapping[str, tuple[PreTrainedModel, DistillationObjective]],
        *,
        train_dataset: Dataset | IterableDataset | None = None,
        eval_dataset: Dataset | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        teacher_processing_class: PreTrainedTokenizerBase | None = None,
        token_counts: torch.Tensor | None = None,
        watch: Watch | None = None,
        masking: XlmMasking | None = None,
        **kwargs,
    ) -> None:
        if processing_class is None:
            raise ValueError(f"{type(self).__name__} needs processing_class, the tokenizer of student and teacher.")
        self.watch = watch or Watch()
        args = args or DistillationArguments()
        if teacher_processing_class is not None:
            check_same_vocabulary(processing_class, teacher_processing_class)
        for name, (student, objective) in students.items():
            _accept(student, objective, teacher, args, f"Arm {name}: " if name else "")
        super().__init__(
            model=model,
            args=args,
            data_collator=PaddingCollator(processing_class.pad_token_id),
            train_dataset=train_dataset,
            # Trainer wants one where it evaluates; measures need none
            eval_dataset=[] if eval_dataset is None and self.watch.measures else eval_dataset,
            processing_class=processing_class,
            **kwargs,
        )
        if watch is not None:
            self.add_callback(MeasureAtStart(self.evaluate))
        if self.is_deepspeed_enabled:
            self.add_callback(FullPrecisionAfterTraining(model))
        self.masking = masking or self._default_masking(token_counts)
        # a plain attribute of a plain object: the optimiser, DDP and checkpoints must not find the teacher
        self._teacher_parts = None
        if any(objective.needs_teacher for _, objective in students.values()):
            self._teacher_parts = self._parts_of(place_teacher(teacher, self.args.device, self.args.teacher_dtype))

    def _parts_of(self, model: PreTrainedModel) -> MlmParts:
        """The model cut at its seams, its layers compiled where ``torch_compile`` is on.

        accelerate would compile the whole model's call, which the loss changes at every step, so it is told not to.
        """
        parts = MlmParts(model)
        if self.args.torch_compile:
            self.accelerator.state.dynamo_plugin.backend = DynamoBackend.NO
            parts.compile_layers(backend=self.args.torch_compile_backend, mode=self.args.torch_compile_mode)
        return parts

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
            raise ValueError(f"{type(self).__name__}: training needs a train_dataset.")
        settings = {
            "collate_fn": CollateOrEmpty(self.data_collator, self.processing_class.pad_token_id),
            "worker_init_fn": leave_signals_to_the_trainer,
            "num_workers": self.args.dataloader_num_workers,
            "persistent_workers": self.args.dataloader_persistent_workers,
            "prefetch_factor": self.args.dataloader_prefetch_factor,
        }
        size, drop_last = self._train_batch_size, self.args.dataloader_drop_last
        if isinstance(self.train_dataset, IterableDataset):
            self.accelerator.dataloader_config.dispatch_batches = False
            loader = DataLoader(EndlessStream(self.train_dataset), batch_size=size, drop_last=drop_last, **settings)
            return self.accelerator.prepare_data_loader(loader, device_placement=False)
        self._train_sampler = self._sampler()
        batches = BatchSampler(self._train_sampler, size, drop_last)
        mine = ShardOfBatches(batches, self.args.process_index, self.args.world_size)
        return DataLoader(self.train_dataset, batch_sampler=mine, **settings)

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
        if self._stop.look():
            self.stop_here()
        if self.control.should_training_stop:  # by a signal, or all steps were done before a resume
            return batches, None
        for number in range(num_batches):
            batch = next(epoch_iterator, None)
            if batch is None:
                break
            self._window.start_clock()
            batches.append(self._prepare_batch(batch, self.state.global_step, number))
        counts = sum((batch["counts"] for batch in batches), torch.zeros(2, dtype=torch.long))
        counts = self._stop.sum_over_processes(counts, self._prepare_input)
        if self._stop.known:
            self.stop_here()
            return [], None
        self._window.count(counts)
        for batch in batches:
            for name, value in {"tokens_seen": int(batch["counts"][1]), **batch["supervision_counts"]}.items():
                self._counts[name] = self._counts.get(name, 0) + value
            self._window.plan(batch, self._supervision_means(batch))
        return batches, counts

    def _prepare_batch(self, batch: dict, step: int, number: int, evaluating: bool = False) -> dict:
        kind, place = "eval", (number, self.args.process_index)
        if not evaluating:
            # its place in the effective batch: the draws are the same whichever process gets the micro-batch
            kind, place = "train", (number * self.args.world_size + self.args.process_index, 0)
        key = (kind, self.args.seed, step, *place)
        empty = batch.pop(EMPTY, False)
        prepared = self._prepare(batch, _NO_MASKING if empty else self.masking, key, evaluating)
        if empty:
            prepared["counts"] = torch.zeros_like(prepared["counts"])
        prepared["dropout_seed"] = derive_seed("dropout", *key)
        prepared["evaluating"], prepared[EMPTY] = evaluating, empty
        return prepared

    def _prepare_input(self, data):
        """To the device; from pinned memory on a GPU, so that the CPU does not wait for each of the small index tensors."""
        if isinstance(data, torch.Tensor) and data.device.type == "cpu" and self.args.device.type == "cuda":
            data = data.pin_memory().to(self.args.device, non_blocking=True)
        return super()._prepare_input(data)

    # -- what is trained -------------------------------------------------------------------------------------------

    _sum_names: Sequence[str] = TERMS
    """Names of the sums of a micro-batch, in their order."""

    def _prepare(self, batch: dict, masking: XlmMasking, key: tuple, evaluating: bool) -> dict:
        """A micro-batch with its masks and indices, on the CPU; everything random comes from ``key``."""
        raise NotImplementedError

    def _supervision_means(self, batch: dict) -> dict[str, tuple[float, int]]:
        """What the transforms log of a prepared micro-batch, see :meth:`SupervisionTransform.means`."""
        raise NotImplementedError

    def _loss_and_sums(self, model: nn.Module, inputs: dict, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of a micro-batch on the device, and its sums in the order of ``_sum_names``, detached."""
        raise NotImplementedError

    def _means(self, sums: torch.Tensor, counts: torch.Tensor) -> dict[str, float]:
        """Unweighted means of the terms that are on, by name."""
        raise NotImplementedError

    def _weighted(self, terms: dict[str, float]) -> dict[str, float]:
        """The losses that these terms add up to, by name."""
        raise NotImplementedError

    def _with_measures(self, metrics: dict[str, float]) -> dict[str, float]:
        """``metrics`` and what the watch measures."""
        raise NotImplementedError

    def compute_loss(self, model: nn.Module, inputs: dict, return_outputs: bool = False, num_items_in_batch=None):
        """Σ α·sum/count · processes of one micro-batch; ``num_items_in_batch`` holds both counts of the whole step."""
        loss, sums = self._loss_and_sums(model, inputs, num_items_in_batch)
        if not (inputs["evaluating"] or inputs[EMPTY]):
            self._window.add(sums, self.state.global_step + 1)
        # DDP and ZeRO average gradients over processes; the denominators are global already
        loss = loss * (0 if inputs[EMPTY] else self.accelerator.num_processes)
        return (loss, {"sums": sums}) if return_outputs else loss

    # -- evaluation ------------------------------------------------------------------------------------------------

    def evaluate(self, eval_dataset: Dataset | None = None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict:
        """Loss and unweighted terms on held-out data, if there are any, and the numbers of :class:`Watch`.

        No supervision transform is applied, so that runs with and without one are comparable; masks depend on the seed, the
        batch number and the process only, so that all evaluations of a run see the same ones. The main process alone takes the measures.
        Training goes on afterwards as if there had been no evaluation.
        """
        dataset = eval_dataset if eval_dataset is not None else self.eval_dataset
        if dataset is None:
            raise ValueError(f"{type(self).__name__}.evaluate needs an eval_dataset.")
        with self._window.paused(), undisturbed(self.model):
            metrics = self._with_measures(self._held_out_terms(dataset) if len(dataset) else {})
            metrics = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
            self.log(dict(metrics))
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _held_out_terms(self, dataset: Dataset) -> dict[str, float]:
        """Loss, terms and the number of MLM targets; sums and counts are gathered, never logits."""
        # not prepared by accelerate: its even_batches would count some examples twice
        mine = range(self.args.process_index, len(dataset), self.args.world_size)
        loader = DataLoader(dataset, batch_size=self.args.eval_batch_size, collate_fn=self.data_collator, sampler=mine)
        sums = torch.zeros(len(self._sum_names), device=self.args.device)
        counts = torch.zeros(2, dtype=torch.long, device=self.args.device)
        for number, batch in enumerate(tqdm(loader, desc="Evaluating", disable=self.args.disable_tqdm, leave=False)):
            inputs = self._prepare_inputs(self._prepare_batch(batch, 0, number, evaluating=True))
            _, outputs = self.compute_loss(self.model, inputs, return_outputs=True, num_items_in_batch=inputs["counts"])
            sums, counts = sums + outputs["sums"], counts + inputs["counts"]
        sums, counts = (self.accelerator.reduce(value, "sum") for value in (sums, counts))
        terms = self._means(sums, counts)
        return terms | self._weighted(terms) | {"mlm_targets": int(counts[0])}

    # -- logs ------------------------------------------------------------------------------------------------------

    def check_finite(self) -> dict[str, float]:
        """Unweighted means of the terms since the last log, tokens a second and the other figures of :class:`LogWindow`.

        Raises:
            NonFiniteLossError: one of them is not finite; the first step and the terms are named.
        """
        sums, figures = self._window.gathered(self.accelerator)
        terms = self._means(sums, self._window.counts)
        broken = [name for name, value in terms.items() if not math.isfinite(value)]
        if broken:
            # one step later the optimiser has spread it to every term
            since = self.accelerator.gather(self._window.broken_since[None]).amin(0).tolist()
            since = dict(zip(self._sum_names, since, strict=True))
            first = min(since[name] for name in broken)
            names = ", ".join(name.replace("/", " of arm ") for name in broken if since[name] == first)
            raise NonFiniteLossError(
                f"Loss term {names} is not finite at step {first}; training stopped. The last complete "
                f"checkpoint is {latest_complete_checkpoint(self.args.output_dir) or 'none'}. Lower the learning rate or check the data."
            )
        return terms | figures


def _accept(
    student: PreTrainedModel,
    objective: DistillationObjective,
    teacher: PreTrainedModel | None,
    args: DistillationArguments,
    where: str,
) -> None:
    """Check a student against the teacher and freeze what is not trained; ``where`` begins the message of an error."""
    if objective.needs_teacher and teacher is None:
        raise ValueError(
            f"{where}The objective has teacher terms (alpha_ce, alpha_cos or alpha_mse above 0), but no teacher was given."
        )
    if objective.needs_teacher:
        try:
            check_widths(student, teacher, objective.alpha_cos)
        except ValueError as error:
            raise ValueError(f"{where}{error}") from None
    if args.freeze_position_embeddings:
        freeze_position_embeddings(student)
