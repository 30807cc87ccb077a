"""How λ of the gender mixup is drawn and shared."""

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest

from evenhand.trainer import DistillationObjective, GenderMixup, WordPairs
from evenhand.trainer.distillation_step import prepare_micro_batch
from evenhand.trainer.masking import CorruptedBatch
from evenhand.trainer.supervision import MicroBatch
from evenhand.trainer.word_pairs import Occurrences


class Untouched:
    """A corruption that changes nothing."""

    def corrupt(self, input_ids, attention_mask, generator):
        return CorruptedBatch(input_ids, torch.full_like(input_ids, -100))


def lambdas(tokenizer, granularity, seed=0):
    supervision = GenderMixup(
        tokenizer, WordPairs((("grandfather", "grandmother"), ("he", "she"), ("boy", "girl"))), granularity=granularity
    )
    lines = ("he saw the grandfather and he", "she and the boy saw a girl")
    encoded = tokenizer(list(lines), padding=True, return_tensors="pt")
    batch = {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}
    generators = [torch.Generator().manual_seed(s) for s in (0, seed)]
    plan = prepare_micro_batch(batch, Untouched(), DistillationObjective(), supervision, *generators)["plan"]
    return plan["lambda"], plan


@pytest.mark.parametrize(
    ("granularity", "groups"),
    (("occurrence", [0, 1, 1, 2, 3, 4, 5]), ("sequence", [0, 0, 0, 0, 1, 1, 1]), ("batch", [0] * 7)),
)
def test_lambda_is_shared_as_the_granularity_says(wordpiece, granularity, groups):
    lam, plan = lambdas(wordpiece, granularity)
    values = {}
    for group, value in zip(groups, lam.tolist(), strict=True):
        values.setdefault(group, value)
        assert values[group] == value
    assert len(set(values.values())) == len(values)
    first = torch.tensor([True, True, True, True, False, True, False])
    torch.testing.assert_close(plan["observed_weight"], torch.where(first, lam, 1 - lam))


def test_lambda_depends_on_the_generator_alone(wordpiece):
    np.random.seed(0)
    torch.manual_seed(0)
    first, _ = lambdas(wordpiece, "occurrence", seed=4)
    again, _ = lambdas(wordpiece, "occurrence", seed=4)
    other, _ = lambdas(wordpiece, "occurrence", seed=5)
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("alpha", (0.4, 2.0))
def test_lambda_follows_the_symmetric_beta_distribution(wordpiece, alpha):
    n = 20_000
    numbers = torch.arange(n)
    found = Occurrences(numbers, numbers, numbers.bool(), numbers, numbers * 0)
    supervision = GenderMixup(wordpiece, alpha=alpha)
    one_row = MicroBatch(*(torch.zeros(1, n, dtype=torch.long),) * 4, numbers, numbers)
    lam = supervision.draw_lambda(found, one_row, torch.Generator().manual_seed(1)).double()
    variance = 1 / (4 * (2 * alpha + 1))
    assert float(lam.mean()) == pytest.approx(0.5, abs=4 * (variance / n) ** 0.5)
    assert float(lam.var()) == pytest.approx(variance, rel=0.03)
    assert kstest(lam.clamp(1e-7, 1 - 1e-7).numpy(), beta(alpha, alpha).cdf).pvalue > 1e-3
