"""Plain against mixup, several seeds, paired: one teacher and one corpus, two students a seed.

    python -m evenhand.launch.paired_runs RECIPE --seeds 5 --output-dir runs/minilm_cpu --page docs/results/minilm_cpu.md
    python -m evenhand.launch.paired_runs RECIPE --seeds 5 --output-dir runs/bert --launcher slurm --slurm partition=gpu gpus_per_node=1 time=20:00:00

Every finished student is kept and not made again, so the command can be cut off and repeated.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from evenhand.launch.distill import prepare_teacher
from evenhand.launch.errors import exit_code
from evenhand.launch.launchers import LAUNCHERS, Launcher, make_launcher
from evenhand.launch.recipe import Recipe, load_recipe
from evenhand.launch.run_directory import RunDirectory
from evenhand.launch.study_runs import EVENHAND, Run, conclude
from evenhand.trainer.stop_signals import REQUEUE_EXIT_CODE

ARMS = {"plain": False, "mixup": True}


def arm_directory(output_dir: Path, arm: str, seed: int) -> Path:
    """Where the student of one arm and seed lies."""
    return output_dir / f"{arm}-seed{seed}"


def run_pairs(
    recipe: Recipe,
    output_dir: Path,
    seeds: int,
    launcher: Launcher,
    accelerate: str | None = None,
    environment: Mapping[str, str] | None = None,
    teacher_by_launcher: bool = False,
) -> int:
    """Make the teacher once, then every student of every arm, and measure them.

    Args:
        recipe: of the plain arm, but for its seed.
        output_dir: where the runs will lie, and their logs beside them.
        seeds: students an arm.
        launcher: executes the runs.
        accelerate: config that each student is distilled with.
        environment: variables of the runs.
        teacher_by_launcher: whether a teacher that needs training is made by ``launcher`` too, and not in this process.

    Returns:
        0, or the exit code that asks for another start: the runs were stopped and can go on.

    Raises:
        RuntimeError: runs failed; the others were finished, and the message names each and its log.
    """
    recipe = _with_one_cache(recipe, output_dir)
    if teacher_by_launcher and recipe.teacher.mlm_steps and not _teacher_run(output_dir).teacher.is_dir():
        code = conclude(launcher.launch([_preparation(recipe, output_dir, seeds)]), REQUEUE_EXIT_CODE)
        if code:
            return code
    files = write_recipes(recipe, output_dir, seeds)
    return conclude(launcher.launch(make_runs(files, accelerate, environment or {})), REQUEUE_EXIT_CODE)


def write_recipes(recipe: Recipe, output_dir: Path, seeds: int) -> list[Path]:
    """Make the teacher, unless it is there, and write the recipe of every run beside its directory.

    Returns:
        The recipes' paths, ``plain-seed0.yaml``, ``mixup-seed0.yaml``, ``plain-seed1.yaml`` …
    """
    recipe = _with_one_cache(recipe, output_dir)
    teacher = prepare_teacher(recipe, _teacher_run(output_dir))
    files = []
    for seed in range(seeds):
        for arm, mixup in ARMS.items():
            of_run = dataclasses.replace(
                recipe,
                teacher=dataclasses.replace(recipe.teacher, path=teacher, mlm_steps=0),
                mixup=dataclasses.replace(recipe.mixup, enabled=mixup),
                training=recipe.training | {"seed": seed},
            )
            files.append(output_dir / f"{arm_directory(output_dir, arm, seed).name}.yaml")
            of_run.save(files[-1])
    return files


def make_runs(files: Sequence[Path], accelerate: str | None, environment: Mapping[str, str]) -> list[Run]:
    """A run for each recipe: distil into the directory of its name, then evaluate."""
    with_accelerate = ("--accelerate", accelerate) if accelerate else ()
    runs = []
    for file in files:
        directory = str(file.with_suffix(""))
        distill = (*EVENHAND, "distill", str(file), "--output-dir", directory, *with_accelerate)
        commands = (distill, (*EVENHAND, "evaluate", directory))
        log, report = Path(f"{directory}.log").absolute(), RunDirectory(directory).report_file
        runs.append(Run(file.stem, commands, log, environment, inputs=(file,), outputs=(report,)))
    return runs


def _with_one_cache(recipe: Recipe, output_dir: Path) -> Recipe:
    """All runs read one tokenised corpus."""
    cache_dir = recipe.corpus.cache_dir or str((output_dir / "cache").absolute())
    return dataclasses.replace(recipe, corpus=dataclasses.replace(recipe.corpus, cache_dir=cache_dir))


def _teacher_run(output_dir: Path) -> RunDirectory:
    return RunDirectory(output_dir / "teacher_run")


def _preparation(recipe: Recipe, output_dir: Path, seeds: int) -> Run:
    """This command with ``--prepare-only``, as a run; one process trains the teacher's head, so it shall see one GPU."""
    file = output_dir / "study.yaml"
    recipe.save(file)
    words = (str(file), "--output-dir", str(output_dir), "--seeds", str(seeds), "--prepare-only")
    log = (output_dir / "teacher.log").absolute()
    commands = (("-m", "evenhand.launch.paired_runs", *words),)
    # a teacher that turns out to have a head is used where it is, so the recipes are the sign that this was done
    outputs = (arm_directory(output_dir, "plain", 0).with_suffix(".yaml"),)
    return Run("teacher", commands, log, {"CUDA_VISIBLE_DEVICES": "0"}, inputs=(file,), outputs=outputs)


def main(argv: list[str] | None = None) -> int:
    """Run the pairs, then write the page."""
    parser = argparse.ArgumentParser(prog="python -m evenhand.launch.paired_runs", description=__doc__.splitlines()[0])
    parser.add_argument("recipe", help="a recipe file, or the name of a packaged one (minilm_cpu)")
    parser.add_argument("overrides", nargs="*", help="section.key=value")
    parser.add_argument("--seeds", type=int, default=5, help="students per arm (default 5)")
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--page", type=Path, help="Markdown page to write from the reports")
    parser.add_argument(
        "--launcher",
        choices=LAUNCHERS,
        default="local",
        help="where runs are executed (default: local, on this machine)",
    )
    parser.add_argument("--jobs", type=int, help="runs at a time on this machine (default: cores; with --accelerate 1)")
    parser.add_argument(
        "--slurm", nargs="+", default=[], metavar="KEY=VALUE",
        help="options of submitit and sbatch: partition=gpu time=20:00:00 gpus_per_node=4 cpus_per_task=16 array_parallelism=8 …",
    )  # fmt: skip
    parser.add_argument(
        "--accelerate", metavar="NAME", help="config of accelerate for each student, e.g. ddp (default: one process)"
    )
    parser.add_argument(
        "--prepare-only", action="store_true", help="make the teacher and the runs' recipes (for `evenhand sbatch`)"
    )
    options = parser.parse_intermixed_args(argv)
    if options.seeds < 2:
        parser.error("--seeds must be at least 2: an interval over seeds needs two")
    return exit_code("paired_runs", partial(_run, options, argv))


def _run(options: argparse.Namespace, argv: list[str] | None) -> int:
    # a recipe's keys have sections: such words after --slurm are overrides
    overrides = [*options.overrides, *(word for word in options.slurm if "." in word.partition("=")[0])]
    slurm = [word for word in options.slurm if word not in overrides]
    recipe = load_recipe(options.recipe, overrides)
    on_slurm = options.launcher == "slurm"
    if on_slurm and options.jobs is not None:
        raise ValueError(
            "--jobs is of --launcher local; on Slurm, --slurm array_parallelism=N limits the runs at a time."
        )
    cores = os.cpu_count() or 1
    # a run of several processes takes the whole machine, and deals its cores to them by itself
    jobs = options.jobs if options.jobs is not None else 1 if options.accelerate else cores
    launcher = make_launcher(options.launcher, options.output_dir, REQUEUE_EXIT_CODE, jobs=jobs, slurm=slurm)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    if options.prepare_only:
        print(*write_recipes(recipe, options.output_dir, options.seeds), sep="\n")
        return 0
    environment = {"TOKENIZERS_PARALLELISM": "false"} | (
        {} if on_slurm or (options.accelerate and jobs == 1) else {"OMP_NUM_THREADS": str(max(1, cores // jobs))}
    )
    code = run_pairs(recipe, options.output_dir, options.seeds, launcher, options.accelerate, environment, on_slurm)
    if code:
        print("paired_runs: stopped; run the same command again to go on.", file=sys.stderr)
        return code
    if options.page:
        from evenhand.launch.results_page import write_results_page

        write_results_page(
            options.output_dir,
            options.page,
            " ".join(["python -m evenhand.launch.paired_runs", *(argv or sys.argv[1:])]),
        )
        print(options.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
