"""The losses of all arms of a cohort on one micro-batch: one teacher pass, one loop over the head's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from evenhand.trainer.changed_rows import ChangedLogits
from evenhand.trainer.chunked_head import Head, chunked_head_losses
from evenhand.trainer.cohort import Arm
from evenhand.trainer.cohort_targets import ArmLoss, TeacherPass, logits_hook
from evenhand.trainer.cpu_linear import fast_cpu_linear
from evenhand.trainer.distillation_step import (
    cosine_term,
    encode_student,
    student_head,
    teacher_targets,
    term_scales,
)
from evenhand.trainer.head_losses import TeacherTargets
from evenhand.trainer.mlm_parts import MlmParts
from evenhand.trainer.supervision import SupervisionTransform, TeacherSignals


@dataclass(frozen=True)
class ArmAtWork:
    """An arm in one micro-batch.

    Args:
        arm: its student and objective.
        parts: of the student.
        supervision: the transform in force (none in an evaluation).
        inputs: its prepared micro-batch, on the device.
        denominators: ``(4,)`` of the whole optimiser step.
    """

    arm: Arm
    parts: MlmParts
    supervision: SupervisionTransform
    inputs: dict
    denominators: torch.Tensor


@dataclass(frozen=True)
class SharedTargets:
    """What the teacher says of one micro-batch.

    Args:
        teacher: None where no arm needs one.
        signals: of each arm before and after its transform; None for an arm without teacher terms.
    """

    teacher: MlmParts | None
    signals: list[tuple[TeacherSignals, TeacherSignals] | None]

    @classmethod
    def of(cls, teacher: MlmParts | None, arms: Sequence[ArmAtWork]) -> SharedTargets:
        """One teacher forward for all arms, and one more for each different twin batch."""
        one_pass = None if teacher is None else TeacherPass(teacher)
        signals = [
            one_pass.signals(each.arm, each.supervision, each.inputs) if each.arm.objective.needs_teacher else None
            for each in arms
        ]
        return cls(teacher, signals)


def cohort_losses(
    arms: Sequence[ArmAtWork], shared: SharedTargets, dropout_seed: int, chunk_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """All students' forwards and losses; called inside the wrapped module call, so DDP, ZeRO and AMP see all of it.

    Each student's dropout starts from the same seed, as in a training of its own.

    Returns:
        ``Σ α·sum/denominator`` of each arm ``(n_arms,)``, differentiable, and the unweighted sums ``(n_arms, 4)``, detached.
    """
    heads, cosines = [], []
    common: dict[int, TeacherTargets] = {}
    for each, signals in zip(arms, shared.signals, strict=True):
        inputs, objective = each.inputs, each.arm.objective
        scale = term_scales(objective, each.denominators)
        torch.manual_seed(dropout_seed)
        with fast_cpu_linear(inputs["input_ids"].device, each.parts.recomputes):
            encoded = encode_student(each.parts, inputs, each.supervision, inputs["plan"])
            rows = each.parts.head_rows(encoded, inputs["rows"])
            cosines.append(cosine_term(encoded, signals and signals[1], inputs, objective, scale))
        heads.append(_head(each, shared, signals, rows, scale, common, chunk_size))
    totals, sums = zip(*_losses_by_rows(arms, heads, chunk_size), strict=True)
    losses = torch.stack([total + weighted for total, (_, weighted) in zip(totals, cosines, strict=True)])
    terms = [
        torch.stack([ce, mlm, cosine.to(ce), mse]) for (ce, mlm, mse), (cosine, _) in zip(sums, cosines, strict=True)
    ]
    return losses, torch.stack(terms)


def _head(
    each: ArmAtWork,
    shared: SharedTargets,
    signals: tuple[TeacherSignals, TeacherSignals] | None,
    rows: torch.Tensor,
    scale: dict,
    common: dict[int, TeacherTargets],
    chunk_size: int,
) -> Head:
    """The arm's head on the targets that arms with the same rows share (``common``, by rows), its own changes of them apart."""
    inputs, objective, teacher = each.inputs, each.arm.objective, shared.teacher
    if not objective.compares_logits:
        return student_head(each.parts, rows, None, inputs, objective, scale)
    before, after = signals
    if after.head_rows is not before.head_rows and after.changed_rows is None:  # any row may be another
        targets = teacher_targets(teacher, after, each.supervision, inputs["plan"], chunk_size)
        return student_head(each.parts, rows, targets, inputs, objective, scale)
    targets = common.setdefault(
        id(inputs["rows"]), TeacherTargets(lambda start, stop: teacher.logits(before.head_rows[start:stop]))
    )
    head = student_head(each.parts, rows, targets, inputs, objective, scale)
    changed = None
    if after.changed_rows is not None:
        changed = ChangedLogits(after.changed_rows, after.head_rows, teacher.logits, chunk_size)
    hook = logits_hook(each.supervision, inputs["plan"])
    if changed is None and hook is None:
        return head
    return replace(head, loss_of_chunk=ArmLoss(head.loss_of_chunk, changed, hook))


def _losses_by_rows(
    arms: Sequence[ArmAtWork], heads: Sequence[Head], chunk_size: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """One loop for all arms whose heads run at the same positions; results in the order of the arms."""
    loops: dict[int, list[int]] = {}
    for number, each in enumerate(arms):
        loops.setdefault(id(each.inputs["rows"]), []).append(number)
    results: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    for members in loops.values():
        losses = chunked_head_losses([heads[number] for number in members], chunk_size)
        results |= dict(zip(members, losses, strict=True))
    return [results[number] for number in range(len(arms))]
