"""Runs of two processes that end badly, or go on where others ended: ``python process_pairs.py FOLDER``.

One interpreter starts them all by forking before anything has run, because importing torch takes longer than a run. Each process keeps what it
found in FOLDER/SCENARIO.RANK.pt; exit codes and times stand in FOLDER/ends.json.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "invariant"))

from faulty_runs import (
    CHECKED_STEP,
    SignalAt,
    die_while_saving,
    fill_disk_of_process,
    one_sided_run,
    outcome,
    recorded_run,
)
from tiny_distillation import ContentMixup, tiny_tokenizer, tiny_trainer

from evenhand.trainer.stop_signals import StoppedBySignal

PATIENCE = 60.0
"""Seconds in which every process must have ended."""


def same_draws(folder: Path) -> dict:
    trainer = recorded_run(folder / "same_draws", accumulation=2)
    trainer.train()
    return outcome(trainer)


def stopped(folder: Path) -> dict:
    """Only process 1 gets the signal, twice."""
    process = int(os.environ["RANK"])
    callbacks = [SignalAt(CHECKED_STEP, signal.SIGUSR1)] if process == 1 else []
    trainer = recorded_run(folder / "stopped", accumulation=2, callbacks=callbacks)
    try:
        trainer.train()
    except StoppedBySignal as stop:
        torch.distributed.destroy_process_group()
        torch.save({"message": str(stop), "step": trainer.state.global_step}, folder / f"stop.{process}.pt")
        raise
    return {}


def stopped_alone(folder: Path) -> dict:
    trainer = recorded_run(folder / "continued", accumulation=4, callbacks=[SignalAt(CHECKED_STEP, signal.SIGTERM)])
    trainer.train()
    return {}


def continued(folder: Path) -> dict:
    """Goes on with what one process left."""
    trainer = recorded_run(folder / "continued", accumulation=2)
    trainer.train(resume_from_checkpoint=True)
    return outcome(trainer)


def killed_in_save(folder: Path) -> dict:
    die_while_saving(8)
    recorded_run(folder / "killed", accumulation=2).train()
    return {}


def after_the_kill(folder: Path) -> dict:
    trainer = recorded_run(folder / "killed", accumulation=2)
    trainer.train(resume_from_checkpoint=True)
    return outcome(trainer)


def one_killed(folder: Path) -> dict:
    callbacks = [SignalAt(3, signal.SIGKILL)] if os.environ["RANK"] == "1" else []
    recorded_run(folder / "one_killed", accumulation=2, callbacks=callbacks).train()
    return {}


def full_disk_of_one(folder: Path) -> dict:
    fill_disk_of_process(0, at_step=8)
    recorded_run(folder / "full_disk", accumulation=2).train()
    return {}


def one_sided(folder: Path) -> dict:
    return one_sided_run(folder / "one_sided", accumulation=1)


def finished_alone(folder: Path) -> dict:
    """All steps are done and saved, the last of them after the last log."""
    trainer = recorded_run(folder / "finished", accumulation=4, logging_steps=4)
    trainer.train()
    return {"window": dict(trainer._window.planned)}


def finished_elsewhere(folder: Path) -> dict:
    """Goes on where nothing is left to be done: no batch is drawn, and process 1 has counted nothing."""
    trainer = recorded_run(folder / "finished", accumulation=2, logging_steps=4)
    seen, gathered = [], trainer._window.gathered
    trainer._window.gathered = lambda accelerator: seen.append(gathered(accelerator)) or seen[-1]
    trainer.train(resume_from_checkpoint=True)
    [(_, figures)] = seen
    return outcome(trainer) | {"planned": dict(trainer._window.planned), "figures": figures}


class CountsWhatItMeets(ContentMixup):
    """Its names depend on the data; here on the process."""

    def counts(self, plan) -> dict[str, int]:
        mine = {} if os.environ["RANK"] == "0" else {"rare": 1, "very_rare": 2}
        return super().counts(plan) | mine


def uneven_names(folder: Path) -> dict:
    parts = {"supervision": CountsWhatItMeets(tiny_tokenizer())}
    arguments = {"max_steps": 3, "logging_steps": 3, "save_strategy": "steps", "save_steps": 2}
    trainer = tiny_trainer(folder / "uneven", arguments=arguments, **parts)
    trainer.train()
    return {"counts": trainer.total_counts(), "log": trainer.state.log_history[0]}


SCENARIOS = {
    same_draws: 2, stopped: 2, stopped_alone: 1, continued: 2, killed_in_save: 2, after_the_kill: 2, one_killed: 2,
    full_disk_of_one: 2, one_sided: 2, finished_alone: 1, finished_elsewhere: 2, uneven_names: 2,
}  # fmt: skip
"""How many processes each has."""


def _in_child(scenario, folder: Path, rank: int, processes: int, port: int) -> None:
    name = f"{scenario.__name__}.{rank}"
    if processes > 1:
        os.environ |= {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }  # fmt: skip
    code = 1
    with open(folder / f"{name}.txt", "w") as text:
        os.dup2(text.fileno(), 1)
        os.dup2(text.fileno(), 2)
    try:
        torch.save(scenario(folder), folder / f"{name}.pt")
        if processes > 1:
            torch.distributed.barrier()
        code = 0
    except SystemExit as stop:
        code = stop.code
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", flush=True)
    finally:
        os._exit(code)


def _run(scenario, processes: int, folder: Path) -> dict:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started, children = time.monotonic(), {}
    for rank in range(processes):
        child = os.fork()
        if child == 0:
            _in_child(scenario, folder, rank, processes, port)
        children[child] = rank
    codes, seconds = [None] * processes, [None] * processes
    while children and time.monotonic() - started < PATIENCE:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            time.sleep(0.02)
            continue
        rank = children.pop(child)
        codes[rank] = os.waitstatus_to_exitcode(status)
        seconds[rank] = time.monotonic() - started
    for child in children:  # a hang: the test sees that it has no code
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return {"codes": codes, "seconds": seconds}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    if importlib.util.find_spec("deepspeed"):
        importlib.import_module("deepspeed")  # once here: accelerate would in every process
    gc.freeze()
    ends = {scenario.__name__: _run(scenario, processes, folder) for scenario, processes in SCENARIOS.items()}
    (folder / "ends.json").write_text(json.dumps(ends), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
