"""The vocabulary head and its losses, a chunk of rows at a time.

A full logits tensor, ``(rows, vocab_size)`` in fp32 for student and teacher with what autograd keeps of it, is nearly
all the memory of an MLM distillation step. Here each chunk's loss is differentiated at once, and only the gradients of
the head's inputs are kept.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

ChunkLoss = Callable[[torch.Tensor, int, int], tuple[torch.Tensor, torch.Tensor]]
"""``(logits of rows start..stop, start, stop) -> (weighted total, unweighted sums)``."""


def decode(rows: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None) -> torch.Tensor:
    """``(n_rows, features)`` to logits ``(n_rows, vocab_size)``; without a weight the rows are logits already."""
    return rows if weight is None else F.linear(rows, weight, bias)


def chunked_head_loss(
    rows: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    loss_of_chunk: ChunkLoss,
    n_sums: int,
    chunk_size: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum ``loss_of_chunk`` over chunks of rows; gradients equal those of one dense pass.

    Args:
        rows: ``(n_rows, features)`` inputs of the decoder.
        weight: ``(vocab_size, features)``, or None where ``rows`` are logits.
        bias: ``(vocab_size,)`` or None.
        loss_of_chunk: gives the weighted total (a scalar) and the unweighted sums ``(n_sums,)`` of one chunk.
        n_sums: how many sums a chunk reports.
        chunk_size: rows a chunk.

    Returns:
        The total, differentiable in ``rows``, ``weight`` and ``bias``, and the detached sums ``(n_sums,)``.
    """
    if torch.is_grad_enabled():
        return _ChunkedHead.apply(rows, weight, bias, loss_of_chunk, n_sums, chunk_size)
    total = rows.new_zeros((), dtype=_loss_dtype(rows))
    sums = rows.new_zeros(n_sums, dtype=total.dtype)
    for start in range(0, len(rows), chunk_size):
        stop = min(start + chunk_size, len(rows))
        chunk_total, chunk_sums = loss_of_chunk(decode(rows[start:stop], weight, bias), start, stop)
        total, sums = total + chunk_total, sums + chunk_sums
    return total, sums


class _ChunkedHead(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows, weight, bias, loss_of_chunk, n_sums, chunk_size):
        dtype = _loss_dtype(rows)
        total, sums = rows.new_zeros((), dtype=dtype), rows.new_zeros(n_sums, dtype=dtype)
        grad_rows = torch.zeros_like(rows, dtype=dtype)
        # accumulated in place and in fp32: a half-precision sum over thousands of rows would lose the small gradients
        grad_weight, grad_bias = (torch.zeros_like(p, dtype=dtype) if p is not None else None for p in (weight, bias))
        for start in range(0, len(rows), chunk_size):
            stop = min(start + chunk_size, len(rows))
            logits = decode(rows[start:stop], weight, bias).to(dtype).detach().requires_grad_()
            with torch.enable_grad():
                chunk_total, chunk_sums = loss_of_chunk(logits, start, stop)
                (grad_logits,) = torch.autograd.grad(chunk_total, logits)
            with torch.autocast(rows.device.type, enabled=False):
                if weight is None:
                    grad_rows[start:stop] = grad_logits
                else:
                    torch.mm(grad_logits, weight.to(dtype), out=grad_rows[start:stop])
                    grad_weight.addmm_(grad_logits.T, rows[start:stop].to(dtype))
                if bias is not None:
                    grad_bias += grad_logits.sum(0)
            total, sums = total + chunk_total.detach(), sums + chunk_sums.detach()
        ctx.save_for_backward(grad_rows, grad_weight, grad_bias)
        ctx.dtypes = rows.dtype, weight.dtype if weight is not None else None, bias.dtype if bias is not None else None
        ctx.mark_non_differentiable(sums)
        return total, sums

    @staticmethod
    def backward(ctx, grad_total, _):
        grads = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        return *((grad * grad_total).to(dtype) if grad is not None else None for grad, dtype in grads), None, None, None


def _loss_dtype(tensor: torch.Tensor) -> torch.dtype:
    return torch.float32 if tensor.dtype in (torch.float16, torch.bfloat16) else tensor.dtype
