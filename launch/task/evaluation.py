"""Measuring the student of a task recipe: accuracy by group on the task's own data, and what the recipe names besides."""

from __future__ import annotations

from collections.abc import Mapping

from evenhand.evaluation import EvaluationReport
from evenhand.launch.evaluate import evaluate_all
from evenhand.launch.run_directory import RunDirectory
from evenhand.launch.task.recipe import task_section


def evaluate_task_run(run: RunDirectory, why: Mapping[str, object] | None = None) -> EvaluationReport:
    """Measure a run's student beside its teacher, where it has one, and write ``report.json`` into the run.

    Args:
        why: see :func:`task_section`.

    Raises:
        FileNotFoundError: the run is not finished. ValueError: the teacher is not the one that was distilled.
    """
    run.training()  # refuses an unfinished run
    return evaluate_all([str(run.path)], task_section(run.recipe(), why), pictures=False).reports[0]
