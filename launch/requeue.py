"""A run that a scheduler stops: the exit code, and the file, that say "start me again"."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import NamedTuple

from accelerate import PartialState

from evenhand.launch.run_directory import RunDirectory
from evenhand.model_cards.whole_files import write_text
from evenhand.trainer.stop_signals import REQUEUE_EXIT_CODE, STOP_SIGNALS, StoppedBySignal, stopping_at_once


class Ended(NamedTuple):
    """How the processes of a launch ended.

    Args:
        code: 0, or the exit code of the process that failed first (128 + the signal, if it was killed by one).
        handed_on: signals that the launcher got and handed on.
    """

    code: int
    handed_on: frozenset[int] = frozenset()


def until_stopped(run: RunDirectory, work: Callable[[], int | None], command: str = "evenhand distill") -> int:
    """Call ``work``; a stop signal ends it, while training at the next step boundary with a checkpoint, else at once.

    A process that stops writes ``run.requeue_file``, because a launcher of several processes reports an exit code of its own; not where
    that launcher may have sent the signal, see :func:`_asked_for`.

    Args:
        command: begins the line that says where it stopped.

    Returns:
        The exit code of ``work`` (None counts as 0); :data:`REQUEUE_EXIT_CODE` if it was stopped.
    """
    if os.environ.get("RANK", "0") == "0":
        _forget(run)
    try:
        with stopping_at_once("the run was"):
            return work() or 0
    except StoppedBySignal as stop:
        # before it has a recipe, there is no run to go on with, and the directory may be somebody's
        if _asked_for(stop) and run.recipe_file.is_file():
            write_text(run.requeue_file, f"{stop}\n")
        print(f"{command}: {stop}", file=sys.stderr)
        if stop.in_step:
            # left to the interpreter's exit, the threads of a process group abort a process now and then
            PartialState().destroy_process_group()
        return stop.code


def exit_code_of_processes(run: RunDirectory, launch: Callable[[], Ended]) -> int:
    """Call ``launch``, which starts the processes of a run and waits for them.

    ``run.requeue_file`` is there afterwards exactly if the code is :data:`REQUEUE_EXIT_CODE` and there is a run to go on with.

    Returns:
        The exit code of the process that ended first by itself; :data:`REQUEUE_EXIT_CODE` for one that died of a stop signal that ``launch``
        had handed on, or that aborted after it had stopped. A failure stays a failure, whatever became of the other processes.
    """
    _forget(run)
    ended = launch()
    asked = ended.handed_on & {*STOP_SIGNALS}
    of_the_stop = {128 + number for number in asked}
    if asked and run.requeue_file.is_file():
        of_the_stop.add(128 + signal.SIGABRT)  # threads of a process group, at the interpreter's exit
    if ended.code != REQUEUE_EXIT_CODE and ended.code not in of_the_stop:
        _forget(run)
        return ended.code
    if run.recipe_file.is_file() and not run.requeue_file.is_file():
        write_text(run.requeue_file, "stopped by a signal\n")
    return REQUEUE_EXIT_CODE


def _asked_for(stop: StoppedBySignal) -> bool:
    """Whether somebody asked for this stop. A launcher of several processes sends SIGTERM to all when one has failed; but those that stop at
    a step together have all lived to see it."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return stop.in_step or not several or stop.number != signal.SIGTERM


def _forget(run: RunDirectory) -> None:
    """A start that fails must not be started again because the one before was stopped."""
    if run.requeue_file.is_file():
        run.requeue_file.unlink()
