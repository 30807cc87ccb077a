"""Four students in one cohort against four separate trainings: same students, batches, masks, λ, threads and optimiser, taking turns.

The ceiling is what the shapes allow: the operations of four separate steps over those of one step with one teacher pass and
four students. What it does not know of is common work that a cohort does once (masks) and each student's own (optimiser, softmax).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from benchmarks.bert_base import Shape, full_batches, models, natural_batches
from benchmarks.step_runner import StepRunner
from evenhand.trainer import Arm, CohortTrainer, DistillationTrainer, GenderMixup
from evenhand.trainer.arithmetic import ModelShape, StepFlops, Tokens, step_flops
from evenhand.trainer.supervision import SupervisionTransform

STUDENTS = 4
REPEATS = 5
"""Measured steps of each side and row; one more warms up."""

BAR = 0.9
LOSS_TOLERANCE = 1e-5


def run(shape: Shape | None = None, repeats: int = REPEATS) -> Iterator[str]:
    """Measure; yields the lines of the report.

    Raises:
        RuntimeError: the losses of the two sides differ.
    """
    shape = shape or Shape()
    yield f"{STUDENTS} students, {shape}, fp32, {torch.get_num_threads()} threads, median of {repeats} steps (range)"
    full, natural = full_batches(shape, repeats + 1), natural_batches(shape, repeats + 1)
    yield from _row(shape, "plain arms, full blocks", [False] * STUDENTS, full)
    yield from _row(
        shape, "half of the arms with mixup, natural lengths", [i % 2 == 1 for i in range(STUDENTS)], natural
    )


def _row(shape: Shape, title: str, mixups: Sequence[bool], batches: list[dict]) -> Iterator[str]:
    """Alternating steps: one of the cohort, one of each arm's own training, begun from the same weights."""
    teacher, (own, *students) = models(shape, STUDENTS + 1)
    cohort = _cohort_runner(shape, students, teacher, mixups)
    singles = {mixup: StepRunner(DistillationTrainer, shape, own, teacher, "attended", mixup) for mixup in set(mixups)}
    gains, ceilings, rates = [], [], []
    for number, batch in enumerate(batches):
        # before the step that changes the weights; each side goes first every other time
        weights = [{key: value.clone() for key, value in student.state_dict().items()} for student in students]
        if number % 2:
            together, seconds = cohort.step(batch, number)
        expected = separate = 0.0
        for mixup, before in zip(mixups, weights, strict=True):
            own.load_state_dict(before)
            loss, taken = singles[mixup].step(batch, number)
            expected, separate = expected + loss, separate + taken
        if not number % 2:
            together, seconds = cohort.step(batch, number)
        if abs(together - expected) > LOSS_TOLERANCE * expected:
            raise RuntimeError(
                f"the losses of {title} differ: {together} in the cohort, {expected} in separate trainings"
            )
        if number:  # the first warms up
            gains.append(separate / seconds)
            ceilings.append(_ceiling(cohort, teacher, own, batch, number))
            rates.append(STUDENTS * int(batch["attention_mask"].sum()) / seconds)
    gain, ceiling = statistics.median(gains), statistics.median(ceilings)
    share = statistics.median(gain / ceiling for gain, ceiling in zip(gains, ceilings, strict=True))
    verdict = "" if share >= BAR else " — BAR MISSED"
    yield (
        f"{title}: {statistics.median(rates):,.0f} tokens/s over all students, {gain:.2f}x ({min(gains):.2f} to {max(gains):.2f}) of separate "
        f"trainings; ceiling from the shapes {ceiling:.2f}x, {share:.0%} of it (bar {BAR:.0%}){verdict}"
    )


def _cohort_runner(shape: Shape, students: list[nn.Module], teacher: nn.Module, mixups: Sequence[bool]) -> StepRunner:
    def make(_, teacher, args, objective, supervision, processing_class) -> CohortTrainer:
        arms = {
            f"arm{number}": Arm(student, objective, GenderMixup(processing_class) if mixup else SupervisionTransform())
            for number, (student, mixup) in enumerate(zip(students, mixups, strict=True))
        }
        return CohortTrainer(arms, teacher, args, processing_class=processing_class)

    runner = StepRunner(make, shape, nn.ModuleList(students), teacher, "attended", False)
    runner.student = runner.trainer.model
    return runner


def _ceiling(cohort: StepRunner, teacher: nn.Module, student: nn.Module, batch: dict, number: int) -> float:
    """Operations of the separate steps over those of the cohort's."""
    steps = [_flops(teacher, student, batch, own["plan"]) for own in _arms(cohort, batch, number)]
    shared = max(steps, key=lambda step: step.teacher)  # equal twin sentences run once
    return sum(step.total for step in steps) / (shared.teacher + sum(step.student for step in steps))


def _arms(cohort: StepRunner, batch: dict, number: int) -> list[dict]:
    return cohort.trainer._prepare_batch(dict(batch), number, 0)["arms"]


def _flops(teacher: nn.Module, student: nn.Module, batch: dict, plan: dict) -> StepFlops:
    tokens = Tokens.of(batch["attention_mask"].sum(1).tolist())
    twin = plan.get("twin_attention_mask")
    return step_flops(
        ModelShape.of(teacher.config),
        ModelShape.of(student.config),
        tokens,
        head_rows=tokens.count,
        twin=None if twin is None else Tokens.of(twin.sum(1).tolist()),
        twin_rows=len(plan.get("row_of", ())),
    )
