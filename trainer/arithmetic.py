"""Floating-point operations of a distillation step, counted from the shapes.

One multiply-add is two operations. Counted are the matrix products: linear layers, attention scores and their product with the
values, the head's transform and decoder. Not counted: embedding look-ups, element-wise work (activations, normalisation, softmax,
optimiser). A backward pass is twice its forward (gradients of inputs and of weights); the teacher has none. What an implementation
computes a second time in the backward pass is not counted either: these are the operations that the mathematics needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from transformers import PretrainedConfig

BACKWARD = 2
"""Operations of a backward pass over those of its forward."""


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a masked language model of BERT's kind.

    Args:
        layers: of the body.
        width: of the hidden states. intermediate: of the feed-forward layer between.
        vocab_size: rows of the decoder as the mathematics needs them (30,522 for BERT, whatever the product is padded to).
    """

    layers: int
    width: int
    intermediate: int
    vocab_size: int

    @classmethod
    def of(cls, config: PretrainedConfig) -> ModelShape:
        """From a configuration of BERT, DistilBERT, RoBERTa or any other that has their names for these sizes."""
        intermediate = config.hidden_dim if config.model_type == "distilbert" else config.intermediate_size
        return cls(config.num_hidden_layers, config.hidden_size, intermediate, config.vocab_size)

    def body(self, tokens: Tokens) -> float:
        """One forward of the body: the four products of width × width and the two of the feed-forward layer per token; per
        sequence the scores and their product with the values, length² · width each."""
        per_token = 4 * self.width**2 + 2 * self.width * self.intermediate
        return 2 * self.layers * (per_token * tokens.count + 2 * self.width * tokens.squared)

    def transform(self, rows: float) -> float:
        """One forward of the head's dense layer before the decoder, at ``rows`` positions."""
        return 2 * rows * self.width**2

    def decoder(self, rows: float) -> float:
        """One forward of the product with the vocabulary, at ``rows`` positions."""
        return 2 * rows * self.width * self.vocab_size


@dataclass(frozen=True)
class Tokens:
    """Sequences by the two sums that decide their cost.

    Args:
        count: Σ length. squared: Σ length².
    """

    count: float
    squared: float

    @classmethod
    def of(cls, lengths: Iterable[int]) -> Tokens:
        """Sequences of these real lengths: what a step without padding would compute."""
        lengths = list(lengths)
        return cls(sum(lengths), sum(length**2 for length in lengths))

    @classmethod
    def padded(cls, sequences: float, length: int) -> Tokens:
        """``sequences`` all computed at ``length``, padding included."""
        return cls(sequences * length, sequences * length**2)


@dataclass(frozen=True)
class StepFlops:
    """Operations of one optimiser step by part; forward and backward together where there is a backward."""

    teacher_body: float
    teacher_head: float
    twin_body: float
    twin_head: float
    student_body: float
    student_head: float

    @property
    def teacher(self) -> float:
        """All of the teacher's, the twin sentences included: what students of a cohort share."""
        return self.teacher_body + self.teacher_head + self.twin_body + self.twin_head

    @property
    def student(self) -> float:
        """All of one student's."""
        return self.student_body + self.student_head

    @property
    def total(self) -> float:
        """The whole step."""
        return self.teacher + self.student

    def cohort(self, students: int) -> float:
        """A step that trains ``students`` alike on one teacher's pass."""
        return self.teacher + students * self.student


def step_flops(
    teacher: ModelShape | None,
    student: ModelShape,
    tokens: Tokens,
    head_rows: float,
    *,
    teacher_head_rows: float | None = None,
    twin: Tokens | None = None,
    twin_rows: float = 0,
) -> StepFlops:
    """Operations of one step.

    Args:
        teacher: None for plain masked-LM training.
        student: its forward and backward are counted.
        tokens: of the batch, as :meth:`Tokens.padded` or :meth:`Tokens.of`.
        head_rows: positions at which the student's head runs: the attended ones in the faithful mode, the MLM targets in the mode
            ``masked`` or without a logit term. (The MLM targets are among the rows, so their loss costs no product of its own.)
        teacher_head_rows: positions at which the teacher's head runs. Default ``head_rows``; 0 without a logit term.
        twin: the sequences that hold a word of a pair, run a second time through the teacher's body; None without mixup.
        twin_rows: positions of those words, at which the teacher's transform runs again (the mixed decoder inputs need no second
            product with the vocabulary).

    Raises:
        ValueError: a negative number, or twin sequences without a teacher.
    """
    rows_of_teacher = head_rows if teacher_head_rows is None else teacher_head_rows
    twin = twin or Tokens(0, 0)
    numbers = (tokens.count, tokens.squared, head_rows, rows_of_teacher, twin.count, twin.squared, twin_rows)
    if min(numbers) < 0:
        raise ValueError(f"step_flops: counts must not be negative, but one is {min(numbers)}.")
    if teacher is None and (twin.count or twin_rows):
        raise ValueError("step_flops: twin sequences need a teacher.")
    forward_and_backward = 1 + BACKWARD
    return StepFlops(
        teacher_body=teacher.body(tokens) if teacher else 0,
        teacher_head=teacher.transform(rows_of_teacher) + teacher.decoder(rows_of_teacher) if teacher else 0,
        twin_body=teacher.body(twin) if teacher else 0,
        twin_head=teacher.transform(twin_rows) if teacher else 0,
        student_body=forward_and_backward * student.body(tokens),
        student_head=forward_and_backward * (student.transform(head_rows) + student.decoder(head_rows)),
    )
