"""The vocabulary head and its losses, a chunk of rows at a time.

A full logits tensor, ``(rows, vocab_size)`` in fp32 for student and teacher with what autograd keeps of it, is nearly
all the memory of an MLM distillation step. Here each chunk's logits are overwritten with their gradient at once, and only the
gradients of the head's inputs are kept. Several students share one loop, so that the teacher's logits are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from evenhand.trainer.cpu_linear import product

LossOfChunk = Callable[[torch.Tensor, int, int, torch.Tensor | None], torch.Tensor]
"""``(logits of rows start … stop, start, stop, coefficients (n_sums,)) -> unweighted sums (n_sums,)``, without autograd; the logits
``(stop − start, vocab_size)`` are overwritten with the gradient of ``coefficients · sums``, unless ``coefficients`` is None and no gradient wanted."""

_HALF = (torch.float16, torch.bfloat16)
PADDED_ON = ("cuda",)
"""Kinds of device whose half-precision products want sizes that are multiples of 8."""

_LIFT = 16.0
"""Largest coefficient of logit gradients in half precision: fp16 holds what is above 6e-8 of it, and nothing overflows."""


@dataclass(frozen=True)
class Head:
    """One student's head over the common rows.

    Args:
        rows: ``(n_rows, features)`` inputs of the decoder.
        weight: ``(vocab_size, features)``, or None where ``rows`` are logits.
        bias: ``(vocab_size,)`` or None.
        coefficients: ``(n_sums,)`` what each unweighted sum counts in the total; on the device.
        loss_of_chunk: see :data:`LossOfChunk`.
    """

    rows: torch.Tensor
    weight: torch.Tensor | None
    bias: torch.Tensor | None
    coefficients: torch.Tensor
    loss_of_chunk: LossOfChunk


def chunked_head_losses(heads: Sequence[Head], chunk_size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The losses of several heads over the same rows; gradients equal those of one dense pass for each.

    Args:
        heads: at least one, all with the same number of rows.
        chunk_size: rows a chunk.

    Returns:
        For each head its total ``coefficients · sums``, differentiable in ``rows``, ``weight`` and ``bias``, and the detached sums.
    """
    if not torch.is_grad_enabled():
        sums = _Loop(heads, chunk_size).run(want_gradients=False)
        return [(head.coefficients.to(own) @ own, own) for head, own in zip(heads, sums, strict=True)]
    parts = [tensor for head in heads for tensor in (head.rows, head.weight, head.bias)]
    totals = _ChunkedHead.apply(loop := _Loop(heads, chunk_size), *parts)
    return list(zip(totals, loop.sums, strict=True))


class _ChunkedHead(torch.autograd.Function):
    @staticmethod
    def forward(ctx, loop: _Loop, *parts):
        loop.heads = [
            Head(*parts[3 * i : 3 * i + 3], head.coefficients, head.loss_of_chunk) for i, head in enumerate(loop.heads)
        ]
        loop.run(want_gradients=True)
        gradients = [gradient for of_head in loop.gradients for gradient in of_head]
        ctx.dtypes = [None if part is None else part.dtype for part in parts]
        ctx.save_for_backward(*gradients)
        loop.gradients = []
        return tuple(head.coefficients.to(own) @ own for head, own in zip(loop.heads, loop.sums, strict=True))

    @staticmethod
    def backward(ctx, *grad_totals):
        grads = [
            None if gradient is None else (gradient * grad_totals[i // 3]).to(ctx.dtypes[i])
            for i, gradient in enumerate(ctx.saved_tensors)
        ]
        return None, *grads


class _Loop:
    """One pass over the rows; keeps ``sums`` and ``gradients`` (of rows, weight and bias) of each head."""

    def __init__(self, heads: Sequence[Head], chunk_size: int) -> None:
        self.heads, self.chunk_size = list(heads), chunk_size
        self.sums: list[torch.Tensor] = []
        self.gradients: list[tuple[torch.Tensor | None, ...]] = []

    def run(self, want_gradients: bool) -> list[torch.Tensor]:
        passes = [_HeadPass(head, want_gradients) for head in self.heads]
        n_rows = len(self.heads[0].rows)
        with torch.autocast(self.heads[0].rows.device.type, enabled=False), torch.no_grad():
            for start in range(0, n_rows, self.chunk_size):
                for one in passes:
                    one.chunk(start, min(start + self.chunk_size, n_rows))
            self.gradients = [one.finish() for one in passes] if want_gradients else []
        self.sums = [one.sums for one in passes]
        return self.sums


class _HeadPass:
    """Buffers and sums of one head during a pass.

    Under autocast, or with half-precision rows, the products run in half precision and everything else in fp32. Logit gradients are then
    scaled up (``lift``), because divided by the number of tokens nearly all of them would be zero in fp16.
    """

    def __init__(self, head: Head, want_gradients: bool) -> None:
        self.head, self.want_gradients = head, want_gradients
        rows, weight, bias = head.rows, head.weight, head.bias
        kind = rows.device.type
        self.half = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else rows.dtype
        self.half = self.half if self.half in _HALF and weight is not None else None
        dtype = torch.float32 if rows.dtype in _HALF else rows.dtype
        self.coefficients = head.coefficients.to(dtype)
        self.lift = None
        if self.half is not None:
            self.lift = _LIFT / self.coefficients.abs().max().clamp(min=torch.finfo(dtype).tiny)
            self.coefficients = self.coefficients * self.lift
        self.rows = rows.to(self.half or dtype)
        self.weight = None if weight is None else padded(weight.to(self.half or dtype))
        self.bias = None if bias is None else bias.to(dtype)
        self.vocab_size = rows.shape[1] if weight is None else weight.shape[0]
        self.sums = torch.zeros(len(head.coefficients), dtype=dtype, device=rows.device)
        if want_gradients:
            self.grad_rows = torch.zeros(rows.shape, dtype=dtype, device=rows.device)
            # in fp32: a half-precision sum over thousands of rows would lose the small gradients
            self.grad_weight = None if weight is None else torch.zeros_like(self.weight, dtype=dtype)
            self.grad_bias = None if bias is None else torch.zeros(bias.shape, dtype=dtype, device=rows.device)

    def chunk(self, start: int, stop: int) -> None:
        logits = self._logits(start, stop)
        own = logits[:, : self.vocab_size]
        self.sums += self.head.loss_of_chunk(own, start, stop, self.coefficients if self.want_gradients else None)
        if self.want_gradients:
            self._backward(logits, start, stop)

    def _logits(self, start: int, stop: int) -> torch.Tensor:
        """Logits in at least fp32, as wide as the padded weight."""
        rows = self.rows[start:stop]
        if self.weight is None:
            return rows.clone()
        if self.half is None:
            return product(rows, self.weight, self.bias)
        logits = F.linear(rows, self.weight).float()
        if self.bias is not None:
            logits[:, : self.vocab_size] += self.bias
        return logits

    def _backward(self, grad: torch.Tensor, start: int, stop: int) -> None:
        if self.grad_bias is not None:
            self.grad_bias += grad[:, : self.vocab_size].sum(0)
        if self.weight is None:
            self.grad_rows[start:stop] = grad
        elif self.half is None:
            self.grad_rows[start:stop] = product(grad, self.weight.T)
            self.grad_weight.addmm_(grad.T, self.rows[start:stop])
        else:
            grad[:, self.vocab_size :] = 0
            grad = grad.to(self.half)
            self.grad_rows[start:stop] = _product_in_fp32(grad, self.weight)
            self.grad_weight += _product_in_fp32(grad.T, self.rows[start:stop])

    def finish(self) -> tuple[torch.Tensor | None, ...]:
        gradients = (
            self.grad_rows,
            None if self.grad_weight is None else self.grad_weight[: self.vocab_size],
            self.grad_bias,
        )
        if self.lift is not None:
            for gradient in gradients:
                if gradient is not None:
                    gradient.div_(self.lift)
        return gradients


def padded(tensor: torch.Tensor) -> torch.Tensor:
    """In half precision on a GPU, the vocabulary filled up to a multiple of 8, without which tensor cores stay idle; BERT's 30,522
    becomes 30,528 in the products alone."""
    missing = -len(tensor) % 8
    wanted = tensor.device.type in PADDED_ON and tensor.dtype in _HALF and missing
    return F.pad(tensor, (0, 0) * (tensor.dim() - 1) + (0, missing)) if wanted else tensor


def _product_in_fp32(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """``left · right`` of half-precision matrices with a result in fp32, which no sum overflows."""
    if left.device.type == "cuda" and _HAS_OUT_DTYPE:
        return torch.mm(left, right, out_dtype=torch.float32)
    return left.float() @ right.float()


_HAS_OUT_DTYPE = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2]) >= (2, 8)
