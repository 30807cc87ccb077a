"""Where everything of a study lies, and what of it is there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from evenhand.evaluation import EvaluationReport
from evenhand.launch.run_directory import RunDirectory, write_json
from evenhand.launch.study.cells import teacher_key
from evenhand.launch.study.study_file import ORIGINAL, Study

TEACHERS_FILE = "teachers.json"
"""Beside a page's archive of reports: SEAT of changed teachers, before and after, by name and key."""
_SHOWN = 12


class StudyDirectory:
    """The directory of one study at one scale.

    Args:
        path: the directory; made where it is missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.cells, self.cohorts = self.path / "cells", self.path / "cohorts"
        self.reports, self.logs, self.failed = self.path / "reports", self.path / "logs", self.path / "failed"
        self.cache, self.page = self.path / "cache", self.path / "page"
        self.rates_file, self.links = self.path / "rates.json", self.path / "students"

    def teacher(self, study: Study, name: str, seed: int) -> Path:
        """Folder in which a teacher is made; with the seed in its name where each seed has its own."""
        of_seed = f"-seed{seed}" if study.settings.planted is not None else ""
        return self.path / "teachers" / f"{name}{of_seed}-{teacher_key(study, name, seed)[:_SHOWN]}"

    def teacher_path(self, study: Study, name: str, seed: int) -> str | None:
        """Folder or Hub id of a teacher that has been made, None before."""
        file = self.teacher(study, name, seed) / "teacher.json"
        return json.loads(file.read_text(encoding="utf-8"))["path"] if file.is_file() else None

    def planted(self, study: Study, seed: int) -> Path:
        """Folder of a seed's planted corpus."""
        return self.teacher(study, ORIGINAL, seed) / "planted"

    def report_file(self, key: str) -> Path:
        """Where the report with this key lies or will lie."""
        return self.reports / f"{key}.json"

    def has_report(self, key: str) -> bool:
        return self.report_file(key).is_file()

    def report(self, key: str) -> EvaluationReport:
        return EvaluationReport.load(self.report_file(key))

    def students(self) -> dict[str, RunDirectory]:
        """Finished students by their key, of all cells that were ever begun here."""
        found = {}
        for file in sorted(self.cells.glob("*/cell.json")):
            for arm, key in json.loads(file.read_text(encoding="utf-8"))["students"].items():
                run = RunDirectory(self.cohorts / file.parent.name / arm)
                if run.training_file.is_file() and run.student.is_dir():
                    found[key] = run
        return found

    def link_students(self, names: Mapping[str, str]) -> None:
        """``students/NAME``: a link to each run directory, so that people find ``students/proposed-seed0``; links of before are replaced.

        Args:
            names: name -> key of the student; what is not finished gets none.
        """
        made = self.students()
        self.links.mkdir(parents=True, exist_ok=True)
        for link in self.links.iterdir():
            if link.is_symlink():
                link.unlink()
        for name, key in names.items():
            if key in made and not (self.links / name).exists():
                (self.links / name).symlink_to(os.path.relpath(made[key].path, self.links))

    def take_over_teachers(self, folder: Path) -> None:
        """Keep what a page's folder says of teachers that were changed, for a directory in which they are not made."""
        if (folder / TEACHERS_FILE).is_file():
            write_json(self.path / TEACHERS_FILE, json.loads((folder / TEACHERS_FILE).read_text(encoding="utf-8")))

    def teacher_change(self, study: Study, name: str) -> dict | None:
        """SEAT of a teacher before and after it was changed (on a planted scale of seed 0), measured here or taken over; None where it is neither."""
        made = self.teacher(study, name, 0) / "seat_before_after.json"
        if made.is_file():
            return json.loads(made.read_text(encoding="utf-8"))
        kept = self.path / TEACHERS_FILE
        changes = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
        return changes.get(f"{name}-{teacher_key(study, name, 0)}")

    def unfinished_cells(self) -> dict[str, dict[str, str]]:
        """Cells whose training was begun and is not finished: name -> arm -> key of the student."""
        found = {}
        for file in sorted(self.cells.glob("*/cell.json")):
            students = json.loads(file.read_text(encoding="utf-8"))["students"]
            folder = self.cohorts / file.parent.name
            done = [RunDirectory(folder / arm).training_file.is_file() for arm in students]
            if folder.is_dir() and not all(done):
                found[file.parent.name] = students
        return found

    def mark_failed(self, key: str, arm: str, seed: int, log: Path) -> None:
        """Remember that a student could not be made."""
        self.failed.mkdir(parents=True, exist_ok=True)
        write_json(self.failed / f"{key}.json", {"arm": arm, "seed": seed, "log": log.name})

    def failure(self, key: str) -> str | None:
        """Name of the log of a student that could not be made, None where that is not known to have happened."""
        file = self.failed / f"{key}.json"
        return json.loads(file.read_text(encoding="utf-8"))["log"] if file.is_file() else None
