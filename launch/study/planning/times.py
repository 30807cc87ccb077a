"""The times of a study on this machine: taken where they are not known, within a budget, with a line for each on the terminal."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict

import torch

from evenhand.evaluation.hardware import hardware
from evenhand.launch.recipe import EvaluationSection, Recipe, StudentSection
from evenhand.launch.study.planning.busy_clock import BusyClock
from evenhand.launch.study.planning.calibration import StepTime, TimedCohort, time_in_turns
from evenhand.launch.study.planning.evaluation_times import (
    EvaluationTime,
    GlueTime,
    WatchTime,
    not_here,
    stand_in_student,
    time_evaluation,
    time_glue,
    time_watch,
)
from evenhand.launch.study.planning.ground import Ground
from evenhand.launch.study.planning.rates import CellSeconds, Finished, RatesFile, Shares
from evenhand.launch.study.planning.workload import CellWork, Workload
from evenhand.trainer.device_support import device_type
from evenhand.trainer.mlm_head import MLM_ONLY

CELLS_BUDGET, EVALUATION_BUDGET, GLUE_BUDGET = 50.0, 25.0, 25.0
"""Seconds for timing steps of whole cells, the measures of one student, and GLUE."""
STEPS_OF_A_TIMING = 4
"""Micro-batches that timing a cell takes, the one that warms up and the making of the students counted as two."""


class StudyTimes:
    """Times everything with one arm's sizes, or with those of whole cells where that is quick.

    Args:
        workload: of the scale.
        usual: recipe of the arm that shares are timed with, a teacher's student: the study's baseline.
        file: where times are kept.
        report: called with a line about each thing before it is timed; default: to stderr.
    """

    def __init__(
        self, workload: Workload, usual: Recipe, file: RatesFile, report: Callable[[str], None] | None = None
    ) -> None:
        self.workload, self.usual, self.file = workload, usual, file
        self.ground: Ground = workload.ground
        self.report = report or (lambda line: print(line, file=sys.stderr, flush=True))
        self._student = None

    # -- steps -------------------------------------------------------------------------------------------------------

    def shares(self) -> Shares:
        """Teacher's pass and one student, apart."""
        work = self.workload.cell({"one": self.usual})
        if not self.file.known("alone", work.kind):
            self.report("plan: timing steps of one student, and of two on one teacher's pass …")
            batches = self.workload.micro_batches(self.usual)
            cohorts = [self._cohort({"one": self.usual}, batches)]
            cohorts += [self._cohort({"one": self.usual, "two": self.usual}, batches)]
            one, two = time_in_turns(cohorts)
            self.file.get(StepTime, "alone", work.kind, lambda: one)
            self.file.get(StepTime, "together", work.kind, lambda: two)
        kept = (self.file.get(StepTime, what, work.kind, _never) for what in ("alone", "together"))
        return Shares(work, *kept)

    def cells(self, cells: Iterable[tuple[CellWork, Mapping[str, Recipe]]], finished: list[Finished]) -> CellSeconds:
        """Seconds of every cell: those of the most work have their own steps timed, as many as the budget allows.

        Args:
            cells: work and recipes; those of one kind may come many times.
            finished: that the study has trained on this machine.
        """
        shares = self.shares()
        weights: dict[str, float] = {}
        some: dict[str, tuple[CellWork, Mapping[str, Recipe]]] = {}
        for work, recipes in cells:
            weights[work.kind] = weights.get(work.kind, 0.0) + work.operations
            some[work.kind] = work, recipes
        known = {cell.kind for cell in finished}
        timed: dict[str, StepTime] = {}
        clock = BusyClock(torch.device(str(self.file.machine["device"])))
        for kind in sorted(set(weights) - known, key=lambda kind: -weights[kind]):
            work, recipes = some[kind]
            if kind == shares.work.kind:
                timed[kind] = shares.one
            elif self.file.known("step", kind) or self._affordable(work, recipes, shares, clock):
                timed[kind] = self.file.get(StepTime, "step", kind, lambda r=recipes: self._step(r))
        return CellSeconds(shares, timed, finished, lambda work: self._aside(work, shares))

    def _affordable(self, work: CellWork, recipes: Mapping[str, Recipe], shares: Shares, clock: BusyClock) -> bool:
        batch = self.workload.micro_batches(next(iter(recipes.values())))[0]
        step = shares.step_time(work).seconds(int(batch["attention_mask"].sum()), 1)
        return clock.spent() + STEPS_OF_A_TIMING * step <= CELLS_BUDGET

    def _step(self, recipes: Mapping[str, Recipe]) -> StepTime:
        self.report(f"plan: timing steps of {', '.join(recipes)} …")
        batches = self.workload.micro_batches(next(iter(recipes.values())))
        return time_in_turns([self._cohort(recipes, batches)])[0]

    def _cohort(self, recipes: Mapping[str, Recipe], batches: list[dict]) -> TimedCohort:
        return TimedCohort.of_students(recipes, self.ground, batches)

    def teacher(self, recipe: Recipe) -> StepTime:
        """Masked-LM training of the teacher itself; ``recipe`` gives its micro-batches."""
        kind = self.workload.kind({"one": recipe})
        if not self.file.known("teacher", kind):
            self.report("plan: timing steps of the teacher's own training …")

        def take() -> StepTime:
            batches = self.workload.micro_batches(recipe)
            return time_in_turns([TimedCohort.of_teacher(recipe, self.ground, batches)])[0]

        return self.file.get(StepTime, "teacher", kind, take)

    def teacher_operations(self, recipe: Recipe) -> float:
        """Operations of that training for each token."""
        as_deep = StudentSection(layers=self.workload.teacher.layers)
        mlm_only = dataclasses.replace(recipe, objective=MLM_ONLY, student=as_deep)
        return self.workload.cell({"teacher": mlm_only}).arms["teacher"].own

    # -- evaluations ---------------------------------------------------------------------------------------------------

    def evaluation(self, section: EvaluationSection) -> EvaluationTime:
        """Of one student of the usual sizes; GLUE apart.

        Raises:
            ValueError, FileNotFoundError: data that are not here.
        """
        plain = asdict(section)
        plain["measures"] = {name: settings for name, settings in section.measures.items() if name != "glue"}
        sizes = self._evaluation_sizes(plain)
        if not self.file.known("evaluation", sizes):
            self.report("plan: timing the evaluation of a student …")
        return self.file.get(
            EvaluationTime,
            "evaluation",
            sizes,
            lambda: time_evaluation(section, self.student, self.ground, EVALUATION_BUDGET),
        )

    def glue(self, settings: dict) -> GlueTime:
        """Of one student of the usual sizes and one of GLUE's seeds.

        Raises:
            ValueError, FileNotFoundError: data that are not here.
        """
        plain = {key: value for key, value in settings.items() if key not in ("store", "progress")}
        sizes = self._evaluation_sizes(plain)
        if missing := not_here("glue", settings):
            raise FileNotFoundError(missing)
        if not self.file.known("glue", sizes):
            self.report("plan: timing GLUE on a few examples of each task …")
        return self.file.get(GlueTime, "glue", sizes, lambda: time_glue(plain, self.student, self.ground, GLUE_BUDGET))

    @property
    def student(self):
        """One of the usual sizes."""
        if self._student is None:
            self._student = stand_in_student(self.usual, self.ground)
        return self._student

    def _evaluation_sizes(self, settings: dict) -> list:
        shape, _ = self.workload.student(self.usual)
        return [asdict(self.workload.teacher), asdict(shape), settings]

    def _aside(self, work: CellWork, shares: Shares) -> float:
        """Held-out losses at the end, and where the recipe watches its students, at every evaluation; with what it measures there."""
        watch = self.usual.watch
        tokens = (self.ground.sequences_of(self.usual.corpus, held_out=True) or 0) * self.ground.mean_length
        usual = shares.work.arms["one"]
        forwards = shares.teacher_per_token + shares.student_per_token / 3 * sum(
            arm.own / usual.own for arm in work.arms.values()
        )
        if not watch.every_steps:
            return tokens * forwards
        # the number of layers decides; parameters beyond the embeddings stand for it
        seconds = self._watch().seconds * len(work.arms)
        n_evaluations = work.steps // watch.every_steps + 1
        return (n_evaluations + 1) * (tokens * forwards + seconds)

    def _watch(self) -> WatchTime:
        sizes = self._evaluation_sizes(self.usual.watch.measures)
        if not self.file.known("watch", sizes):
            self.report("plan: timing what is measured while a student trains …")
        return self.file.get(WatchTime, "watch", sizes, lambda: time_watch(self.usual, self.student, self.ground))


def machine_here(recipe: Recipe) -> dict[str, object]:
    """The machine that times hold for: processor or GPU, cores and threads."""
    device = "cpu" if recipe.training.get("use_cpu") else device_type()
    return hardware(torch.device(device))


def _never():
    raise RuntimeError("This was timed a moment ago.")
