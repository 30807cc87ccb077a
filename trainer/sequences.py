"""From a document's lines to token sequences: the rules of DistilBERT's data preparation (Sanh et al. 2019, released code)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

MIN_TOKENS = 12
"""Sequences of 11 tokens or fewer, specials included, are dropped."""

MAX_UNKNOWN = 0.5
"""Sequences of which half or more is unknown are dropped."""


@dataclass(frozen=True)
class SequenceRules:
    """One sequence per line, wrapped in [CLS] … [SEP]; longer than ``max_length`` is cut in chunks, each wrapped.

    Args:
        max_length: tokens a sequence, specials included.

    Raises:
        ValueError: fewer than 12 tokens, which would drop everything.
    """

    max_length: int = 512

    def __post_init__(self) -> None:
        if self.max_length < MIN_TOKENS:
            raise ValueError(f"corpus.max_length must be at least {MIN_TOKENS}, not {self.max_length}.")

    def sequences(self, text: str, tokenizer: PreTrainedTokenizerBase, fates: Counter) -> Iterator[list[int]]:
        """Token sequences of one document; ``fates`` counts lines cut, and sequences dropped and kept."""
        lines = [line for line in (line.strip() for line in text.splitlines()) if line]
        if not lines:
            return
        start, stop = [tokenizer.cls_token_id], [tokenizer.sep_token_id]
        room = self.max_length - 2
        for ids in tokenizer(lines, add_special_tokens=False, verbose=False)["input_ids"]:
            fates["cut"] += len(ids) > room
            for piece in range(0, max(len(ids), 1), room):
                sequence = start + ids[piece : piece + room] + stop
                if len(sequence) < MIN_TOKENS:
                    fates["dropped_short"] += 1
                elif sequence.count(tokenizer.unk_token_id) >= MAX_UNKNOWN * len(sequence):
                    fates["dropped_unknown"] += 1
                else:
                    fates["sequences"] += 1
                    fates["tokens"] += len(sequence)
                    yield sequence
