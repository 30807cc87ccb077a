"""The command line of ``evenhand sbatch``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

EXAMPLE = (
    "evenhand sbatch my_recipe.yaml --output-dir runs/mixup --option partition=gpu --submit mixup.enabled=true\n"
    "         evenhand sbatch runs/study/*-seed*.yaml --output-dir runs/study --gpus 1 --time 4:00:00 --script study.sbatch"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything but ``--debug``; defaults that are None here are those of :class:`evenhand.launch.job_script.JobSettings`."""
    parser.add_argument(
        "recipes", nargs="+", metavar="RECIPE",
        help="a YAML file or a packaged recipe; several make an array; key=value replaces something in all of them",
    )  # fmt: skip
    parser.set_defaults(overrides=[])
    parser.add_argument(
        "--output-dir", required=True, help="the run directory; of several recipes, where their runs lie by name"
    )
    parser.add_argument(
        "--arms",
        metavar="ARMS.yaml",
        help="distil several students on one teacher's pass, as `evenhand distill --arms` does",
    )
    parser.add_argument("--script", type=Path, metavar="FILE", help="write the script there (default: print it)")
    parser.add_argument("--submit", action="store_true", help="submit it (default file: OUTPUT_DIR.sbatch)")
    group = parser.add_argument_group("what is asked of Slurm")
    group.add_argument("--nodes", type=int, metavar="N", help="machines a run (default: 1)")
    group.add_argument("--gpus", metavar="[TYPE:]N", help="GPUs a node, e.g. 4 or v100:4 (default: 4)")
    group.add_argument("--cpus", type=int, metavar="N", help="cores a node (default: 4 a GPU)")
    group.add_argument(
        "--time", help="of one start, HH:MM:SS; what needs longer is requeued from its checkpoint (default: 20:00:00)"
    )
    group.add_argument(
        "--notice", type=int, metavar="SECONDS",
        help="before the limit, for one step, an evaluation that is due and a checkpoint (default: 120)",
    )  # fmt: skip
    group.add_argument("--partition", help="as sbatch has it")
    group.add_argument("--account", help="as sbatch has it")
    group.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other option of sbatch, e.g. constraint=v100",
    )
    group.add_argument("--at-once", type=int, metavar="N", help="tasks of an array that run together (default: all)")
    group.add_argument(
        "--max-requeues", type=int, metavar="N", help="how often a job may requeue itself (default: 100)"
    )
    group = parser.add_argument_group("on the node")
    group.add_argument(
        "--setup",
        action="append",
        default=[],
        metavar="LINE",
        help="a line of shell before the run, e.g. 'module load cuda'",
    )
    group.add_argument(
        "--offline", action="store_true", help="no network there: HF_HUB_OFFLINE=1 (see evenhand doctor RECIPE)"
    )
    group.add_argument(
        "--accelerate",
        metavar="NAME",
        help="config of accelerate (default: one_gpu, ddp or multi_node, as the numbers say)",
    )


def run(options: argparse.Namespace, recipes: list[str], overrides: list[str]) -> int:
    """Print, write or submit."""
    from evenhand.launch.job_script import JobSettings, job_script, log_file, submit, write_script

    names = ("nodes", "gpus", "cpus", "time", "notice", "at_once", "max_requeues", "setup", "offline", "accelerate")
    named = [f"{name}={value}" for name in ("partition", "account") if (value := getattr(options, name)) is not None]
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    settings = JobSettings(**given, options=[*named, *options.option])
    text = job_script(recipes, options.output_dir, settings, overrides, options.arms)
    if options.script is None and not options.submit:
        sys.stdout.write(text)
        return 0
    output = Path(options.output_dir)
    path = options.script or output.with_name(f"{output.name}.sbatch")
    write_script(text, path, log_file(output, len(recipes) > 1))
    print(submit(path) if options.submit else path)
    return 0
