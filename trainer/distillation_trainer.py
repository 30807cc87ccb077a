"""The Trainer subclass that distils a masked language model."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback
from transformers.trainer_utils import rotate_checkpoints

from evenhand.trainer.batches import EndlessStream, EpochSampler, PaddingCollator, sequence_lengths
from evenhand.trainer.checkpoints import (
    SAVING,
    completion_facts,
    discard_unfinished,
    latest_complete_checkpoint,
    publish_checkpoint,
)
from evenhand.trainer.distillation_config import DistillationArguments
from evenhand.trainer.distillation_step import mean_terms, prepare_micro_batch, student_loss, teacher_signals
from evenhand.trainer.log_window import LogWindow
from evenhand.trainer.masking import XlmMasking
from evenhand.trainer.mlm_parts import MlmParts
from evenhand.trainer.objective import TERMS, DistillationObjective
from evenhand.trainer.randomness import derive_seed, generator_for
from evenhand.trainer.student import freeze_position_embeddings
from evenhand.trainer.supervision import SupervisionTransform
from evenhand.trainer.teacher import check_same_vocabulary, check_widths, place_teacher
from evenhand.trainer.token_counts import count_tokens

_PLAIN = SupervisionTransform()


class NonFiniteLossError(RuntimeError):
    """A loss term became NaN or infinite; the last checkpoint written before is good."""


class DistillationTrainer(Trainer):
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
        if self.objective.needs_teacher:
            if teacher is None:
                raise ValueError(
                    "The objective has teacher terms (alpha_ce, alpha_cos or alpha_mse above 0), but no teacher was given."
                )
            check_widths(model, teacher, self.objective.alpha_cos)
        if teacher_processing_class is not None:
            check_same_vocabulary(processing_class, teacher_processing_class)
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
        self._window = LogWindow(self.args.device)
        self._counts: dict[str, int] = {"tokens_seen": 0}
        self._counts_before_resume: dict[str, int] = {}
        self._unlogged_before_resume: dict = {}
        self._saving_into: Path | None = None
        self.add_callback(_ExactResume(self))

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
        self._train_sampler = None
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
        loss, sums = _call_inside(model, student.model, loss_inside, inputs["input_ids"])
        if not inputs["evaluating"]:
            self._window.add(sums, self.state.global_step + 1)
        # DDP and ZeRO average gradients over processes; the denominators are global already
        loss = loss * self.accelerator.num_processes
        return (loss, {"sums": sums}) if return_outputs else loss

    # -- evaluation ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def evaluate(self, eval_dataset: Dataset | None = None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict:
        """Loss and unweighted terms on held-out data; sums and counts are gathered, never logits.

        No supervision transform is applied, so that runs with and without one are comparable; masks depend on the seed and the
        batch number only, so that all evaluations of a run see the same ones.
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
            logs |= self._window_terms()
            self._window.clear()
        super().log(logs, start_time)

    def _window_terms(self) -> dict[str, float]:
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

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs):
        """As ``Trainer.train``; ``resume_from_checkpoint=True`` takes the newest *complete* checkpoint, if there is one."""
        if resume_from_checkpoint is True:
            newest = latest_complete_checkpoint(self.args.output_dir)
            resume_from_checkpoint = str(newest) if newest else None
        if resume_from_checkpoint:
            facts = completion_facts(resume_from_checkpoint)
            self._counts_before_resume = facts.get("counts", {})
            self._unlogged_before_resume = facts.get("unlogged", {})
        result = super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)
        if self._window.steps:  # steps since the last log: nobody has looked at them yet
            self._window_terms()
        return result

    def total_counts(self) -> dict[str, int]:
        """Tokens seen and what the supervision transform counted, over all processes and before a resume."""
        names = sorted(
            {*self._counts, *self._counts_before_resume}
        )  # a finished run that is resumed counts nothing new
        mine = torch.tensor([self._counts.get(name, 0) for name in names], device=self.args.device)
        totals = self.accelerator.reduce(mine, "sum").tolist()
        return {name: n + self._counts_before_resume.get(name, 0) for name, n in zip(names, totals, strict=True)}

    def _unlogged(self) -> dict:
        """The log window and ``Trainer``'s own loss sum, which it forgets on a resume: the next log would leave out steps."""
        mine = torch.cat([self._window.sums, self._tr_loss.reshape(1)])
        of_processes = self.accelerator.gather(mine[None]).tolist()
        return self._window.state() | {"of_processes": of_processes, "last_logged": self._globalstep_last_logged}

    def _restore_unlogged(self) -> None:
        facts, self._unlogged_before_resume = self._unlogged_before_resume, {}
        if len(facts.get("of_processes", [])) != self.args.world_size:
            return
        mine = torch.tensor(facts["of_processes"][self.args.process_index], device=self.args.device)
        self._window.restore(facts, mine[:-1])
        self._tr_loss += mine[-1]
        self._globalstep_last_logged = facts["last_logged"]

    def _get_output_dir(self, trial) -> str:
        return str(self._saving_into) if self._saving_into else super()._get_output_dir(trial)

    def _save_checkpoint(self, model: nn.Module, trial) -> None:
        """Write under ``.saving/``, then rename: a kill or a full disk leaves no torn checkpoint."""
        if self._window.steps:
            self._window_terms()  # a broken student must not replace a good checkpoint
        run_dir = Path(super()._get_output_dir(trial))
        name = f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            discard_unfinished(run_dir)
        self.accelerator.wait_for_everyone()
        facts = {"step": self.state.global_step, "processes": self.args.world_size, "counts": self.total_counts()}
        facts["unlogged"] = self._unlogged()
        self._saving_into = run_dir / SAVING
        try:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                publish_checkpoint(run_dir, name, facts)
        except (
            OSError,
            RuntimeError,
            SafetensorError,
        ) as error:  # torch and safetensors each name a full disk their own way
            shutil.rmtree(self._saving_into, ignore_errors=True)
            raise RuntimeError(
                f"Checkpoint {name} could not be written ({str(error).splitlines()[0]}); free {_free_gib(run_dir)} GiB. The last "
                f"complete checkpoint is {latest_complete_checkpoint(run_dir) or 'none'}; free disk space and run again to resume."
            ) from error
        finally:
            self._saving_into = None
        if self.args.should_save:
            rotate_checkpoints(
                output_dir=str(run_dir),
                save_total_limit=self.args.save_total_limit,
                best_model_checkpoint=self.state.best_model_checkpoint,
                use_mtime=False,
            )
        self.accelerator.wait_for_everyone()


class _ExactResume(TrainerCallback):
    """Sets the sampler's epoch at each epoch's start, the first after a resume included, and restores what was not logged yet.

    A run resumed when all its steps are done, but not its epoch, stops here: ``Trainer`` would train one step more.
    """

    def __init__(self, trainer: DistillationTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.trainer._restore_unlogged()

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        if self.trainer._train_sampler is not None:
            self.trainer._train_sampler.set_epoch(int(state.epoch or 0))
        if state.global_step >= state.max_steps:
            control.should_training_stop = True


def _call_inside(wrapped: nn.Module, inner: nn.Module, function: Callable, argument: torch.Tensor):
    """Run ``function(argument)`` as if it were ``inner``'s forward, through ``wrapped``'s call.

    DDP and DeepSpeed synchronise gradients for what happens inside their forward; a loss computed there needs no logits to
    leave it. ``inner`` is restored before ``function`` runs, so the student's own calls are ordinary ones.
    """
    original = inner.__dict__.get("forward")

    def restore() -> None:
        if original is None:
            inner.__dict__.pop("forward", None)
        else:
            inner.forward = original

    def once(*args):
        restore()
        return function(*args)

    inner.forward = once
    try:
        return wrapped(argument)
    finally:
        restore()


def _free_gib(path: Path) -> str:
    return f"{shutil.disk_usage(path).free / 2**30:.1f}"
