"""A run that a scheduler stops: the exit code, and the file, that say "start me again"."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from accelerate import PartialState

from evenhand.launch.run_directory import RunDirectory
from evenhand.launch.whole_files import write_text
from evenhand.trainer.stop_signals import REQUEUE_EXIT_CODE, StoppedBySignal, stopping_at_once


def until_stopped(run: RunDirectory, work: Callable[[], int | None]) -> int:
    """Call ``work``; a stop signal ends it, while training at the next step boundary with a checkpoint, else at once.

    Every process that stops writes ``run.requeue_file``, because a launcher of several processes reports an exit code of its own.

    Returns:
        The exit code of ``work`` (None counts as 0); :data:`REQUEUE_EXIT_CODE` if it was stopped.
    """
    if os.environ.get("RANK", "0") == "0":
        _forget(run)
    try:
        with stopping_at_once("the run was"):
            return work() or 0
    except StoppedBySignal as stop:
        if run.recipe_file.is_file():  # before, there is no run to go on with, and the directory may be somebody's
            write_text(run.requeue_file, f"{stop}\n")
        print(f"evenhand distill: {stop}", file=sys.stderr)
        if stop.in_step:
            # left to the interpreter's exit, the threads of a process group abort a process now and then
            PartialState().destroy_process_group()
        return stop.code


def exit_code_of_processes(run: RunDirectory, launch: Callable[[], int]) -> int:
    """Call ``launch``, which starts the processes of a run and waits for them.

    Returns:
        Its exit code; :data:`REQUEUE_EXIT_CODE` for one that is not 0 if a process was stopped: the others may have ended first, or otherwise.
    """
    _forget(run)
    code = launch()
    return REQUEUE_EXIT_CODE if code and run.requeue_file.is_file() else code


def _forget(run: RunDirectory) -> None:
    """A start that fails must not be started again because the one before was stopped."""
    if run.requeue_file.is_file():
        run.requeue_file.unlink()
