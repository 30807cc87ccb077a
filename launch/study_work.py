"""What every kind of study does where it is run: reports taken over, and what is missing made by one process at a time."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from evenhand.launch.launchers import Launcher, make_launcher
from evenhand.launch.study.report_archive import read_archive
from evenhand.launch.study.sole_process import only_one_study
from evenhand.launch.study_options import jobs_at_a_time
from evenhand.trainer.stop_signals import REQUEUE_EXIT_CODE


class ReportsDirectory(Protocol):
    """Where a study keeps its reports by key."""

    path: Path

    def report_file(self, key: str) -> Path: ...


class Job(Protocol):
    """A study in its directory."""

    directory: ReportsDirectory

    def run(self, launcher: Launcher) -> bool: ...


def run_missing(options: argparse.Namespace, job: Job, accelerate: str | None) -> bool:
    """Make what is missing, where ``--launcher`` says.

    Args:
        accelerate: the scale's config of accelerate.

    Returns:
        Whether it was stopped and can go on.

    Raises:
        RuntimeError: another study is at work in the directory. ValueError: an option that cannot be.
    """
    folder = job.directory.path
    jobs = jobs_at_a_time(options, accelerate)
    launcher = make_launcher(options.launcher, folder, REQUEUE_EXIT_CODE, jobs=jobs, slurm=options.slurm)
    with only_one_study(folder):
        return job.run(launcher)


def take_over_reports(archive: Path, wanted: Iterable[str], directory: ReportsDirectory) -> int:
    """Keep those reports of an archive whose keys are ``wanted``; how many there were."""
    wanted = set(wanted)
    taken = {key: report for key, report in read_archive(archive).items() if key in wanted}
    for key, report in taken.items():
        file = directory.report_file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        report.save(file)
    return len(taken)
