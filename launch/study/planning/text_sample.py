"""A sample of a corpus, taken in a second however large it is: how long its sequences are, and how many there will be."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from evenhand.launch.hub_cache import HubDataset
from evenhand.launch.recipe import Recipe
from evenhand.trainer.documents import Documents
from evenhand.trainer.sequences import SequenceRules

SAMPLE_BYTES, PIECE_BYTES = 1 << 20, 1 << 15
"""Text that lengths are taken from, in pieces from all over the corpus."""
STREAMED_DOCUMENTS = 500


@dataclass(frozen=True)
class TextSample:
    """A sample of a corpus: of each source its texts, the bytes they are of, and the bytes of all of it, by its weight (None: a stream does not
    say)."""

    sources: list[tuple[list[str], int, float | None]]

    @classmethod
    def of(cls, recipe: Recipe) -> TextSample:
        """Raises FileNotFoundError where a source is not there."""
        section = recipe.corpus
        for source in section.sources:
            # a plan fetches no corpus
            if source.hub and (missing := HubDataset(source.hub, (source.name,), source.revision).missing()):
                raise FileNotFoundError(f"Data set {source.hub} is not here ({missing}).")
        opened = [source.open(section.streaming) for source in section.sources]
        if section.streaming:
            taken = [list(itertools.islice(documents.stream(), STREAMED_DOCUMENTS)) for documents in opened]
            return cls([(texts, max(1, sum(map(len, texts))), None) for texts in taken])
        whole = sum(documents.n_bytes() for documents in opened)
        found = []
        for documents in opened:
            parts = _spread(documents, SAMPLE_BYTES * documents.n_bytes() / max(whole, 1))
            texts = [text for part in parts for text in part.stream()]
            n_bytes = max(1, sum(part.n_bytes() for part in parts))
            found.append((texts, n_bytes, documents.n_bytes() * documents.source.weight))
        return cls(found)

    def sequences(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> tuple[list[list[int]], list[float]]:
        """Sequences of all sources by the corpus's rules, and of each source the tokens a byte of its text."""
        rules, kept, per_byte = SequenceRules(max_length), [], []
        for texts, n_bytes, _ in self.sources:
            of_source = [ids for text in texts for ids in rules.sequences(text, tokenizer, Counter())]
            kept += of_source
            per_byte.append(sum(map(len, of_source)) / n_bytes)
        if not kept:
            raise ValueError("A sample of the corpus gave no sequence; check corpus.sources and the tokenizer.")
        return kept, per_byte

    def total(self, per_byte: Sequence[float]) -> float | None:
        """Tokens of all sources; None of a stream."""
        sizes = [size for _, _, size in self.sources]
        return None if None in sizes else sum(size * rate for size, rate in zip(sizes, per_byte, strict=True))


def _spread(documents: Documents, n_bytes: float) -> list[Documents]:
    """Parts from all over a source, of about ``n_bytes`` together."""
    ranges = documents.ranges(PIECE_BYTES)
    wanted = min(len(ranges), max(1, round(n_bytes / PIECE_BYTES)))
    return [documents.part(*ranges[i * len(ranges) // wanted]) for i in range(wanted)]
