"""The written-out gradients of the head's terms are those of the terms as autograd sees them, in any mixture and chunking."""

import itertools

import pytest
import torch

from evenhand.trainer import chunked_head
from evenhand.trainer.chunked_head import Head, chunked_head_losses
from evenhand.trainer.head_losses import HeadLoss, MlmTargets, TeacherTargets
from evenhand.trainer.loss_terms import logit_squared_error, masked_lm_cross_entropy, soft_target_kl

ROWS, FEATURES, VOCABULARY = 71, 12, 42  # more rows than go through the element-wise steps at once
TARGET_ROWS = torch.tensor([0, 3, 4, 31, 32, 33, 63, 64, 70])


def tensors(dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((ROWS, FEATURES), (VOCABULARY, FEATURES), (VOCABULARY,))
    return [
        torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes
    ]


TEACHER = torch.randn(ROWS, VOCABULARY, generator=torch.Generator().manual_seed(9), dtype=torch.float64) * 3
LABELS = torch.randint(VOCABULARY, (len(TARGET_ROWS),), generator=torch.Generator().manual_seed(8))


def teacher(dtype=torch.float64) -> TeacherTargets:
    return TeacherTargets(lambda start, stop: TEACHER[start:stop].to(dtype))


def head(parts, on, temperature, coefficients, targets=None) -> Head:
    dtype = parts[0].dtype if parts[0].dtype == torch.float64 else torch.float32
    loss = HeadLoss(
        targets or teacher(dtype),
        MlmTargets(TARGET_ROWS, LABELS, TARGET_ROWS.numpy()) if "mlm" in on else None,
        temperature if "ce" in on else None,
        "mse" in on,
    )
    return Head(*parts, torch.tensor(coefficients, dtype=torch.float64), loss)


def dense(parts, on, temperature, coefficients):
    rows, weight, bias = parts
    logits = rows @ weight.T + bias
    terms = [
        soft_target_kl(logits, TEACHER, temperature) if "ce" in on else logits.new_zeros(()),
        masked_lm_cross_entropy(logits[TARGET_ROWS], LABELS) if "mlm" in on else logits.new_zeros(()),
        logit_squared_error(logits, TEACHER) if "mse" in on else logits.new_zeros(()),
    ]
    return sum(c * term for c, term in zip(coefficients, terms, strict=True)), torch.stack(terms).detach()


MIXTURES = [on for n in (1, 2, 3) for on in itertools.combinations(("ce", "mlm", "mse"), n)]


@pytest.mark.parametrize("temperature", (1.0, 2.0, 0.7))
@pytest.mark.parametrize("on", MIXTURES, ids="+".join)
def test_totals_sums_and_gradients_equal_the_dense_terms(on, temperature):
    coefficients = [0.3, 0.8, 0.05]
    for chunk_size in (1, 5, 50, 1000):
        ours, theirs = tensors(), tensors()
        ((total, sums),) = chunked_head_losses([head(ours, on, temperature, coefficients)], chunk_size)
        expected, terms = dense(theirs, on, temperature, coefficients)
        torch.testing.assert_close(total, expected)
        torch.testing.assert_close(sums, terms)
        (0.7 * total).backward()
        (0.7 * expected).backward()
        for mine, reference in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine.grad, reference.grad)


def test_several_students_share_a_loop_and_each_gets_its_own_loss_and_gradients():
    asked = []
    shared = TeacherTargets(lambda start, stop: asked.append((start, stop)) or TEACHER[start:stop].clone())
    mixtures = (("ce", "mlm"), ("ce", "mse"), ("mlm",))
    ours = [tensors(seed=i) for i in range(3)]
    heads = [
        head(parts, on, 1.0 + i, [1.0, 2.0, 0.1], shared)
        for i, (parts, on) in enumerate(zip(ours, mixtures, strict=True))
    ]
    losses = chunked_head_losses(heads, 16)
    assert asked == [(0, 16), (16, 32), (32, 48), (48, 64), (64, 71)]  # the teacher's logits are computed once for all
    sum((i + 1) * total for i, (total, _) in enumerate(losses)).backward()
    for i, (parts, on) in enumerate(zip(ours, mixtures, strict=True)):
        theirs = tensors(seed=i)
        expected, terms = dense(theirs, on, 1.0 + i, [1.0, 2.0, 0.1])
        ((i + 1) * expected).backward()
        torch.testing.assert_close(losses[i][0], expected)
        torch.testing.assert_close(losses[i][1], terms)
        for mine, reference in zip(parts, theirs, strict=True):
            torch.testing.assert_close(mine.grad, reference.grad)


def test_without_gradients_the_values_are_the_same():
    on, coefficients = ("ce", "mlm", "mse"), [0.3, 0.8, 0.05]
    with torch.no_grad():
        ((total, sums),) = chunked_head_losses([head(tensors(), on, 2.0, coefficients)], 16)
    expected, terms = dense(tensors(), on, 2.0, coefficients)
    torch.testing.assert_close(total, expected.detach())
    torch.testing.assert_close(sums, terms)


@pytest.mark.parametrize("vocabulary_filled_up", (False, True))
@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16))
def test_autocast_products_keep_small_gradients(dtype, vocabulary_filled_up, monkeypatch):
    """Divided by the tokens of a large step, most logit gradients are below what fp16 holds; scaled up first, they are kept."""
    if vocabulary_filled_up:  # as on a GPU
        monkeypatch.setattr(chunked_head, "PADDED_ON", ("cpu",))
        assert len(chunked_head.padded(torch.zeros(VOCABULARY, 1, dtype=dtype))) == 48
    tokens = 2.0**16
    ours = tensors(torch.float32)
    coefficients = [1 / tokens, 1 / tokens, 0.0]
    with torch.autocast("cpu", dtype=dtype):
        ((total, _),) = chunked_head_losses([head(ours, ("ce", "mlm"), 2.0, coefficients)], 16)
    total.backward()
    theirs = tensors()
    expected, _ = dense(theirs, ("ce", "mlm"), 2.0, coefficients)
    expected.backward()
    precision = {torch.bfloat16: 2**-7, torch.float16: 2**-10}[dtype]
    assert float(total.detach()) == pytest.approx(float(expected.detach()), rel=4 * precision)
    for mine, reference in zip(ours, theirs, strict=True):
        assert mine.grad.dtype == torch.float32
        size = float(reference.grad.abs().max())
        torch.testing.assert_close(mine.grad.double(), reference.grad, rtol=0, atol=6 * precision * size)


@pytest.mark.parametrize("temperature", (1.0, 2.0))
def test_squared_errors_of_far_logits_do_not_overflow_in_fp16(temperature):
    """Large weights and logits far apart: sums over the vocabulary exceed what fp16 holds, whatever the loss scale."""
    rows, weight, bias = tensors(torch.float32)
    weight = (weight.detach() * 30).requires_grad_()
    with torch.autocast("cpu", dtype=torch.float16):
        ((total, _),) = chunked_head_losses([head((rows, weight, bias), ("mse",), temperature, [0, 0, 1e-6])], 16)
    total.backward()
    assert all(part.grad.isfinite().all() for part in (rows, weight, bias))
