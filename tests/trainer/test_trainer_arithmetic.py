"""Operations counted from the shapes, against torch's own counter and by hand."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForMaskedLM, DistilBertConfig, DistilBertForMaskedLM

from evenhand.trainer.arithmetic import ModelShape, StepFlops, Tokens, step_flops
from evenhand.trainer.mlm_parts import MlmParts

BATCH, LENGTH = 3, 10
ROWS = torch.tensor([0, 3, 4, 11, 25])


def bert(layers):
    # eager: torch's counter knows its products, but not every fused attention
    config = BertConfig(
        vocab_size=50, hidden_size=12, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=20, attn_implementation="eager"
    )  # fmt: skip
    return BertForMaskedLM(config)


def distilbert(layers):
    config = DistilBertConfig(
        vocab_size=50, dim=12, n_layers=layers, n_heads=2, hidden_dim=28, attn_implementation="eager"
    )
    return DistilBertForMaskedLM(config)


def counted(model, sequences, rows, backward):
    """What torch counts in a forward (and backward) of the body at all positions and the head at ``rows``."""
    parts = MlmParts(model)
    ids = torch.randint(5, 50, (sequences, LENGTH))
    with FlopCounterMode(display=False) as counter:
        decoder_inputs = parts.head_rows(parts.encode(ids, torch.ones_like(ids)), rows)
        logits = torch.nn.functional.linear(decoder_inputs, *parts.decoder)
        if backward:
            logits.sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("make", (bert, distilbert))
def test_parts_are_what_torch_counts(make):
    student, teacher = make(2), make(3)
    shapes = [ModelShape.of(model.config) for model in (teacher, student)]
    step = step_flops(*shapes, Tokens.padded(BATCH, LENGTH), len(ROWS))
    assert step.student == counted(student, BATCH, ROWS, backward=True)
    with torch.no_grad():
        assert step.teacher == counted(teacher, BATCH, ROWS, backward=False)
    assert step.total == step.teacher + step.student
    assert step.cohort(4) == step.teacher + 4 * step.student


def test_twin_is_a_second_body_and_transform_without_a_product_with_the_vocabulary():
    shape = ModelShape.of(bert(3).config)
    plain = step_flops(shape, shape, Tokens.padded(BATCH, LENGTH), len(ROWS))
    mixed = step_flops(
        shape, shape, Tokens.padded(BATCH, LENGTH), len(ROWS), twin=Tokens.padded(2, LENGTH), twin_rows=4
    )
    parts = MlmParts(bert(3))
    ids = torch.randint(5, 50, (2, LENGTH))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        parts.head_rows(parts.encode(ids, torch.ones_like(ids)), torch.arange(4))
    assert mixed.total - plain.total == mixed.twin_body + mixed.twin_head == counter.get_total_flops()


def test_padding_costs_and_sequences_do_not_attend_to_each_other():
    assert Tokens.of([2, 3, 5]) == Tokens(10, 38)
    assert Tokens.padded(3, 5) == Tokens.of([5, 5, 5]) == Tokens(15, 75)
    shape = ModelShape(layers=1, width=4, intermediate=8, vocab_size=10)
    assert shape.body(Tokens.of([2, 3])) == shape.body(Tokens.of([2])) + shape.body(Tokens.of([3]))
    # by hand: 128 multiply-adds a token, 2 · 4 · length² a sequence
    assert shape.body(Tokens.of([2, 3])) == 2 * (128 * 5 + 8 * 13)


def test_bert_base_to_six_layers_by_hand():
    teacher, student = (ModelShape(layers, 768, 3072, 30_522) for layers in (12, 6))
    assert ModelShape.of(BertConfig()) == teacher
    step = step_flops(teacher, student, Tokens.padded(32, 128), 32 * 128)
    layer = 2 * 4096 * (12 * 768**2) + 2 * 2 * 32 * 128**2 * 768
    head = 2 * 4096 * (768**2 + 768 * 30_522)
    assert step == StepFlops(12 * layer, head, 0, 0, 18 * layer, 3 * head)
    # four students on one teacher's pass: the ceiling that a cohort is held against
    assert 4 * step.total / step.cohort(4) == pytest.approx(1.36, abs=0.005)


def test_modes_differ_by_their_rows():
    shape = ModelShape(2, 8, 32, 100)
    tokens = Tokens.padded(2, 10)
    faithful, masked = step_flops(shape, shape, tokens, 20), step_flops(shape, shape, tokens, 3)
    assert faithful.student_body == masked.student_body and faithful.student_head * 3 == masked.student_head * 20
    hidden_only = step_flops(shape, shape, tokens, 3, teacher_head_rows=0)
    assert hidden_only.teacher_head == 0 and hidden_only.student == masked.student
    alone = step_flops(None, shape, tokens, 3)
    assert alone.teacher == 0 and alone.total == masked.student


def test_impossible_counts_are_refused():
    shape = ModelShape(2, 8, 32, 100)
    with pytest.raises(ValueError, match="must not be negative, but one is -1"):
        step_flops(shape, shape, Tokens.padded(2, 10), -1)
    with pytest.raises(ValueError, match="need a teacher"):
        step_flops(None, shape, Tokens.padded(2, 10), 3, twin=Tokens.padded(1, 10))
