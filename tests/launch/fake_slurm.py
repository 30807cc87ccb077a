"""A cluster on one machine: ``sbatch``, ``srun``, ``scontrol`` and ``sacct``, as far as scripts of this project and submitit use them.

:func:`install` writes the commands; each is this file, run with the command's name. State lies in the folder ``FAKE_SLURM``: per job the
process of its script (``ID.script``), the process group of its step (``ID.step``), its state (``ID.state``), and ``requeued``, a line a requeue.
``FAKE_SLURM_SECOND`` is the length of the seconds that options are given in.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

COMMANDS = ("sbatch", "srun", "scontrol", "sacct")


def install(folder: Path) -> Path:
    """Write the commands into ``folder/bin``; returns it."""
    (folder / "bin").mkdir(parents=True)
    for name in COMMANDS:
        path = folder / "bin" / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} -S {__file__} {name} "$@"\n')
        path.chmod(0o755)
    return folder / "bin"


def end_jobs(state: Path) -> None:
    """Kill what a test that failed has left at work."""
    for path in state.glob("*.state"):
        if path.read_text() == "RUNNING":
            (state / f"{path.stem}.requeue").unlink(missing_ok=True)
            with suppress(ProcessLookupError, FileNotFoundError):
                os.kill(int((state / f"{path.stem}.script").read_text()), signal.SIGKILL)
                os.killpg(int((state / f"{path.stem}.step").read_text()), signal.SIGKILL)


def state_folder() -> Path:
    return Path(os.environ["FAKE_SLURM"])


def sbatch(script: str) -> None:
    """Every task of an array has a number of its own too; the first task's is the array's."""
    text = Path(script).read_text()
    last = re.search(r"^#SBATCH --array=0-(\d+)", text, re.MULTILINE)
    counter = state_folder() / "counter"
    job = int(counter.read_text()) if counter.exists() else 100
    tasks = range(int(last[1]) + 1) if last else [None]
    counter.write_text(str(job + len(tasks)))
    for number, task in enumerate(tasks):
        words = [
            sys.executable,
            __file__,
            "task",
            script,
            str(job),
            str(job + number),
            "" if task is None else str(task),
        ]
        subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"Submitted batch job {job}")


def task(script: str, job: str, own: str, index: str) -> None:
    """Run the script until it ends without having asked to be requeued."""
    state, shown = state_folder(), f"{job}_{index}" if index else job
    environment = os.environ | {
        "SLURM_JOB_ID": own, "SLURM_JOB_NODELIST": "node1", "SLURM_NODEID": "0", "SLURM_PROCID": "0",
        "SLURM_CPUS_PER_TASK": "1", "SHOWN": shown,
    }  # fmt: skip
    if index:
        environment |= {"SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": index}
    nodes = re.search(r"^#SBATCH --nodes=(\d+)", Path(script).read_text(), re.MULTILINE)
    environment["SLURM_NNODES"] = nodes[1] if nodes else "1"
    restarts = 0
    while True:
        count = {"SLURM_RESTART_COUNT": str(restarts)} if restarts else {}
        with open(state / f"{shown}.log", "ab") as log:
            process = subprocess.Popen(["bash", script], env=environment | count, stdout=log, stderr=log)
            (state / f"{shown}.script").write_text(str(process.pid))
            (state / f"{shown}.state").write_text("RUNNING")
            code = process.wait()
        if not (state / f"{shown}.requeue").exists():
            break
        (state / f"{shown}.requeue").unlink()
        restarts += 1
    (state / f"{shown}.state").write_text("COMPLETED" if code == 0 else f"FAILED {code}")


def srun(*words: str) -> None:
    """Run a step, one task a node, and end with the highest of their codes. A signal to srun goes, as in Slurm, to every process of the step;
    the step is killed ``--wait`` seconds after its first task has ended, or at once if that failed under ``--kill-on-bad-exit=1``."""
    words, files, options = list(words), {}, {}
    while words[0].startswith("--"):
        option = words.pop(0)
        name, _, value = option.partition("=")
        options[name] = value
        if option in ("--output", "--error"):
            path = words.pop(0).replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", "0")
            for mark in ("A", "a"):
                name = {"A": "SLURM_ARRAY_JOB_ID", "a": "SLURM_ARRAY_TASK_ID"}[mark]
                path = path.replace(f"%{mark}", os.environ.get(name, ""))
            files["stdout" if option == "--output" else "stderr"] = open(path, "ab")  # noqa: SIM115
    tasks: list[subprocess.Popen] = []
    for node in range(int(os.environ["SLURM_NNODES"])):
        environment = os.environ | {"SLURM_NODEID": str(node), "SLURM_PROCID": str(node)}
        group = tasks[0].pid if tasks else 0
        tasks.append(subprocess.Popen(words, process_group=group, env=environment, **files))
    step = tasks[0].pid
    (state_folder() / f"{os.environ['SHOWN']}.step").write_text(str(step))
    signal.signal(signal.SIGUSR1, lambda number, frame: os.killpg(step, number))
    codes = _codes_of(tasks, step, options)
    sys.exit(max(code if code >= 0 else 128 - code for code in codes))


def _codes_of(tasks: list[subprocess.Popen], step: int, options: dict[str, str]) -> list[int]:
    second, ended = float(os.environ.get("FAKE_SLURM_SECOND", "1")), None
    # the group lives as long as one of its processes was not waited for
    while any(os.waitid(os.P_PID, task.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None for task in tasks):
        over = [os.waitid(os.P_PID, task.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) for task in tasks]
        over = [info for info in over if info is not None]
        ended = ended or (time.monotonic() if over else None)
        failed = options.get("--kill-on-bad-exit") == "1" and any(info.si_status for info in over)
        late = ended and "--wait" in options and time.monotonic() - ended > float(options["--wait"]) * second
        if failed or late:
            os.killpg(step, signal.SIGKILL)
            break
        time.sleep(0.01)
    return [task.wait() for task in tasks]


def scontrol(action: str, what: str) -> None:
    if action == "show":
        raise AssertionError("words: scontrol show hostnames LIST")
    with open(state_folder() / "requeued", "a") as file:
        file.write(what + "\n")
    (state_folder() / f"{what}.requeue").touch()


def sacct(*words: str) -> None:
    print("JobID|State|NodeList")
    for path in sorted(state_folder().glob("*.state")):
        print(f"{path.stem}|{path.read_text().split()[0]}|node1")


def wait_for(path: Path, text: str | None = None, seconds: float = 30.0) -> str:
    """Contents of a file as soon as it is there, and holds ``text``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = path.read_text() if path.exists() else ""
        if found and (text is None or text in found):
            return found
        time.sleep(0.02)
    raise AssertionError(f"{path} did not come to hold {text!r} in {seconds} s: {found!r}")


if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    if name == "scontrol" and rest[:2] == ["show", "hostnames"]:
        print("\n".join(rest[2].split(",")))
    else:
        {"sbatch": sbatch, "srun": srun, "scontrol": scontrol, "sacct": sacct, "task": task}[name](*rest)
