"""Runs as jobs of a Slurm cluster, through submitit: one job array, requeued at its time limit until every run is done."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evenhand.launch.study_runs import STOP_SIGNAL, Outcome, Run, RunProcess, can_go_on
from evenhand.model_cards.whole_files import write_text

if TYPE_CHECKING:
    import submitit

INSTALL = "Launching on Slurm needs submitit: pip install 'evenhand[slurm]'"
MAX_REQUEUES = 100
"""How often a run may reach its time limit: a guard against one that gets nowhere."""

_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>\d+)(?::(?P<seconds>\d+))?")
_DEFAULTS = {"time": 60, "nodes": 1, "ntasks_per_node": 1, "signal_delay_s": 120, "job_name": "evenhand"}


def slurm_options(words: Sequence[str]) -> dict[str, object]:
    """Parameters of submitit's executor from ``key=value``; a name that it does not know is handed to sbatch as ``--key=value``.

    ``time`` is in minutes, ``HH:MM:SS`` or ``D-HH:MM:SS``; default one hour. Hyphens count as underscores.

    Raises:
        ValueError: not of that form, or a time that is none. RuntimeError: submitit is not installed.
    """
    known = _submitit().slurm.slurm._get_default_parameters()
    options: dict[str, object] = dict(_DEFAULTS)
    others: dict[str, object] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key or not value:
            raise ValueError(f"--slurm {word!r} is not of the form key=value, e.g. partition=gpu.")
        key = key.lstrip("-").replace("-", "_")
        if key == "time":
            options[key] = minutes(value)
        elif key in known:
            options[key] = int(value) if value.isdecimal() else value
        else:
            others[key.replace("_", "-")] = value
    return options | ({"additional_parameters": others} if others else {})


def minutes(text: str) -> int:
    """Slurm's notations of a time limit, ``90``, ``1:30:00``, ``2-00:00:00``, in whole minutes.

    Raises:
        ValueError: it is none of them, or zero.
    """
    match = _TIME.fullmatch(text)
    if text.isdecimal():
        total = int(text)
    elif match:
        days, hours, mins, seconds = (int(match[name] or 0) for name in ("days", "hours", "minutes", "seconds"))
        if match["days"] is None and match["seconds"] is None:
            raise ValueError(f"time {text!r}: Slurm reads it as minutes:seconds; write HH:MM:SS or minutes.")
        total = (days * 24 + hours) * 60 + mins + (seconds > 0)
    else:
        total = 0
    if total < 1:
        raise ValueError(f"time must be minutes, HH:MM:SS or D-HH:MM:SS, and above zero, not {text!r}.")
    return total


class SlurmRun:
    """What a job executes: a run that, asked by submitit to end, has its training write a checkpoint and is submitted again.

    Args:
        run: its commands.
        requeue_code: exit code of a training that wrote a checkpoint.
    """

    def __init__(self, run: Run, requeue_code: int) -> None:
        self.run, self.requeue_code = run, requeue_code
        self._process: RunProcess | None = None

    def __call__(self) -> int:
        """Exit code of the run, 0 for one that is done."""
        from submitit import JobEnvironment

        # Slurm signals every process of the job; submitit's signal is for submitit, which asks for a checkpoint in our words
        ignored = [JobEnvironment.USR_SIG] if STOP_SIGNAL.name.removeprefix("SIG") != JobEnvironment.USR_SIG else []
        self._process = RunProcess(self.run, ignored)
        code = self._process()
        if code == self.requeue_code:
            # Slurm ends the job (SIGTERM: preemption, scancel) and knows itself whether to start it again: leave no result
            raise SystemExit(code)
        return code

    def checkpoint(self) -> submitit.helpers.DelayedSubmission | None:
        """Called in the handler of submitit's signal; None, which submitit takes for a failure, where the run cannot go on."""
        from submitit.helpers import DelayedSubmission

        code = 0 if self._process is None else self._process.stop(wait=True)
        if code == 0 or can_go_on(code, self.requeue_code, STOP_SIGNAL):
            return DelayedSubmission(SlurmRun(self.run, self.requeue_code))
        return None


class SlurmLauncher:
    """A job array through submitit.

    The jobs' numbers are kept, so a command that was cut off and is repeated waits for the jobs that it submitted before, and
    submits neither those nor what they have finished.

    Args:
        folder: for submitit's files; must lie on a disk that the nodes share.
        options: from :func:`slurm_options`.
        requeue_code: see :class:`SlurmRun`.
        make_executor: submitit's executor for a folder; by default the one of Slurm with ``options``.
        poll_seconds: between two looks at the jobs.

    Raises:
        ValueError: an option that submitit refuses. RuntimeError: submitit or Slurm is not there.
    """

    def __init__(
        self,
        folder: Path,
        options: Mapping[str, object],
        requeue_code: int,
        *,
        make_executor: Callable[[Path], submitit.Executor] | None = None,
        poll_seconds: float = 5.0,
    ) -> None:
        if "%" in str(folder.absolute()):
            raise ValueError(f"{folder}: submitit reads % in a path as a job's number; choose another --output-dir.")
        self.folder, self.requeue_code, self.poll_seconds = folder, requeue_code, poll_seconds
        self.record = folder / "jobs.json"
        self.executor = make_executor(folder) if make_executor else _slurm_executor(folder, options)

    def launch(self, runs: Sequence[Run]) -> list[Outcome]:
        """Submit what is neither at work nor done, and wait for all.

        Raises:
            RuntimeError: the submission failed, or Slurm does not say whether an earlier job still runs.
        """
        jobs = {run.name: job for run in runs if (job := self._earlier(run)) is not None}
        new = [run for run in runs if run.name not in jobs]
        jobs |= self._submit(new)
        if new:
            ids = sorted({job.job_id.split("_")[0] for name, job in jobs.items() if name in {run.name for run in new}})
            print(
                f"Submitted {len(new)} run{'s' if len(new) > 1 else ''} as job {', '.join(ids)}. This command waits for them; cut off, it can be repeated. "
                f"`scancel {' '.join(ids)}` ends them.",
                flush=True,
            )
        outcomes: dict[str, Outcome] = {}
        while len(outcomes) < len(runs):
            for run in runs:
                if run.name not in outcomes and jobs[run.name].done():
                    outcomes[run.name] = self._outcome(run, jobs[run.name])
                    print(outcomes[run.name], flush=True)
            if len(outcomes) < len(runs):
                time.sleep(self.poll_seconds)
        return [outcomes[run.name] for run in runs]

    def _submit(self, runs: Sequence[Run]) -> dict[str, submitit.Job]:
        if not runs:
            return {}
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.executor.batch():  # all or nothing, one array
            submitted = [self.executor.submit(SlurmRun(run, self.requeue_code)) for run in runs]
        jobs = {run.name: job for run, job in zip(runs, submitted, strict=True)}
        records = {run.name: {"job": jobs[run.name].job_id, "run": run.digest} for run in runs}
        write_text(self.record, json.dumps(self._records() | records, indent=2, sort_keys=True) + "\n")
        return jobs

    def _records(self) -> dict[str, dict[str, str]]:
        return json.loads(self.record.read_text(encoding="utf-8")) if self.record.is_file() else {}

    def _earlier(self, run: Run) -> submitit.Job | None:
        """The run's job of an earlier call, if it is still at work or has done just this run."""
        record = self._records().get(run.name)
        if record is None:
            return None
        job = self.executor.job_class(self.folder, record["job"])
        if not job.done(force_check=True):
            if job.state.upper() == "UNKNOWN":
                raise RuntimeError(
                    f"Slurm does not say whether job {record['job']} of run {run.name} still runs (see squeue); "
                    f"if it does not, delete {self.record} and run the command again."
                )
            if record["run"] != run.digest:
                raise RuntimeError(
                    f"Run {run.name} is at work as job {record['job']}, begun with another recipe or command; wait for it, end it "
                    f"with `scancel {record['job']}`, or choose another --output-dir."
                )
            return job
        same = record["run"] == run.digest and all(path.exists() for path in run.outputs)
        done = same and job.paths.result_pickle.exists() and self._outcome(run, job).code == 0
        return job if done else None

    def _outcome(self, run: Run, job: submitit.Job) -> Outcome:
        try:
            code = job.result()
        except Exception:  # submitit's kinds of failure, and the job's own
            return Outcome(run.name, None, job.paths.stderr)
        return Outcome(run.name, code, run.log)


def _slurm_executor(folder: Path, options: Mapping[str, object]) -> submitit.Executor:
    submitit = _submitit()
    if submitit.SlurmExecutor.affinity() < 0:
        raise RuntimeError(
            "Slurm is not here (no srun on the PATH): start this on a login node, or use --launcher local."
        )
    executor = submitit.SlurmExecutor(folder, max_num_timeout=MAX_REQUEUES)
    executor.update_parameters(**options)
    return executor


def _submitit():
    try:
        import submitit
    except ImportError:
        raise RuntimeError(INSTALL) from None
    return submitit
