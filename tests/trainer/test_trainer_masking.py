"""XLM-style corruption: how many targets, which ones how often, and what becomes of them."""

from itertools import combinations
from math import ceil

import pytest
import torch
from scipy.stats import chisquare

from evenhand.trainer.masking import IGNORED, XlmMasking

PAD, UNK, CLS, SEP, MASK = range(5)
SPECIAL = [PAD, UNK, CLS, SEP, MASK]


def masking(counts=None, size=30, **options):
    counts = torch.ones(size, dtype=torch.long) if counts is None else counts
    return XlmMasking(counts, MASK, SPECIAL, **options)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def sentences(lengths, size=30):
    width = max(lengths)
    ids = torch.full((len(lengths), width), PAD)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        words = torch.randint(5, size, (length - 2,), generator=generator(row))
        ids[row, :length] = torch.tensor([CLS, *words.tolist(), SEP])
        mask[row, :length] = 1
    return ids, mask


@pytest.mark.parametrize("lengths", ([12], [12, 20, 3], [40, 40, 40], [3, 3]))
@pytest.mark.parametrize("probability", (0.15, 0.4))
def test_number_of_targets_is_the_share_of_real_tokens_rounded_up(lengths, probability):
    ids, mask = sentences(lengths)
    result = masking(probability=probability).corrupt(ids, mask, generator())
    targets = result.labels != IGNORED
    assert int(targets.sum()) == min(ceil(probability * sum(lengths)), sum(lengths) - 2 * len(lengths))


def test_targets_are_drawn_over_the_flattened_batch_not_by_row():
    ids, mask = sentences([10, 10])
    per_row = [
        tuple((masking().corrupt(ids, mask, generator(seed)).labels != IGNORED).sum(1).tolist()) for seed in range(40)
    ]
    assert set(per_row) == {(3, 0), (2, 1), (1, 2), (0, 3)}


def test_labels_hold_the_original_ids_and_nothing_else_changes():
    ids, mask = sentences([30, 22, 9])
    result = masking(probability=0.5).corrupt(ids, mask, generator())
    targets = result.labels != IGNORED
    assert torch.equal(result.labels[targets], ids[targets])
    assert torch.equal(result.input_ids[~targets], ids[~targets])
    assert result.input_ids.shape == result.labels.shape == ids.shape


def test_special_tokens_and_padding_are_never_targets():
    ids, mask = sentences([14, 9, 5])
    ids[0, 3], ids[1, 2] = UNK, MASK
    padding_like_words = ids.clone()
    padding_like_words[mask == 0] = 17  # an ordinary id where the attention mask says there is nothing
    for seed in range(30):
        result = masking(probability=1.0).corrupt(padding_like_words, mask, generator(seed))
        targets = result.labels != IGNORED
        assert not (targets & (mask == 0)).any()
        assert not torch.isin(ids[targets], torch.tensor(SPECIAL)).any()
        assert int(targets.sum()) == int((~torch.isin(ids, torch.tensor(SPECIAL))).sum())


def test_batch_of_special_tokens_has_no_target():
    ids = torch.tensor([[CLS, SEP]])
    result = masking().corrupt(ids, torch.ones_like(ids), generator())
    assert torch.equal(result.input_ids, ids) and (result.labels == IGNORED).all()


COUNTS = torch.zeros(30, dtype=torch.long)
COUNTS[5:11] = torch.tensor([1, 0, 10, 100, 1000, 30])
"""A word that the corpus does not hold weighs as one that it holds once."""


def shares(ids, smoothing):
    weights = torch.tensor([max(int(COUNTS[i]), 1) ** -smoothing for i in ids], dtype=torch.float64)
    return (weights / weights.sum()).tolist()


@pytest.mark.parametrize("smoothing", (0.7, 0.0, 1.0))
def test_one_target_is_drawn_in_proportion_to_count_to_the_minus_smoothing(smoothing):
    words, draws = [6, 7, 8, 9], 3000
    ids = torch.tensor([[CLS, *words, SEP]])  # six tokens: ceil(.9) = 1 target
    drawer, source = masking(COUNTS, smoothing=smoothing), generator(1)
    seen = torch.zeros(6)
    for _ in range(draws):
        seen += (drawer.corrupt(ids, torch.ones_like(ids), source).labels != IGNORED).squeeze(0)
    expected = [draws * share for share in shares(words, smoothing)]
    assert chisquare(seen[1:5].tolist(), expected).pvalue > 1e-3


def test_two_targets_are_drawn_one_after_the_other_without_replacement():
    words, draws = [5, 7, 8, 9, 10, 6], 4000
    ids = torch.tensor([[CLS, *words, SEP]])  # eight tokens: ceil(1.2) = 2 targets
    drawer, source = masking(COUNTS), generator(2)
    seen = dict.fromkeys(combinations(range(1, 7), 2), 0)
    for _ in range(draws):
        labels = drawer.corrupt(ids, torch.ones_like(ids), source).labels.squeeze(0)
        seen[tuple((labels != IGNORED).nonzero().flatten().tolist())] += 1
    p = dict(zip(range(1, 7), shares(words, 0.7), strict=True))
    expected = [draws * (p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j])) for i, j in seen]
    assert chisquare(list(seen.values()), expected).pvalue > 1e-3


def test_targets_become_mask_stay_or_become_a_uniform_id_80_10_10():
    size, word = 20, 7
    ids = torch.full((40, 1000), word)
    result = masking(size=size, probability=1.0).corrupt(ids, torch.ones_like(ids), generator(3))
    seen = torch.bincount(result.input_ids.flatten(), minlength=size).double()
    expected = torch.full((size,), 0.1 / size, dtype=torch.float64)
    expected[MASK] += 0.8
    expected[word] += 0.1
    assert len(seen) == size
    assert chisquare(seen.tolist(), (expected * ids.numel()).tolist()).pvalue > 1e-3


def test_draws_depend_on_the_generator_alone():
    ids, mask = sentences([40, 33])
    torch.manual_seed(0)
    first = masking().corrupt(ids, mask, generator(5))
    torch.manual_seed(1)
    again, other = masking().corrupt(ids, mask, generator(5)), masking().corrupt(ids, mask, generator(6))
    assert torch.equal(first.input_ids, again.input_ids) and torch.equal(first.labels, again.labels)
    assert not torch.equal(first.labels, other.labels)


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"probability": 0.0}, "mlm_probability"),
        ({"probability": 1.1}, "mlm_probability"),
        ({"smoothing": -0.1}, "mlm_smoothing"),
        ({"smoothing": float("nan")}, "mlm_smoothing"),
    ),
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        masking(**options)


def test_tokenizer_without_mask_token_is_refused():
    with pytest.raises(ValueError, match="no mask token"):
        XlmMasking(torch.ones(8), None, [0])
