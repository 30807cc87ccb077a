"""The seam between the teacher's signals and the objective.

A supervision transform sees the student's inputs, the teacher's logits and the teacher's hidden states, and may change
them; nothing else of the training knows that it exists. :class:`~evenhand.trainer.mixup.GenderMixup` is one. A new one is
one new file with a subclass of :class:`SupervisionTransform`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from evenhand.trainer.changed_rows import ChangedRows
from evenhand.trainer.length_pieces import ONE_PIECE, Cutting, Piece
from evenhand.trainer.mlm_parts import Encoded

Plan = dict
"""What a transform decided for one micro-batch, drawn on the CPU: named tensors, moved to the device with the batch, and whatever else
stays on the CPU (NumPy arrays, numbers)."""


@dataclass
class MicroBatch:
    """One corrupted micro-batch on the CPU, as :meth:`SupervisionTransform.plan` sees it.

    Args:
        input_ids: ``(batch, length)`` after corruption; student and teacher read these.
        original_ids: ``(batch, length)`` before corruption.
        attention_mask: ``(batch, length)``.
        labels: ``(batch, length)``, -100 where no target.
        rows: ``(n_rows,)`` ascending flat positions at which teacher and student logits are compared.
        attended: ``(n_attended,)`` ascending flat positions at which hidden states are compared.
        cutting: how batches are cut into pieces of similar length; for a transform that runs the teacher on a batch of its own.
    """

    input_ids: torch.Tensor
    original_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor
    rows: torch.Tensor
    attended: torch.Tensor
    cutting: Cutting = ONE_PIECE


@dataclass
class TeacherSignals:
    """What the objective compares the student with.

    Args:
        head_rows: ``(n_rows, features)`` decoder inputs at ``MicroBatch.rows``, or None where no logits are compared. The decoder
            is affine: mixing these with weights that sum to 1 mixes the logits.
        hidden: ``(n_attended, width)`` last hidden states at ``MicroBatch.attended``, or None where α_cos is 0.
        changed_rows: which of the ``head_rows`` a transform has changed, where it knows: several students then share the teacher's
            logits at all others. None (default): any may have been changed. It may also hold a second view of these rows and how its
            logits are combined with the teacher's, for what is no mean of logits.
    """

    head_rows: torch.Tensor | None
    hidden: torch.Tensor | None
    changed_rows: ChangedRows | None = None


TeacherForward = Callable[[torch.Tensor, torch.Tensor, list[Piece]], Encoded]
"""``(input_ids, attention_mask, pieces) -> Encoded``: a further teacher forward, without gradient."""


class SupervisionTransform:
    """Base class: changes nothing. Override what the method needs; every hook gets the transform's own ``plan``."""

    name = "none"

    @property
    def changes_student_embeddings(self) -> bool:
        """Whether :meth:`student_embeddings` is to be asked."""
        return type(self).student_embeddings is not SupervisionTransform.student_embeddings

    def plan(self, batch: MicroBatch, generator: torch.Generator) -> Plan:
        """Decide, on the CPU and from ``generator`` alone, what happens to this micro-batch."""
        return {}

    def student_embeddings(self, embeddings: torch.Tensor, table: torch.Tensor, plan: Plan) -> torch.Tensor:
        """Change the student's word embeddings ``(batch, length, width)``, before position and LayerNorm.

        ``table`` is the word-embedding matrix ``(vocab_size, width)``; the result must stay differentiable in it.
        """
        return embeddings

    def teacher_signals(
        self,
        signals: TeacherSignals,
        plan: Plan,
        encode: TeacherForward,
        head_rows: Callable[[Encoded, torch.Tensor], torch.Tensor],
    ) -> TeacherSignals:
        """Change decoder inputs and hidden states; ``encode`` and ``head_rows`` run the teacher on other inputs."""
        return signals

    def teacher_logits(self, logits: torch.Tensor, start: int, plan: Plan) -> torch.Tensor:
        """Change a chunk of teacher logits ``(n, vocab_size)`` in fp32, rows ``start … start + n`` of ``MicroBatch.rows``."""
        return logits

    def counts(self, plan: Plan) -> dict[str, int]:
        """Numbers to add up over training and report, e.g. how many positions were changed; logged per optimiser step."""
        return {}

    def means(self, plan: Plan) -> dict[str, tuple[float, int]]:
        """Numbers whose mean over the time since the last log is logged: each as its sum and how many were summed. ``plan`` is on the CPU."""
        return {}

    def report(self) -> dict:
        """The transform's settings, for ``training.json``."""
        return {"name": self.name}
