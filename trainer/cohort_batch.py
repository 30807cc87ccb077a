"""One micro-batch prepared for all arms of a cohort: what is equal among them is one tensor, before and after the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from evenhand.trainer.cohort import Arm
from evenhand.trainer.distillation_step import prepare_micro_batch
from evenhand.trainer.length_pieces import Cutting
from evenhand.trainer.masking import CorruptedBatch, XlmMasking
from evenhand.trainer.supervision import SupervisionTransform


def prepare_cohort_batch(
    batch: dict[str, torch.Tensor],
    masking: XlmMasking,
    arms: Mapping[str, Arm],
    supervisions: Sequence[SupervisionTransform],
    mask_generator: torch.Generator,
    plan_generator: Callable[[], torch.Generator],
    cuttings: Sequence[Cutting],
) -> dict:
    """Corrupt a padded batch once and work out each arm's indices and plan, exactly as its own training would.

    Args:
        batch: ``input_ids`` and ``attention_mask``, both ``(batch, length)`` on the CPU.
        supervisions: the transform of each arm for this batch.
        plan_generator: makes a fresh generator, the same for every arm: equal transforms draw the same λ.
        cuttings: of each arm, equal where there is a teacher.

    Returns:
        ``arms``, one entry of :func:`prepare_micro_batch` for each arm; ``input_ids``, ``attention_mask``, ``pieces`` and ``counts``
        of all; ``supervision_counts`` named ``count/arm``. Equal tensors are one object throughout.
    """
    corrupted = masking.corrupt(batch["input_ids"], batch["attention_mask"], mask_generator)
    pool: dict = {}
    prepared = [
        _pooled(
            prepare_micro_batch(
                batch, _Drawn(corrupted), arm.objective, supervision, mask_generator, plan_generator(), cutting
            ),
            pool,
        )
        for arm, supervision, cutting in zip(arms.values(), supervisions, cuttings, strict=True)
    ]
    common = {name: prepared[0][name] for name in ("input_ids", "attention_mask", "pieces", "counts")}
    counts = {
        f"{count}/{name}": n
        for name, own in zip(arms, prepared, strict=True)
        for count, n in own["supervision_counts"].items()
    }
    return common | {"arms": prepared, "supervision_counts": counts}


class _Drawn:
    """A corruption that was drawn already."""

    def __init__(self, corrupted: CorruptedBatch) -> None:
        self.corrupted = corrupted

    def corrupt(self, *_) -> CorruptedBatch:
        return self.corrupted


def _pooled(data, pool: dict):
    """``data`` with every CPU tensor replaced by the first of equal content that ``pool`` has met."""
    if isinstance(data, torch.Tensor):
        return pool.setdefault((data.dtype, tuple(data.shape), data.numpy().tobytes()), data)
    if isinstance(data, dict):
        return {key: _pooled(value, pool) for key, value in data.items()}
    return [_pooled(value, pool) for value in data] if isinstance(data, list) else data


class Moved:
    """Tensors moved to the device once each, so that what was one tensor stays one.

    Args:
        move: takes one CPU tensor to the device.
    """

    def __init__(self, move: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._move = move
        # by identity; the tensors are kept, so that no other takes over their identity
        self._pairs: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in self._pairs:
            self._pairs[id(tensor)] = tensor, self._move(tensor)
        return self._pairs[id(tensor)][1]
