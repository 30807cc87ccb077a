"""A study at work: what is missing is made, where the launcher makes things; what is there is kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from evenhand.launch.cohort_directory import OWN_SECTIONS, SHARED
from evenhand.launch.launchers import Launcher
from evenhand.launch.run_directory import STORE, write_json
from evenhand.launch.study.cells import (
    Cell,
    evaluation_of,
    group_arms,
    make_cell,
    student_key,
    wanted_students,
)
from evenhand.launch.study.directory import StudyDirectory
from evenhand.launch.study.study_file import ORIGINAL, Study
from evenhand.launch.study_runs import EVENHAND, Run
from evenhand.model_cards.whole_files import write_text

Student = tuple[str, int]
"""An arm's name and a seed."""


@dataclass(frozen=True)
class StudyJob:
    """A study in its directory.

    Args:
        study: at one scale.
        directory: where it is made.
        file: the study file, or a packaged one's name, as given.
        overrides: ``section.key=value``, as given.
        environment: variables of every process that is started.
    """

    study: Study
    directory: StudyDirectory
    file: str
    overrides: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def wanted(self) -> dict[Student, str]:
        """Every student of the study with the key of its report."""
        return wanted_students(self.study)

    @cached_property
    def student_keys(self) -> dict[Student, str]:
        """Every student of the study with its own key."""
        return {(arm, seed): student_key(self.study, self.study.arms[arm], seed) for arm, seed in self.wanted}

    def missing(self) -> dict[Student, str]:
        """Students without a report, with its key."""
        return {student: key for student, key in self.wanted.items() if not self.directory.has_report(key)}

    def run(self, launcher: Launcher) -> bool:
        """Make what is missing. What fails is remembered and leaves the rest.

        Returns:
            Whether it was stopped and can go on; then no further step was begun.
        """
        missing = self.missing()
        for key in missing.values():
            self.directory.forget_failure(key)
        stopped, lost = self._teachers(launcher, missing)
        if stopped:
            return True
        students = [student for student in missing if student not in lost]
        cells = self.cells(students)
        measured = self._only_to_be_measured(students, cells)
        print(f"study {self.study.name}: {_count(cells, measured, missing)}", flush=True)
        groups = {run.name: of_run for run, of_run in measured}
        groups |= {cell.name: [(arm, cell.seed) for arm in cell.keys] for cell in cells}
        outcomes = launcher.launch([*(run for run, _ in measured), *map(self._cell_run, cells)])
        if any(outcome.stopped for outcome in outcomes):
            return True
        failed = [(outcome.name, groups[outcome.name]) for outcome in outcomes if outcome.code != 0]
        return self._one_by_one(launcher, failed)

    # -- what is to be done ----------------------------------------------------------------------------------------

    def cells(self, students: Iterable[Student] | None = None) -> list[Cell]:
        """The trainings that are missing, in the order in which they run: those that were begun first.

        Args:
            students: to be made; default: all that are missing.
        """
        made, keys = self.directory.students(), self.student_keys
        wanted = {
            keys[student]: student for student in reversed(list(self.missing() if students is None else students))
        }
        wanted = {key: student for key, student in wanted.items() if key not in made}
        groups = []
        for seed, members in self.directory.unfinished_cells().values():
            unmade = set(members.values()) - set(made)
            # all members, those too that are made: they were trained together and share their checkpoints
            if unmade and unmade <= set(wanted) and all(keys.get((arm, seed)) == key for arm, key in members.items()):
                groups.append((seed, list(members)))
                wanted = {key: student for key, student in wanted.items() if key not in unmade}
        groups += group_arms(self.study, wanted.values())
        return [self._cell(seed, arms) for seed, arms in groups]

    def _cell(self, seed: int, arms: Sequence[str]) -> Cell:
        study, directory = self.study, self.directory
        teachers = {study.arms[arm].teacher for arm in arms}
        paths = {
            name: directory.teacher_path(study, name, seed) or str(directory.teacher(study, name, seed) / "teacher")
            for name in teachers
        }
        corpus = directory.planted(study, seed) / "corpus.txt" if study.settings.planted is not None else None
        return make_cell(study, seed, arms, paths, corpus, directory.cache)

    def _only_to_be_measured(
        self, students: Iterable[Student], cells: Iterable[Cell]
    ) -> list[tuple[Run, list[Student]]]:
        """Students that are trained but lack their report, or the one that the study file asks for now; those of a run together.

        Args:
            cells: that are trained, or go on, now: their members are measured with them.
        """
        made, keys, unfinished = self.directory.students(), self.student_keys, self.directory.unfinished_cells()
        with_cell = {key for cell in cells for key in cell.keys.values()}
        groups: dict[str, dict[Student, Path]] = {}
        seen: set[str] = set()
        for student in students:
            key = self.wanted[student]  # arms of equal recipes are one student
            if keys[student] in made and key not in with_cell | seen:
                seen.add(key)
                path = made[keys[student]].path
                groups.setdefault(path.parent.name, {})[student] = path
        return [
            (self._measure_run(f"{cell}-measured", cell, "measure_again.json", paths, cell in unfinished), list(paths))
            for cell, paths in groups.items()
        ]

    def _measure_run(
        self, name: str, cell: str, file_name: str, paths: Mapping[Student, Path], unfinished: bool
    ) -> Run:
        """Measure finished students of one cell; ``unfinished``: others of it are still to be trained from its checkpoints."""
        file = self.directory.cells / cell / file_name
        # left behind where the measuring was cut off
        checkpoints = None if unfinished else self.directory.cohorts / cell / SHARED / "checkpoints"
        self._write_measures(file, [(arm, seed, path) for (arm, seed), path in paths.items()], checkpoints)
        return self._run(name, [(*_module("measure"), str(file))], (file,), self._report_files(paths))

    # -- the steps -------------------------------------------------------------------------------------------------

    def _teachers(self, launcher: Launcher, missing: Mapping[Student, str]) -> tuple[bool, set[Student]]:
        """Make the teachers that are missing.

        Returns:
            Whether this was stopped, and the students that are lost because their teacher could not be made.
        """
        study, directory = self.study, self.directory
        needed: dict[int, set[str]] = {}
        for arm, seed in missing:
            teacher = study.arms[arm].teacher
            if directory.teacher_path(study, teacher, seed) is None:
                needed.setdefault(seed if study.settings.planted is not None else 0, set()).add(teacher)
        runs = {
            seed: self._run(
                f"teacher-seed{seed}" if study.settings.planted is not None else "teacher",
                [(*_module("teachers"), self.file, study.scale, str(directory.path), "--seed", str(seed), *sorted(names), *self.overrides)],
                outputs=tuple(directory.teacher(study, name, seed) / "teacher.json" for name in sorted({ORIGINAL, *names})),
            )
            for seed, names in needed.items()
        }  # fmt: skip
        outcomes = launcher.launch(list(runs.values())) if runs else []
        if any(outcome.stopped for outcome in outcomes):
            return True, set()
        lost = set()
        for (arm, seed), key in missing.items():
            if directory.teacher_path(study, study.arms[arm].teacher, seed) is None:
                lost.add((arm, seed))
                log = runs[seed if study.settings.planted is not None else 0].log
                directory.mark_failed(key, log.name, arm=arm, seed=seed)
        return False, lost

    def _cell_run(self, cell: Cell) -> Run:
        """Distil the arms of a cell together, then measure them."""
        folder = self.directory.cells / cell.name
        recipes = {arm: recipe.to_dict() for arm, recipe in cell.recipes.items()}
        first = next(iter(cell.recipes.values()))
        folder.mkdir(parents=True, exist_ok=True)
        first.save(folder / "recipe.yaml")
        own = {
            arm: {name: data[name] for name in OWN_SECTIONS if name in data and data[name] is not None}
            for arm, data in recipes.items()
        }
        # JSON is YAML, and keeps numbers as they are
        write_text(folder / "arms.yaml", json.dumps(own, indent=1) + "\n")
        students = {arm: self.student_keys[arm, cell.seed] for arm in cell.recipes}
        write_json(folder / "cell.json", {"seed": cell.seed, "students": students, "reports": dict(cell.keys)})
        output = self.directory.cohorts / cell.name
        entries = [(arm, cell.seed, output / arm) for arm in cell.recipes]
        self._write_measures(folder / "measure.json", entries, output / SHARED / "checkpoints")
        distill = [*EVENHAND, "distill", str(folder / "recipe.yaml"), "--arms", str(folder / "arms.yaml")]
        distill += ["--output-dir", str(output)]
        if self.study.settings.accelerate:
            distill += ["--accelerate", self.study.settings.accelerate]
        commands = [tuple(distill), (*_module("measure"), str(folder / "measure.json"))]
        files = tuple(folder / name for name in ("recipe.yaml", "arms.yaml", "measure.json"))
        return self._run(cell.name, commands, files, tuple(map(self.directory.report_file, cell.keys.values())))

    def _one_by_one(self, launcher: Launcher, failed: Iterable[tuple[str, Sequence[Student]]]) -> bool:
        """What failed together is tried alone, so that one bad arm costs no other; what then fails is marked.

        Args:
            failed: name and students of each run that failed.

        Returns:
            Whether it was stopped.
        """
        runs, logs = [], {}
        for name, students in failed:
            for student in students:
                if not self.directory.has_report(self.wanted[student]):
                    logs[student] = self._log(name)
                    if len(students) > 1:
                        runs.append(self._alone(student))
                        logs[student] = runs[-1].log
        outcomes = launcher.launch(runs) if runs else []
        if any(outcome.stopped for outcome in outcomes):
            return True
        for (arm, seed), log in logs.items():
            if not self.directory.has_report(self.wanted[arm, seed]):
                self.directory.mark_failed(self.wanted[arm, seed], log.name, arm=arm, seed=seed)
        return False

    def _alone(self, student: Student) -> Run:
        """One student trained and measured; only measured where its training succeeded."""
        arm, seed = student
        run = self.directory.students().get(self.student_keys[student])
        if run is None:
            return self._cell_run(self._cell(seed, [arm]))
        cell = run.path.parent.name
        unfinished = cell in self.directory.unfinished_cells()
        return self._measure_run(f"{cell}-{arm}-measured", cell, f"measure_{arm}.json", {student: run.path}, unfinished)

    # -- small parts -----------------------------------------------------------------------------------------------

    def _write_measures(self, file: Path, entries: Iterable[tuple[str, int, Path]], checkpoints: Path | None) -> None:
        students = [
            {
                "run": str(run),
                "report": str(self.directory.report_file(self.wanted[arm, seed])),
                "evaluation": self._with_store(evaluation_of(self.study, self.study.arms[arm], seed)),
            }
            for arm, seed, run in entries
        ]
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"students": students, "checkpoints": None if checkpoints is None else str(checkpoints)})

    def _with_store(self, evaluation: dict) -> dict:
        """With one place for finished parts of GLUE, so that the teacher is fine-tuned once for all arms."""
        measures = {
            name: {"store": str(self.directory.path / STORE)} | settings if name == "glue" else settings
            for name, settings in evaluation["measures"].items()
        }
        return evaluation | {"measures": measures}

    def _report_files(self, students: Iterable[Student]) -> tuple[Path, ...]:
        return tuple(self.directory.report_file(self.wanted[student]) for student in students)

    def _log(self, name: str) -> Path:
        return self.directory.logs / f"{name}.log"

    def _run(self, name: str, commands: Iterable[tuple], inputs: tuple = (), outputs: tuple = ()) -> Run:
        return Run(name, tuple(commands), self._log(name), self.environment, inputs, outputs)


def _module(name: str) -> tuple[str, str]:
    return "-m", f"evenhand.launch.study.{name}"


def _count(cells: Sequence[Cell], measured: Sequence[tuple], missing: Mapping[Student, str]) -> str:
    students = sum(len(cell.keys) for cell in cells)
    text = f"{len(set(missing.values()))} reports are missing; {students} students to train in {len(cells)} trainings"
    return text + (f", {len(measured)} more to measure" if measured else "")
