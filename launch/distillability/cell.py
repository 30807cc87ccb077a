"""The models of one cell of the grid (a task, a method and a seed), made and measured one after the other.

python -m evenhand.launch.distillability.cell STUDY SCALE DIRECTORY TASK METHOD SEED [section.key=value …]
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
import traceback
from collections.abc import Collection
from functools import partial

from evenhand.evaluation.grouped_data.registry import loaded_once
from evenhand.launch.distillability.grid import Grid
from evenhand.launch.distillability.grid_directory import GridDirectory
from evenhand.launch.distillability.grid_file import load_grid
from evenhand.launch.distillability.models import GridModel, models_of
from evenhand.launch.errors import exit_code
from evenhand.launch.run_directory import RunDirectory
from evenhand.launch.study.sole_process import one_after_the_other
from evenhand.launch.task.distill import LADDER, distill_task
from evenhand.launch.task.evaluation import evaluate_task_run
from evenhand.trainer.stop_signals import StoppedBySignal


def make_cell(
    models: list[GridModel], directory: GridDirectory, log: str, again: Collection[str] = ()
) -> list[GridModel]:
    """Train and measure what is missing of a cell; what fails is remembered and leaves what does not need it.

    Args:
        models: each after the one it is distilled from.
        log: name of the log file, for the page.
        again: keys of models to train although their report is there, since a missing one needs them as its teacher.

    Returns:
        The models that failed.

    Raises:
        StoppedBySignal: a scheduler asked for the end; a checkpoint is written.
    """
    failed = []
    for number, model in enumerate(models, 1):
        if directory.has_report(model.key) and (model.key not in again or directory.made(model.model_key)):
            continue
        directory.forget_failure(model.key)
        print(f"[{number}/{len(models)}] {model.task}, {model.method}, seed {model.seed}: {model.name}", flush=True)
        try:
            _make(model, directory)
        except StoppedBySignal:
            raise
        except Exception as error:
            traceback.print_exc()
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            directory.mark_failed(model.key, log, name=model.name, reason=reason)
            failed.append(model)
    return failed


def _make(model: GridModel, directory: GridDirectory) -> None:
    recipe = model.recipe
    if model.teacher is not None:
        teacher = directory.made(model.teacher)
        if teacher is None:
            raise RuntimeError("the model that it is distilled from could not be made.")
        path = str(teacher.student)
        recipe = dataclasses.replace(recipe, teacher=dataclasses.replace(recipe.teacher, path=path))
    run = directory.made(model.model_key) or distill_task(recipe, directory.run(model).path, store=directory.store)
    if directory.has_report(model.key):
        _say_whether_the_same(model, run, directory)
    else:
        evaluate_task_run(run, dict(model.why)).save(directory.report_file(model.key))
    for finished in (run, *map(RunDirectory, (run.path / LADDER).glob("*"))):  # nobody goes on from these
        shutil.rmtree(finished.checkpoints, ignore_errors=True)


def _say_whether_the_same(model: GridModel, run: RunDirectory, directory: GridDirectory) -> None:
    """Of a model that was made again: its report stays, for those distilled from it before stand beside that one."""
    then = directory.report(model.key).model.get("weights_sha256")
    if run.training()["student"]["weights_sha256"] != then:
        print(
            f"{model.name} was trained again for what is distilled from it, and has other weights than its report, which was taken over: "
            "trainings of another machine are not the same to the last digit.",
            flush=True,
        )


def _of_all_methods(grid: Grid, task: str, seed: int) -> list[GridModel]:
    """The models of a task and a seed; teachers of one method may be students of another's."""
    return [model for method in grid.tasks[task].methods for model in models_of(grid, task, method, seed)]


def main(argv: list[str] | None = None) -> int:
    """Make one cell; one step of ``evenhand study distillability``, which runs it where its launcher runs things."""
    parser = argparse.ArgumentParser(
        prog="python -m evenhand.launch.distillability.cell", description=__doc__.splitlines()[0]
    )
    for name in ("study", "scale", "directory", "task", "method"):
        parser.add_argument(name)
    parser.add_argument("seed", type=int)
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    options = parser.parse_args(argv)

    def work() -> int:
        grid = load_grid(options.study, options.scale, tasks=[options.task], overrides=options.overrides)
        directory = GridDirectory(options.directory)
        name = f"{options.task}-{options.method}-seed{options.seed}"
        models = models_of(grid, options.task, options.method, options.seed)
        with one_after_the_other(directory.models / name):
            again = {model.key for model in directory.to_make(_of_all_methods(grid, options.task, options.seed))}
            with loaded_once():
                failed = make_cell(models, directory, f"{name}.log", again)
        if failed:
            raise RuntimeError(f"{len(failed)} of {len(models)} models could not be made: {failed[0].name} and others.")
        return 0

    return exit_code("distillability.cell", partial(work))


if __name__ == "__main__":
    sys.exit(main())
