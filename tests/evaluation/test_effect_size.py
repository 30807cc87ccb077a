"""The effect size and both p-values against values computed with the reference code of May et al. 2019."""

import numpy as np
import pytest

from evenhand.evaluation.effect_size import associations, effect_size, unit_rows, word_weights
from evenhand.evaluation.permutation import permutation_test


def vectors(n: int, s: float) -> np.ndarray:
    i, j = np.arange(n)[:, None], np.arange(6)[None, :]
    v = np.sin(0.7 * i + 1.3 * j + s)
    v[:, 0] += 0.15 * s
    return unit_rows(v)


def run(sizes, shifts):
    x, y, a, b = (vectors(n, s) for n, s in zip(sizes, shifts, strict=True))
    s_x, s_y = associations(x, a, b), associations(y, a, b)
    s = np.concatenate([s_x, s_y])
    rng = np.random.default_rng(0)
    return effect_size(s_x, s_y), permutation_test(s, np.ones_like(s), len(s_x), two_sided=False, rng=rng)


@pytest.mark.parametrize(
    ("sizes", "shifts", "d", "p", "partitions"),
    [
        ((4, 4, 4, 4), (0.1, 0.9, 0.3, 1.7), 0.7837366715, 8 / 70, 70),
        ((8, 8, 8, 8), (0.1, 0.9, 0.3, 1.7), 0.1593732834, 0.3745920746, 12870),
        ((8, 8, 5, 7), (0.2, 2.5, 0.4, 2.9), 0.2579604966, 0.3042735043, 12870),
    ],
)
def test_golden_values(sizes, shifts, d, p, partitions):
    effect, test = run(sizes, shifts)
    assert effect == pytest.approx(d, abs=1e-10)
    assert test.p_value == pytest.approx(p, abs=1e-10)
    assert (test.exact, test.permutations) == (True, partitions)


def test_swapping_targets_or_attributes_turns_the_sign():
    x, y, a, b = (vectors(6, s) for s in (0.1, 0.9, 0.3, 1.7))
    d = effect_size(associations(x, a, b), associations(y, a, b))
    assert effect_size(associations(y, a, b), associations(x, a, b)) == pytest.approx(-d)
    assert effect_size(associations(x, b, a), associations(y, b, a)) == pytest.approx(-d)


def test_association_is_the_mean_cosine_difference():
    x, a, b = vectors(3, 0.4), vectors(4, 0.1), vectors(2, 2.0)
    by_hand = [np.mean([w @ v for v in a]) - np.mean([w @ v for v in b]) for w in x]
    np.testing.assert_allclose(associations(x, a, b), by_hand, atol=1e-15)


def test_word_balanced_equals_plain_when_words_have_as_many_sentences_and_not_else():
    s_x, s_y = np.array([0.1, 0.4, 0.3, 0.2]), np.array([0.0, -0.2, 0.1, 0.2])
    even = word_weights(["p", "p", "q", "q"])
    assert effect_size(s_x, s_y, even, even) == pytest.approx(effect_size(s_x, s_y), abs=1e-12)
    uneven = word_weights(["p", "p", "p", "q"])
    by_hand = (0.1 + 0.4 + 0.3) / 3 / 2 + 0.2 / 2
    weighted = np.average(s_x, weights=uneven)
    assert weighted == pytest.approx(by_hand)
    assert effect_size(s_x, s_y, uneven, even) != pytest.approx(effect_size(s_x, s_y), abs=1e-3)


def test_constant_associations_have_no_effect_size():
    assert np.isnan(effect_size(np.full(3, 0.5), np.full(3, 0.5)))


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_vectors_without_a_direction_are_refused(bad):
    with pytest.raises(ValueError, match="sentence vector"):
        unit_rows(np.array([[1.0, 2.0], [bad, bad]]))
