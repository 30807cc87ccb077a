"""Running what was planned: ``accelerate launch``, with the signals and the exit code that a scheduler needs.

The launcher runs in the command's own process and the processes of the run are its children, so that signals reach them alone and their exit
code is the command's. (``accelerate launch`` as a command ends with 1 and a traceback whatever its children ended with, kills them
30 seconds after a SIGTERM, and itself dies of a SIGUSR1.)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil
from accelerate.commands.launch import launch_command, launch_command_parser
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from evenhand.launch.accelerate_plan import LaunchPlan
from evenhand.launch.requeue import Ended

MODULE = "evenhand.launch.distill"
HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def launch(plan: LaunchPlan, command: Sequence[str], module: str = MODULE) -> Ended:
    """Run ``accelerate launch … -m MODULE COMMAND`` and wait; SIGTERM, SIGINT and SIGUSR1 are handed on to its processes.

    Args:
        command: arguments of the module.
    """
    if plan.on_cpu:
        threads = max(1, (os.cpu_count() or 1) // plan.processes_here)
        os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "DS_ACCELERATOR": "cpu"}
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    arguments = launch_command_parser().parse_args([*plan.arguments, "-m", module, *command])
    # our handlers hand on the others: torch's kill the processes 30 seconds later, and their data loaders at once
    arguments.signals_to_handle = "SIGHUP,SIGQUIT"
    code = 0
    with _handing_on(module) as handed_on:
        try:
            launch_command(arguments)
        except ChildFailedError as failed:
            code = _first_exit(failed)
        except subprocess.CalledProcessError as failed:
            code = failed.returncode
    return Ended(_shell_code(code), frozenset(handed_on))


def _first_exit(failed: ChildFailedError) -> int:
    """Exit code of the process that failed by itself: torch sends SIGTERM to the others, and these may be listed before it."""
    by_time = sorted(failed.failures.values(), key=lambda failure: failure.timestamp)
    codes = [failure.exitcode for failure in by_time]
    return next((code for code in codes if code != -signal.SIGTERM), codes[0])


def _shell_code(code: int) -> int:
    return code if code >= 0 else 128 - code


@contextmanager
def _handing_on(module: str) -> Iterator[set[int]]:
    """Inside, signals are handed on; yields those that were."""
    handed_on: set[int] = set()

    def hand_on(signum: int, frame: object) -> None:
        children = [child for child in psutil.Process().children() if module in _command_of(child)]
        for child in children:
            child.send_signal(signum)
            handed_on.add(signum)
        if not children and signum != signal.SIGUSR1:  # nothing has started yet
            sys.exit(128 + signum)

    before = {signum: signal.signal(signum, hand_on) for signum in HANDED_ON}
    try:
        yield handed_on
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
