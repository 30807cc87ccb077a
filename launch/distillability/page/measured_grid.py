"""The numbers of all tasks of a grid, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from evenhand.launch.distillability.models import NO_REMEDY, GridModel, all_models
from evenhand.launch.distillability.page.comparisons import Comparisons
from evenhand.launch.distillability.page.findings import TaskFinding, task_findings
from evenhand.launch.distillability.page.inside import Inside, insides_of
from evenhand.launch.distillability.page.measured_task import MeasuredTask
from evenhand.launch.distillability.page.over_tasks import OverTasks
from evenhand.launch.distillability.results import GridResults
from evenhand.launch.page_environments import environments


@dataclass(frozen=True)
class TaskPage:
    """Everything that the page says of one task.

    Args:
        task: its numbers.
        comparisons: over paired seeds.
        insides: of the pairs that were looked into.
        findings: in the paper's order; none before there is a report.
    """

    task: MeasuredTask
    comparisons: Comparisons
    insides: list[Inside]
    findings: list[TaskFinding]

    @classmethod
    def of(cls, task: MeasuredTask) -> TaskPage:
        """All of it, from the reports."""
        insides = insides_of(task)
        # a student that began with its teacher's weights says nothing of where the others come to differ
        own = [inside for inside in insides if inside.pair.remedy == NO_REMEDY]
        return cls(task, Comparisons(task), insides, task_findings(task, own) if task.reports else [])


class MeasuredGrid:
    """A study's numbers.

    Args:
        results: what has been found so far.

    Raises:
        ValueError: no model has been measured yet, or reports that cannot be compared.
    """

    def __init__(self, results: GridResults) -> None:
        self.results = results
        models: dict[str, list[GridModel]] = {name: [] for name in results.grid.tasks}
        for model in all_models(results.grid):
            models[model.task].append(model)
        tasks = [MeasuredTask(results, name, of_task) for name, of_task in models.items()]
        if not any(task.reports for task in tasks):
            raise ValueError(f"study {results.grid.name}: no model has been measured yet; run the study first.")
        self.tasks = {task.name: TaskPage.of(task) for task in tasks}

    @cached_property
    def environments(self) -> list[dict[str, Any]]:
        """What the reports were made with, see `page_environments.environments`."""
        return environments(report for page in self.tasks.values() for report in page.task.reports.values())

    @cached_property
    def counts(self) -> dict[str, int]:
        """Models ``wanted``, ``measured``, ``failed`` and ``missing``, over all tasks."""
        tasks = [page.task for page in self.tasks.values()]
        counts = {
            "measured": sum(len(task.reports) for task in tasks),
            "failed": sum(len(task.failed) for task in tasks),
            "missing": sum(len(task.missing) for task in tasks),
        }
        return {"wanted": sum(counts.values())} | counts

    @cached_property
    def findings(self) -> Mapping[str, OverTasks]:
        """What all tasks together say, by finding."""
        found: dict[str, dict[str, TaskFinding]] = {}
        for name, page in self.tasks.items():
            for finding in page.findings:
                found.setdefault(finding.key, {})[name] = finding
        return {key: OverTasks.of(of_task) for key, of_task in found.items()}
