"""The loss scale of half-precision training."""

from __future__ import annotations

from accelerate import Accelerator
from torch import nn


def loss_scale(accelerator: Accelerator, wrapped: nn.Module) -> dict[str, float]:
    """``{"loss_scale": …}`` of fp16 training, by ``torch.amp.GradScaler`` or by DeepSpeed; empty in any other precision.

    A scale that keeps falling means that steps are skipped. Skipped steps do not advance the learning-rate schedule under DeepSpeed and with
    ``optim="adamw_torch"``; the default, fused AdamW, skips on the device without telling, and the schedule goes on.

    Args:
        accelerator: of the trainer.
        wrapped: the model as accelerate prepared it, under DeepSpeed its engine.
    """
    if accelerator.scaler is not None:
        return {"loss_scale": float(accelerator.scaler.get_scale())}
    if hasattr(wrapped, "fp16_enabled") and wrapped.fp16_enabled():
        return {"loss_scale": float(wrapped.optimizer.loss_scale)}
    return {}
