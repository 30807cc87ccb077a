"""Linear layers on the CPU through oneDNN, with gradients.

``torch.nn.functional.linear`` in float32 calls the BLAS that torch was built with. The usual one, MKL, uses half of the vector
units of CPUs with AVX-512 that are not Intel's: on two cores of such an AMD EPYC it computes a (1024×768)·(768×3072) product at less
than half of the rate of oneDNN, which torch carries for its compiler (``python -m benchmarks distillation_step`` prints both). On an
AMD EPYC with AVX2 alone there is nothing to gain: there MKL is the faster one, by a fifth to a third forward and backward (256 rows and
more, 384 to 1,536 wide, one thread), so that torch's own linear is left in place.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

SMALLEST = 2**18
"""Multiply-adds below which a call is not worth the way through Python."""


def available() -> bool:
    """Whether this build of torch has oneDNN's linear operator."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def preferred() -> bool:
    """Whether linear layers shall run in oneDNN here: by what the CPU has, and not by a timing, so that a machine computes one thing."""
    return available() and torch.backends.cpu.get_cpu_capability() == "AVX512"


def fast_cpu_linear(device: torch.device, recomputed: bool = False) -> AbstractContextManager:
    """Inside, large float32 linear layers on a CPU with AVX-512 run in oneDNN, forward and backward; nothing changes on another device.

    Args:
        device: where the layers run.
        recomputed: whether layers run again in the backward pass (activation checkpointing): that is outside, and must be the same
            function, so nothing changes.
    """
    return _OneDnnLinear() if device.type == "cpu" and preferred() and not recomputed else nullcontext()


def product(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """``rows · weightᵀ + bias`` without gradient: ``(n, inner)``, ``(outer, inner)``, ``(outer,)`` to ``(n, outer)``."""
    if preferred() and _suits(rows, weight, bias):
        return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return linear(rows, weight, bias)


class _OneDnnLinear(TorchFunctionMode):
    """Catches calls of ``linear``; a model's modules are not touched."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is linear and not kwargs and _suits(*args) and not torch.compiler.is_compiling():
            rows, weight, *bias = args
            return _Linear.apply(rows, weight, bias[0] if bias else None)
        return func(*args, **(kwargs or {}))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows, weight, bias):
        ctx.save_for_backward(rows, weight)
        return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")

    @staticmethod
    def backward(ctx, grad):
        rows, weight = ctx.saved_tensors
        flat = grad.reshape(-1, grad.shape[-1])
        grad_rows = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_rows = product(flat, weight.T).view(rows.shape)
        if ctx.needs_input_grad[1]:
            grad_weight = product(flat.T, rows.reshape(-1, rows.shape[-1]).T)
        if ctx.needs_input_grad[2]:
            grad_bias = flat.sum(0)
        return grad_rows, grad_weight, grad_bias


def _suits(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> bool:
    """Whether oneDNN's kernel takes these: plain float32 tensors on the CPU, and enough of them, outside of autocast."""
    tensors = [rows, weight] if bias is None else [rows, weight, bias]
    return (
        all(type(t) in (torch.Tensor, torch.nn.Parameter) for t in tensors)
        and all(t.dtype == torch.float32 and t.device.type == "cpu" and t.layout == torch.strided for t in tensors)
        and rows.dim() >= 2
        and weight.dim() == 2
        and rows.numel() * weight.shape[0] >= SMALLEST
        and not torch.is_autocast_enabled("cpu")
    )
