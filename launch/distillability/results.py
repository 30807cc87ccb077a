"""What a study of distillability has found so far: the reports of its models, and what failed; and the same from beside a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evenhand.evaluation import EvaluationReport
from evenhand.launch.distillability.grid import Grid
from evenhand.launch.distillability.grid_job import GridJob
from evenhand.launch.distillability.models import all_models
from evenhand.launch.study.report_archive import ARCHIVE, read_archive, write_archive


@dataclass(frozen=True)
class GridResults:
    """Everything that the page is made of.

    Args:
        grid: at one scale.
        reports: key of a model (`evenhand.launch.distillability.models.GridModel.key`) -> its report; what is absent has not been run yet.
        failed: key -> ``reason`` (one line) and ``log`` (name of the log file) of a model that could not be made or measured.
        command: that makes the study.
    """

    grid: Grid
    reports: Mapping[str, EvaluationReport]
    failed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    command: str = ""


def results_of(job: GridJob, command: str) -> GridResults:
    """All reports that are there, without places of this machine, and what failed.

    Args:
        job: finished or not.
        command: that makes the study, as a reader of the page would give it.
    """
    directory, reports, failed = job.directory, {}, {}
    for key in dict.fromkeys(model.key for model in job.models):
        if directory.has_report(key):
            reports[key] = directory.published_report(key)
        elif failure := directory.failure(key):
            failed[key] = {"reason": failure["reason"], "log": failure["log"]}
    return GridResults(job.grid, reports, failed, command)


def keep_beside(page: Path, results: GridResults, others: Mapping[str, EvaluationReport] | None = None) -> Path:
    """Write every report into the page's folder, so that the page can be made again, and the study go on, without the models; the archive's path.

    Args:
        page: the folder.
        results: everything on the page.
        others: further reports of the study by key: a page of one task must not cost the archive the others.

    Raises:
        ValueError: there is no report.
    """
    return write_archive({**(others or {}), **results.reports}, page / ARCHIVE)


def results_from_archive(grid: Grid, archive: str | Path, command: str = "") -> GridResults:
    """What lies beside a page; reports of other models than the grid's are left out.

    Raises:
        FileNotFoundError, ValueError: no such file, or it is no archive of reports.
    """
    wanted = {model.key for model in all_models(grid)}
    reports = {key: report for key, report in read_archive(archive).items() if key in wanted}
    return GridResults(grid, reports, command=command)
