"""Half precision under DeepSpeed: its loss scale, and full-precision weights when training is over.

DeepSpeed has no autocast here: it turns the student itself to fp16 or bf16 and keeps fp32 master weights in its optimiser, in shards. What
is measured and saved at the end should be the master weights, as after a training under autocast, not their rounded copies.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import TrainerCallback

FP16_SCALING = {"initial_scale_power": 16, "hysteresis": 2}
"""DeepSpeed's dynamic loss scale starts at 2**16 and is halved at the second overflow in a row of steps, not at the first."""


def set_loss_scaling(deepspeed_config: dict) -> None:
    """Write :data:`FP16_SCALING` into a DeepSpeed configuration with fp16, where it does not say otherwise."""
    section = deepspeed_config.get("fp16", {})
    if section.get("enabled"):
        deepspeed_config["fp16"] = FP16_SCALING | section


class FullPrecisionAfterTraining(TrainerCallback):
    """Puts DeepSpeed's fp32 master weights into the student at the end of training; does nothing to one that stayed fp32.

    Args:
        student: before DeepSpeed has it; parameters that are not trained have no master weights and are kept from here.
    """

    def __init__(self, student: nn.Module) -> None:
        self.student = student
        named = student.named_parameters()
        self.untrained = {name: p.detach().to("cpu", copy=True) for name, p in named if not p.requires_grad}

    def on_train_end(self, args, state, control, **kwargs) -> None:
        if not any(parameter.dtype in (torch.float16, torch.bfloat16) for parameter in self.student.parameters()):
            return
        from deepspeed.utils import safe_get_full_fp32_param

        # every process in the same order: each holds a shard of each
        masters = {
            name: self.untrained[name] if name in self.untrained else safe_get_full_fp32_param(parameter)
            for name, parameter in self.student.named_parameters()
        }
        self.student.float()
        with torch.no_grad():
            for name, parameter in self.student.named_parameters():
                parameter.copy_(masters[name])
