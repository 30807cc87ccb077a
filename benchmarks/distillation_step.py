"""A distillation step of BERT-base's shape against a naive ``compute_loss`` (benchmarks/naive_trainer.py), and the bars it must clear.

Same models, batches, masks, λ, threads and optimiser; the two sides take turns, and both losses must agree to 1e-5. ``tokens/s`` are
real tokens, padding not counted. Memory is the peak above weights, gradients and optimiser state.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch.nn.functional import linear

from benchmarks.bert_base import Shape, full_batches, models, natural_batches
from benchmarks.naive_trainer import NaiveTrainer
from benchmarks.step_memory import peak_in_new_process
from benchmarks.step_runner import StepRunner
from evenhand.trainer import DistillationTrainer
from evenhand.trainer.arithmetic import ModelShape, Tokens, step_flops
from evenhand.trainer.cpu_linear import product

STEPS = 5
"""Measured steps of each side and row; one more warms up."""

LOSS_TOLERANCE = 1e-5


def run(shape: Shape | None = None, steps: int = STEPS, memory: bool = True) -> Iterator[str]:
    """Measure row by row; yields the lines of the report.

    Raises:
        RuntimeError: the two sides' losses differ.
    """
    shape = shape or Shape()
    yield f"{shape}, fp32, {torch.get_num_threads()} threads, median of {steps} steps (range)"
    full, natural = full_batches(shape, steps + 1), natural_batches(shape, steps + 1)
    yield from _against_naive(shape, "masked positions, full blocks", "masked", False, full, bar=1.3)
    yield from _against_naive(shape, "attended positions, full blocks", "attended", False, full, bar=1.0)
    naive_rate = yield from _against_naive(
        shape, "attended positions, natural lengths", "attended", False, natural, bar=1.2
    )
    yield from _grouped(shape, steps, naive_rate)
    yield from _against_naive(shape, "mixup, natural lengths", "attended", True, natural)
    yield from _mixup_floor(shape, full, "full blocks")
    yield from _mixup_floor(shape, natural, "natural lengths")
    yield from _share_of_product_rate(shape, full)
    if memory:
        for mode in ("masked", "attended"):
            yield from _memory(shape, mode)


def _against_naive(shape: Shape, title: str, mode: str, mixup: bool, batches: list[dict], bar: float | None = None):
    """Alternating steps of both sides on the same batches; returns the naive side's tokens a second."""
    gc.collect()  # trainers hold themselves in cycles: the models of the row before are still there
    teacher, (student, other) = models(shape, 2)
    ours = StepRunner(DistillationTrainer, shape, student, teacher, mode, mixup, use_cpu=True)
    naive = StepRunner(NaiveTrainer, shape, other, teacher, mode, mixup, use_cpu=True)
    ratios, rates, worst = [], ([], []), 0.0
    for number, batch in enumerate(batches):
        naive.student.load_state_dict(ours.student.state_dict())
        (loss, seconds), (expected, naive_seconds) = ours.step(batch, number), naive.step(batch, number)
        worst = max(worst, abs(loss - expected) / expected)
        if worst > LOSS_TOLERANCE:
            raise RuntimeError(f"the two sides disagree in {title}: relative difference {worst:.1e} of the loss")
        if number:  # the first warms up
            tokens = int(batch["attention_mask"].sum())
            ratios.append(naive_seconds / seconds)
            for rate, taken in zip(rates, (seconds, naive_seconds), strict=True):
                rate.append(tokens / taken)
    fast, slow = (statistics.median(rate) for rate in rates)
    yield (
        f"{title}: {fast:,.0f} against {slow:,.0f} tokens/s, {_spread(ratios)}x{_verdict(statistics.median(ratios), bar)}; "
        f"largest relative difference of the loss {worst:.0e}"
    )
    return slow


def _grouped(shape: Shape, steps: int, naive_rate: float) -> Iterator[str]:
    """Our side with length grouping against the naive side's random batches of the row before."""
    teacher, (student,) = models(shape)
    ours = StepRunner(DistillationTrainer, shape, student, teacher, "attended", False, use_cpu=True)
    rates = []
    for number, batch in enumerate(natural_batches(shape, steps + 1, grouped=True)):
        _, seconds = ours.step(batch, number)
        rates.append(int(batch["attention_mask"].sum()) / seconds)
    ratios = [rate / naive_rate for rate in rates[1:]]
    yield (
        f"attended positions, natural lengths, grouped by length: {statistics.median(rates[1:]):,.0f} tokens/s, "
        f"{_spread(ratios)}x the naive side's random batches{_verdict(statistics.median(ratios), 2.0)}"
    )


def _mixup_floor(shape: Shape, batches: list[dict], title: str) -> Iterator[str]:
    """A mixup step over the plain step plus one teacher body forward over the sequences that hold a pair's word."""
    gc.collect()
    teacher, (student, other) = models(shape, 2)
    plain = StepRunner(DistillationTrainer, shape, student, teacher, "attended", False, use_cpu=True)
    mixed = StepRunner(DistillationTrainer, shape, other, teacher, "attended", True, use_cpu=True)
    over = []
    for number, batch in enumerate(batches):
        (_, plain_seconds), (_, mixed_seconds) = plain.step(batch, number), mixed.step(batch, number)
        floor = plain_seconds + mixed.twin_body_seconds(batch, number)
        if number:
            over.append(mixed_seconds / floor)
    verdict = "" if statistics.median(over) <= 1.1 else " — BAR MISSED"
    yield f"mixup, {title}: {_spread(over)}x its arithmetic floor (bar 1.10){verdict}"


def _share_of_product_rate(shape: Shape, batches: list[dict]) -> Iterator[str]:
    """Operations of a faithful step a second, as a share of one large product's, measured in turn with it."""
    teacher, (student,) = models(shape)
    ours = StepRunner(DistillationTrainer, shape, student, teacher, "attended", False, use_cpu=True)
    tokens = Tokens.padded(shape.batch, shape.length)
    shapes = (ModelShape.of(teacher.config), ModelShape.of(student.config))
    flops = step_flops(*shapes, tokens, head_rows=tokens.count).total
    shares = {"torch's linear": [], "the trainer's linear": []}
    rates = []
    for number, batch in enumerate(batches):
        reference = {"torch's linear": _product_rate(linear), "the trainer's linear": _product_rate(product)}
        _, seconds = ours.step(batch, number)
        if number:
            rates.append(flops / seconds)
            for name, rate in reference.items():
                shares[name].append(flops / seconds / rate)
    yield f"faithful step: {statistics.median(rates) / 1e9:,.0f} GFLOP/s; as a share of a (1024×768)·(768×3072) product by"
    for name, found in shares.items():
        yield f"    {name}: {_spread(found)}{_verdict(statistics.median(found), 0.65)}"


def _product_rate(multiply: Callable, repeats: int = 15) -> float:
    """Operations a second of the product, the median of some."""
    rows, weight = torch.randn(1024, 768), torch.randn(3072, 768)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        multiply(rows, weight)
        seconds.append(time.perf_counter() - start)
    return 2 * 1024 * 768 * 3072 / statistics.median(seconds)


def _memory(shape: Shape, mode: str) -> Iterator[str]:
    threads = torch.get_num_threads()
    ours, naive = (peak_in_new_process(side, mode, shape, threads) for side in ("ours", "naive"))
    verdict = "" if ours <= 0.4 * naive else " — BAR MISSED"
    yield f"memory, {mode} positions, full blocks: {ours:,.0f} against {naive:,.0f} MiB, {ours / naive:.0%} (bar 40%){verdict}"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _verdict(value: float, bar: float | None) -> str:
    if bar is None:
        return ""
    return f" (bar {bar:.2f})" + ("" if value >= bar else " — BAR MISSED")
