"""Counterfactual data augmentation: training text with the words of pairs exchanged, instead of the text (one-sided) or beside it (two-sided)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from evenhand.trainer.corpus_settings import CorpusSettings
from evenhand.trainer.word_pairs import WordPairs

COUNTED = "counterfactual_lines"
"""Name of the count of lines that were replaced or added."""


@dataclass(frozen=True)
class CounterfactualText:
    """What becomes of a training document (Zhao et al. 2018; the two kinds as Webster et al. 2020 name them).

    A line's counterfactual has every whole word of a pair exchanged for its partner at once, in its own case (he, He, HE). One-sided: each
    line that has a counterfactual is replaced by it. Two-sided: it stays, and its counterfactual follows it. Lines without such a word are
    neither changed nor doubled. A word that stands in two pairs keeps its first partner, so that exchanging twice gives the text back; English
    *her* therefore becomes the partner it is listed with, whatever its part of speech.

    Args:
        pairs: the words.
        two_sided: whether the line itself stays.
        partner: each form of each word and the form that takes its place.
        skipped: pairs of which a word stands in an earlier one.
    """

    pairs: WordPairs
    two_sided: bool
    partner: Mapping[str, str]
    skipped: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, settings: CorpusSettings) -> CounterfactualText | None:
        """As the settings of a corpus ask for it; None without augmentation.

        Raises:
            FileNotFoundError, ValueError: of a file of pairs, as :meth:`WordPairs.load`.
        """
        if not settings.cda_pairs_used:
            return None
        pairs = WordPairs.load(settings.cda_pairs)
        partner: dict[str, str] = {}
        skipped = []
        for first, second in pairs.pairs:
            forms = list(zip(_forms(first), _forms(second), strict=True))
            if any(partner.get(a, b) != b or partner.get(b, a) != a for a, b in forms):
                skipped.append((first, second))
                continue
            for a, b in forms:
                partner[a], partner[b] = b, a
        return cls(pairs, settings.cda == "two_sided", partner, tuple(skipped))

    def __post_init__(self) -> None:
        longest_first = sorted(self.partner, key=len, reverse=True)
        pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
        object.__setattr__(self, "_pattern", pattern)

    def of_line(self, line: str) -> str:
        """The line's counterfactual; the line itself where it holds no word of a pair."""
        return self._pattern.sub(lambda match: self.partner[match.group()], line)

    def augmented(self, text: str, fates: Counter) -> str:
        """A document's lines as they are trained on; ``fates`` counts those replaced or added under :data:`COUNTED`."""
        lines = []
        for line in text.splitlines():
            other = self.of_line(line)
            changed = other != line
            fates[COUNTED] += changed
            lines += [line, other] if changed and self.two_sided else [other]
        return "\n".join(lines)

    def report(self) -> dict:
        """What a corpus's report says of it, beside the settings."""
        return {
            "cda_source": self.pairs.source,
            "cda_pairs_n": len(self.pairs.pairs) - len(self.skipped),
            "cda_skipped": [list(pair) for pair in self.skipped],
        }


def _forms(word: str) -> list[str]:
    """As it is listed, capitalised, small and in capitals."""
    return [word, word[:1].upper() + word[1:], word.lower(), word.upper()]
