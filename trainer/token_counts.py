"""How often each token id occurs, for the smoothing of mask positions."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import IterableDataset
from tqdm.auto import tqdm


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
        rows = [dataset[i]["input_ids"] for i in range(start, min(start + size, len(dataset)))]
        found = np.bincount(np.concatenate([np.asarray(row) for row in rows]), minlength=vocab_size)
        if len(found) > vocab_size:
            raise ValueError(
                f"The data set holds token id {len(found) - 1}, but the tokenizer has {vocab_size} tokens."
            )
        counts += found
    return torch.from_numpy(counts)
