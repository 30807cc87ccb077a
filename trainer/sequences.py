"""From a document's lines to token sequences: the rules of DistilBERT's data preparation (Sanh et al. 2019, released code)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

MIN_TOKENS = 12
"""Sequences of 11 tokens or fewer, specials included, are dropped."""

MAX_UNKNOWN = 0.5
"""Sequences of which half or more is unknown are dropped."""

CHARACTERS_AT_ONCE = 1 << 19
"""Text that is tokenised in one call: enough to make the calls cheap, little enough that memory does not show it."""


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
        yield from next(self.of_documents([text], tokenizer, [fates]))

    def of_documents(
        self, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, fates: Sequence[Counter]
    ) -> Iterator[Iterator[list[int]]]:
        """Token sequences of each document, with its own ``fates``; lines of several documents are tokenised together.

        Read the sequences of one document to their end before asking for the next.
        """
        documents = [[line for line in (line.strip() for line in text.splitlines()) if line] for text in texts]
        ids = _token_ids((line for lines in documents for line in lines), tokenizer)
        special = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.unk_token_id)
        for lines, counts in zip(documents, fates, strict=True):
            yield (sequence for _ in lines for sequence in self._cut(next(ids), special, counts))

    def _cut(self, ids: list[int], special: tuple[int, int, int], fates: Counter) -> Iterator[list[int]]:
        start, stop, unknown = special
        room = self.max_length - 2
        fates["cut"] += len(ids) > room
        for piece in range(0, max(len(ids), 1), room):
            sequence = [start, *ids[piece : piece + room], stop]
            if len(sequence) < MIN_TOKENS:
                fates["dropped_short"] += 1
            elif sequence.count(unknown) >= MAX_UNKNOWN * len(sequence):
                fates["dropped_unknown"] += 1
            else:
                fates["sequences"] += 1
                fates["tokens"] += len(sequence)
                yield sequence


def _token_ids(lines: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> Iterator[list[int]]:
    """Ids of each line without special tokens."""
    block, characters = [], 0
    for line in lines:
        block.append(line)
        characters += len(line)
        if characters >= CHARACTERS_AT_ONCE:
            yield from _encode(block, tokenizer)
            block, characters = [], 0
    yield from _encode(block, tokenizer)


def _encode(lines: list[str], tokenizer: PreTrainedTokenizerBase) -> Iterator[list[int]]:
    if not lines:
        return
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        yield from tokenizer(lines, add_special_tokens=False, verbose=False)["input_ids"]
        return
    # past the wrapper, which also works out masks, types and offsets: a third faster. It sets these before each call, too.
    backend.no_truncation()
    backend.no_padding()
    for encoding in backend.encode_batch_fast(lines, add_special_tokens=False):
        yield encoding.ids
