"""What two processes do for test_cohort_two_processes.py: ``torchrun --nproc_per_node 2 cohort_script.py FOLDER``.

A cohort and its arms' own trainings, under DDP and then under DeepSpeed ZeRO-1, in one launch. Process 0 writes results.pt.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "invariant"))

from accelerate.state import AcceleratorState, PartialState
from tiny_cohort import CLIPPED, alone, differences, outcome, tiny_arm, tiny_cohort
from tiny_distillation import tiny_tokenizer
from transformers import TrainerCallback

from evenhand.launch.process_group import join_processes, settings_here
from evenhand.trainer import GenderMixup, NonFiniteLossError

DDP = ("mixup", "shallow", "masked", "mlm-cos")
RESUMED = ZERO = ("mixup", "masked")
UNCLIPPED = {"max_steps": 4, "max_grad_norm": 0.0, "optim": "adamw_torch"}
"""Not the fused AdamW: on a CPU it rounds the last few numbers of a tensor in another way than the rest, and ZeRO makes one tensor of all
parameters, which ends elsewhere in a cohort."""
TRAINING = {"use_cpu": True}


class Abandon(TrainerCallback):
    """Leaves the run in every process, as a kill of the whole job does."""

    def on_pre_optimizer_step(self, args, state, control, **kwargs) -> None:
        if state.global_step == 3:
            raise KeyboardInterrupt


def compared(folder: Path, names, arguments: dict) -> dict:
    """What each arm of a cohort has that its own training has not, in this process."""
    cohort = tiny_cohort(folder / "cohort", names, arguments=arguments)
    cohort.train()
    found = {}
    for name in names:
        single = alone(folder / name, name, arguments=arguments)
        single.train()
        mine, its = outcome(cohort, name), outcome(single)
        if cohort.is_deepspeed_enabled:  # it knows no norm of one student's gradients
            for entry in its["logs"] + mine["logs"]:
                entry.pop("grad_norm", None)
        found[name] = differences(mine, its)
    return found


def resumed(folder: Path) -> dict:
    """The same of a cohort that was left between two checkpoints and resumed, and one that was not."""
    arguments = {"save_strategy": "steps", "save_steps": 2}
    whole = tiny_cohort(folder / "whole", RESUMED, arguments=arguments)
    whole.train()
    with contextlib.suppress(KeyboardInterrupt):
        tiny_cohort(folder / "left", RESUMED, arguments=arguments, callbacks=[Abandon()]).train()
    again = tiny_cohort(folder / "left", RESUMED, arguments=arguments)
    again.train(resume_from_checkpoint=True)
    return {name: differences(outcome(whole, name), outcome(again, name)) for name in RESUMED}


class PoisonedInProcessOne(GenderMixup):
    """The teacher's hidden states are broken in one process only."""

    def teacher_signals(self, *arguments):
        signals = super().teacher_signals(*arguments)
        if torch.distributed.get_rank() == 1:
            signals.hidden = signals.hidden * float("nan")
        return signals


def broken_in_one_process(folder: Path) -> str:
    supervision = PoisonedInProcessOne(tiny_tokenizer(), unequal_pairs="skip")
    arms = {"good": tiny_arm("plain"), "poisoned": replace(tiny_arm("mixup"), supervision=supervision)}
    try:
        tiny_cohort(folder, arms=arms, arguments={"max_steps": 1}).train()
    except NonFiniteLossError as error:
        return str(error)
    return "none"


def switch_to_zero() -> dict:
    """From DDP to DeepSpeed in the same processes; returns the training settings that this takes."""
    os.environ |= {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "1"}
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState._reset_state()
    join_processes(TRAINING)
    return settings_here(TRAINING)


def refused_clipping(folder: Path, settings: dict) -> str:
    try:
        tiny_cohort(folder, ZERO, arguments=CLIPPED | settings)
    except ValueError as error:
        return str(error)
    return "none"


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    join_processes(TRAINING)
    mine = {
        "ddp": compared(folder / "ddp", DDP, {}),
        "resumed": resumed(folder),
        "broken": broken_in_one_process(folder / "broken"),
    }
    settings = switch_to_zero()
    mine["zero1"] = compared(folder / "zero1", ZERO, UNCLIPPED | settings)
    mine["refused"] = refused_clipping(folder / "refused", settings)
    everyone = [None, None]
    torch.distributed.all_gather_object(everyone, mine)
    if torch.distributed.get_rank() == 0:
        torch.save(everyone, folder / "results.pt")
    torch.distributed.barrier()
    # left to the interpreter's exit, gloo's threads abort a process now and then
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
