"""What two processes do for test_two_processes.py: ``torchrun --nproc_per_node 2 two_process_script.py FOLDER``.

All of it in one launch, because starting two interpreters takes longer than the training. Process 0 writes results.pt.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "invariant"))

import contextlib

from tiny_distillation import (
    ContentMasking,
    ContentMixup,
    equality_of,
    split_run,
    tiny_dataset,
    tiny_tokenizer,
    tiny_trainer,
)
from transformers import TrainerCallback
from two_process_watching import watching

from evenhand.trainer import GenderMixup, NonFiniteLossError

RESUMED = {"num_train_epochs": 3, "save_strategy": "steps", "save_steps": 4, "logging_steps": 3}
"""22 sentences, two a process and micro-batch, two micro-batches: three steps an epoch; checkpoint 4 lies inside the second,
between two logs."""


class Abandon(TrainerCallback):
    """Leaves the run in every process, as a kill of the whole job does."""

    def on_pre_optimizer_step(self, args, state, control, **kwargs) -> None:
        if state.global_step == 5:
            raise KeyboardInterrupt


class PoisonedInProcessOne(GenderMixup):
    """The teacher's hidden states are broken in one process only."""

    def teacher_signals(self, signals, *arguments):
        signals = super().teacher_signals(signals, *arguments)
        if torch.distributed.get_rank() == 1:
            signals.hidden[0] = float("nan")
        return signals


def run_of_earnest(folder: Path, callbacks=()):
    return tiny_trainer(
        folder, dropout=0.2, train_dataset=tiny_dataset(22), arguments=RESUMED, callbacks=list(callbacks)
    )


def resumed_runs(folder: Path) -> dict:
    """Whether a run left and resumed ends as the uninterrupted one, in this process."""
    whole = run_of_earnest(folder / "whole")
    whole.train()
    with contextlib.suppress(KeyboardInterrupt):
        run_of_earnest(folder / "left", [Abandon()]).train()
    resumed = run_of_earnest(folder / "left")
    resumed.train(resume_from_checkpoint=True)
    files = sorted(path.name for path in (folder / "left").iterdir())
    return equality_of(whole, resumed) | {"files": files}


def broken_term(folder: Path) -> str:
    try:
        tiny_trainer(folder, arguments={"max_steps": 2}, supervision=PoisonedInProcessOne(tiny_tokenizer())).train()
    except NonFiniteLossError as error:
        return str(error)
    return "none"


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    split = split_run(folder / "split", 2, 2)
    spared = split_run(folder / "spared", 1, 4, masking=ContentMasking(spared=lambda length: length % 2 == 0))
    evaluated = tiny_trainer(
        folder / "evaluated", masking=ContentMasking(), supervision=ContentMixup(tiny_tokenizer()), eval_dataset=tiny_dataset(11, seed=5)
    ).evaluate()  # fmt: skip
    mine = {"resumed": resumed_runs(folder / "resumed"), "broken": broken_term(folder / "broken")}
    mine["watching"] = watching(folder / "watching")
    everyone = [None, None]
    torch.distributed.all_gather_object(everyone, mine)
    if torch.distributed.get_rank() == 0:
        results = {"split": split, "spared": spared, "evaluated": evaluated, "everyone": everyone}
        torch.save(results, folder / "results.pt")
    torch.distributed.barrier()
    # left to the interpreter's exit, gloo's threads abort a process now and then
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
