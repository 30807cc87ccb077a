"""Bias-only models of texts: which words occur, in one sentence of a pair or in all of them.

Hypothesis-only: Poliak et al. 2018, "Hypothesis Only Baselines in Natural Language Inference"; Clark et al. 2019. A logistic regression on
bags of words stands for a network here: it finds the words that give a label away (negation in NLI, a planted token) in seconds.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from datasets import Dataset
from scipy import sparse

from evenhand.trainer.bias_models.bias_model import FeatureModel
from evenhand.trainer.bias_models.words import words_of


@dataclass(frozen=True)
class BagOfWords(FeatureModel):
    """Presence of each word in ``text`` and, apart, in ``text_pair`` where there is one.

    Args:
        max_words: the most frequent ones are kept. Default 20,000.
        min_examples: a word counts if it occurs in as many examples. Default 2.
    """

    max_words: int = 20_000
    min_examples: int = 2
    kind = "bag_of_words"
    columns = ("text",)
    _read = ("text", "text_pair")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_words < 1 or self.min_examples < 1:
            raise ValueError(f"Bias model {self.kind}: max_words and min_examples must be 1 or more.")

    def features(self, data: Dataset) -> sparse.csr_matrix:
        """(n, words) rows of ones; columns in order of frequency, then of the alphabet, so that equal data give equal matrices."""
        rows = data.select_columns([name for name in self._read if name in data.column_names])
        counts = Counter(word for words in self._words(rows) for word in words)
        frequent = sorted(
            (word for word in counts if counts[word] >= self.min_examples), key=lambda word: (-counts[word], word)
        )
        place = {word: index for index, word in enumerate(frequent[: self.max_words])}
        if not place:
            raise ValueError(f"Bias model {self.kind}: no word occurs in {self.min_examples} examples or more.")
        indices, starts = array("q"), array("q", [0])
        for words in self._words(rows):  # read again: the words of all examples at once take many times the matrix
            indices.extend(sorted(place[word] for word in words if word in place))
            starts.append(len(indices))
        parts = np.ones(len(indices)), np.array(indices, dtype=np.int64), np.array(starts, dtype=np.int64)
        return sparse.csr_matrix(parts, shape=(len(rows), len(place)))

    @staticmethod
    def _words(rows: Dataset) -> Iterator[set[tuple[str, str]]]:
        """Each example's words, every one once in each column."""
        return ({(name, word) for name in rows.column_names for word in words_of(row[name])} for row in rows)


@dataclass(frozen=True)
class HypothesisOnly(BagOfWords):
    """Presence of each word in ``text_pair``, the second sentence (in NLI the hypothesis), alone."""

    kind = "hypothesis_only"
    columns = ("text_pair",)
    _read = ("text_pair",)
