"""One micro-batch: its randomness and indices on the CPU, the teacher's signals, the student's loss."""

from __future__ import annotations

import torch

from evenhand.trainer.changed_rows import ChangedLogits
from evenhand.trainer.chunked_head import Head, chunked_head_losses
from evenhand.trainer.cpu_linear import fast_cpu_linear
from evenhand.trainer.head_losses import HEAD_TERMS, HeadLoss, MlmTargets, TeacherTargets
from evenhand.trainer.length_pieces import ONE_PIECE, Cutting, places_of
from evenhand.trainer.loss_terms import at_least_fp32, hidden_cosine_distance
from evenhand.trainer.masking import IGNORED, XlmMasking
from evenhand.trainer.mlm_parts import Encoded, MlmParts
from evenhand.trainer.objective import TERMS, DistillationObjective
from evenhand.trainer.supervision import MicroBatch, SupervisionTransform, TeacherSignals


def prepare_micro_batch(
    batch: dict[str, torch.Tensor],
    masking: XlmMasking,
    objective: DistillationObjective,
    supervision: SupervisionTransform,
    mask_generator: torch.Generator,
    plan_generator: torch.Generator,
    cutting: Cutting = ONE_PIECE,
) -> dict:
    """Corrupt a padded batch and work out every index on the CPU, so that nothing later waits for the device.

    Args:
        batch: ``input_ids`` and ``attention_mask``, both ``(batch, length)`` on the CPU.
        cutting: how the batch is cut into pieces of similar length for the bodies.

    Returns:
        The batch with ``input_ids`` corrupted, and with ``pieces``, ``rows`` (where the compared logits' positions stand in an
        :class:`Encoded` of these pieces), ``row_targets`` (which rows are MLM targets), ``row_labels`` (their ids), ``attended`` (where the
        compared hidden states stand), ``plan`` of the supervision transform, ``counts`` ``(2,)`` (MLM targets, attended positions) and
        ``supervision_counts``.
    """
    original, mask = batch["input_ids"], batch["attention_mask"]
    corrupted = masking.corrupt(original, mask, mask_generator)
    flat_labels = corrupted.labels.flatten()
    targets = (flat_labels != IGNORED).nonzero().flatten()
    attended = mask.flatten().nonzero().flatten()
    rows = _compared_rows(objective, targets, attended)
    compared_targets = targets if objective.alpha_mlm > 0 else targets[:0]
    micro = MicroBatch(corrupted.input_ids, original, mask, corrupted.labels, rows, attended, cutting)
    plan = supervision.plan(micro, plan_generator)
    pieces = cutting.pieces(mask)
    places = places_of(pieces, mask.shape)
    row_targets = torch.searchsorted(rows, compared_targets)
    return {
        "input_ids": corrupted.input_ids,
        "attention_mask": mask,
        "pieces": pieces,
        "rows": places[rows],
        "row_targets": row_targets,
        "row_targets_on_host": row_targets.numpy(),  # chunk bounds are read here without waiting for the device
        "row_labels": flat_labels[compared_targets],
        "attended": places[attended],
        "plan": plan,
        "counts": torch.tensor([len(targets), len(attended)]),
        "supervision_counts": supervision.counts(plan),
    }


def _compared_rows(objective: DistillationObjective, targets: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
    """Flat positions at which the student's head runs: none where no term reads logits."""
    if objective.compares_logits and objective.ce_positions == "attended":
        return attended
    return targets if objective.compares_logits or objective.alpha_mlm > 0 else targets[:0]


@torch.no_grad()
def teacher_signals(
    teacher: MlmParts, inputs: dict, objective: DistillationObjective, supervision: SupervisionTransform
) -> TeacherSignals:
    """The teacher's decoder inputs and hidden states for one micro-batch, after the supervision transform."""
    with fast_cpu_linear(inputs["input_ids"].device):
        encoded = teacher.encode(inputs["input_ids"], inputs["attention_mask"], inputs["pieces"])
        signals = TeacherSignals(
            head_rows=teacher.head_rows(encoded, inputs["rows"]) if objective.compares_logits else None,
            hidden=encoded.hidden.index_select(0, inputs["attended"]) if objective.alpha_cos > 0 else None,
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
    scale = term_scales(objective, denominators)
    with fast_cpu_linear(inputs["input_ids"].device, student.recomputes):
        encoded = encode_student(student, inputs, supervision, inputs["plan"])
        rows = student.head_rows(encoded, inputs["rows"])
        cosine, weighted = cosine_term(encoded, signals, inputs, objective, scale)
    targets = None
    if objective.compares_logits:
        targets = teacher_targets(teacher, signals, supervision, inputs["plan"], chunk_size)
    head = student_head(student, rows, targets, inputs, objective, scale)
    ((total, head_sums),) = chunked_head_losses([head], chunk_size)
    ce, mlm, mse = head_sums
    return total + weighted, torch.stack([ce, mlm, cosine.to(ce), mse])


def term_scales(objective: DistillationObjective, denominators: torch.Tensor) -> dict[str, torch.Tensor]:
    """``α / denominator`` of each term by name, on the device of the ``(4,)`` denominators."""
    return {name: alpha / denominators[i] for i, (name, alpha) in enumerate(objective.weights.items())}


def encode_student(student: MlmParts, inputs: dict, supervision: SupervisionTransform, plan: dict) -> Encoded:
    """The student's body, its word embeddings changed by the supervision transform."""
    ids, embeddings = inputs["input_ids"], None
    if supervision.changes_student_embeddings:
        table = student.word_embeddings
        embeddings = supervision.student_embeddings(table(ids), table.weight, plan)
    return student.encode(ids, inputs["attention_mask"], inputs["pieces"], embeddings)


def cosine_term(
    encoded: Encoded, signals: TeacherSignals | None, inputs: dict, objective: DistillationObjective, scale: dict
) -> tuple[torch.Tensor, torch.Tensor]:
    """The unweighted sum of 1 − cos, detached, and what it adds to the loss; zeros where the term is off."""
    if objective.alpha_cos == 0:
        zero = scale["cos"].new_zeros(())
        return zero, zero
    cosine = hidden_cosine_distance(encoded.hidden.index_select(0, inputs["attended"]), signals.hidden)
    return cosine.detach(), scale["cos"] * cosine


def teacher_targets(
    teacher: MlmParts, signals: TeacherSignals, supervision: SupervisionTransform, plan: dict, chunk_size: int
) -> TeacherTargets:
    """The teacher's logits at the compared rows, after the supervision transform."""
    own = None
    if signals.changed_rows is not None:
        own = ChangedLogits(signals.changed_rows, signals.head_rows, teacher.logits, chunk_size)

    def logits(start: int, stop: int) -> torch.Tensor:
        chunk = at_least_fp32(teacher.logits(signals.head_rows[start:stop]))
        changed = None if own is None else own.within(start, stop, chunk)
        if changed is not None:
            chunk.index_copy_(0, *changed)
        return supervision.teacher_logits(chunk, start, plan)

    return TeacherTargets(logits)


def student_head(
    student: MlmParts,
    rows: torch.Tensor,
    targets: TeacherTargets | None,
    inputs: dict,
    objective: DistillationObjective,
    scale: dict,
) -> Head:
    """What :func:`chunked_head_losses` needs of one student."""
    mlm = MlmTargets(inputs["row_targets"], inputs["row_labels"], inputs["row_targets_on_host"])
    loss = HeadLoss(
        targets,
        mlm if objective.alpha_mlm > 0 else None,
        objective.temperature if objective.alpha_ce > 0 else None,
        objective.alpha_mse > 0,
    )
    return Head(rows, *student.decoder, torch.stack([scale[name] for name in HEAD_TERMS]), loss)


def mean_terms(sums: torch.Tensor, denominators: torch.Tensor, objective: DistillationObjective) -> dict[str, float]:
    """Unweighted means of the terms that are on, by name, as floats."""
    means = (sums / denominators).tolist()
    return {name: mean for name, mean in zip(TERMS, means, strict=True) if objective.weights[name] > 0}
