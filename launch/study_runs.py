"""The runs of a study: what one run executes, how it is stopped, and what became of it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

EVENHAND = ("-m", "evenhand.launch.command")
"""Words after the interpreter's name that stand for ``evenhand``."""

STOP_SIGNAL = signal.SIGUSR1
"""Asks a training for a checkpoint and its end."""

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Run:
    """One run: commands one after the other, the next only if the last succeeded.

    Args:
        name: unique in the study.
        commands: each the words after the interpreter's name, e.g. ``(*EVENHAND, "distill", "a.yaml", "--output-dir", "a")``.
        log: file that their output is appended to.
        environment: variables set for them beside the inherited ones.
        inputs: files that decide what the run does, e.g. its recipe.
        outputs: files that are there once it is done.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[Path, ...] = ()
    outputs: tuple[Path, ...] = ()

    @property
    def digest(self) -> str:
        """Hash of the commands and the contents of ``inputs``: equal for a run that would do the same."""
        digest = hashlib.sha256(json.dumps(self.commands).encode())
        for path in self.inputs:
            digest.update(b"\0" + path.read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        name: of the run.
        code: 0, the exit code of the command that failed (negative: killed by that signal), or None where there is none because the
            job was lost.
        log: where to look.
        stopped: it was asked to stop and can go on where it stopped.
    """

    name: str
    code: int | None
    log: Path
    stopped: bool = False

    def __str__(self) -> str:
        if self.stopped:
            return f"{self.name}: stopped; it can go on"
        if self.code == 0:
            return f"{self.name}: done"
        how = "ended without a result" if self.code is None else f"failed with code {self.code}"
        return f"{self.name}: {how}; see {self.log}"


class RunProcess:
    """A run at work: call it to execute the commands, :meth:`stop` it from a signal's handler or another thread.

    Args:
        run: what to execute.
        ignored: names of signals (``"USR2"``) that the commands shall not see: they are for the process that calls this.
        locks: be at work once at a time: the commands and all that they start inherit the log with a lock on it, so that where their
            study was killed and they live on, the same run, begun again, waits for their end, and goes on from what they left.
    """

    def __init__(self, run: Run, ignored: Sequence[str] = (), locks: bool = False) -> None:
        self.run, self.ignored, self.locks = run, tuple(ignored), locks
        self._pid: int | None = None
        self._stopping: int | None = None

    def __call__(self) -> int:
        """Exit code of the first command that failed, 0 if none did; negative for one that a signal killed."""
        self.run.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.run.log, "ab") as log:
            if self.locks:
                self._wait_for_the_last(log)
            for command in self.run.commands:
                if self._stopping is not None:
                    return -self._stopping
                code = self._execute(self._words(command), log)
                if code:
                    return code
        return 0

    def _wait_for_the_last(self, log) -> None:
        """Lock the log; whoever holds it, works on this run."""
        said = False
        while self._stopping is None:
            try:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if not said:
                    print(f"{self.run.name}: still at work for an earlier command; waiting for its end", flush=True)
                said = True
                time.sleep(_POLL_SECONDS)
            except OSError:
                return  # a file system without locks

    def stop(self, signum: int = STOP_SIGNAL, wait: bool = False) -> int:
        """Hand ``signum`` to the command at work and start no further one.

        Args:
            wait: until it has ended. Takes no lock, so that a signal's handler may interrupt :meth:`__call__` for it.

        Returns:
            With ``wait``, its exit code (negative: the signal that killed it); ``-signum`` without, or where none is at work.
        """
        self._stopping = signum
        pid = self._pid
        try:
            if pid is not None:
                os.kill(pid, signum)
                if wait:
                    return _ended(pid)
        except (ProcessLookupError, ChildProcessError):
            pass  # it ended by itself in this moment
        return -signum

    def _words(self, command: tuple[str, ...]) -> list[str]:
        words = [sys.executable, *command]
        if not self.ignored:
            return words
        # what is ignored stays ignored over exec, and in every process that the command starts
        return ["/bin/sh", "-c", f'trap "" {shlex.join(self.ignored)}; exec "$@"', "sh", *words]

    def _execute(self, words: list[str], log) -> int:
        process = subprocess.Popen(words, stdout=log, stderr=log, env=os.environ | dict(self.run.environment))
        self._pid = process.pid
        if self._stopping is not None:  # asked between the last look and this process's start
            os.kill(process.pid, self._stopping)
        _ended(process.pid)
        self._pid = None
        return process.wait()


def _ended(pid: int) -> int:
    """Wait for a child without collecting it (Popen does that, under a lock)."""
    info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status


def can_go_on(code: int, requeue_code: int, signum: int | None = None) -> bool:
    """Whether a run that was asked to stop can be started again.

    Args:
        code: what it ended with.
        requeue_code: the exit code of a training that wrote a checkpoint.
        signum: what it was asked with: it may have died of it where no training had begun, or in a command without a handler.
    """
    return code == requeue_code or (signum is not None and code == -signum)


def conclude(outcomes: Iterable[Outcome], requeue_code: int) -> int:
    """What a study's command returns.

    Returns:
        0 if all runs are done, ``requeue_code`` if some were stopped and none failed.

    Raises:
        RuntimeError: a run failed; the message names every one and its log.
    """
    outcomes = list(outcomes)
    failed = [outcome for outcome in outcomes if outcome.code != 0 and not outcome.stopped]
    if failed:
        names = ", ".join(f"{outcome.name} (see {outcome.log})" for outcome in failed)
        raise RuntimeError(f"{len(failed)} of {len(outcomes)} runs failed: {names}. Then run the command again.")
    return requeue_code if any(outcome.stopped for outcome in outcomes) else 0
