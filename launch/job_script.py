"""``evenhand sbatch``: batch scripts for Slurm that requeue themselves, from the templates in ``launch/slurm``."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

from evenhand.launch.arms_file import load_arms
from evenhand.launch.recipe import load_any_recipe
from evenhand.launch.slurm_launcher import MAX_REQUEUES, minutes
from evenhand.model_cards.whole_files import write_text
from evenhand.trainer.stop_signals import REQUEUE_EXIT_CODE

TEMPLATES = Path(__file__).parent / "slurm"
CPUS_A_GPU = 4

_GPUS = re.compile(r"(?:[\w.-]+:)?(?P<count>[1-9]\d*)")


@dataclass(frozen=True)
class JobSettings:
    """What is asked of Slurm.

    Args:
        nodes: machines a run uses.
        gpus: GPUs a node, ``4`` or with their type ``v100:4``.
        cpus: cores a node; default four a GPU.
        time: limit of one start of a job, in Slurm's notation; a job that needs longer is requeued.
        notice: seconds before the limit at which the training is asked to stop; one step, an evaluation that is due and a save must fit.
        options: further options of sbatch without their hyphens, e.g. ``partition=gpu``.
        setup: lines of shell before the run, e.g. ``module load cuda``.
        at_once: tasks of an array that may run together; None: all.
        offline: whether the nodes work from the caches alone.
        accelerate: config of accelerate; by default the one for so many nodes and GPUs.
        max_requeues: how often a job may requeue itself.

    Raises:
        ValueError: a number below 1, GPUs or a time that are none.
    """

    nodes: int = 1
    gpus: str = "4"
    cpus: int | None = None
    time: str = "20:00:00"
    notice: int = 120
    options: Sequence[str] = field(default_factory=tuple)
    setup: Sequence[str] = field(default_factory=tuple)
    at_once: int | None = None
    offline: bool = False
    accelerate: str | None = None
    max_requeues: int = MAX_REQUEUES

    def __post_init__(self) -> None:
        if not _GPUS.fullmatch(self.gpus):
            raise ValueError(f"--gpus must be a number or TYPE:NUMBER, e.g. 4 or v100:4, not {self.gpus!r}.")
        for name in ("nodes", "cpus", "notice", "at_once", "max_requeues"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1, not {value}.")
        if self.notice >= minutes(self.time) * 60:
            raise ValueError(f"--notice of {self.notice} seconds is no less than the time limit, {self.time}.")
        for option in self.options:
            if not re.fullmatch(r"[a-z][a-z-]*(=.+)?", option):
                raise ValueError(
                    f"--option {option!r} is not one of sbatch's, written like constraint=v100 or exclusive."
                )

    @property
    def n_gpus(self) -> int:
        return int(_GPUS.fullmatch(self.gpus)["count"])

    def launch_words(self) -> tuple[str, list[str]]:
        """The config of accelerate, and what `evenhand distill` needs beside it."""
        if self.accelerate is None and self.nodes > 1:
            return "multi_node", []  # takes its numbers from Slurm
        if self.accelerate is None and self.n_gpus == 1:
            return "one_gpu", []
        machines = ["--num-machines", str(self.nodes)] if self.nodes > 1 else []
        return self.accelerate or "ddp", ["--num-processes", str(self.nodes * self.n_gpus), *machines]


def job_script(
    recipes: Sequence[str],
    output_dir: str | Path,
    settings: JobSettings,
    overrides: Sequence[str] = (),
    arms: str | Path | None = None,
) -> str:
    """A filled template: for one recipe a job whose run directory is ``output_dir``, for several an array whose runs lie there under
    the recipes' names.

    Args:
        recipes: files or names of packaged ones; each is read and checked.
        output_dir: relative to the working directory, as paths in recipes are; the job changes to it.
        settings: what is asked of Slurm.
        overrides: ``section.key=value``, for all recipes.
        arms: file of the arms that each run distils on one teacher's pass, see :func:`evenhand.launch.arms_file.load_arms`; None: one student.

    Raises:
        FileNotFoundError, ValueError: a recipe, arms or a setting that cannot be used, or two recipes of one name.
    """
    for recipe in recipes:
        if arms is None:
            load_any_recipe(recipe, overrides)
        else:
            load_arms(recipe, arms, overrides)
    if settings.at_once is not None and len(recipes) == 1:
        raise ValueError("--at-once is for an array; name several recipes, or leave it out.")
    names = [Path(recipe).stem for recipe in recipes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"Two recipes are called {twice[0]}, so their runs would share a directory; rename one.")
    output = Path(output_dir)
    several = len(recipes) > 1
    config, words = settings.launch_words()
    log = str(log_file(output, several)).replace("%", "%%")
    return _templates().get_template(_template(settings, several)).render(
        recipes=list(recipes), output_dirs=[str(output / name) for name in names] if several else [str(output)],
        name=re.sub(r"[^\w.-]", "_", output.name) or "evenhand", log=f"{log}%A_%a.log" if several else log,
        nodes=settings.nodes, gpus=settings.gpus, cpus=settings.cpus or CPUS_A_GPU * settings.n_gpus, time=settings.time, notice=settings.notice,
        options=settings.options, setup=settings.setup, at_once=settings.at_once, offline=settings.offline,
        accelerate=config, words=[*words, *overrides], arms=None if arms is None else str(arms), requeue_code=REQUEUE_EXIT_CODE, max_requeues=settings.max_requeues,
        directory=str(Path.cwd()), bin=str(command_folder()),
    )  # fmt: skip


def log_file(output_dir: Path, several: bool) -> Path:
    """Where a job's output goes: beside its run directory, which must be empty at the start; of an array, the beginning of its names."""
    output = output_dir.absolute()
    return output / "slurm-" if several else output.with_name(f"{output.name}.log")


def write_script(text: str, path: Path, log: Path) -> Path:
    """Write a script, and make the directory of its log: Slurm does not, and such a job fails without a word."""
    for folder in (path.absolute().parent, log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    return write_text(path, text)


def submit(path: Path) -> str:
    """What sbatch says.

    Raises:
        RuntimeError: there is no sbatch here, or it refused.
    """
    if shutil.which("sbatch") is None:
        raise RuntimeError(
            f"sbatch is not on this machine; on a login node of the cluster: sbatch {shlex.quote(str(path))}"
        )
    done = subprocess.run(["sbatch", str(path)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"sbatch refused {path}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def command_folder() -> Path:
    """Where ``evenhand`` lies in the environment that writes the script: nodes find it without an activation."""
    return Path(sys.executable).parent


def _template(settings: JobSettings, several: bool) -> str:
    if several:
        return "array.sbatch"
    return "multi_node.sbatch" if settings.nodes > 1 else "one_node.sbatch"


def _templates() -> jinja2.Environment:
    """Marks that mean nothing in bash."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
        trim_blocks=True, lstrip_blocks=True, variable_start_string="@{", variable_end_string="}@",
        block_start_string="@%", block_end_string="%@", comment_start_string="@#", comment_end_string="#@",
    )  # fmt: skip
    environment.filters["quote"] = shlex.quote
    environment.filters["option"] = _quoted_option
    return environment


def _quoted_option(option: str) -> str:
    name, equals, value = option.partition("=")
    return f"{name}{equals}{shlex.quote(value)}" if equals else name
