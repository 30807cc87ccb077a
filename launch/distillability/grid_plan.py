"""What a grid will train and measure, and what that takes on this machine, before anything starts: ``evenhand study distillability --plan``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from transformers import PrinterCallback, TrainerCallback

from evenhand.evaluation.hardware import hardware
from evenhand.launch.distillability.grid_job import GridJob
from evenhand.launch.distillability.models import DISTILLED, GridModel
from evenhand.launch.process_group import settings_here
from evenhand.launch.study.planning.busy_clock import BusyClock, threads_of_runs
from evenhand.launch.study.planning.rates import BUSY, RatesFile
from evenhand.launch.task.data import TaskData, load_task_data
from evenhand.launch.task.student import NewStudent, new_student
from evenhand.launch.terminal_table import shown_bytes, shown_time, text_table
from evenhand.trainer import DistillationArguments, DistillationTrainer
from evenhand.trainer.classifier_fit import predicted_log_probs
from evenhand.trainer.device_support import device_type
from evenhand.trainer.task_objective import TaskObjective

WARM_UP, STEPS = 3, 12
"""Optimiser steps that a timing lets pass, and that it times."""
PREDICTED = 64
"""Examples that a timing of predictions takes."""


@dataclass(frozen=True)
class ModelTime:
    """Times of one size of model on this machine, with the machine to itself.

    Args:
        step: seconds of an optimiser step.
        example: seconds of predicting one example.
        parameters: of the model.
        slowed: by how much other work slowed the timing down.
    """

    step: float
    example: float
    parameters: int
    slowed: float


@dataclass(frozen=True)
class TaskPlan:
    """What is missing of one task.

    Args:
        name: of the task.
        models, missing: how many there are, and how many are to be made (no report, or needed as a teacher and gone).
        steps: of all trainings that are missing, models of a ladder included.
        seconds: of these trainings, and of measuring the missing models on the splits.
        disk: bytes of the missing models and of those of their ladders.
        slowed: the most that a timing was slowed down.
        untimed: what is not in ``seconds``: further trainings of methods by name (identification runs, bias-only models that train), and looking
            inside models.
    """

    name: str
    models: int
    missing: int
    steps: int
    seconds: float
    disk: int
    slowed: float
    untimed: tuple[str, ...]


def print_grid_plan(job: GridJob, at_a_time: int) -> None:
    """Print the plan of what is missing; nothing is made but ``rates.json``.

    Args:
        at_a_time: runs beside each other on this machine.
    """
    usual = job.models[0].recipe
    device = "cpu" if usual.training.get("use_cpu") else device_type()
    machine = hardware(torch.device(device))
    file = RatesFile(job.directory.path / "rates.json", machine)
    missing = job.to_make()
    with threads_of_runs(job.environment):
        plans = [
            _task_plan(name, [model for model in job.models if model.task == name], missing, file)
            for name in job.grid.tasks
        ]
    print("\n".join(plan_lines(job, plans, at_a_time, machine)))


def plan_lines(job: GridJob, plans: Sequence[TaskPlan], at_a_time: int, machine: Mapping[str, object]) -> list[str]:
    """The plan as the terminal shows it."""
    grid, seconds = job.grid, sum(plan.seconds for plan in plans)
    rows = [
        [plan.name, str(grid.seeds_of(plan.name)), str(plan.models), str(plan.missing), f"{plan.steps:,}", shown_time(plan.seconds)]
        for plan in plans
    ]  # fmt: skip
    rows.append(["together", "", *(str(sum(column)) for column in zip(*((p.models, p.missing) for p in plans), strict=True)), "", shown_time(seconds)])  # fmt: skip
    lines = [
        grid.title,
        f"Study {grid.name}, scale {grid.scale}: {grid.settings.note}",
        f"Times hold for this machine: {machine['name']}.",
        "",
        *text_table(["task", "seeds", "models", "missing", "steps", "time"], rows, left=(0,)),
    ]
    if at_a_time > 1:
        lines.append(f"{shown_time(seconds / at_a_time)} with {at_a_time} at a time.")
    lines.append(f"Disk: {shown_bytes(sum(plan.disk for plan in plans))} for the models.")
    untimed = sorted({what for plan in plans for what in plan.untimed})
    lines.append(f"Not in these times: {', '.join(['start-up and loading the data', *untimed])}.")
    slowed = max((plan.slowed for plan in plans), default=1.0)
    if slowed >= BUSY:
        lines.append(
            f"The machine had other work while this was timed: everything took {slowed:.1f} times as long. The times above are those of a machine that "
            "does nothing else, and are taken again by the next --plan."
        )
    return lines


def _task_plan(name: str, models: Sequence[GridModel], missing: Iterable[GridModel], file: RatesFile) -> TaskPlan:
    wanted = [model for model in missing if model.task == name]
    if not wanted:
        return TaskPlan(name, len(models), 0, 0, 0.0, 0, 1.0, ())
    data = load_task_data(models[0].recipe)
    examples = sum(len(rows) for split, rows in data.grouped.splits.items() if split not in ("train", "validation"))
    timer = _Timer(name, models, data, file)
    steps, seconds, disk, slowed, untimed = 0, 0.0, 0, 1.0, set()
    for model in wanted:
        trained = timer.trainings(model)
        own = _steps(model, data)
        steps += own * len(trained)
        seconds += own * sum(one.step for one in trained) + examples * trained[-1].example
        disk += sum(4 * one.parameters for one in trained)
        slowed = max(slowed, *(one.slowed for one in trained))
        if model.recipe.debiasing.method == "jtt" or model.recipe.debiasing.bias_model.get("kind") == "few_sample":
            untimed.add(f"further trainings of {model.method}")
        if model.why:
            untimed.add(f"looking inside the models of {name}")
    return TaskPlan(name, len(models), len(wanted), steps, seconds, disk, slowed, tuple(sorted(untimed)))


def _steps(model: GridModel, data: TaskData) -> int:
    training = model.recipe.training
    if training.get("max_steps", -1) > 0:
        return training["max_steps"]
    batch = training.get("per_device_train_batch_size", 8) * training.get("gradient_accumulation_steps", 1)
    return round(training.get("num_train_epochs", 3.0) * len(data.train) / batch)


class _Timer:
    """Times each size of student with each size of teacher once."""

    def __init__(self, task: str, models: Sequence[GridModel], data: TaskData, file: RatesFile) -> None:
        self.task, self.data, self.file = task, data, file
        # a student made from its teacher is as large as one of its size with random weights
        self.of_size = {m.size: m.recipe.student for m in models if m.recipe.student.initialisation == "own"}
        for model in models:  # a rung may be of a size that is neither a teacher's nor a student's
            self.of_size |= dict(zip(model.rungs, model.recipe.ladder, strict=True))
        self.usual = next(model.recipe for model in models if model.role != DISTILLED)

    def trainings(self, model: GridModel) -> list[ModelTime]:
        """Of the models of its ladder, each distilled from the one before, and last of the model itself."""
        sizes = [model.teacher_size, *model.rungs, model.size]
        return [self.of(size, teacher) for teacher, size in pairwise(sizes)]

    def of(self, size: str, teacher: str | None) -> ModelTime:
        """Of a student of one size with a teacher of another, or without one."""
        recipe = self.usual
        of_teacher = None if teacher is None else repr(self.of_size[teacher])
        sizes = [recipe.task.data, recipe.training, repr(self.of_size[size]), of_teacher, torch.get_num_threads()]
        what = f"{self.task}: {size}" if teacher is None else f"{self.task}: {teacher} to {size}"
        if not self.file.known(what, sizes):
            print(f"plan: timing {what} …", file=sys.stderr, flush=True)
        return self.file.get(ModelTime, what, sizes, lambda: self._take(size, teacher))

    def _take(self, size: str, teacher: str | None) -> ModelTime:
        student = self._new(size)
        of_teacher = None if teacher is None else self._new(teacher)
        clock = _StepClock()
        training = {
            key: value for key, value in self.usual.training.items() if key not in ("num_train_epochs", "max_steps")
        }
        quiet = {
            "save_strategy": "no",
            "eval_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            "logging_steps": 1000,
        }
        random_state = torch.get_rng_state()
        try:
            with tempfile.TemporaryDirectory() as folder:
                arguments = DistillationArguments(
                    output_dir=folder, max_steps=WARM_UP + STEPS, **(settings_here(training) | quiet)
                )
                trainer = DistillationTrainer(
                    student.model,
                    of_teacher and of_teacher.model,
                    arguments,
                    objective=TaskObjective(alpha=0.0 if of_teacher is None else 0.5),
                    train_dataset=self.data.train,
                    processing_class=student.processor,
                    teacher_processing_class=of_teacher and of_teacher.processor,
                    callbacks=[clock],
                )
                trainer.remove_callback(PrinterCallback)
                trainer.train()
        finally:
            torch.set_rng_state(random_state)
        some = self.data.train.select(range(min(PREDICTED, len(self.data.train))))
        watch = BusyClock(arguments.device)
        predicted_log_probs(student.model, some, student.processor, arguments.max_length)
        took = watch.took()
        parameters = student.model.num_parameters()
        return ModelTime(clock.step, took.alone / len(some), parameters, max(clock.slowed, took.slowed))

    def _new(self, size: str) -> NewStudent:
        return new_student(self.of_size[size], self.data, [], 0)


class _StepClock(TrainerCallback):
    """Seconds of an optimiser step, after the first ones."""

    def __init__(self) -> None:
        self.step, self.slowed = 0.0, 1.0
        self._clock: BusyClock | None = None

    def on_step_end(self, args, state, control, **kwargs) -> None:
        if args.device.type != "cpu":
            torch.accelerator.synchronize(args.device)
        if state.global_step == WARM_UP:
            self._clock = BusyClock(args.device)
        elif state.global_step == WARM_UP + STEPS:
            took = self._clock.took()
            self.step, self.slowed = took.alone / STEPS, took.slowed
