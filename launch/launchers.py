"""Where the runs of a study are executed: on this machine, or as jobs of a Slurm cluster."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from evenhand.launch.study_runs import Outcome, Run, RunProcess, can_go_on

LAUNCHERS = ("local", "slurm")


class Launcher(Protocol):
    """Executes runs. One that fails leaves the others."""

    def launch(self, runs: Sequence[Run]) -> list[Outcome]:
        """Execute the runs and wait for them.

        Returns:
            One outcome for each, in their order.
        """
        ...


def make_launcher(
    name: str, output_dir: Path, requeue_code: int, *, jobs: int = 1, slurm: Sequence[str] = ()
) -> Launcher:
    """A launcher by its name.

    Args:
        name: ``local`` or ``slurm``.
        output_dir: of the study.
        requeue_code: exit code of a training that was asked to stop and wrote a checkpoint.
        jobs: runs at a time, of ``local``.
        slurm: ``key=value``, options of ``slurm``.

    Raises:
        ValueError: an unknown name or option. RuntimeError: submitit or Slurm is not there.
    """
    if name == "slurm":
        from evenhand.launch.slurm_launcher import SlurmLauncher, slurm_options

        return SlurmLauncher(output_dir / "slurm_jobs", slurm_options(slurm), requeue_code)
    if name != "local":
        raise ValueError(f"launcher must be one of {', '.join(LAUNCHERS)}, not {name!r}.")
    if slurm:
        raise ValueError("--slurm options need --launcher slurm.")
    return LocalLauncher(jobs, requeue_code)


class LocalLauncher:
    """Processes on this machine.

    SIGUSR1 and SIGTERM are handed to the runs at work, and no further run is started: so that a study is itself a job that a
    scheduler can requeue.

    Args:
        jobs: runs at a time.
        requeue_code: see :func:`make_launcher`.
    """

    def __init__(self, jobs: int, requeue_code: int) -> None:
        if jobs < 1:
            raise ValueError(f"--jobs must be at least 1, not {jobs}.")
        self.jobs, self.requeue_code = jobs, requeue_code
        self._asked: int | None = None

    def launch(self, runs: Sequence[Run]) -> list[Outcome]:
        processes = [RunProcess(run, locks=True) for run in runs]
        self._asked = None
        with self._handing_on(processes), ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(self._run, processes))

    def _run(self, process: RunProcess) -> Outcome:
        code = process()
        stopped = self._asked is not None and can_go_on(code, self.requeue_code, self._asked)
        outcome = Outcome(process.run.name, code, process.run.log, stopped or code == self.requeue_code)
        print(outcome, flush=True)
        return outcome

    @contextmanager
    def _handing_on(self, processes: Sequence[RunProcess]) -> Iterator[None]:
        def hand_on(signum: int, frame: object) -> None:
            self._asked = signum
            for process in processes:
                process.stop(signum)

        if threading.current_thread() is not threading.main_thread():  # only there can handlers be set
            yield
            return
        before = {signum: signal.signal(signum, hand_on) for signum in (signal.SIGUSR1, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
