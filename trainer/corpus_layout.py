"""Where the shards of a corpus lie, and how the text is cut into them: a pure function of content, settings and tokenizer."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from evenhand.trainer.corpus_settings import CorpusSettings
from evenhand.trainer.corpus_sources import CorpusSource
from evenhand.trainer.documents import Documents, Range

RULES_VERSION = 1
"""Part of the cache key; raise it when the same settings would give other sequences."""

SHARDS, SHARD_BYTES = 256, (1 << 20, 64 << 20)
"""Work is cut in about so many shards, to keep many cores busy to the end, but none smaller or larger than these bytes of text: small ones
cost files, large ones are lost when a preparation is interrupted."""

BYTES_A_TOKEN, BYTES_A_SEQUENCE = 4.0, 100
"""Of English text, rounded down, so that a disk judged large enough is (WikiText with BERT's WordPiece: 4.15 bytes a token)."""


@dataclass(frozen=True)
class CorpusLayout:
    """The shards of one corpus.

    Args:
        folder: holds them; its name begins with the hash of all that decides the sequences.
        key: that hash. hashes: of each source's content.
        parts: documents of a source and the range of them that makes a shard, in order.
    """

    folder: Path
    key: str
    hashes: list[str]
    parts: list[tuple[Documents, Range]]

    @classmethod
    def of(
        cls,
        opened: Sequence[Documents],
        tokenizer: PreTrainedTokenizerBase,
        settings: CorpusSettings,
        cache_dir: str | Path,
    ) -> CorpusLayout:
        """Hash the opened sources and lay out their shards; nothing is written.

        Raises:
            ValueError: a text file that is not UTF-8.
        """
        hashes = [documents.sha256() for documents in opened]
        key = _cache_key([documents.source for documents in opened], hashes, settings, tokenizer)
        smallest, largest = SHARD_BYTES
        target = min(max(sum(documents.n_bytes() for documents in opened) // SHARDS, smallest), largest)
        parts = [(documents, place) for documents in opened for place in documents.ranges(target)]
        # another order of the documents or other borders must not mix with these
        borders = [[place for _, place in parts], [documents.sha256(in_order=True) for documents in opened]]
        layout_key = hashlib.sha256(json.dumps(borders).encode()).hexdigest()
        return cls(Path(cache_dir) / f"corpus-{key[:16]}-{layout_key[:8]}", key, hashes, parts)

    @property
    def names(self) -> list[str]:
        """Folder names of the shards, in the order of the text."""
        return [f"shard-{number:05d}" for number in range(len(self.parts))]

    def missing(self) -> list[tuple[str, Documents]]:
        """Names and documents of the shards that are not made.

        In an order of each process's own: processes that prepare one corpus at the same time (an array of runs) leave out what they find
        made, so they share the work.
        """
        names = self.names
        todo = [i for i in range(len(names)) if not (self.folder / names[i]).is_dir()]
        random.SystemRandom().shuffle(todo)  # no draw of any seeded generator
        return [(names[i], documents.part(*place)) for i in todo for documents, place in [self.parts[i]]]


def cache_bytes_needed(
    opened: Sequence[Documents],
    tokenizer: PreTrainedTokenizerBase,
    settings: CorpusSettings,
    cache_dir: str | Path,
) -> int:
    """About how many bytes the shards that are not made yet will take."""
    layout = CorpusLayout.of(opened, tokenizer, settings, cache_dir)
    text = settings.fraction * sum(documents.n_bytes() * documents.source.weight for documents in opened)
    an_id = 2 if len(tokenizer) <= 2**16 else 4
    text *= 2 if settings.cda == "two_sided" else 1
    share = len(layout.missing()) / max(len(layout.parts), 1)
    return int(share * text * (an_id / BYTES_A_TOKEN + 4 / BYTES_A_SEQUENCE))


def _cache_key(
    sources: list[CorpusSource], hashes: list[str], settings: CorpusSettings, tokenizer: PreTrainedTokenizerBase
) -> str:
    described = [
        {"sha256": digest, "format": s.format, "replace": s.replace, "weight": s.weight, "column": s.text_column}
        for s, digest in zip(sources, hashes, strict=True)
    ]
    key = [RULES_VERSION, described, settings.choices(), _tokenizer_sha256(tokenizer)]
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def _tokenizer_sha256(tokenizer: PreTrainedTokenizerBase) -> str:
    """Of what decides the ids; truncation and padding are left over from the tokenizer's last call and decide nothing here."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        spelled = json.dumps(tokenizer.get_vocab(), sort_keys=True)
    else:
        copy = Tokenizer.from_str(backend.to_str())
        copy.no_truncation()
        copy.no_padding()
        spelled = copy.to_str()
    return hashlib.sha256(spelled.encode()).hexdigest()
