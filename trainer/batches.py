"""Batches whose order is a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import datasets
import numpy as np
import pyarrow.compute as pc
import torch
from torch.utils.data import IterableDataset, Sampler

from evenhand.trainer.randomness import generator_for


class PaddingCollator:
    """Pads ``input_ids`` to the longest of the batch; nothing random happens here, so workers need no seeding.

    Args:
        pad_token_id: the filler.

    Returns (when called with a list of examples): ``input_ids`` and ``attention_mask``, both ``(batch, length)``.
    """

    def __init__(self, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id

    def __call__(self, examples: list[dict]) -> dict[str, torch.Tensor]:
        rows = [torch.as_tensor(example["input_ids"], dtype=torch.long) for example in examples]
        lengths = torch.tensor([len(row) for row in rows])
        input_ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.pad_token_id)
        attention_mask = (torch.arange(input_ids.shape[1]) < lengths.unsqueeze(1)).long()
        return {"input_ids": input_ids, "attention_mask": attention_mask}


class EpochSampler(Sampler[int]):
    """A random permutation of each epoch that a resumed run draws again without having run the epochs before.

    Args:
        size: number of examples.
        seed: of the data order.
        lengths: ``(size,)`` tokens of each example, to group examples of similar length (less padding); None for plain order.
        batch_size: examples of one optimiser step over all processes; grouped examples are shuffled in blocks of this size, so that an
            optimiser step is one draw and not one length class after the other.
    """

    POOL = 50
    """Optimiser steps whose examples are sorted together: more gives less padding and less mixing."""

    def __init__(self, size: int, seed: int, lengths: torch.Tensor | None = None, batch_size: int = 1) -> None:
        self.size, self.seed, self.epoch = size, seed, 0
        self.lengths, self.batch_size = lengths, batch_size

    def set_epoch(self, epoch: int) -> None:
        """Choose the permutation; the trainer calls it at each epoch's start."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        generator = generator_for(self.seed, "order", self.epoch)
        order = torch.randperm(self.size, generator=generator)
        if self.lengths is not None:
            order = self._grouped(order, generator)
        return iter(order.tolist())

    def _grouped(self, order: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        pools = order.split(self.batch_size * self.POOL)
        blocks = [b for pool in pools for b in pool[self.lengths[pool].argsort(stable=True)].split(self.batch_size)]
        # a short last block stays last: anywhere else it would shift the borders of all later steps
        whole = [block for block in blocks if len(block) == self.batch_size]
        rest = [block for block in blocks if len(block) < self.batch_size]
        shuffled = [whole[i] for i in torch.randperm(len(whole), generator=generator).tolist()]
        return torch.cat(shuffled + rest)


class EndlessStream(IterableDataset):
    """A stream read pass after pass, so that it never ends: how much to skip on a resume is then the number of batches seen.

    ``Trainer`` takes all steps for one epoch of a stream; on a resume in the second pass it would skip past the end of the first.

    Args:
        stream: an iterable data set; where it has ``set_epoch``, each pass is shuffled anew.
    """

    def __init__(self, stream: IterableDataset) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[dict]:
        for number in count():
            if hasattr(self.stream, "set_epoch"):
                self.stream.set_epoch(number)
            empty = True
            for example in self.stream:
                empty = False
                yield example
            if empty:  # as in a worker process that got no part of the stream
                return


def sequence_lengths(dataset) -> torch.Tensor:
    """``(len(dataset),)`` tokens of each example's ``input_ids``; read from the Arrow offsets where there are any."""
    if isinstance(dataset, datasets.Dataset) and dataset._indices is None:
        column = dataset.data.column("input_ids")
        return torch.from_numpy(np.concatenate([pc.list_value_length(chunk).to_numpy() for chunk in column.chunks]))
    return torch.tensor([len(dataset[i]["input_ids"]) for i in range(len(dataset))])
