"""How often each token id occurs, for the smoothing of mask positions; and how often as a whole word."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import torch
from torch.utils.data import IterableDataset
from tqdm.auto import tqdm

from evenhand.trainer.batches import has_stored_ids
from evenhand.trainer.word_boundaries import WordBoundaries


def count_tokens(dataset, vocab_size: int) -> torch.Tensor:
    """``(vocab_size,)`` occurrences of each id in the ``input_ids`` of a map-style data set, with a progress bar.

    Raises:
        ValueError: the data set is a stream, which cannot be counted before training, or holds an id outside the vocabulary.
    """
    if isinstance(dataset, IterableDataset):
        raise ValueError("A streamed data set cannot be counted beforehand: give token_counts, or set mlm_smoothing=0.")
    counts = np.zeros(vocab_size, dtype=np.int64)
    size = 10_000
    for start in tqdm(range(0, len(dataset), size), desc="Counting tokens", disable=len(dataset) <= size, leave=False):
        found = np.bincount(_flat_ids(dataset, start, min(start + size, len(dataset))), minlength=vocab_size)
        if len(found) > vocab_size:
            raise ValueError(
                f"The data set holds token id {len(found) - 1}, but the tokenizer has {vocab_size} tokens."
            )
        counts += found
    return torch.from_numpy(counts)


def count_whole_words(dataset, boundaries: WordBoundaries) -> torch.Tensor:
    """``(vocab_size,)`` occurrences of each id as a word of its own, not as a piece of another, with a progress bar.

    Args:
        dataset: map-style, its ``input_ids`` wrapped in special tokens.
        boundaries: of the tokenizer.
    """
    counts = np.zeros(boundaries.vocab_size, dtype=np.int64)
    size = 10_000
    for start in tqdm(range(0, len(dataset), size), desc="Counting words", disable=len(dataset) <= size, leave=False):
        ids = torch.from_numpy(_flat_ids(dataset, start, min(start + size, len(dataset))).astype(np.int64))
        joined = boundaries.joined_to_previous(ids.unsqueeze(0))[0]
        whole = ~joined
        whole[:-1] &= ~joined[1:]
        counts += np.bincount(ids[whole].numpy(), minlength=len(counts))
    return torch.from_numpy(counts)


def _flat_ids(dataset, start: int, stop: int) -> np.ndarray:
    """``input_ids`` of the examples from ``start`` to ``stop``, one after the other."""
    if has_stored_ids(dataset):
        column = dataset.with_format("arrow")[start:stop].column("input_ids")
        return pc.list_flatten(column).to_numpy()
    return np.concatenate([np.asarray(dataset[i]["input_ids"]) for i in range(start, stop)])
