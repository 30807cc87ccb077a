"""Which documents of a corpus are used, which are held out, and how they are cut."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from evenhand.trainer.sequences import SequenceRules
from evenhand.trainer.word_pairs import WordPairs

CDA = ("none", "one_sided", "two_sided")
"""Kinds of counterfactual data augmentation."""


@dataclass(frozen=True)
class CorpusSettings:
    """Which documents are used and how they are cut.

    Args:
        fraction: share of the documents, chosen by a hash of (seed, text): the choice does not depend on their order. Default 1.
        held_out: share of the chosen documents kept for evaluation, never trained on. Default .01.
        max_length: tokens a sequence. Default 512.
        seed: of both choices; not the training seed, so that runs of several seeds see one split. Default 0.
        cda: counterfactual data augmentation, see :mod:`evenhand.trainer.counterfactual_text`: ``none`` (default); ``one_sided``: each
            line of training text that holds a word of a pair is replaced by its counterfactual; ``two_sided``: it is kept, and its
            counterfactual added. Held-out text is never changed.
        cda_pairs: ``builtin`` (default) or a file, see :meth:`WordPairs.load`; without ``cda`` it has no part in anything.
        pair_share: train only on lines of which at least this share of the words, from 0 to 1, is of a pair, see
            :mod:`evenhand.trainer.pair_dense_text`. Held-out text is never chosen by it. Default 0: all lines.
        pair_share_pairs: of which pairs, as ``cda_pairs``; without ``pair_share`` it has no part in anything.

    Raises:
        ValueError: a share outside its range, an unknown ``cda``.
    """

    fraction: float = 1.0
    held_out: float = 0.01
    max_length: int = 512
    seed: int = 0
    cda: str = "none"
    cda_pairs: str = "builtin"
    pair_share: float = 0.0
    pair_share_pairs: str = "builtin"

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ValueError(f"corpus.fraction must be above 0 and at most 1, not {self.fraction}.")
        if not 0 <= self.held_out < 1:
            raise ValueError(f"corpus.held_out must be at least 0 and below 1, not {self.held_out}.")
        if not 0 <= self.pair_share <= 1:
            raise ValueError(f"corpus.pair_share must be at least 0 and at most 1, not {self.pair_share}.")
        SequenceRules(self.max_length)
        if self.cda not in CDA:
            raise ValueError(f"corpus.cda must be one of {', '.join(CDA)}, not {self.cda!r}.")

    @property
    def cda_pairs_used(self) -> bool:
        """Whether there is any augmentation, and so whether its pairs matter."""
        return self.cda != "none"

    @property
    def pairs_used(self) -> dict[str, str]:
        """The lists of pairs that matter, by the name of their setting."""
        used = {"cda_pairs": self.cda_pairs_used, "pair_share_pairs": bool(self.pair_share)}
        return {name: getattr(self, name) for name, is_used in used.items() if is_used}

    def pair_hashes(self) -> dict[str, str]:
        """Hashes of :attr:`pairs_used`."""
        return {name: WordPairs.load(pairs).sha256 for name, pairs in self.pairs_used.items()}

    def choices(self) -> dict:
        """The settings that decide which sequences come out, for the cache key and the report; of the augmentation, and of the choice of
        lines, only where there is one."""
        chosen = {name: getattr(self, name) for name in ("fraction", "held_out", "max_length", "seed")}
        if self.cda_pairs_used:
            chosen["cda"] = self.cda
        if self.pair_share:
            chosen["pair_share"] = self.pair_share
        return chosen | self.pair_hashes()

    def copies(self, text: str, weight: float) -> int:
        """How often a document is used: 0 if outside the fraction, else ``weight`` rounded up or down by the hash."""
        if self.fraction < 1 and _uniform("fraction", self.seed, text) >= self.fraction:
            return 0
        rest = weight % 1
        return int(weight) + (rest > 0 and _uniform("weight", self.seed, text) < rest)

    def is_held_out(self, text: str) -> bool:
        """Whether the document is for evaluation only."""
        return self.held_out > 0 and _uniform("held_out", self.seed, text) < self.held_out


def _uniform(purpose: str, seed: int, text: str) -> float:
    digest = hashlib.blake2b(f"{purpose}/{seed}/".encode() + text.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
