"""What guessing by frequency loses: the model used for it gives every token its log frequency, at every position."""

from types import SimpleNamespace

import pytest
import torch

from evenhand.launch.unigram_loss import unigram_loss, unigram_model


def corpus_of(counts, lengths=(3, 5)):
    return SimpleNamespace(token_counts=torch.tensor(counts), held_out=[{"input_ids": [1] * n} for n in lengths])


def test_its_loss_is_the_cross_entropy_with_the_frequencies_by_hand():
    counts = [4, 0, 10, 1, 35]
    model = unigram_model(corpus_of(counts))
    ids = torch.tensor([[4, 2, 0, 1, 3], [1, 1, 4, 4, 2]])
    with torch.no_grad():
        loss = model(input_ids=ids, labels=ids).loss
    total = sum(count + 0.5 for count in counts)
    by_hand = (
        -sum(torch.tensor((counts[i] + 0.5) / total, dtype=torch.float64).log() for i in ids.flatten().tolist()) / 10
    )
    assert float(loss) == pytest.approx(float(by_hand), rel=1e-6)


def test_making_it_draws_no_random_number_and_without_held_out_text_there_is_none():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    unigram_model(corpus_of([1, 2, 3]))
    assert torch.equal(before, torch.random.get_rng_state())
    assert unigram_loss(None, corpus_of([1, 2], lengths=()), None) is None
