"""``evenhand study`` of a file of ``kind: distillability``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from evenhand.launch.distillability.grid_directory import GridDirectory
from evenhand.launch.distillability.grid_file import load_grid
from evenhand.launch.distillability.grid_job import GridJob
from evenhand.launch.distillability.results import keep_beside, results_of
from evenhand.launch.study_options import command_given, environment_of_runs, jobs_at_a_time
from evenhand.launch.study_work import run_missing, take_over_reports
from evenhand.trainer.stop_signals import REQUEUE_EXIT_CODE


def run_grid(options: argparse.Namespace, overrides: list[str]) -> int:
    """Plan the grid, or make what is missing of it and write its page.

    Args:
        options: of ``evenhand study``.
        overrides: ``section.key=value`` for the recipes of all models.

    Raises:
        ValueError, FileNotFoundError: bad input, before anything is made. RuntimeError: models failed; the page shows which.
    """
    if options.only:
        raise ValueError("--only chooses sections of a study of arms; --task chooses tasks of this one.")
    tasks = [name.strip() for name in options.task.split(",")] if options.task else None
    grid = load_grid(options.study, options.scale, tasks=tasks, seeds=options.seeds, overrides=overrides)
    directory = GridDirectory(options.output_dir or Path("runs") / f"{grid.name}-{grid.scale}")
    job = GridJob(grid, directory, options.study, overrides, environment_of_runs(options, None))
    if options.reports is not None:
        taken = take_over_reports(options.reports, (model.key for model in job.missing()), directory)
        print(f"study {grid.name}: {taken} reports taken over from {options.reports}")
    if not options.page_only:
        job.check()
    if options.plan:
        from evenhand.launch.distillability.grid_plan import print_grid_plan

        print_grid_plan(job, jobs_at_a_time(options, None))
        return 0
    return _work(options, job)


def _work(options: argparse.Namespace, job: GridJob) -> int:
    from evenhand.launch.distillability.page.distillability_page import write_page

    stopped = False
    if not options.page_only:
        stopped = run_missing(options, job, None)
    results = results_of(job, command_given(options, job.overrides))
    if results.reports:
        page = write_page(results, options.page or job.directory.page)
        keep_beside(page.parent, results)
        print(page)
    elif not stopped:
        raise RuntimeError(f"no report is there; see {job.directory.logs}.")
    if stopped:
        print("evenhand study: stopped; run the same command again to go on.", file=sys.stderr)
        return REQUEUE_EXIT_CODE
    failed = {model.key: model for model in job.missing() if job.directory.failure(model.key)}
    if failed:
        first = next(iter(failed.values()))
        reason = job.directory.failure(first.key)["reason"]
        raise RuntimeError(
            f"{len(failed)} models could not be made, the first {first.task}, {first.method}, seed {first.seed}, {first.name}: {reason} "
            f"Logs in {job.directory.logs}."
        )
    return 0
