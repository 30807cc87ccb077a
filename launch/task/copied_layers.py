"""Which layers of its teacher a run's student was made of, as the look inside names them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from evenhand.evaluation.evaluator import Evaluator
from evenhand.evaluation.internals.internals import Internals

_STAGE = re.compile(r"encoder\.stages\.(\d+)\.layers")


def copied_layers(training: Mapping | None) -> dict[str, list[int]] | None:
    """For each layer of the student the layer of its teacher that it began as a copy of, counted from 0, by stack.

    Args:
        training: contents of the run's training.json, or ``None``.

    Returns:
        ``None`` where the student did not begin so: with random or pre-trained weights, as a copy of the last model of a ladder and not of the teacher,
        or with one layer of the teacher in two places, where none of them is *the* copy.
    """
    student = (training or {}).get("student") or {}
    if student.get("initialisation") != "teacher" or training.get("ladder"):
        return None
    layers = student.get("teacher_layers") or {}
    if not isinstance(layers, Mapping):  # a masked-LM student's, which is not looked into: its record has no stacks
        return None
    copied = {_stack(name): list(of_stack) for name, of_stack in layers.items()}
    if any(len(set(of_stack)) < len(of_stack) for of_stack in copied.values()):
        return None
    return copied or None


def _stack(name: str) -> str:
    """A stack's name in `evenhand.evaluation.internals.anatomy` from that in the model's body (`evenhand.trainer.layer_copies.layer_stacks`)."""
    stage = _STAGE.fullmatch(name)
    if stage:
        return f"stage {int(stage[1]) + 1}"
    return "decoder" if name.startswith("decoder.") else "encoder"


def with_copied_layers(evaluators: Sequence[Evaluator], training: Mapping | None) -> list[Evaluator]:
    """The evaluators for one run's student beside its own teacher: those that look inside know which layers were copied, unless they say so themselves.

    Args:
        training: as of `copied_layers`.
    """
    copied = copied_layers(training)
    return [
        one.of_copied_layers(copied) if copied and isinstance(one, Internals) and one.copied_layers is None else one
        for one in evaluators
    ]
