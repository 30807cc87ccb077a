"""Where everything of a study of distillability lies, and what of it is there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from evenhand.evaluation import EvaluationReport
from evenhand.launch.distillability.models import GridModel
from evenhand.launch.run_directory import RunDirectory, write_json

_SHOWN = 12
"""Digits of a key in a folder's name."""


class GridDirectory:
    """The directory of one study at one scale; it can be moved between runs.

    Args:
        path: of the directory, which need not exist: nothing is made before there is something to write.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.models, self.reports = self.path / "models", self.path / "reports"
        self.logs, self.failed, self.page = self.path / "logs", self.path / "failed", self.path / "page"
        self.store = self.path / "bias_models"

    def run(self, model: GridModel) -> RunDirectory:
        """Run directory of a model."""
        cell = f"{model.task}-{model.method}-seed{model.seed}"
        return RunDirectory(self.models / cell / f"{model.name}-{model.model_key[:_SHOWN]}")

    def made(self, model_key: str) -> RunDirectory | None:
        """The run of a finished model, None where there is none."""
        for path in self.models.glob(f"*/*-{model_key[:_SHOWN]}"):
            run = RunDirectory(path)
            if run.training_file.is_file() and run.student.is_dir():
                return run
        return None

    def to_make(self, models: Sequence[GridModel]) -> list[GridModel]:
        """Of these models those without a report, and those with one, taken over from elsewhere, whose own files are gone and are needed as teachers.

        Args:
            models: each after the one it is distilled from, of which it may be anywhere before.
        """
        chosen: list[GridModel] = []
        taught_by: set[str] = set()
        for model in reversed(models):
            again = model.model_key in taught_by and self.made(model.model_key) is None
            if again or not self.has_report(model.key):
                chosen.append(model)
                if model.teacher is not None:
                    taught_by.add(model.teacher)
        return chosen[::-1]

    def report_file(self, key: str) -> Path:
        """Where the report with this key lies or will lie."""
        return self.reports / f"{key}.json"

    def has_report(self, key: str) -> bool:
        return self.report_file(key).is_file()

    def report(self, key: str) -> EvaluationReport:
        return EvaluationReport.load(self.report_file(key))

    def mark_failed(self, model: GridModel, reason: str, log: str) -> None:
        """Remember that a model could not be made or measured.

        Args:
            reason: one line.
            log: name of the log file.
        """
        self.failed.mkdir(parents=True, exist_ok=True)
        write_json(self.failed / f"{model.key}.json", {"name": model.name, "reason": reason, "log": log})

    def forget_failure(self, key: str) -> None:
        """It is tried again."""
        (self.failed / f"{key}.json").unlink(missing_ok=True)

    def failure(self, key: str) -> dict[str, str] | None:
        """``reason`` and ``log`` of a model that could not be made, None where that is not known to have happened."""
        file = self.failed / f"{key}.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
