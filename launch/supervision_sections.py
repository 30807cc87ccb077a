"""The recipe's sections on what is changed of the teacher's supervision, beside the mixup's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EqualisationSection:
    """Arguments of :class:`evenhand.trainer.PairEqualisation`; ``enabled: false`` (default): none. ``pairs``: ``builtin`` or a file."""

    enabled: bool = False
    on: str = "logits"
    pairs: str = "builtin"
    forms: str = "variants"
    unequal_pairs: str = "refuse"


@dataclass(frozen=True)
class CounterfactualSection:
    """Arguments of :class:`evenhand.trainer.CounterfactualTeacher`; ``enabled: false`` (default): none. ``pairs``: ``builtin`` or a file."""

    enabled: bool = False
    combine: str = "mean"
    pairs: str = "builtin"
    forms: str = "variants"
    unequal_pairs: str = "refuse"
