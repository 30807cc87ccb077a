"""What every kind of study does where it is run: reports taken over, and what is missing made by one process at a time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from evenhand.launch.launchers import Launcher, make_launcher
from evenhand.launch.report_directory import ReportDirectory
from evenhand.launch.study.report_archive import read_archive
from evenhand.launch.study.sole_process import only_one_study
from evenhand.launch.study_options import command_given, jobs_at_a_time
from evenhand.trainer.stop_signals import REQUEUE_EXIT_CODE


class Job(Protocol):
    """A study in its directory."""

    directory: ReportDirectory
    overrides: Sequence[str]

    def run(self, launcher: Launcher) -> bool: ...


def make_and_show(
    options: argparse.Namespace,
    job: Job,
    accelerate: str | None,
    page_of: Callable[[str, Path], tuple[Path | None, str]],
) -> int:
    """Make what is missing, unless only the page is asked for, and write the page.

    Args:
        options: of ``evenhand study``.
        accelerate: the scale's config of accelerate.
        page_of: given the command that makes the study and the page's folder, writes what is there; returns the page (None where no report is
            there) and a line on what failed, empty for nothing.

    Returns:
        0, or the exit status of a study that was stopped and can go on.

    Raises:
        RuntimeError: something failed, no report is there, or another study is at work in the directory. ValueError: an option that cannot be.
    """
    stopped = False if options.page_only else _run_missing(options, job, accelerate)
    page, failed = page_of(command_given(options, job.overrides), options.page or job.directory.page)
    if page is not None:
        print(page)
    elif not stopped:
        raise RuntimeError(f"no report is there; see {job.directory.logs}.")
    if stopped:
        print("evenhand study: stopped; run the same command again to go on.", file=sys.stderr)
        return REQUEUE_EXIT_CODE
    if failed:
        raise RuntimeError(failed)
    return 0


def _run_missing(options: argparse.Namespace, job: Job, accelerate: str | None) -> bool:
    """Whether it was stopped and can go on."""
    folder = job.directory.path
    jobs = jobs_at_a_time(options, accelerate)
    launcher = make_launcher(options.launcher, folder, REQUEUE_EXIT_CODE, jobs=jobs, slurm=options.slurm)
    with only_one_study(folder):
        return job.run(launcher)


def take_over_reports(archive: Path, wanted: Iterable[str], directory: ReportDirectory) -> str:
    """Keep those reports of an archive whose keys are ``wanted`` and that are not there yet.

    Returns:
        How many were taken over, and how many are of other settings than the study asks for, in words.

    Raises:
        FileNotFoundError, ValueError: no such file, or it is no archive of reports.
    """
    wanted, found = set(wanted), read_archive(archive)
    taken = {key: report for key, report in found.items() if key in wanted and not directory.has_report(key)}
    for key, report in taken.items():
        report.save(directory.report_file(key))
    other = len(found.keys() - wanted)
    unused = f"; {other} more are of other settings than this study's, and are not used" if other else ""
    return f"{len(taken)} reports taken over from {archive}{unused}"
