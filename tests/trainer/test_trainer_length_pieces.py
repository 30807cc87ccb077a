"""Batches cut into pieces of similar length: the cheapest cut, and the same hidden states."""

import itertools

import numpy as np
import pytest
import torch

from evenhand.trainer import chunked_head
from evenhand.trainer.length_pieces import ONE_PIECE, Cutting, cut_by_length, cutting_for, places_of
from evenhand.trainer.mlm_parts import MlmParts


def cost(pieces, n_sequences: int, overhead: int) -> int:
    sizes = [n_sequences if piece["sequences"] is None else len(piece["sequences"]) for piece in pieces]
    return sum(n * piece["length"] + overhead for n, piece in zip(sizes, pieces, strict=True))


def cheapest_by_trying_all(lengths, at_most: int, overhead: int) -> int:
    falling, n = sorted(lengths, reverse=True), len(lengths)
    tried = []
    for number in range(min(at_most, n)):
        for borders in itertools.combinations(range(1, n), number):
            edges = [0, *borders, n]
            tried.append(sum((b - a) * falling[a] + overhead for a, b in itertools.pairwise(edges)))
    return min(tried)


@pytest.mark.parametrize("overhead", (0, 5, 40, 1000))
@pytest.mark.parametrize("at_most", (1, 2, 3, 8))
def test_the_cut_is_the_cheapest_of_all(at_most, overhead):
    draw = np.random.default_rng(overhead + at_most)
    for n in (1, 2, 3, 7, 9):
        lengths = draw.integers(1, 40, n)
        pieces = cut_by_length(lengths, at_most, overhead)
        assert len(pieces) <= at_most
        assert cost(pieces, n, overhead) == cheapest_by_trying_all(lengths.tolist(), at_most, overhead)


def test_every_sequence_is_in_one_piece_that_is_long_enough():
    lengths = np.array([3, 20, 7, 20, 1, 8])
    pieces = cut_by_length(lengths, 4, 0)
    assert sorted(torch.cat([piece["sequences"] for piece in pieces]).tolist()) == list(range(6))
    for piece in pieces:
        own = lengths[piece["sequences"].numpy()]
        assert own.max() == piece["length"] and piece["padded"] == (own.min() < own.max())


def test_a_batch_without_padding_stays_whole_and_needs_no_mask():
    assert cut_by_length(np.array([9, 9, 9]), 8, 0) == [{"sequences": None, "length": 9, "padded": False}]


@pytest.mark.parametrize("family", ("bert", "distilbert", "roberta", "electra"))
@pytest.mark.filterwarnings("ignore:.*is not of a family whose head is known")
def test_pieces_give_the_hidden_states_and_decoder_inputs_of_the_whole_batch(make_model, family):
    model = make_model(family, 2, seed=4).eval()
    lengths = torch.tensor([5, 2, 9, 9, 3])
    mask = (torch.arange(9) < lengths.unsqueeze(1)).long()
    ids = torch.randint(6, 20, (5, 9), generator=torch.Generator().manual_seed(0))
    ids = torch.where(mask.bool(), ids, model.config.pad_token_id)
    real = mask.flatten().nonzero().flatten()
    parts = MlmParts(model)
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        for cutting in (ONE_PIECE, Cutting(2, 0), Cutting(8, 0)):
            pieces = cutting.pieces(mask)
            encoded = parts.encode(ids, mask, pieces)
            places = places_of(pieces, mask.shape)[real]
            torch.testing.assert_close(encoded.hidden[places], expected.hidden_states[-1].flatten(0, 1)[real])
            logits = parts.logits(parts.head_rows(encoded, places))
            torch.testing.assert_close(logits, expected.logits.flatten(0, 1)[real], rtol=1e-4, atol=1e-5)
    assert len(Cutting(8, 0).pieces(mask)) == 4
    assert (places_of(Cutting(8, 0).pieces(mask), mask.shape) == -1).sum() > 0


def test_a_small_model_is_cut_less_than_a_large_one_and_on_a_gpu_less_than_on_a_cpu(make_model):
    small = make_model("bert", 1, seed=0).base_model
    large = torch.nn.ModuleDict({"encoder": torch.nn.Linear(2000, 2000, device="meta")})
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert cutting_for(cpu, 8, large).overhead < cutting_for(cpu, 8, small).overhead
    assert cutting_for(cpu, 8, large).overhead < cutting_for(gpu, 8, large).overhead


@pytest.mark.parametrize("family", ("bert", "electra"))
@pytest.mark.filterwarnings("ignore:.*is not of a family whose head is known")
def test_logits_are_a_fresh_tensor_and_filled_up_only_inside_the_product(make_model, family, monkeypatch):
    model = make_model(family, 1, seed=4).eval()
    parts, ids = MlmParts(model), torch.randint(6, 20, (2, 5), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        rows = parts.head_rows(parts.encode(ids, torch.ones_like(ids)), torch.arange(10))
        plain, kept = parts.logits(rows), rows.clone()
        parts.logits(rows).zero_()
        assert torch.equal(rows, kept)
        if family == "bert":
            monkeypatch.setattr(chunked_head, "PADDED_ON", ("cpu",))
            model.bfloat16()
            filled = parts.logits(rows.bfloat16())
            assert filled.shape == plain.shape and len(parts._padded_decoder[1]) % 8 == 0
            torch.testing.assert_close(filled.float(), plain, rtol=0.05, atol=0.05)
