"""One association test on sentence vectors: effect size, its interval, and p-values at word and at sentence level."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from evenhand.evaluation import intervals
from evenhand.evaluation.effect_size import associations, effect_size, unit_rows, word_weights
from evenhand.evaluation.permutation import PermutationTest, permutation_test
from evenhand.evaluation.stimuli import AssociationTest

# Vectors come out of float32 models, so associations that differ by less than this do not differ.
SMALLEST_SPREAD = 1e-7


@dataclass(frozen=True)
class TestResult:
    """The result of one test. ``None`` stands for what is not defined; ``note`` then says why.

    ``effect_size`` is over sentences, as published; ``effect_size_word_balanced`` gives each word the same weight, and
    ``sign_disagreement`` flags that the two differ in sign. ``p_value`` is two-sided over partitions of the words;
    ``p_value_legacy`` one-sided over partitions of the sentences (May et al. 2019), which is anti-conservative.
    """

    __test__ = False  # pytest: not a class of tests

    label: str
    family: str
    targets: tuple[str, str]
    attributes: tuple[str, str]
    n_sentences: dict[str, int]
    n_words: dict[str, int]
    effect_size: float | None
    confidence_interval: tuple[float, float] | None
    interval_method: str
    p_value: float | None
    p_value_method: str | None
    p_value_permutations: int | None
    p_value_legacy: float | None
    p_value_legacy_method: str | None
    p_value_legacy_permutations: int | None
    p_value_holm: float | None
    effect_size_word_balanced: float | None
    p_value_word_balanced: float | None
    sign_disagreement: bool | None
    note: str | None

    def to_dict(self) -> dict[str, object]:
        """As it stands in report.json: lists for pairs, nothing else changed."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def measure(
    test: AssociationTest, vectors: Mapping[str, np.ndarray], *, seed: int = 0, confidence_level: float = 0.95
) -> TestResult:
    """Run one test on the vectors of its sentences.

    Args:
        test: its four sets.
        vectors: by set ("X", "Y", "A", "B"), (n_sentences, hidden).
        seed: of the partitions that are drawn where there are too many to enumerate; each test has its own stream.
        confidence_level: of the interval.

    Returns:
        The result with ``p_value_holm`` still ``None``: that takes the whole family.
    """
    units = {role: unit_rows(vectors[role]) for role in "XYAB"}
    words = {role: test.sets[role].words for role in "XYAB"}
    described = {
        "label": test.label,
        "family": test.family,
        "targets": (test.X.name, test.Y.name),
        "attributes": (test.A.name, test.B.name),
        "n_sentences": {role: len(words[role]) for role in "XYAB"},
        "n_words": {role: len(set(words[role])) for role in "XYAB"},
        "interval_method": intervals.METHOD,
        "p_value_holm": None,
    }
    s_x, s_y = (associations(units[role], units["A"], units["B"]) for role in "XY")
    if len(s_x) + len(s_y) < 3 or np.concatenate([s_x, s_y]).std() < SMALLEST_SPREAD:
        return TestResult(**described, **_undefined("the model associates all targets alike, so d has no scale"))
    d, balanced_d = effect_size(s_x, s_y), _balanced_effect_size(units, words)
    interval = intervals.jackknife_interval(
        lambda keep: _effect_size_of(units, keep), [words[role] for role in "XYAB"], confidence_level
    )
    n_x = len(s_x)
    s = np.concatenate([s_x, s_y])
    legacy = permutation_test(s, np.ones_like(s), n_x, two_sided=False, rng=_stream(seed, test.name, "sentences"))
    by_word = _by_word(s_x, s_y, words, seed, test.name)
    balanced_p = _balanced_p_value(units, words, seed, test.name)
    return TestResult(
        **described,
        effect_size=d,
        confidence_interval=interval,
        p_value=by_word.p_value,
        p_value_method="exact" if by_word.exact else "monte_carlo",
        p_value_permutations=by_word.permutations,
        p_value_legacy=legacy.p_value,
        p_value_legacy_method="exact" if legacy.exact else "sampled",
        p_value_legacy_permutations=legacy.permutations,
        effect_size_word_balanced=balanced_d,
        p_value_word_balanced=balanced_p,
        sign_disagreement=bool(d * balanced_d < 0),
        note=None if interval else "no interval: it takes two words in every set",
    )


def _undefined(reason: str) -> dict[str, object]:
    """The fields of a result that has no effect size."""
    numbers = ("effect_size", "confidence_interval", "effect_size_word_balanced", "sign_disagreement")
    p_values = ("p_value", "p_value_legacy")
    fields = [*numbers, *p_values, *(f"{p}_{part}" for p in p_values for part in ("method", "permutations"))]
    return {**dict.fromkeys([*fields, "p_value_word_balanced"]), "note": reason}


def _effect_size_of(units: Mapping[str, np.ndarray], keep) -> float:
    """d on the sentences that the four masks of ``keep`` leave."""
    x, y, a, b = (units[role][mask] for role, mask in zip("XYAB", keep, strict=True))
    return effect_size(associations(x, a, b), associations(y, a, b))


def _balanced_associations(units, words) -> tuple[np.ndarray, np.ndarray]:
    """s of X and Y where each attribute word weighs the same."""
    a_weights, b_weights = word_weights(words["A"]), word_weights(words["B"])
    return tuple(associations(units[role], units["A"], units["B"], a_weights, b_weights) for role in "XY")


def _balanced_effect_size(units, words) -> float:
    s_x, s_y = _balanced_associations(units, words)
    return effect_size(s_x, s_y, word_weights(words["X"]), word_weights(words["Y"]))


def _by_word(s_x: np.ndarray, s_y: np.ndarray, words, seed: int, name: str) -> PermutationTest:
    """Permute words, each with all its sentences; the statistic weighs sentences as d does."""
    (x_sums, x_counts), (y_sums, y_counts) = _word_sums(s_x, words["X"]), _word_sums(s_y, words["Y"])
    sums, counts = np.concatenate([x_sums, y_sums]), np.concatenate([x_counts, y_counts])
    return permutation_test(sums, counts, len(x_sums), two_sided=True, rng=_stream(seed, name, "words"))


def _balanced_p_value(units, words, seed: int, name: str) -> float:
    """As `_by_word`, with each word one unit of weight 1."""
    s_x, s_y = _balanced_associations(units, words)
    (x_sums, x_counts), (y_sums, y_counts) = _word_sums(s_x, words["X"]), _word_sums(s_y, words["Y"])
    means = np.concatenate([x_sums / x_counts, y_sums / y_counts])
    rng = _stream(seed, name, "words")
    return permutation_test(means, np.ones_like(means), len(x_sums), two_sided=True, rng=rng).p_value


def _word_sums(s: np.ndarray, words) -> tuple[np.ndarray, np.ndarray]:
    """Per distinct word, in the order of first use: the sum of s over its sentences, and their number."""
    distinct = list(dict.fromkeys(words))
    labels = np.asarray(words)
    return (
        np.array([s[labels == word].sum() for word in distinct]),
        np.array([np.count_nonzero(labels == word) for word in distinct], dtype=np.float64),
    )


def _stream(seed: int, test_name: str, purpose: str) -> np.random.Generator:
    """A generator of its own for each test, so that a result does not depend on which other tests were run."""
    key = hashlib.sha256(f"{test_name}/{purpose}".encode()).digest()[:8]
    return np.random.default_rng([seed, int.from_bytes(key, "big")])
