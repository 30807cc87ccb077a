"""A distillation step of BERT-base's shape on a CUDA GPU: real tokens a second, peak memory, share of the measured matmul rate.

At sequence lengths 128 and 512, eager and with ``torch.compile``, in bf16 where the device computes in it and fp16 elsewhere (V100; the
loss is scaled, the look for overflows left out).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import torch

from benchmarks.bert_base import Shape, full_batches, models
from benchmarks.naive_trainer import NaiveTrainer
from benchmarks.step_runner import StepRunner
from evenhand.trainer import DistillationTrainer
from evenhand.trainer.arithmetic import ModelShape, Tokens, step_flops

STEPS, WARM_UP = 10, 3
TOKENS_A_STEP = 32 * 128
MIB = 2**20


def run() -> Iterator[str]:
    """Measure; yields the lines of the report, one line where there is no GPU."""
    if not torch.cuda.is_available():
        yield "not run: torch sees no CUDA device here"
        return
    half = "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp16"
    rate = product_rate(torch.bfloat16 if half == "bf16" else torch.float16)
    yield f"{torch.cuda.get_device_name()}, {half}; an 8192³ product runs at {rate / 1e12:,.1f} TFLOP/s"
    for length in (128, 512):
        shape = Shape(batch=TOKENS_A_STEP // length, length=length)
        for title, side, arguments in (
            ("eager", DistillationTrainer, {}),
            ("torch.compile", DistillationTrainer, {"torch_compile": True}),
            ("naive, eager", NaiveTrainer, {}),
        ):
            yield _row(title, side, shape, rate, {half: True, **arguments})


def _row(title: str, side: type, shape: Shape, rate: float, arguments: dict) -> str:
    teacher, (student,) = models(shape)
    runner = StepRunner(side, shape, student, teacher, "attended", False, **arguments)
    batches = full_batches(shape, 1) * (STEPS + WARM_UP)
    for number, batch in enumerate(batches[:WARM_UP]):
        runner.step(batch, number)
    torch.cuda.reset_peak_memory_stats()
    resident = torch.cuda.memory_allocated()
    seconds = [runner.step(batch, number)[1] for number, batch in enumerate(batches[WARM_UP:], WARM_UP)]
    gradients = sum(p.numel() * p.element_size() for p in student.parameters() if p.requires_grad)
    peak = (torch.cuda.max_memory_allocated() - resident - gradients) / MIB
    tokens = Tokens.padded(shape.batch, shape.length)
    flops = step_flops(ModelShape.of(teacher.config), ModelShape.of(student.config), tokens, tokens.count).total
    taken = statistics.median(seconds)
    return (
        f"{title}, {shape.batch}×{shape.length}: {tokens.count / taken:,.0f} tokens/s, {peak:,.0f} MiB above weights, gradients and "
        f"optimiser, {flops / taken / rate:.0%} of the product's rate"
    )


def product_rate(dtype: torch.dtype, size: int = 8192, repeats: int = 20) -> float:
    """Operations a second of a square product in ``dtype``, the median of some."""
    left, right = (torch.randn(size, size, device="cuda", dtype=dtype) for _ in range(2))
    milliseconds = []
    for _ in range(repeats):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        left @ right
        stop.record()
        torch.cuda.synchronize()
        milliseconds.append(start.elapsed_time(stop))
    return 2 * size**3 / statistics.median(milliseconds) * 1e3
