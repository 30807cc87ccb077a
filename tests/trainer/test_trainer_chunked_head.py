"""The head in chunks of rows: totals and gradients of one dense pass."""

import pytest
import torch

from evenhand.trainer.chunked_head import Head, chunked_head_losses

ROWS, FEATURES, VOCABULARY = 7, 4, 5


def tensors(dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    shapes = ((ROWS, FEATURES), (VOCABULARY, FEATURES), (VOCABULARY,))
    return [torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


TARGET = torch.randn(ROWS, VOCABULARY, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


COEFFICIENTS = torch.tensor([0.3, 2.0, 0.0], dtype=torch.float64)


def two_terms(logits, start, stop, coefficients):
    """Not linear in the logits, different in each row, and with a sum that is not part of the total."""
    assert len(logits) == stop - start and not torch.is_grad_enabled()
    error = logits - TARGET[start:stop].to(logits.dtype)
    sums = torch.stack([error.square().sum(), torch.logsumexp(logits, -1).sum(), logits.sum()])
    if coefficients is not None:
        logits.copy_(2 * coefficients[0] * error + coefficients[1] * logits.softmax(-1))
    return sums


def chunked(rows, weight, bias, chunk_size):
    head = Head(
        rows, weight, bias, COEFFICIENTS.to(torch.float32 if rows.dtype == torch.bfloat16 else rows.dtype), two_terms
    )
    ((total, sums),) = chunked_head_losses([head], chunk_size)
    return total, sums


def dense(rows, weight, bias):
    logits = rows if weight is None else rows @ weight.T + (0 if bias is None else bias)
    square, entropy = ((logits - TARGET) ** 2).sum(), logits.exp().sum(-1).log().sum()
    return 0.3 * square + 2 * entropy, torch.stack([square, entropy, logits.sum()]).detach()


@pytest.mark.parametrize("chunk_size", (1, 3, 1000))
@pytest.mark.parametrize("with_bias", (True, False))
def test_chunks_equal_one_dense_pass(chunk_size, with_bias):
    ours, theirs = tensors(), tensors()
    if not with_bias:
        ours[2] = theirs[2] = None
    total, sums = chunked(*ours, chunk_size)
    expected, expected_sums = dense(*theirs)
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(sums, expected_sums)
    (0.7 * total).backward()
    (0.7 * expected).backward()
    for mine, reference in zip(ours, theirs, strict=True):
        if mine is not None:
            torch.testing.assert_close(mine.grad, reference.grad)


@pytest.mark.parametrize("chunk_size", (2, 1000))
def test_rows_that_are_logits_already_need_no_decoder(chunk_size):
    ours = TARGET.flip(0).clone().requires_grad_()
    theirs = TARGET.flip(0).clone().requires_grad_()
    total, sums = chunked(ours, None, None, chunk_size)
    expected, expected_sums = dense(theirs, None, None)
    total.backward()
    expected.backward()
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(sums, expected_sums)
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("chunk_size", (1, 3, 1000))
def test_gradients_pass_gradcheck(chunk_size):
    def total(rows, weight, bias):
        return chunked(rows, weight, bias, chunk_size)[0]

    assert torch.autograd.gradcheck(total, tensors())


def test_no_rows_give_zero_and_zero_gradients():
    _, weight, bias = tensors()
    rows = torch.zeros(0, FEATURES, dtype=torch.float64, requires_grad=True)
    total, sums = chunked(rows, weight, bias, 4)
    total.backward()
    assert float(total.detach()) == 0 and sums.tolist() == [0, 0, 0]
    assert rows.grad.shape == (0, FEATURES)
    assert weight.grad.abs().sum() == 0 and bias.grad.abs().sum() == 0


def test_without_grad_mode_the_values_are_the_same():
    with torch.no_grad():
        total, sums = chunked(*tensors(), 3)
    expected, expected_sums = dense(*tensors())
    torch.testing.assert_close(total, expected.detach())
    torch.testing.assert_close(sums, expected_sums)
    assert not total.requires_grad


def test_half_precision_weights_get_gradients_summed_in_fp32():
    ours = [tensor.detach().bfloat16().requires_grad_() for tensor in tensors()]
    total, _ = chunked(*ours, 1)
    total.backward()
    exact = [tensor.detach().double().requires_grad_() for tensor in ours]
    dense(*exact)[0].backward()
    assert total.dtype == torch.float32
    for mine, reference in zip(ours, exact, strict=True):
        assert mine.grad.dtype == torch.bfloat16
        torch.testing.assert_close(mine.grad.double(), reference.grad, rtol=0.03, atol=0.1)
