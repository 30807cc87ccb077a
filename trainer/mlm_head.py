"""A masked-LM head for a teacher that has none (a sentence encoder), and the held-out masked-LM loss of any model."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch
from torch.utils.data import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from evenhand.trainer.distillation_config import DistillationArguments
from evenhand.trainer.distillation_trainer import DistillationTrainer
from evenhand.trainer.objective import DistillationObjective

MLM_ONLY = DistillationObjective(alpha_ce=0, alpha_mlm=1, alpha_cos=0)
"""Plain masked language modelling: no teacher."""


def train_mlm_head(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    dataset: Dataset,
    token_counts: torch.Tensor,
    output_dir: str | Path,
    *,
    steps: int,
    what: str = "all",
    learning_rate: float = 5e-4,
    batch_size: int = 32,
    seed: int = 0,
    from_frequencies: bool = False,
    callbacks: list[TrainerCallback] | None = None,
    **arguments,
) -> PreTrainedModel:
    """Train ``model`` on masked language modelling, with checkpoints in ``output_dir``; an interrupted training goes on.

    Args:
        model: an ``AutoModelForMaskedLM`` model; trained in place.
        dataset: examples with ``input_ids``.
        token_counts: ``(vocab_size,)`` for the smoothing of mask positions.
        steps: optimiser steps.
        what: ``all`` (default), or ``head``: what is neither encoder nor tied to it, so that the encoder stays as published.
        batch_size: sequences of one optimiser step, over all processes.
        from_frequencies: start the decoder's bias at the log frequencies of ``token_counts`` (½ added to each): a new head then begins at the
            loss of guessing by frequency and not at that of guessing blindly. Default no.
        callbacks: of the training.
        arguments: further :class:`DistillationArguments` fields.

    Returns:
        The model in eval mode, every parameter trainable again.

    Raises:
        ValueError: the batch cannot be dealt evenly to the processes.
    """
    micro_batch = sequences_per_process(batch_size)
    if from_frequencies:
        bias = model.get_output_embeddings().bias
        with torch.no_grad():
            bias[: len(token_counts)] = ((token_counts + 0.5) / (token_counts + 0.5).sum()).log().to(bias)
    if what == "head":
        body = {id(parameter) for parameter in model.base_model.parameters()}
        for parameter in model.parameters():
            parameter.requires_grad_(id(parameter) not in body)
    args = DistillationArguments(
        output_dir=str(output_dir),
        max_steps=steps,
        learning_rate=learning_rate,
        per_device_train_batch_size=micro_batch,
        seed=seed,
        freeze_position_embeddings=False,
        **{"save_strategy": "steps", "save_steps": max(1, steps // 4), "logging_steps": 50, "report_to": []}
        | arguments,
    )
    trainer = DistillationTrainer(
        model,
        None,
        args,
        objective=MLM_ONLY,
        train_dataset=dataset,
        processing_class=tokenizer,
        token_counts=token_counts,
        callbacks=callbacks,
    )
    trainer.train(resume_from_checkpoint=True)
    model.requires_grad_(True)
    return model.eval()


def sequences_per_process(batch_size: int) -> int:
    """One process's share of an optimiser step of the head's training.

    Raises:
        ValueError: it does not come out even.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))  # as every launcher sets it
    if batch_size < 1 or batch_size % processes:
        raise ValueError(
            f"teacher.mlm_batch_size {batch_size} cannot be dealt evenly to {processes} processes; choose a multiple of {processes}."
        )
    return batch_size // processes


def held_out_mlm_loss(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    dataset: Dataset,
    token_counts: torch.Tensor,
    *,
    seed: int = 0,
    batch_size: int = 32,
    **arguments,
) -> tuple[float, int]:
    """Mean cross-entropy (nats) over masked tokens of held-out text, and how many there were.

    The masks depend on ``seed``, ``batch_size`` and the number of processes only: models measured with the same values saw the
    same masks. All processes must call this together. ``arguments`` are further :class:`DistillationArguments` fields.
    """
    with tempfile.TemporaryDirectory() as folder:
        args = DistillationArguments(
            output_dir=folder,
            per_device_eval_batch_size=batch_size,
            seed=seed,
            freeze_position_embeddings=False,
            **{"report_to": []} | arguments,
        )
        trainer = DistillationTrainer(
            model, None, args, objective=MLM_ONLY, eval_dataset=dataset, processing_class=tokenizer, token_counts=token_counts,
            callbacks=[],
        )  # fmt: skip
        metrics = trainer.evaluate()
    return metrics["eval_mlm"], metrics["eval_mlm_targets"]
