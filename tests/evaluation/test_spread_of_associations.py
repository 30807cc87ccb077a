"""The shares of the spread that d divides by, against sums of squares over sentences."""

import numpy as np
import pytest

from evenhand.evaluation import Seat
from evenhand.evaluation.association import word_table
from evenhand.evaluation.spread_of_associations import spread_of

SEAT = Seat(tests=["C6"])


def test_shares_are_those_of_an_analysis_of_variance_over_sentences():
    sentences = SEAT.loaded_stimuli.distinct_sentences
    vectors = np.random.default_rng(5).normal(size=(len(sentences), 8))
    result = SEAT.result_of(vectors).to_dict()["tests"]["sent-weat6"]
    test = SEAT.loaded_stimuli.tests[0]
    row = {sentence: index for index, sentence in enumerate(sentences)}
    table = word_table(test, {r: vectors[[row[s] for s in of.sentences]] for r, of in test.sets.items()})
    s, words = table.s, np.array(table.of_sentence)
    in_x = np.arange(len(s)) < table.n_x[0]
    total = ((s - s.mean()) ** 2).sum()
    sets = sum(group.sum() * (s[group].mean() - s.mean()) ** 2 for group in (in_x, ~in_x))
    within = sum(((s[words == word] - s[words == word].mean()) ** 2).sum() for word in set(words))
    found = spread_of(result)
    assert found.between_sets == pytest.approx(sets / total)
    assert found.within_words == pytest.approx(within / total)
    assert found.between_words == pytest.approx(1 - (sets + within) / total)


def test_a_test_without_d_has_no_shares():
    assert spread_of({"effect_size": None, "associations": None}) is None
