"""The teacher's side of a cohort: one forward, one chunk of logits at a time, and what each arm's transform changes in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from evenhand.trainer.changed_rows import ChangedLogits
from evenhand.trainer.cohort import Arm
from evenhand.trainer.cpu_linear import fast_cpu_linear
from evenhand.trainer.head_losses import HeadLoss, TeacherTargets, log_softmax
from evenhand.trainer.length_pieces import Piece
from evenhand.trainer.mlm_parts import Encoded, MlmParts
from evenhand.trainer.supervision import SupervisionTransform, TeacherSignals


class TeacherPass:
    """The teacher over one micro-batch. Inputs that are one tensor for several arms, the batch's or a twin's, are encoded once.

    Args:
        teacher: its parts.
    """

    def __init__(self, teacher: MlmParts) -> None:
        self.teacher = teacher
        # by identity; the inputs are kept, so that no other tensor takes over their identity
        self._encoded: dict[tuple[int, int], tuple] = {}
        self._selected: dict[tuple[str, int], torch.Tensor] = {}

    def encode(self, ids: torch.Tensor, mask: torch.Tensor, pieces: list[Piece]) -> Encoded:
        """One body forward for these two tensors, however often they come; pieces follow from the mask."""
        key = id(ids), id(mask)
        if key not in self._encoded:
            self._encoded[key] = self.teacher.encode(ids, mask, pieces), ids, mask
        return self._encoded[key][0]

    @torch.no_grad()
    def signals(self, arm: Arm, supervision: SupervisionTransform, own: dict) -> tuple[TeacherSignals, TeacherSignals]:
        """The arm's decoder inputs and hidden states, before and after its transform; ``own`` is its prepared micro-batch.

        Raises:
            RuntimeError: the transform wrote into what all arms share.
        """
        with fast_cpu_linear(own["input_ids"].device):
            encoded = self.encode(own["input_ids"], own["attention_mask"], own["pieces"])
            head_rows = hidden = None
            if arm.objective.compares_logits:
                head_rows = self._once("rows", own["rows"], lambda: self.teacher.head_rows(encoded, own["rows"]))
            if arm.objective.alpha_cos > 0:
                hidden = self._once("hidden", own["attended"], lambda: encoded.hidden.index_select(0, own["attended"]))
            common = TeacherSignals(head_rows, hidden)
            with _untouched(supervision, "teacher_signals", head_rows, hidden, encoded.hidden):
                changed = supervision.teacher_signals(
                    TeacherSignals(head_rows, hidden), own["plan"], self.encode, self.teacher.head_rows
                )
        return common, changed

    def _once(self, what: str, index: torch.Tensor, select: Callable[[], torch.Tensor]) -> torch.Tensor:
        """One selection for each index tensor; they live as long as the micro-batch that names them."""
        if (what, id(index)) not in self._selected:
            self._selected[what, id(index)] = select()
        return self._selected[what, id(index)]


class ArmLoss:
    """A :data:`~evenhand.trainer.chunked_head.LossOfChunk` of one arm, on the common targets as its transform changes them.

    The few rows that a transform has changed are written into the common chunk for the duration of the arm's loss and then taken
    back, which copies no chunk.

    Args:
        loss: the arm's loss on the common targets.
        changed: the rows with logits of the arm's own; None for none.
        hook: ``(logits, start) -> logits`` of the whole chunk; None for none.
    """

    def __init__(
        self,
        loss: HeadLoss,
        changed: ChangedLogits | None,
        hook: Callable[[torch.Tensor, int], torch.Tensor] | None,
    ) -> None:
        self.loss, self.changed, self.hook = loss, changed, hook

    def __call__(self, logits: torch.Tensor, start: int, stop: int, coefficients: torch.Tensor) -> torch.Tensor:
        targets = self.loss.teacher
        with self._own_rows(targets, start, stop):
            common = targets.logits(start, stop)
            own = common if self.hook is None else self.hook(common, start)
            loss = self.loss
            if own is not common:
                loss = HeadLoss(TeacherTargets(lambda *_: own), loss.mlm, loss.temperature, loss.squared_error)
            return loss(logits, start, stop, coefficients)

    @contextmanager
    def _own_rows(self, targets: TeacherTargets, start: int, stop: int) -> Iterator[None]:
        changed = None
        if self.changed is not None:
            changed = self.changed.within(start, stop, targets.logits(start, stop))
        if changed is None:
            yield
            return
        here, own = changed
        changes = [(targets.logits(start, stop), own)]
        if (temperature := self.loss.temperature) is not None:
            changes.append((targets.log_probabilities(start, stop, temperature), log_softmax(own, temperature)))
        kept = [table.index_select(0, here) for table, _ in changes]
        try:
            for table, rows in changes:
                table.index_copy_(0, here, rows)
            yield
        finally:
            for (table, _), rows in zip(changes, kept, strict=True):
                table.index_copy_(0, here, rows)


def logits_hook(supervision: SupervisionTransform, plan: dict) -> Callable[[torch.Tensor, int], torch.Tensor] | None:
    """The transform's :meth:`teacher_logits` for a chunk, None where it has none; it must not write into what the arms share."""
    if type(supervision).teacher_logits is SupervisionTransform.teacher_logits:
        return None

    def hook(logits: torch.Tensor, start: int) -> torch.Tensor:
        with _untouched(supervision, "teacher_logits", logits):
            return supervision.teacher_logits(logits, start, plan)

    return hook


@contextmanager
def _untouched(supervision: SupervisionTransform, method: str, *shared: torch.Tensor | None) -> Iterator[None]:
    before = [None if tensor is None else tensor._version for tensor in shared]
    yield
    if before != [None if tensor is None else tensor._version for tensor in shared]:
        raise RuntimeError(
            f"{type(supervision).__name__}.{method} wrote into a tensor that all arms of the cohort share; it must return new tensors."
        )
