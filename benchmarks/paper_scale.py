"""What study A (Ahn et al. 2022) costs at the paper's scale: counted from the shapes, with rates measured here and one rate assumed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from transformers import BertConfig, BertForMaskedLM

from benchmarks.bert_base import Shape, full_batches, models
from benchmarks.corpus import tokens_per_second_and_worker
from benchmarks.step_runner import StepRunner
from evenhand.trainer import DistillationTrainer
from evenhand.trainer.arithmetic import ModelShape, StepFlops, Tokens, step_flops

TEXT_BYTES = 0.3 * 16e9
"""30 % of English Wikipedia and BookCorpus; the whole is 16 GB of text (Liu et al. 2019, section 3.2)."""

EPOCHS, SEQUENCES_A_STEP = 3, 8 * 4 * 50
"""Batch 8 on each of 4 GPUs (the paper), accumulation 50 (the official script's default; the paper does not say)."""

MEAN_LENGTH, ROOT_MEAN_SQUARE_LENGTH = 120.8, 144.6
TWIN_TOKENS, TWIN_SQUARED, PAIR_POSITIONS = 0.484, 0.530, 0.0116
"""Of the sequences that the rules make of WikiText-2's lines (validation and test, at most 512 tokens): their lengths; the share of their
tokens (and of their squared lengths) in sequences that hold a word of the ten pairs; those words, a token. BookCorpus has shorter lines."""

MLM_PROBABILITY = 0.15

V100S, V100_PEAK = 4, 125e12
"""fp16 tensor-core peak of a V100 SXM2, FLOP/s, as published by NVIDIA. No V100 was measured for this page."""

ASSUMED_FRACTIONS = (0.20, 0.35, 0.50)
"""Share of the peak that a step may reach on real tokens. An assumption: the range, not any value in it, is what is claimed."""

SCALES = (1, 10, 100)


@dataclass(frozen=True)
class Arm:
    """One student of the study.

    Args:
        name: as in the tables.
        layers: of the student.
        logit_term: whether there is a soft-target term (else the heads run at the MLM targets, the teacher's not at all).
        twin: whether the mixup needs the teacher's second forward.
        teacher: which teacher; students of one teacher can share its pass.
    """

    name: str
    layers: int = 6
    logit_term: bool = True
    twin: bool = False
    teacher: str = "original"

    def flops_a_token(self) -> StepFlops:
        """Operations of one epoch's average real token, without padding."""
        scale = 1e6  # tokens; the counts are linear, so any number will do
        share = ROOT_MEAN_SQUARE_LENGTH**2 / MEAN_LENGTH
        twin = Tokens(TWIN_TOKENS * scale, TWIN_SQUARED * share * scale) if self.twin else None
        step = step_flops(
            bert_base(12),
            bert_base(self.layers),
            Tokens(scale, share * scale),
            scale * (1 if self.logit_term else MLM_PROBABILITY),
            teacher_head_rows=None if self.logit_term else 0,
            twin=twin,
            twin_rows=PAIR_POSITIONS * scale if self.twin else 0,
        )
        return StepFlops(*(part / scale for part in vars(step).values()))


def bert_base(layers: int) -> ModelShape:
    """bert-base-uncased with that many layers."""
    return ModelShape(layers, 768, 3072, 30_522)


def arms() -> list[Arm]:
    """The students of the paper, each once: figure 1, tables 1 and 2, and three of them at weights 5/2/1."""
    depths = [Arm(f"{layers} layers", layers) for layers in range(12, 0, -1)]  # 6 is the baseline of both tables
    losses = [Arm("mlm+ce"), Arm("mlm+cos", logit_term=False), Arm("ce+cos (no mlm)")]
    mixed = [("output", True), ("inputs", False), ("logits+output", True), ("logits+output+inputs", True)]
    mixed += [("logits+inputs (proposed)", True), ("logits", True)]
    supervision = [Arm("debiased teacher", teacher="debiased"), *(Arm(f"mixup {what}", twin=t) for what, t in mixed)]
    other_weights = [
        Arm("baseline 5/2/1"),
        Arm("mlm+cos 5/2/1", logit_term=False),
        Arm("proposed 5/2/1", twin=True),
    ]
    return [*depths, *losses, *supervision, *other_weights]


def cohorts(of: list[Arm], size: int) -> Iterator[list[Arm]]:
    """Groups of at most ``size`` students of one teacher, those that need the same passes of it together."""
    kinds = sorted({(arm.teacher, arm.twin, arm.logit_term) for arm in of})
    by_teacher: dict[str, list[Arm]] = {}
    for kind in kinds:
        by_teacher.setdefault(kind[0], []).extend(arm for arm in of if (arm.teacher, arm.twin, arm.logit_term) == kind)
    for group in by_teacher.values():
        yield from (group[i : i + size] for i in range(0, len(group), size))


def study_flops_a_token(size: int) -> float:
    """Operations of the whole study for one token of the corpus, when ``size`` students share a teacher's pass."""
    total = 0.0
    for group in cohorts(arms(), size):
        costs = [arm.flops_a_token() for arm in group]
        total += max(cost.teacher for cost in costs) + sum(cost.student for cost in costs)
    return total


def parameters(layers: int) -> int:
    """Of a BERT student with its masked-LM head."""
    with torch.device("meta"):
        return BertForMaskedLM(BertConfig(num_hidden_layers=layers)).num_parameters()


def run() -> list[str]:
    """Measure what can be measured here; returns the lines of the report, in Markdown."""
    rate, bytes_a_token, cache_ratio = tokens_per_second_and_worker()
    reached, matmul = cpu_rates()
    threads = torch.get_num_threads()
    baseline, proposed = Arm("").flops_a_token(), Arm("", twin=True).flops_a_token()
    return [
        f"Measured here: tokenising {rate:,.0f} tokens/s a core, {bytes_a_token:.2f} bytes of text a token, {cache_ratio:.2f} bytes of cache a byte of "
        f"text; a faithful BERT-base step (12 → 6 layers, fp32, {threads} threads) {reached / 1e9:,.0f} GFLOP/s, "
        f"{100 * reached / matmul:.0f} % of the matrix product's {matmul / 1e9:,.0f}.",
        f"A token costs {baseline.total / 1e9:.2f} GFLOP with the baseline's 6 layers, {proposed.total / 1e9:.2f} with the proposed mixup.",
        "",
        *_sizes(bytes_a_token, cache_ratio, rate),
        "",
        *_hours(bytes_a_token, reached),
    ]


def _sizes(bytes_a_token: float, cache_ratio: float, rate: float) -> list[str]:
    per_student = 4 * sum(parameters(arm.layers) for arm in arms())
    # two checkpoints kept and one being written: weights and two moments
    checkpoints = 3 * 12 * parameters(6)
    lines = [
        f"| corpus | text, GB | tokens | tokens seen by {len(arms())} students | steps a student | token cache, GB | tokenising, core-hours | checkpoints a run, GB | "
        "all students, GB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for scale in SCALES:
        text = scale * TEXT_BYTES
        tokens = text / bytes_a_token
        steps = math.ceil(EPOCHS * tokens / MEAN_LENGTH / SEQUENCES_A_STEP)
        lines.append(
            f"| {scale}× | {text / 1e9:,.1f} | {tokens / 1e9:,.2f}·10⁹ | {len(arms()) * EPOCHS * tokens / 1e9:,.0f}·10⁹ | {steps:,} | "
            f"{cache_ratio * text / 1e9:,.1f} | {tokens / rate / 3600:,.1f} | {checkpoints / 1e9:.1f} | {per_student / 1e9:.1f} |"
        )
    return lines


def _hours(bytes_a_token: float, cpu: float) -> list[str]:
    baseline = Arm("").flops_a_token().total
    alone, shared = study_flops_a_token(1), study_flops_a_token(4)
    lines = [
        f"| machine | corpus | tokens/s | hours: one 6-layer student | hours: all {len(arms())}, each alone | hours: all, four to a teacher's pass |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    machines = [
        (f"{V100S}×V100 at {100 * fraction:.0f} % of the fp16 peak (assumed)", V100S * V100_PEAK * fraction, SCALES)
        for fraction in ASSUMED_FRACTIONS
    ]
    for name, speed, scales in [*machines, ("this machine's CPU (measured)", cpu, SCALES[:1])]:
        for scale in scales:
            tokens = EPOCHS * scale * TEXT_BYTES / bytes_a_token
            hours = (f"{tokens * cost / speed / 3600:,.0f}" for cost in (baseline, alone, shared))
            lines.append(f"| {name} | {scale}× | {speed / baseline:,.0f} | {' | '.join(hours)} |")
    return lines


def cpu_rates(sequences: int = 32, steps: int = 3) -> tuple[float, float]:
    """FLOP/s of a faithful step on full blocks of 128 tokens (the first step left out), and of the matrix product it is held against."""
    shape = Shape(batch=sequences)
    teacher, (student,) = models(shape)
    runner = StepRunner(DistillationTrainer, shape, student, teacher, "attended", False, use_cpu=True)
    before = _matmul_rate()
    seconds = [runner.step(batch, i)[1] for i, batch in enumerate(full_batches(shape, steps + 1))][1:]
    shapes = (ModelShape.of(model.config) for model in (teacher, student))
    step = step_flops(*shapes, Tokens.padded(sequences, shape.length), sequences * shape.length)
    return step.total / min(seconds), max(before, _matmul_rate())


def _matmul_rate(rows: int = 1024, inner: int = 768, columns: int = 3072) -> float:
    left, right = torch.randn(rows, inner), torch.randn(inner, columns)
    best = math.inf
    for _ in range(20):
        start = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - start)
    return 2 * rows * inner * columns / best
