"""``evenhand study`` of a file of ``kind: distillability``."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from evenhand.launch.distillability.grid_directory import GridDirectory
from evenhand.launch.distillability.grid_file import load_grid
from evenhand.launch.distillability.grid_job import GridJob
from evenhand.launch.distillability.models import all_models
from evenhand.launch.distillability.results import keep_beside, results_of
from evenhand.launch.study_options import environment_of_runs, jobs_at_a_time
from evenhand.launch.study_work import make_and_show, take_over_reports


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
    whole = load_grid(options.study, options.scale, overrides=overrides) if tasks or options.seeds else grid
    shown = {model.key for model in job.models}
    others = {model.key for model in all_models(whole)} - shown
    if options.reports is not None:
        print(f"study {grid.name}: {take_over_reports(options.reports, shown | others, directory)}")
    if not options.page_only:
        job.check()
    if options.plan:
        from evenhand.launch.distillability.grid_plan import print_grid_plan

        print_grid_plan(job, jobs_at_a_time(options, None))
        return 0
    return make_and_show(options, job, None, partial(_page, job, others))


def _page(job: GridJob, others: set[str], command: str, folder: Path) -> tuple[Path | None, str]:
    from evenhand.launch.distillability.page.distillability_page import write_page

    results = results_of(job, command)
    page = write_page(results, folder) if results.reports else None
    if page is not None:
        keep_beside(page.parent, results, job.directory.published_reports(others))
    failed = [model for model in job.missing() if job.directory.failure(model.key)]
    if not failed:
        return page, ""
    first = failed[0]
    return page, (
        f"{len({model.key for model in failed})} models could not be made, the first {first.task}, {first.method}, seed {first.seed}, {first.name}: "
        f"{job.directory.failure(first.key)['reason']} Logs in {job.directory.logs}."
    )
