"""Training text with many words of pairs: of each document, the lines in which they are a large enough share of the words."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from evenhand.trainer.corpus_settings import CorpusSettings
from evenhand.trainer.word_pairs import WordPairs

LEFT_OUT = "lines_left_out"
"""Name of the count of lines that were too poor in words of pairs."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class PairDenseText:
    """Which lines of a training document are kept.

    The mixup of Ahn et al. 2022 touches nothing but the positions at which a word of a pair stands, one or two of a hundred in usual text. On
    text chosen by this there are many more: whether an effect is small because the positions are few can be seen, where both the mixed and
    the plain student are given that text.

    Args:
        pairs: the words.
        share: a line is kept where at least this share of its words, from 0 to 1, is of a pair, whatever the case. A word is a run of
            letters, digits and underscores.
    """

    pairs: WordPairs
    share: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "_words", frozenset(word.lower() for pair in self.pairs.pairs for word in pair))

    @classmethod
    def of(cls, settings: CorpusSettings) -> PairDenseText | None:
        """As the settings of a corpus ask for it; None where all text is used.

        Raises:
            FileNotFoundError, ValueError: of a file of pairs, as :meth:`WordPairs.load`.
        """
        if not settings.pair_share:
            return None
        return cls(WordPairs.load(settings.pair_share_pairs), settings.pair_share)

    def keeps(self, line: str) -> bool:
        """Whether the line is trained on."""
        words = _WORD.findall(line)
        return bool(words) and sum(word.lower() in self._words for word in words) >= self.share * len(words)

    def kept(self, text: str, fates: Counter) -> str:
        """A document's lines that are trained on; ``fates`` counts the others, empty ones apart, under :data:`LEFT_OUT`."""
        lines = [line for line in text.splitlines() if line.strip()]
        kept = [line for line in lines if self.keeps(line)]
        fates[LEFT_OUT] += len(lines) - len(kept)
        return "\n".join(kept)
