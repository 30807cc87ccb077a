"""A cohort of tiny students with nothing in common but their teacher, and each of them trained alone.

Also used by scripts that run in processes of their own, so nothing here may depend on pytest.
"""

from __future__ import annotations

import torch
from tiny_distillation import ALL_TERMS, tiny_arguments, tiny_dataset, tiny_teacher, tiny_tokenizer
from transformers import PreTrainedModel

from evenhand.trainer import Arm, CohortTrainer, DistillationObjective, DistillationTrainer, GenderMixup, make_student
from evenhand.trainer.supervision import SupervisionTransform

DROPOUT = 0.2
MIX_ALL = ("student_inputs", "teacher_logits", "teacher_hidden")
Objective = DistillationObjective
ARMS = {
    "plain": ((2, "distilbert"), ALL_TERMS, None),
    "mixup": ((2, "distilbert"), ALL_TERMS, {}),
    "shallow": ((1, "same"), Objective(), {}),
    "hidden": ((2, "same"), ALL_TERMS, {"mix": MIX_ALL, "granularity": "sequence", "alpha": 1.0}),
    "vocabulary": ((2, "distilbert"), ALL_TERMS, {"second_view": "vocabulary"}),
    "masked": ((1, "same"), Objective(ce_positions="masked", temperature=3.0), {}),
    "mlm-cos": ((1, "distilbert"), Objective(alpha_ce=0.0), {}),
    "mlm": ((1, "distilbert"), Objective(alpha_ce=0.0, alpha_cos=0.0), None),
    "cos": ((1, "same"), Objective(alpha_ce=0.0, alpha_mlm=0.0), None),
}
"""Layers and family of the student, objective, settings of the mixup: other depths and families, other positions, transforms that
mix at other places and with other λ, arms without logits and without a teacher."""

CLIPPED = {"max_steps": 6, "max_grad_norm": 0.5, "weight_decay": 0.1, "logging_steps": 2}
"""Every step's gradients are longer than .5, except now and then those of the cosine alone."""

TIMES = ("tokens_per_second", "train_runtime", "train_samples_per_second", "train_steps_per_second")
SUMS_OVER_ARMS = ("train_loss", "total_flos")


def tiny_student(layers: int, family: str = "distilbert", dropout: float = DROPOUT) -> PreTrainedModel:
    return make_student(tiny_teacher(dropout), layers=layers, family=family, initialisation="random", seed=7)[0]


def tiny_arm(name: str, dropout: float = DROPOUT) -> Arm:
    student, objective, mixup = ARMS[name]
    supervision = SupervisionTransform()
    if mixup is not None:
        supervision = GenderMixup(tiny_tokenizer(), unequal_pairs="skip", **mixup)
    return Arm(tiny_student(*student, dropout), objective, supervision)


def _parts(changes: dict) -> dict:
    tokenizer = tiny_tokenizer()
    common = {"processing_class": tokenizer, "teacher_processing_class": tokenizer}
    return common | {"train_dataset": tiny_dataset(22), "eval_dataset": tiny_dataset(7, seed=5)} | changes


def tiny_cohort(output_dir, names=tuple(ARMS), *, arms=None, arguments=None, dropout=DROPOUT, **parts) -> CohortTrainer:
    """The arms called ``names``; ``arguments`` change :func:`tiny_arguments`, ``parts`` the trainer's own."""
    args = tiny_arguments(output_dir, **CLIPPED | (arguments or {}))
    arms = arms or {name: tiny_arm(name, dropout) for name in names}
    return CohortTrainer(arms, tiny_teacher(dropout), args, **_parts(parts))


def alone(output_dir, name: str, *, arguments=None, dropout=DROPOUT, **parts) -> DistillationTrainer:
    """The arm's own training."""
    arm = tiny_arm(name, dropout)
    args = tiny_arguments(output_dir, **CLIPPED | (arguments or {}))
    own = {"objective": arm.objective, "supervision": arm.supervision}
    return DistillationTrainer(arm.student, tiny_teacher(dropout), args, **own | _parts(parts))


def outcome(trainer: CohortTrainer | DistillationTrainer, name: str | None = None) -> dict:
    """Weights, log and counts of a training, or of one arm of a cohort."""
    student = trainer.model if name is None else trainer.arms[name].student
    history = trainer.state.log_history if name is None else trainer.arm_history(name)
    unlike = TIMES + SUMS_OVER_ARMS
    return {
        "weights": {key: value.clone() for key, value in student.state_dict().items()},
        "logs": [{key: value for key, value in entry.items() if key not in unlike} for entry in history],
        "counts": trainer.total_counts() if name is None else trainer.arm_counts(name),
    }


def differences(one: dict, other: dict) -> list[str]:
    """What two outcomes differ in, bit by bit; empty for equal ones."""
    assert one["weights"].keys() == other["weights"].keys()
    found = [name for name, value in one["weights"].items() if not torch.equal(value, other["weights"][name])]
    return found + [what for what in ("logs", "counts") if one[what] != other[what]]
