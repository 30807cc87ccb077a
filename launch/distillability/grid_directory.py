"""Where everything of a study of distillability lies, and what of it is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evenhand.launch.distillability.models import GridModel
from evenhand.launch.report_directory import ReportDirectory
from evenhand.launch.run_directory import RunDirectory

_SHOWN = 12
"""Digits of a key in a folder's name."""


class GridDirectory(ReportDirectory):
    """With a run directory for each model, and what bias-only and identification models predicted."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.models, self.store = self.path / "models", self.path / "bias_models"

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
