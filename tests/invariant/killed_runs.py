"""Runs that die by SIGKILL, each in a process of its own: ``python killed_runs.py FOLDER``.

One interpreter starts them all by forking before anything has run, because importing torch takes longer than a run.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
from tiny_distillation import tiny_dataset, tiny_trainer
from transformers import Trainer, TrainerCallback

EPOCHS, STEPS_AN_EPOCH, SAVE_STEPS = 3, 6, 4
KILLED_AT = {"second-epoch": 10, "third-epoch": 15, "before-any-checkpoint": 3}
KILLED_IN_SAVE = {"in-save-of-step-12": 12}
"""Run name to optimiser step: none at an epoch's edge, none right after a checkpoint."""


def long_trainer(output_dir, **parts):
    """Three epochs of six steps, the last step of each with one micro-batch less; masks, λ and dropout are drawn as in earnest."""
    arguments = {
        "num_train_epochs": EPOCHS, "save_strategy": "steps", "save_steps": SAVE_STEPS, "save_total_limit": 2,
    }  # fmt: skip
    return tiny_trainer(output_dir, dropout=0.2, train_dataset=tiny_dataset(22), arguments=arguments, **parts)


class KillAt(TrainerCallback):
    """SIGKILL, which no handler sees, in the middle of training step ``step``."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_pre_optimizer_step(self, args, state, control, **kwargs) -> None:
        if state.global_step == self.step - 1:
            os.kill(os.getpid(), signal.SIGKILL)


def _die_while_saving(step: int) -> None:
    write = Trainer._save_rng_state

    def write_or_die(self, output_dir):
        if self.state.global_step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, output_dir)

    Trainer._save_rng_state = write_or_die


def _run(folder: Path, name: str) -> None:
    callbacks = [KillAt(KILLED_AT[name])] if name in KILLED_AT else []
    if name in KILLED_IN_SAVE:
        _die_while_saving(KILLED_IN_SAVE[name])
    long_trainer(folder / name, callbacks=callbacks).train(resume_from_checkpoint=True)


def main(folder: Path) -> int:
    torch.set_num_threads(1)
    for name in (*KILLED_AT, *KILLED_IN_SAVE):
        child = os.fork()
        if child == 0:
            try:
                _run(folder, name)
            finally:
                os._exit(1)  # not reached by a killed run
        _, status = os.waitpid(child, 0)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            print(f"{name} ended by itself", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
