"""A cohort: several students, the arms of a study, trained together on one teacher's pass."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from torch import nn
from transformers import PreTrainedModel

from evenhand.trainer.objective import DistillationObjective
from evenhand.trainer.supervision import SupervisionTransform

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Arm:
    """One student of a cohort and how it is trained.

    Args:
        student: an ``AutoModelForMaskedLM`` model with the teacher's vocabulary, of any depth and family.
        objective: weights, temperature, positions. Default 5 / 2 / 1, T = 2.
        supervision: a transform of (student inputs, teacher logits, teacher hidden), e.g. ``GenderMixup``. Default: none.
    """

    student: PreTrainedModel
    objective: DistillationObjective = field(default_factory=DistillationObjective)
    supervision: SupervisionTransform = field(default_factory=SupervisionTransform)


class Cohort(nn.Module):
    """The students in one module, in the order of ``arms``, as optimiser, DDP and checkpoints see them."""

    _keys_to_ignore_on_save = None  # Trainer asks every model for it

    def __init__(self, arms: Mapping[str, Arm]) -> None:
        super().__init__()
        # a list, not a dict by name: an arm called "bias" would lose its weight decay, which goes by parameters' names
        self.students = nn.ModuleList([arm.student for arm in arms.values()])

    def forward(self, *_):
        """Never run: the loss of all students takes its place (see :func:`call_inside`)."""
        raise RuntimeError("A cohort has no forward of its own; call its students.")

    @property
    def all_tied_weights_keys(self) -> dict[str, str]:
        """Names within a student; as transformers' models have it."""
        return {one: other for student in self.students for one, other in student.all_tied_weights_keys.items()}

    def activation_checkpointing_enable(self, **options) -> None:
        """Of every student: activations are computed again in the backward pass instead of kept."""
        for student in self.students:
            student.activation_checkpointing_enable(**options)

    def num_parameters(self, **options) -> int:
        """Of all students together; options as of ``PreTrainedModel.num_parameters``."""
        return sum(student.num_parameters(**options) for student in self.students)


def checked_arms(arms: Mapping[str, Arm]) -> dict[str, Arm]:
    """The arms in the order of their names, so that a resumed cohort does not depend on the order they were given in.

    Raises:
        ValueError: as :func:`check_arm_names`; one model in two arms.
    """
    check_arm_names(arms)
    owners: dict[int, str] = {}
    for name, arm in arms.items():
        if (other := owners.setdefault(id(arm.student), name)) != name:
            raise ValueError(f"Arms {other} and {name} have one student; give each a model of its own.")
    return {name: arms[name] for name in sorted(arms)}


def check_arm_names(names: Collection[str]) -> None:
    """Names become folders.

    Raises:
        ValueError: no arm, a name that is no plain folder name, two names that are one where case does not count.
    """
    if not names:
        raise ValueError("A cohort needs at least one arm.")
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"Arm name {name!r} is no text; write it in quotes.")
        if not _FOLDER_NAME.fullmatch(name):
            raise ValueError(
                f"Arm name {name!r} cannot name a folder; use letters, digits, '.', '_' and '-', a letter or digit first."
            )
    folded: dict[str, str] = {}
    for name in names:
        if (other := folded.setdefault(name.casefold(), name)) != name:
            raise ValueError(f"Arms {other} and {name} would share a folder where case does not count; rename one.")
