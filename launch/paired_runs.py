"""Plain against mixup, several seeds, paired: one teacher and one corpus, two students a seed.

    python -m evenhand.launch.paired_runs RECIPE --seeds 5 --output-dir runs/minilm_cpu --page docs/results/minilm_cpu.md

Every finished student is kept and not made again, so the command can be cut off and repeated.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from evenhand.launch.distill import prepare_teacher
from evenhand.launch.errors import exit_code
from evenhand.launch.recipe import Recipe, load_recipe
from evenhand.launch.run_directory import RunDirectory

ARMS = {"plain": False, "mixup": True}


def arm_directory(output_dir: Path, arm: str, seed: int) -> Path:
    """Where the student of one arm and seed lies."""
    return output_dir / f"{arm}-seed{seed}"


def run_pairs(recipe: Recipe, output_dir: Path, seeds: int, jobs: int) -> None:
    """Make the teacher once, then every student of every arm, ``jobs`` at a time in processes of their own.

    Raises:
        RuntimeError: a run failed; the others were finished, and the message names its log.
    """
    shared = dataclasses.replace(
        recipe.corpus, cache_dir=recipe.corpus.cache_dir or str((output_dir / "cache").absolute())
    )
    recipe = dataclasses.replace(recipe, corpus=shared)
    teacher = prepare_teacher(recipe, RunDirectory(output_dir / "teacher_run"))
    tasks = [(arm, seed) for seed in range(seeds) for arm in ARMS]
    with ThreadPoolExecutor(jobs) as pool:
        codes = list(pool.map(lambda task: _run_arm(recipe, output_dir, teacher, *task, jobs), tasks))
    failed = [arm_directory(output_dir, *task) for task, code in zip(tasks, codes, strict=True) if code]
    if failed:
        raise RuntimeError(
            f"{len(failed)} of {len(tasks)} runs failed; see {failed[0]}.log, then run the command again."
        )


def _run_arm(recipe: Recipe, output_dir: Path, teacher: str, arm: str, seed: int, jobs: int) -> int:
    directory = arm_directory(output_dir, arm, seed)
    recipe = dataclasses.replace(
        recipe,
        teacher=dataclasses.replace(recipe.teacher, path=teacher, mlm_steps=0),
        mixup=dataclasses.replace(recipe.mixup, enabled=ARMS[arm]),
        training=recipe.training | {"seed": seed},
    )
    recipe_file = output_dir / f"{directory.name}.yaml"
    recipe.save(recipe_file)
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = os.environ | {"OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false"}
    for command in (["distill", str(recipe_file), "--output-dir", str(directory)], ["evaluate", str(directory)]):
        with open(f"{directory}.log", "ab") as log:
            code = subprocess.run(
                [sys.executable, "-m", "evenhand.launch.command", *command], stdout=log, stderr=log, env=environment
            ).returncode
        if code:
            return code
        print(f"{directory.name}: {command[0]} done", flush=True)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the pairs, then write the page."""
    parser = argparse.ArgumentParser(prog="python -m evenhand.launch.paired_runs", description=__doc__.splitlines()[0])
    parser.add_argument("recipe", help="a recipe file, or the name of a packaged one (minilm_cpu)")
    parser.add_argument("overrides", nargs="*", help="section.key=value")
    parser.add_argument("--seeds", type=int, default=5, help="students per arm (default 5)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time (default: cores)")
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--page", type=Path, help="Markdown page to write from the reports")
    options = parser.parse_intermixed_args(argv)
    if options.seeds < 2:
        parser.error("--seeds must be at least 2: an interval over seeds needs two")
    return exit_code("paired_runs", partial(_run, options, argv))


def _run(options: argparse.Namespace, argv: list[str] | None) -> int:
    recipe = load_recipe(options.recipe, options.overrides)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    run_pairs(recipe, options.output_dir, options.seeds, options.jobs)
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
