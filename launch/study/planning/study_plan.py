"""What a study will train and measure, and what that takes, before anything starts: ``evenhand study … --plan``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from evenhand.launch.accelerate_plan import find_config
from evenhand.launch.cohort_directory import SHARED
from evenhand.launch.recipe import Recipe
from evenhand.launch.study.cells import Cell
from evenhand.launch.study.execution import StudyJob
from evenhand.launch.study.planning.busy_clock import threads_of_runs
from evenhand.launch.study.planning.calibration import precision_here
from evenhand.launch.study.planning.finished_cells import finished_cells
from evenhand.launch.study.planning.ground import ground_of
from evenhand.launch.study.planning.plan_disk import DiskPlan, disk_plan
from evenhand.launch.study.planning.plan_measuring import MeasuringPlan, measuring_plan
from evenhand.launch.study.planning.plan_teachers import TeacherPlan, teacher_plans
from evenhand.launch.study.planning.rates import CellSeconds, RatesFile
from evenhand.launch.study.planning.times import StudyTimes, machine_here
from evenhand.launch.study.planning.workload import CellWork, Workload
from evenhand.launch.study.study_file import ORIGINAL, Study
from evenhand.launch.study.teachers import base_recipe
from evenhand.trainer.checkpoints import completion_facts, latest_complete_checkpoint
from evenhand.trainer.device_support import device_type, visible_gpus


@dataclass(frozen=True)
class ArmPlan:
    """One arm.

    Args:
        name, label, core: of the arm.
        seeds: students that the study wants.
        reported: of them, those that have their report.
        trained: of the others, those that are trained and need only be measured.
        same_as: the arm whose students these are, where recipes are equal; None else.
        tokens, seconds: of the trainings that are missing; a training's seconds are dealt to its arms by their operations, the teacher's pass
            in equal parts.
        failed: students whose last training failed; it would be tried again.
    """

    name: str
    label: str
    core: bool
    seeds: int
    reported: int
    trained: int
    same_as: str | None
    tokens: float
    seconds: float
    failed: int


@dataclass(frozen=True)
class CellPlan:
    """One training that is missing.

    Args:
        cell: what it trains.
        work: what it computes, as a whole.
        done: share of its steps that an interrupted start has left in a checkpoint.
        seconds: of the rest.
        how: where they come from, a key of :data:`~evenhand.launch.study.rates.HOW`.
    """

    cell: Cell
    work: CellWork
    done: float
    seconds: float
    how: str


@dataclass(frozen=True)
class Plan:
    """Everything that ``--plan`` prints.

    Args:
        study: at one scale.
        arms, cells, teachers, measuring, disk: what is missing.
        machine: that the times hold for.
        at_a_time: trainings that run beside each other on it.
        alone: seconds of all missing students if each were trained on a teacher's pass of its own.
        slowed: by how much the machine's other work slowed the timing down, which the seconds leave out.
        wants_gpu: why this machine is not the one that the scale is made for; empty where it is.
        notes: what stands in for something else.
    """

    study: Study
    arms: Sequence[ArmPlan]
    cells: Sequence[CellPlan]
    teachers: Sequence[TeacherPlan]
    measuring: MeasuringPlan
    disk: DiskPlan
    machine: Mapping[str, object]
    at_a_time: int
    alone: float
    slowed: float
    wants_gpu: str
    notes: tuple[str, ...]

    @property
    def training_seconds(self) -> float:
        """Of all missing students."""
        return sum(cell.seconds for cell in self.cells)

    @property
    def teacher_seconds(self) -> float:
        """Of the missing teachers whose time is known."""
        return sum(teacher.seconds or 0.0 for teacher in self.teachers)

    @property
    def seconds(self) -> float:
        """Of everything, one after the other."""
        return self.training_seconds + self.teacher_seconds + self.measuring.seconds

    @property
    def operations(self) -> float:
        """Floating-point operations of all missing students' trainings."""
        return sum((1 - cell.done) * cell.work.operations for cell in self.cells)


def print_plan(job: StudyJob) -> None:
    """Print the plan of what is missing; nothing is made but ``rates.json``.

    Raises:
        ValueError, FileNotFoundError: settings that cannot be used, a teacher whose sizes are not known.
    """
    from evenhand.launch.study.planning.plan_text import plan_text

    print(plan_text(make_plan(job)))


def make_plan(job: StudyJob) -> Plan:
    """Count what is missing and how long it takes; what is not known is timed first, minutes at most."""
    study, directory = job.study, job.directory
    launched = _launched(study.settings.accelerate)
    with threads_of_runs(job.environment) as at_a_time:
        cells = [_here(cell, launched) for cell in job.cells()]
        times = _times(job, launched)
        if cells:
            times.report(f"plan: counting the operations of {len(cells)} trainings …")
        works = _works(cells, times.workload)
        finished = finished_cells(directory, times.workload, times.file.machine)
        seconds = times.cells(zip(works, (cell.recipes for cell in cells), strict=True), finished)
        missing = job.missing()
        planned = [
            _cell_plan(cell, work, seconds, directory.cohorts / cell.name)
            for cell, work in zip(cells, works, strict=True)
        ]
        teachers = teacher_plans(study, directory, missing, times)
        recipes = [recipe for cell in cells for recipe in cell.recipes.values()]
        return Plan(
            study,
            _arm_plans(job, planned),
            planned,
            teachers,
            measuring_plan(study, missing, cells, times),
            disk_plan(works, recipes, teachers, times.ground, directory.path, directory.cache, at_a_time),
            times.file.machine,
            at_a_time,
            sum(plan.seconds * seconds.shares.saved(plan.work) for plan in planned),
            seconds.shares.one.slowed,
            _wants_gpu(study, launched, recipes),
            times.ground.notes,
        )


# -- the machine -----------------------------------------------------------------------------------------------------------


def _launched(accelerate: str | None) -> dict:
    """The scale's config of accelerate: ``num_processes``, ``mixed_precision``, ``use_cpu``; nothing where a training is one process."""
    return {} if accelerate is None else yaml.safe_load(find_config(accelerate).read_text(encoding="utf-8"))


def _wants_gpu(study: Study, launched: Mapping, recipes: Sequence[Recipe]) -> str:
    if device_type() != "cpu":
        return ""
    if launched and not launched.get("use_cpu"):
        processes = max(1, int(launched.get("num_processes") or 1))
        gpus = f"{processes} GPUs" if processes > 1 else "a GPU"
        return f"this scale trains on {gpus} (accelerate config {study.settings.accelerate}), and torch finds none here"
    return next(filter(None, (precision_here(recipe.training) for recipe in recipes)), "")


def _here(cell: Cell, launched: Mapping) -> Cell:
    """The cell in the precision in which accelerate will start it on this machine's GPU."""
    precision = launched.get("mixed_precision", "no")
    if device_type() == "cpu" or launched.get("use_cpu") or precision not in ("fp16", "bf16"):
        return cell
    recipes = {
        arm: dataclasses.replace(recipe, training=recipe.training | {precision: True})
        for arm, recipe in cell.recipes.items()
    }
    return dataclasses.replace(cell, recipes=recipes)


def _times(job: StudyJob, launched: Mapping) -> StudyTimes:
    """On the finished teacher where there is one, else on what stands in for it."""
    study, directory = job.study, job.directory
    settings, usual = study.settings, study.arms[study.baseline].recipe
    made = directory.teacher_path(study, ORIGINAL, 0)
    section = base_recipe(study).teacher if made is None else dataclasses.replace(usual.teacher, path=made)
    usual = dataclasses.replace(usual, teacher=section)
    usual = _here(Cell("", 0, {"usual": usual}, {}), launched).recipes["usual"]
    ground = ground_of(usual, settings.vocabulary if made is None else None, settings.planted)
    processes = max(1, int(launched.get("num_processes") or 1)) if launched else 1
    machine = machine_here(usual)
    # several GPUs share the batches of a step: what one of them is timed with is its part
    gpus = min(processes, visible_gpus()) if launched and not launched.get("use_cpu") else 1
    workload = Workload(ground, processes, max(1, gpus))
    return StudyTimes(workload, usual, RatesFile(directory.rates_file, machine))


# -- what is missing -----------------------------------------------------------------------------------------------------------


def _works(cells: Sequence[Cell], workload: Workload) -> list[CellWork]:
    """Of every cell; those of the same arms are counted once."""
    counted: dict[tuple[str, ...], CellWork] = {}
    for cell in cells:
        if tuple(cell.recipes) not in counted:
            counted[tuple(cell.recipes)] = workload.cell(cell.recipes)
    return [counted[tuple(cell.recipes)] for cell in cells]


def _cell_plan(cell: Cell, work: CellWork, seconds: CellSeconds, folder: Path) -> CellPlan:
    whole, how = seconds.of(work)
    newest = latest_complete_checkpoint(folder / SHARED / "checkpoints")
    done = min(1.0, completion_facts(newest).get("step", 0) / work.steps) if newest else 0.0
    return CellPlan(cell, work, done, (1 - done) * whole, how)


def _arm_plans(job: StudyJob, planned: Sequence[CellPlan]) -> list[ArmPlan]:
    study, directory = job.study, job.directory
    made = directory.students()
    tokens: dict[str, float] = {}
    shares: dict[str, float] = {}
    for plan in planned:
        work = plan.work
        total = work.shared + sum(arm.own for arm in work.arms.values())
        for name, arm in work.arms.items():
            part = (arm.own + work.shared / len(work.arms)) / total
            shares[name] = shares.get(name, 0.0) + part * plan.seconds
            tokens[name] = tokens.get(name, 0.0) + (1 - plan.done) * work.tokens
    owners: dict[str, str] = {}
    found = []
    for arm in study.arms.values():
        own = {seed: job.wanted[arm.name, seed] for seed in range(arm.seeds)}
        students = [job.student_keys[arm.name, seed] for seed in own]
        owner = owners.get(students[0])
        for student in students:
            owners.setdefault(student, arm.name)
        waiting = [(seed, key) for seed, key in own.items() if not directory.has_report(key)]
        trained = sum(job.student_keys[arm.name, seed] in made for seed, _ in waiting)
        failed = sum(directory.failure(key) is not None for _, key in waiting)
        found.append(
            ArmPlan(
                arm.name, arm.label, arm.core, arm.seeds, arm.seeds - len(waiting), trained, owner,
                tokens.get(arm.name, 0.0), shares.get(arm.name, 0.0), failed,
            )
        )  # fmt: skip
    return found
