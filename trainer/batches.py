"""Batches whose order is a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

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
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed, self.epoch = size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the permutation; the trainer calls it at each epoch's start."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        return iter(torch.randperm(self.size, generator=generator_for(self.seed, "order", self.epoch)).tolist())
