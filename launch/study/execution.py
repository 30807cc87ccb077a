"""A study at work: what is missing is made, where the launcher makes things; what is there is kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
    teacher_key,
    wanted_students,
)
from evenhand.launch.study.directory import TEACHERS_FILE, StudyDirectory
from evenhand.launch.study.report_archive import write_archive
from evenhand.launch.study.results import StudyResults
from evenhand.launch.study.study_file import Study
from evenhand.launch.study.teachers import planted_strengths
from evenhand.launch.study_runs import EVENHAND, Run
from evenhand.model_cards.whole_files import write_text

ARCHIVE = "reports.jsonl.xz"
"""Every report that a page was made of, beside it."""
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

    def missing(self) -> dict[Student, str]:
        """Students without a report, with its key."""
        return {
            student: key for student, key in wanted_students(self.study).items() if not self.directory.has_report(key)
        }

    def run(self, launcher: Launcher) -> bool:
        """Make what is missing. What fails is remembered and leaves the rest.

        Returns:
            Whether it was stopped and can go on; then no further step was begun.
        """
        missing = self.missing()
        for key in missing.values():
            (self.directory.failed / f"{key}.json").unlink(missing_ok=True)
        stopped, lost = self._teachers(launcher, missing)
        if stopped:
            return True
        students = [student for student in missing if student not in lost]
        cells = self.cells(students)
        measured = self._only_to_be_measured(students)
        print(f"study {self.study.name}: {_count(cells, measured, missing)}", flush=True)
        outcomes = launcher.launch([*measured, *(self._cell_run(cell) for cell in cells)])
        if any(outcome.stopped for outcome in outcomes):
            return True
        failed = {outcome.name for outcome in outcomes if outcome.code != 0}
        return self._one_by_one(launcher, [cell for cell in cells if cell.name in failed])

    # -- what is to be done ----------------------------------------------------------------------------------------

    def cells(self, students: Iterable[Student] | None = None) -> list[Cell]:
        """The trainings that are missing, in the order in which they run: those that were begun first.

        Args:
            students: to be made; default: all that are missing.
        """
        study, made = self.study, self.directory.students()
        wanted = {
            student_key(study, study.arms[arm], seed): (arm, seed)
            for arm, seed in reversed(list(self.missing() if students is None else students))
        }
        wanted = {key: student for key, student in wanted.items() if key not in made}
        groups = []
        for members in self.directory.unfinished_cells().values():
            if set(members.values()) <= set(wanted):
                of_cell = [wanted.pop(key) for key in members.values()]
                groups.append((of_cell[0][1], [arm for arm, _ in of_cell]))
        groups += group_arms(study, wanted.values())
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

    def _only_to_be_measured(self, students: Iterable[Student]) -> list[Run]:
        """Students that are trained but lack their report, or the one that the study file asks for now."""
        study, made, runs = self.study, self.directory.students(), {}
        for arm, seed in students:
            run = made.get(student_key(study, study.arms[arm], seed))
            if run is not None:
                runs.setdefault(run.path.parent.name, []).append((arm, seed, run))
        found, unfinished = [], self.directory.unfinished_cells()
        for cell, entries in runs.items():
            file = self.directory.cells / cell / "measure_again.json"
            # left behind where the measuring was cut off
            checkpoints = None if cell in unfinished else self.directory.cohorts / cell / SHARED / "checkpoints"
            self._write_measures(file, [(arm, seed, run.path) for arm, seed, run in entries], checkpoints)
            found.append(self._run(f"{cell}-measured", [(*_module("measure"), str(file))], inputs=(file,)))
        return found

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
                directory.mark_failed(key, arm, seed, runs[seed if study.settings.planted is not None else 0].log)
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
        students = {arm: student_key(self.study, self.study.arms[arm], cell.seed) for arm in cell.recipes}
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

    def _one_by_one(self, launcher: Launcher, failed: Sequence[Cell]) -> bool:
        """What failed together is tried alone, so that one bad arm costs no other; what then fails is marked.

        Returns:
            Whether it was stopped.
        """
        alone = {
            cell.name: cell
            for together in failed
            for arm, key in together.keys.items()
            if len(together.keys) > 1 and not self.directory.has_report(key)
            for cell in [self._cell(together.seed, [arm])]
        }
        outcomes = launcher.launch([self._cell_run(cell) for cell in alone.values()]) if alone else []
        if any(outcome.stopped for outcome in outcomes):
            return True
        for cell in [*alone.values(), *(cell for cell in failed if len(cell.keys) == 1)]:
            for arm, key in cell.keys.items():
                if not self.directory.has_report(key):
                    self.directory.mark_failed(key, arm, cell.seed, self._log(cell.name))
        return False

    # -- small parts -----------------------------------------------------------------------------------------------

    def _write_measures(self, file: Path, entries: Iterable[tuple[str, int, Path]], checkpoints: Path | None) -> None:
        keys = wanted_students(self.study)
        students = [
            {
                "run": str(run),
                "report": str(self.directory.report_file(keys[arm, seed])),
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

    def _log(self, name: str) -> Path:
        return self.directory.logs / f"{name}.log"

    def _run(self, name: str, commands: Iterable[tuple], inputs: tuple = (), outputs: tuple = ()) -> Run:
        return Run(name, tuple(commands), self._log(name), self.environment, inputs, outputs)

    # -- what was found --------------------------------------------------------------------------------------------

    def results(self, command: str) -> StudyResults:
        """All reports that are there, and what failed; a link to each finished student is made beside them."""
        study, directory = self.study, self.directory
        directory.link_students(
            {f"{a}-seed{s}": student_key(study, study.arms[a], s) for a, s in wanted_students(study)}
        )
        reports: dict[str, dict] = {name: {} for name in study.arms}
        failed = {}
        loaded: dict[str, object] = {}
        for (arm, seed), key in wanted_students(study).items():
            if directory.has_report(key):
                reports[arm][seed] = loaded.setdefault(key, directory.report(key))
            elif log := directory.failure(key):
                failed[arm, seed] = log
        changes = {name: directory.teacher_change(study, name) for name in study.settings.teachers}
        changes = {name: found for name, found in changes.items() if found is not None}
        return StudyResults(study, reports, failed, changes, planted_strengths(study), command)

    def keep_beside(self, page: Path, results: StudyResults) -> None:
        """Write what the page was made of beside it, so that it can be made again, and the study go on, without the students: every report in
        ``reports.jsonl.xz``, changed teachers in ``teachers.json``."""
        study = self.study
        reports = {
            key: results.reports[arm][seed]
            for (arm, seed), key in wanted_students(study).items()
            if seed in results.reports[arm]
        }
        write_archive(reports, page / ARCHIVE)
        if results.teacher_changes:
            changes = {
                f"{name}-{teacher_key(study, name, 0)}": found for name, found in results.teacher_changes.items()
            }
            write_json(page / TEACHERS_FILE, changes)


def _module(name: str) -> tuple[str, str]:
    return "-m", f"evenhand.launch.study.{name}"


def _count(cells: Sequence[Cell], measured: Sequence[Run], missing: Mapping[Student, str]) -> str:
    students = sum(len(cell.keys) for cell in cells)
    text = f"{len(missing)} reports are missing; {students} students to train in {len(cells)} trainings"
    return text + (f", {len(measured)} more to measure" if measured else "")
