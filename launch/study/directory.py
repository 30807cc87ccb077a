"""Where everything of a study lies, and what of it is there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from evenhand.launch.report_directory import ReportDirectory
from evenhand.launch.run_directory import RunDirectory, write_json
from evenhand.launch.study.cells import SHOWN, teacher_key
from evenhand.launch.study.study_file import ORIGINAL, Study

TEACHERS_FILE = "teachers.json"
"""Beside a page's archive of reports: SEAT of changed teachers, before and after, by name and key."""
_INSIDE = "./"
"""Begins a path that is relative to the folder of its teacher; a Hub id never begins so."""


def path_to_keep(path: str, folder: Path) -> str:
    """A teacher's path as ``teacher.json`` has it: relative where it lies inside ``folder``, so that a study's directory can be moved."""
    inside = Path(path).is_absolute() and Path(path).is_relative_to(folder)
    return f"{_INSIDE}{Path(path).relative_to(folder).as_posix()}" if inside else path


def kept_name(study: Study, name: str, seed: int) -> str:
    """What a teacher is called in `TEACHERS_FILE`."""
    return f"{name}-{teacher_key(study, name, seed)}"


class StudyDirectory(ReportDirectory):
    """With teachers, the cells and cohorts in which students are trained, and links to the students."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.cells, self.cohorts, self.cache = self.path / "cells", self.path / "cohorts", self.path / "cache"
        self.rates_file, self.links = self.path / "rates.json", self.path / "students"

    def teacher(self, study: Study, name: str, seed: int) -> Path:
        """Folder in which a teacher is made; with the seed in its name where each seed has its own."""
        of_seed = f"-seed{seed}" if study.settings.planted is not None else ""
        return self.path / "teachers" / f"{name}{of_seed}-{teacher_key(study, name, seed)[:SHOWN]}"

    def teacher_path(self, study: Study, name: str, seed: int) -> str | None:
        """Folder or Hub id of a teacher that has been made, None before."""
        folder = self.teacher(study, name, seed)
        if not (folder / "teacher.json").is_file():
            return None
        path = json.loads((folder / "teacher.json").read_text(encoding="utf-8"))["path"]
        return str(folder / path) if path.startswith(_INSIDE) else path

    def planted(self, study: Study, seed: int) -> Path:
        """Folder of a seed's planted corpus."""
        return self.teacher(study, ORIGINAL, seed) / "planted"

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
        """``students/NAME``: a link to each run directory, so that people find ``students/proposed-seed0``.

        Links of other names stay as long as what they lead to is there.

        Args:
            names: name -> key of the student; what is not finished gets none, and loses one that led to another student.
        """
        made = self.students()
        self.links.mkdir(parents=True, exist_ok=True)
        targets = {
            name: os.path.relpath(made[key].path, self.links) if key in made else None for name, key in names.items()
        }
        for link in self.links.iterdir():
            changed = link.name in targets and link.is_symlink() and os.readlink(link) != targets[link.name]
            if link.is_symlink() and (changed or not link.exists()):
                link.unlink()
        for name, target in targets.items():
            if target is not None and not (self.links / name).exists():
                (self.links / name).symlink_to(target)

    def take_over_teachers(self, folder: Path) -> None:
        """Keep what a page's folder says of teachers that were changed, for a directory in which they are not made."""
        if (folder / TEACHERS_FILE).is_file():
            write_json(self.path / TEACHERS_FILE, json.loads((folder / TEACHERS_FILE).read_text(encoding="utf-8")))

    def teacher_changes(self, study: Study, name: str) -> dict[int, dict]:
        """SEAT of a teacher before and after it was changed, by seed (0 alone where all seeds have one teacher), measured here or taken over."""
        kept_file, found = self.path / TEACHERS_FILE, {}
        kept = json.loads(kept_file.read_text(encoding="utf-8")) if kept_file.is_file() else {}
        for seed in range(max(arm.seeds for arm in study.arms.values()) if study.settings.planted is not None else 1):
            made = self.teacher(study, name, seed) / "seat_before_after.json"
            known = (
                json.loads(made.read_text(encoding="utf-8"))
                if made.is_file()
                else kept.get(kept_name(study, name, seed))
            )
            if known is not None:
                found[seed] = known
        return found

    def unfinished_cells(self) -> dict[str, tuple[int, dict[str, str]]]:
        """Cells whose training was begun and is not finished: name -> seed, and arm -> key of the student."""
        found = {}
        for file in sorted(self.cells.glob("*/cell.json")):
            cell = json.loads(file.read_text(encoding="utf-8"))
            students = cell["students"]
            folder = self.cohorts / file.parent.name
            done = [RunDirectory(folder / arm).training_file.is_file() for arm in students]
            if folder.is_dir() and not all(done):
                found[file.parent.name] = cell["seed"], students
        return found
