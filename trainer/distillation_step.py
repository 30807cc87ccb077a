"""One micro-batch: its randomness and indices on the CPU, the teacher's signals, the student's loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from evenhand.trainer.chunked_head import chunked_head_loss, decode
from evenhand.trainer.loss_terms import (
    hidden_cosine_distance,
    logit_squared_error,
    masked_lm_cross_entropy,
    soft_target_kl,
)
from evenhand.trainer.masking import IGNORED, XlmMasking
from evenhand.trainer.mlm_parts import MlmParts
from evenhand.trainer.objective import TERMS, DistillationObjective
from evenhand.trainer.supervision import MicroBatch, SupervisionTransform, TeacherSignals


def prepare_micro_batch(
    batch: dict[str, torch.Tensor],
    masking: XlmMasking,
    objective: DistillationObjective,
    supervision: SupervisionTransform,
    mask_generator: torch.Generator,
    plan_generator: torch.Generator,
) -> dict:
    """Corrupt a padded batch and work out every index on the CPU, so that nothing later waits for the device.

    Args:
        batch: ``input_ids`` and ``attention_mask``, both ``(batch, length)`` on the CPU.

    Returns:
        The batch with ``input_ids`` corrupted, and with ``rows`` (flat positions of compared logits), ``row_targets`` (which rows
        are MLM targets), ``row_labels`` (their ids), ``attended`` (flat positions of compared hidden states), ``plan`` of the supervision transform,
        ``counts`` ``(2,)`` (MLM targets, attended positions) and ``supervision_counts``.
    """
    original, mask = batch["input_ids"], batch["attention_mask"]
    corrupted = masking.corrupt(original, mask, mask_generator)
    flat_labels = corrupted.labels.flatten()
    targets = (flat_labels != IGNORED).nonzero().flatten()
    attended = mask.flatten().nonzero().flatten()
    everywhere = objective.compares_logits and objective.ce_positions == "attended"
    rows = attended if everywhere else targets
    micro = MicroBatch(corrupted.input_ids, original, mask, corrupted.labels, rows, attended)
    plan = supervision.plan(micro, plan_generator)
    row_targets = torch.searchsorted(rows, targets)
    return {
        "input_ids": corrupted.input_ids,
        "attention_mask": mask,
        "rows": rows,
        "row_targets": row_targets,
        "row_targets_on_host": row_targets.numpy(),  # chunk bounds are read here without waiting for the device
        "row_labels": flat_labels[targets],
        "attended": attended,
        "plan": plan,
        "counts": torch.tensor([len(targets), len(attended)]),
        "supervision_counts": supervision.counts(plan),
    }


@torch.no_grad()
def teacher_signals(
    teacher: MlmParts, inputs: dict, objective: DistillationObjective, supervision: SupervisionTransform
) -> TeacherSignals:
    """The teacher's decoder inputs and hidden states for one micro-batch, after the supervision transform."""
    encoded = teacher.encode(inputs["input_ids"], inputs["attention_mask"])
    signals = TeacherSignals(
        head_rows=teacher.head_rows(encoded, inputs["rows"]) if objective.compares_logits else None,
        hidden=encoded.hidden.flatten(0, 1)[inputs["attended"]] if objective.alpha_cos > 0 else None,
    )
    return supervision.teacher_signals(signals, inputs["plan"], teacher.encode, teacher.head_rows)


def student_loss(
    student: MlmParts,
    teacher: MlmParts | None,
    signals: TeacherSignals | None,
    inputs: dict,
    objective: DistillationObjective,
    supervision: SupervisionTransform,
    denominators: torch.Tensor,
    chunk_size: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The student's forward and its loss; called inside the wrapped module call, so DDP, ZeRO and AMP see all of it.

    Args:
        denominators: ``(4,)`` counts of the whole optimiser step, in the order of :data:`TERMS`.

    Returns:
        ``Σ α·sum/denominator`` of this micro-batch (a scalar) and the unweighted sums ``(4,)``, detached.
    """
    hook = _mix_embeddings_hook(student, supervision, inputs["plan"])
    try:
        encoded = student.encode(inputs["input_ids"], inputs["attention_mask"])
    finally:
        hook.remove()
    rows = student.head_rows(encoded, inputs["rows"])
    scale = {name: alpha / denominators[i] for i, (name, alpha) in enumerate(objective.weights.items())}
    loss_of_chunk = _chunk_loss(teacher, signals, inputs, objective, supervision, scale)
    total, head_sums = chunked_head_loss(rows, *student.decoder, loss_of_chunk, n_sums=3, chunk_size=chunk_size)
    cosine = total.new_zeros(())
    if objective.alpha_cos > 0:
        hidden = encoded.hidden.flatten(0, 1).index_select(0, inputs["attended"])
        cosine = hidden_cosine_distance(hidden, signals.hidden)
        total = total + scale["cos"] * cosine
    ce, mlm, mse = head_sums
    return total, torch.stack([ce, mlm, cosine.detach(), mse])


def _chunk_loss(
    teacher: MlmParts | None,
    signals: TeacherSignals | None,
    inputs: dict,
    objective: DistillationObjective,
    supervision: SupervisionTransform,
    scale: dict[str, torch.Tensor],
) -> Callable:
    targets, labels, on_host = inputs["row_targets"], inputs["row_labels"], inputs["row_targets_on_host"]

    def loss_of_chunk(logits: torch.Tensor, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        first, last = np.searchsorted(on_host, (start, stop))
        chosen = targets[first:last] - start
        mlm = masked_lm_cross_entropy(logits.index_select(0, chosen), labels[first:last])
        ce = mse = logits.new_zeros((), dtype=mlm.dtype)
        if objective.compares_logits:
            with torch.no_grad():
                target = decode(signals.head_rows[start:stop], *teacher.decoder).to(mlm.dtype)
                target = supervision.teacher_logits(target, start, inputs["plan"])
            ce = soft_target_kl(logits, target, objective.temperature) if objective.alpha_ce > 0 else ce
            mse = logit_squared_error(logits, target) if objective.alpha_mse > 0 else mse
        total = scale["ce"] * ce + scale["mlm"] * mlm + scale["mse"] * mse
        return total, torch.stack([ce, mlm, mse]).detach()

    return loss_of_chunk


def _mix_embeddings_hook(student: MlmParts, supervision: SupervisionTransform, plan: dict):
    def mix(module: nn.Embedding, _, output: torch.Tensor) -> torch.Tensor:
        return supervision.student_embeddings(output, module.weight, plan)

    return student.word_embeddings.register_forward_hook(mix)


def mean_terms(sums: torch.Tensor, denominators: torch.Tensor, objective: DistillationObjective) -> dict[str, float]:
    """Unweighted means of the terms that are on, by name, as floats."""
    means = (sums / denominators).tolist()
    return {name: mean for name, mean in zip(TERMS, means, strict=True) if objective.weights[name] > 0}
