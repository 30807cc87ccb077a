"""The arguments of ``evenhand study`` and what it does with them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from evenhand.launch.launchers import LAUNCHERS
from evenhand.launch.recipe_reading import read_packaged_yaml
from evenhand.launch.study_options import environment_of_runs

EXAMPLE = (
    "evenhand study ahn2022 --plan\n"
    "         evenhand study ahn2022 --scale small --only table1,figure1 --output-dir runs/ahn2022-small\n"
    "         evenhand study distillability --scale small --task digits-resnet --output-dir runs/distillability\n"
    "         evenhand study ahn2022 --scale paper --launcher slurm --slurm partition=gpu gpus_per_node=4 time=20:00:00"
)

GRID = "distillability"
"""``kind`` of a study file that holds a grid of teachers, students and methods."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``study NAME_OR_FILE [options] [section.key=value …]``."""
    parser.add_argument(
        "study", metavar="NAME_OR_FILE", help="a packaged study (ahn2022, distillability), or a YAML file"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="section.key=value", help="values that replace the scale's recipe's"
    )
    parser.add_argument(
        "--scale", help="a scale of the study (default: planted, which needs no data; of distillability: small)"
    )
    parser.add_argument("--only", metavar="SECTIONS", help="sections of the page, separated by commas (default: all)")
    parser.add_argument("--task", metavar="TASKS", help="of distillability: tasks, separated by commas (default: all)")
    parser.add_argument("--seeds", type=int, metavar="N", help="students of every arm (default: as the study says)")
    parser.add_argument(
        "--plan", action="store_true", help="print what would run, how long it takes and what it writes; start nothing"
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        metavar="DIR",
        help="everything goes there; run again to go on (default: runs/STUDY-SCALE)",
    )
    parser.add_argument(
        "--page", type=Path, metavar="DIR", help="where the page goes (default: page in the output directory)"
    )
    parser.add_argument(
        "--page-only", action="store_true", help="write the page of what is there; train and measure nothing"
    )
    parser.add_argument(
        "--reports",
        type=Path,
        metavar="ARCHIVE",
        help="take over the reports of such a file that a page has; they are not made again",
    )
    group = parser.add_argument_group("where it runs")
    group.add_argument(
        "--launcher",
        choices=LAUNCHERS,
        default="local",
        help="on this machine (default), or as jobs of a Slurm cluster",
    )
    group.add_argument(
        "--jobs", type=int, metavar="N", help="trainings at a time on this machine (default: its cores; on a GPU, 1)"
    )
    group.add_argument(
        "--slurm", nargs="+", default=[], metavar="KEY=VALUE",
        help="options of submitit and sbatch: partition=gpu time=20:00:00 gpus_per_node=4 …",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Plan the study, or make what is missing of it and write its page.

    Raises:
        ValueError, FileNotFoundError: bad input, before anything is made. RuntimeError: students failed; the page shows which.
    """
    # a recipe's keys have sections: such words after --slurm are overrides
    overrides = [*options.overrides, *(word for word in options.slurm if "." in word.partition("=")[0])]
    options.slurm = [word for word in options.slurm if word not in overrides]
    if read_packaged_yaml(options.study, "studies", "Study").get("kind") == GRID:
        from evenhand.launch.distillability.grid_command import run_grid

        options.scale = options.scale or "small"
        return run_grid(options, overrides)
    options.scale = options.scale or "planted"
    return _run_arms(options, overrides)


def _run_arms(options: argparse.Namespace, overrides: list[str]) -> int:
    from evenhand.launch.study.arm_checks import check_arms
    from evenhand.launch.study.cells import wanted_students
    from evenhand.launch.study.directory import StudyDirectory
    from evenhand.launch.study.execution import StudyJob
    from evenhand.launch.study.measure_checks import check_measures
    from evenhand.launch.study.study_file import ORIGINAL, load_study
    from evenhand.launch.study_work import make_and_show

    if options.task:
        raise ValueError("--task is of a study of distillability; --only chooses sections of this one.")
    only = [name.strip() for name in options.only.split(",")] if options.only else None
    study = load_study(options.study, options.scale, only=only, seeds=options.seeds, overrides=overrides)
    directory = StudyDirectory(options.output_dir or Path("runs") / f"{study.name}-{study.scale}")
    job = StudyJob(study, directory, options.study, overrides, environment_of_runs(options, study.settings.accelerate))
    whole = load_study(options.study, options.scale, overrides=overrides) if only or options.seeds else study
    others = set(wanted_students(whole).values()) - set(job.wanted.values())
    if options.reports is not None:
        print(f"study {study.name}: {_take_over(job, others.union(job.wanted.values()), options.reports)}")
    if not options.page_only:
        check_arms(study, _to_be_trained(job), directory.teacher_path(study, ORIGINAL, 0))
        check_measures(study, job.missing(), directory)
    if options.plan:
        _plan(job)
        return 0
    return make_and_show(options, job, study.settings.accelerate, partial(_page, job, others))


def _to_be_trained(job) -> list[str]:
    """Names of the arms of which a student is neither measured nor trained."""
    made = job.directory.students()
    return [arm for arm, seed in job.missing() if job.student_keys[arm, seed] not in made]


def _plan(job) -> None:
    from evenhand.launch.study.planning.study_plan import print_plan

    if job.missing():
        print_plan(job)
    else:
        students = sum(arm.seeds for arm in job.study.arms.values())
        print(
            f"study {job.study.name}, scale {job.study.scale}: nothing is missing; all {students:,} reports are there."
        )


def _page(job, others: set[str], command: str, folder: Path) -> tuple[Path | None, str]:
    from evenhand.launch.study.page.study_page import write_page
    from evenhand.launch.study.results import keep_beside, results_of

    results = results_of(job, command)
    page = write_page(results, folder) if any(results.reports.values()) else None
    if page is not None:
        keep_beside(page.parent, job, results, job.directory.published_reports(others))
    named = ", ".join(f"{arm} (seed {seed}, {log})" for (arm, seed), log in results.failed.items())
    failed = f"{len(results.failed)} students could not be made: {named}; logs in {job.directory.logs}."
    return page, failed if results.failed else ""


def _take_over(job, wanted: Iterable[str], archive: Path) -> str:
    from evenhand.launch.study_work import take_over_reports

    said = take_over_reports(archive, wanted, job.directory)
    job.directory.take_over_teachers(archive.parent)
    return said
