"""Order, padding, counts and random streams."""

import tracemalloc
from itertools import islice

import datasets
import pytest
import torch
from torch.utils.data import IterableDataset

from evenhand.trainer import batches
from evenhand.trainer.batches import EndlessStream, EpochSampler, PaddingCollator, sequence_lengths
from evenhand.trainer.randomness import derive_seed, generator_for
from evenhand.trainer.token_counts import count_tokens


def test_order_is_a_pure_function_of_seed_and_epoch():
    straight, resumed = EpochSampler(50, seed=3), EpochSampler(50, seed=3)
    epochs = []
    for epoch in range(3):
        straight.set_epoch(epoch)
        epochs.append(list(straight))
        assert sorted(epochs[-1]) == list(range(50))
    torch.manual_seed(99)
    resumed.set_epoch(2)
    assert list(resumed) == epochs[2] == list(resumed)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert list(EpochSampler(50, seed=4)) != epochs[0]
    assert len(resumed) == 50


def test_grouped_order_keeps_steps_of_like_length_and_is_pure_too():
    lengths = torch.randint(5, 60, (203,), generator=torch.Generator().manual_seed(0))
    straight, resumed = (EpochSampler(203, 3, lengths, batch_size=8) for _ in range(2))
    straight.set_epoch(0)
    first = list(straight)
    straight.set_epoch(1)
    second = list(straight)
    resumed.set_epoch(1)
    assert list(resumed) == second != first
    for order in (first, second):
        assert sorted(order) == list(range(203))
        steps = [lengths[order[i : i + 8]] for i in range(0, 200, 8)]
        ranges = torch.stack([step.max() - step.min() for step in steps]).double()
        assert float(ranges.mean()) < 8  # of 55; 44 in a random order
        means = torch.stack([step.double().mean() for step in steps])
        assert not torch.equal(means, means.sort().values)  # not one length class after the other


def plain_order(size, seed, epoch, lengths, batch_size):
    """The order written down as it is defined, one example and one block after the other."""
    generator = generator_for(seed, "order", epoch)
    order = torch.randperm(size, generator=generator).tolist()
    if lengths is None:
        return order
    pool = batch_size * EpochSampler.POOL
    blocks = []
    for start in range(0, size, pool):
        in_order = sorted(order[start : start + pool], key=lambda i: lengths[i])
        blocks += [in_order[i : i + batch_size] for i in range(0, len(in_order), batch_size)]
    whole = [block for block in blocks if len(block) == batch_size]
    shuffled = [whole[i] for i in torch.randperm(len(whole), generator=generator).tolist()]
    return [i for block in [*shuffled, *(block for block in blocks if len(block) < batch_size)] for i in block]


@pytest.mark.parametrize(
    ("size", "batch_size"), ((0, 4), (1, 4), (3, 4), (4, 4), (200, 4), (203, 4), (399, 4), (1001, 3), (1234, 1))
)
@pytest.mark.parametrize("at_once", (7, 1000, 1 << 20))
def test_order_does_not_depend_on_how_much_is_worked_on_together(monkeypatch, size, batch_size, at_once):
    monkeypatch.setattr(batches, "_AT_ONCE", at_once)
    lengths = torch.randint(1, 9, (size,), generator=torch.Generator().manual_seed(size), dtype=torch.int32)
    for given in (None, lengths):
        sampler = EpochSampler(size, 5, given, batch_size)
        sampler.set_epoch(2)
        assert list(sampler) == plain_order(size, 5, 2, given, batch_size)


def test_order_is_handed_out_without_a_list_of_it(monkeypatch):
    monkeypatch.setattr(batches, "_AT_ONCE", 1 << 12)
    sampler = EpochSampler(300_000, seed=0, lengths=torch.ones(300_000, dtype=torch.int32), batch_size=64)
    tracemalloc.start()  # sees Python's numbers and lists: the whole order would be 12 MB of them
    try:
        n = sum(1 for _ in sampler)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n == 300_000 and peak < 1e6


def test_lengths_are_read_from_arrow_offsets_lists_and_selections_alike():
    rows = [[1] * n for n in (3, 1, 4, 1, 5)]
    whole = datasets.Dataset.from_dict({"input_ids": rows})
    parts = datasets.concatenate_datasets([whole, whole])
    assert sequence_lengths(whole).tolist() == sequence_lengths([{"input_ids": row} for row in rows]).tolist()
    assert sequence_lengths(parts).tolist() == [3, 1, 4, 1, 5] * 2
    assert sequence_lengths(whole.select([4, 0])).tolist() == [5, 3]
    assert sequence_lengths(whole.select(range(1, 4))).tolist() == [1, 4, 1]
    assert sequence_lengths(parts.select([9, 0, 7])).tolist() == [5, 3, 4]
    assert sequence_lengths(whole.select([])).tolist() == []
    doubled = whole.with_transform(lambda batch: {"input_ids": [row * 2 for row in batch["input_ids"]]})
    assert sequence_lengths(doubled).tolist() == [6, 2, 8, 2, 10]


class Stream(IterableDataset):
    def __init__(self, size):
        self.size, self.epoch = size, None

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        return iter([(self.epoch, i) for i in range(self.size)])


def test_stream_is_read_pass_after_pass_each_with_its_epoch():
    assert list(islice(EndlessStream(Stream(2)), 5)) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert list(EndlessStream(Stream(0))) == []


def test_collator_pads_to_the_longest_and_marks_what_is_real():
    batch = PaddingCollator(9)([{"input_ids": [1, 2, 3]}, {"input_ids": [4]}, {"input_ids": [9, 9]}])
    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 9, 9], [9, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == torch.long


def test_seeds_depend_on_every_part_of_the_key():
    keys = [
        (0, "masks", 1, 2, 0),
        (1, "masks", 1, 2, 0),
        (0, "words", 1, 2, 0),
        (0, "masks", 2, 1, 0),
        (0, "masks", 12, 0),
    ]
    seeds = [derive_seed(*key) for key in keys]
    assert len(set(seeds)) == len(keys) and all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed("a", 1) != derive_seed("a", "1")
    first, again = generator_for("x", 1), generator_for("x", 1)
    assert torch.equal(torch.rand(4, generator=first), torch.rand(4, generator=again))


def test_token_counts_are_occurrences():
    rows = [{"input_ids": [2, 5, 5, 3]}, {"input_ids": [2, 6, 3]}]
    assert count_tokens(rows, 8).tolist() == [0, 0, 2, 2, 0, 2, 1, 0]
    stored = datasets.Dataset.from_list(rows)
    assert count_tokens(stored, 8).tolist() == [0, 0, 2, 2, 0, 2, 1, 0]
    assert count_tokens(datasets.concatenate_datasets([stored, stored]).select([3, 0, 0]), 8).tolist() == [
        0,
        0,
        3,
        3,
        0,
        4,
        1,
        0,
    ]
    doubled = stored.with_transform(lambda batch: {"input_ids": [row * 2 for row in batch["input_ids"]]})
    assert count_tokens(doubled, 8).tolist() == [0, 0, 4, 4, 0, 4, 2, 0]


def test_token_outside_the_vocabulary_is_named():
    with pytest.raises(ValueError, match="token id 9, but the tokenizer has 8"):
        count_tokens([{"input_ids": [9]}], 8)
