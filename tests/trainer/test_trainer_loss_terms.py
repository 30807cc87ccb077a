"""Each loss term against numbers worked out by hand."""

from math import log

import pytest
import torch

from evenhand.trainer.loss_terms import (
    hidden_cosine_distance,
    logit_squared_error,
    masked_lm_cross_entropy,
    soft_target_kl,
)


def test_soft_target_kl_is_t_squared_times_the_sum_of_row_divergences():
    # T = 2: teacher (1/2, 1/2), student (1/4, 3/4): KL = ½ ln 2 + ½ ln ⅔ = ½ ln 4/3; the second row: teacher (2/3, 1/3),
    # student (1/3, 2/3): KL = ⅔ ln 2 − ⅓ ln 2 = ⅓ ln 2
    student = torch.tensor([[0.0, 2 * log(3)], [0.0, 2 * log(2)]], dtype=torch.float64)
    teacher = torch.tensor([[5.0, 5.0], [2 * log(2), 0.0]], dtype=torch.float64)
    expected = 4 * (0.5 * log(4 / 3) + log(2) / 3)
    assert float(soft_target_kl(student, teacher, 2.0)) == pytest.approx(expected, rel=1e-12)


def test_soft_target_kl_has_the_teacher_as_first_argument():
    # KL((2/3, 1/3) ‖ (1/4, 3/4)), which is not the reverse
    student = torch.tensor([[0.0, log(3)]], dtype=torch.float64)
    teacher = torch.tensor([[log(2), 0.0]], dtype=torch.float64)
    expected = 2 / 3 * log(8 / 3) + 1 / 3 * log(4 / 9)
    assert float(soft_target_kl(student, teacher, 1.0)) == pytest.approx(expected, rel=1e-12)


def test_soft_target_kl_survives_logits_that_overflow_a_plain_softmax():
    value = soft_target_kl(torch.tensor([[1000.0, 0.0]]), torch.tensor([[0.0, 1000.0]]), 1.0)
    assert float(value) == pytest.approx(1000.0)


def test_logit_squared_error_sums_over_rows_and_vocabulary():
    student, teacher = torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.tensor([[0.0, 4.0], [3.0, -1.0]])
    assert float(logit_squared_error(student, teacher)) == 1 + 4 + 9 + 0


def test_masked_lm_cross_entropy_sums_and_uses_no_temperature():
    logits = torch.tensor([[0.0, log(3)], [log(4), 0.0]], dtype=torch.float64)
    value = masked_lm_cross_entropy(logits, torch.tensor([1, 1]))
    assert float(value) == pytest.approx(log(4 / 3) + log(5), rel=1e-12)


def test_hidden_cosine_distance_ignores_lengths():
    student = torch.tensor([[1.0, 0.0], [1.0, 0.0], [3.0, 4.0], [2.0, 2.0]], dtype=torch.float64)
    teacher = torch.tensor([[0.0, 5.0], [-2.0, 0.0], [4.0, 3.0], [1.0, 1.0]], dtype=torch.float64)
    assert float(hidden_cosine_distance(student, teacher)) == pytest.approx(1 + 2 + (1 - 24 / 25) + 0, rel=1e-12)


@pytest.mark.parametrize("half", (torch.float16, torch.bfloat16))
def test_half_precision_is_summed_in_fp32(half):
    rows = torch.randn(4, 8, generator=torch.Generator().manual_seed(0)).to(half)
    other = rows.flip(0)
    for value in (
        soft_target_kl(rows, other, 2.0),
        logit_squared_error(rows, other),
        masked_lm_cross_entropy(rows, torch.zeros(4, dtype=torch.long)),
        hidden_cosine_distance(rows, other),
    ):
        assert value.dtype == torch.float32
    expected = (rows.double() - other.double()).square().sum()
    assert float(logit_squared_error(rows, other)) == pytest.approx(float(expected), rel=1e-6)


def test_no_rows_give_zero():
    none = torch.zeros(0, 5)
    assert float(soft_target_kl(none, none, 2.0)) == 0
    assert float(logit_squared_error(none, none)) == 0
    assert float(masked_lm_cross_entropy(none, torch.zeros(0, dtype=torch.long))) == 0
    assert float(hidden_cosine_distance(none, none)) == 0
