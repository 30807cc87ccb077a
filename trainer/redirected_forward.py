"""Running the loss inside a wrapped model's call."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def call_inside(wrapped: nn.Module, inner: nn.Module, function: Callable, argument: torch.Tensor):
    """Run ``function(argument)`` as if it were ``inner``'s forward, through ``wrapped``'s call.

    DDP and DeepSpeed synchronise gradients for what happens inside their forward; a loss computed there needs no logits to
    leave it. ``inner`` is restored before ``function`` runs, so the student's own calls are ordinary ones.
    """
    original = inner.__dict__.get("forward")

    def restore() -> None:
        if original is None:
            inner.__dict__.pop("forward", None)
        else:
            inner.forward = original

    def once(*args):
        restore()
        return function(*args)

    inner.forward = once
    try:
        return wrapped(argument)
    finally:
        restore()
