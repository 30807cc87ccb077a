"""One association test on sentence vectors: effect size, its interval, and p-values at word and at sentence level."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from evenhand.evaluation import intervals
from evenhand.evaluation.detectable_effect import word_correlation
from evenhand.evaluation.effect_size import (
    SMALLEST_SPREAD,
    WordSums,
    associations,
    effect_size,
    unit_rows,
    word_weights,
)
from evenhand.evaluation.permutation import Stream, permutation_test
from evenhand.evaluation.stimuli import AssociationTest


@dataclass(frozen=True)
class TestResult:
    """The result of one test. ``None`` stands for what is not defined; ``note`` then says why.

    ``effect_size`` is over sentences, as published; ``effect_size_word_balanced`` gives each word the same weight, and
    ``sign_disagreement`` flags that the two differ in sign. ``p_value`` is two-sided over partitions of the words;
    ``p_value_legacy`` one-sided over partitions of the sentences (May et al. 2019), which is anti-conservative.
    ``standard_error`` is of atanh(d/2). ``word_correlation`` says how alike the sentences of a word are.

    ``associations`` holds, by target set and word, ``[sentences, standardised mean of s]`` (s minus its mean over
    X ∪ Y, over its standard deviation with ddof = 1), so d is their mean over X − that over Y, weighted by sentences.
    ``without_word`` holds d without each word of each of the four sets.

    ``p_value_holm`` and ``detectable_effect_size`` take the whole family and are ``None`` until it is known.
    """

    __test__ = False  # pytest: not a class of tests

    label: str
    family: str
    targets: tuple[str, str]
    attributes: tuple[str, str]
    n_sentences: dict[str, int]
    n_words: dict[str, int]
    effect_size: float | None
    standard_error: float | None
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
    word_correlation: float | None
    detectable_effect_size: float | None
    associations: dict[str, dict[str, list[float]]] | None
    without_word: dict[str, dict[str, float | None]] | None
    note: str | None

    def to_dict(self) -> dict[str, object]:
        """As it stands in report.json: lists for pairs, nothing else changed."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class WordTable:
    """What the vectors of a test come down to; all statistics are computed from it.

    Args:
        words: by set, its distinct words in the order of first use.
        s: (sentences of X and Y,) association of each.
        of_sentence: the word of each of these sentences.
        n_x: (sentences, words) of X; X comes first.
        sums: by word, X first. Version 0 of s uses all attribute words; the others leave out one word of A, then of B.
        balanced_means: (words,) mean of s of each word where each attribute word weighs the same.
        balanced_effect_size: d where moreover each target word weighs the same.
    """

    words: dict[str, tuple[str, ...]]
    s: np.ndarray
    of_sentence: tuple[str, ...]
    n_x: tuple[int, int]
    sums: WordSums
    balanced_means: np.ndarray
    balanced_effect_size: float

    @property
    def in_x(self) -> np.ndarray:
        """(words,) 1 for the words of X, 0 for those of Y."""
        return (np.arange(len(self.sums.counts)) < self.n_x[1]).astype(np.float64)

    @property
    def has_spread(self) -> bool:
        """Whether there is anything to standardise by."""
        return len(self.s) >= 3 and bool(self.s.std() >= SMALLEST_SPREAD)


def word_table(test: AssociationTest, vectors: Mapping[str, np.ndarray]) -> WordTable:
    """Reduce the vectors of a test to its words.

    Args:
        test: its four sets.
        vectors: by set ("X", "Y", "A", "B"), (n_sentences, hidden).

    Raises:
        ValueError: sets that make no test (see `check_sets`), as many vectors as no set has sentences, a vector that
            is zero or not finite.
    """
    check_sets(test)
    words = {role: test.sets[role].words for role in "XYAB"}
    for role in "XYAB":
        if len(vectors[role]) != len(words[role]):
            raise ValueError(f"{test.label}: {len(words[role])} sentences in {role}, but {len(vectors[role])} vectors")
    units = {role: unit_rows(vectors[role]) for role in "XYAB"}
    a, a_without = _means(units["A"], words["A"])
    b, b_without = _means(units["B"], words["B"])
    directions = np.vstack([a - b, a_without - b, a - b_without])
    targets, of_sentence = np.vstack([units["X"], units["Y"]]), (*words["X"], *words["Y"])
    s = np.concatenate([associations(units[role], units["A"], units["B"]) for role in "XY"])
    weights = {role: word_weights(words[role]) for role in "XYAB"}
    balanced = [associations(units[role], units["A"], units["B"], weights["A"], weights["B"]) for role in "XY"]
    sums = WordSums.of(targets @ directions.T, of_sentence)
    distinct = {role: tuple(dict.fromkeys(words[role])) for role in "XYAB"}
    of_balanced = WordSums.of(np.concatenate(balanced)[:, None], of_sentence)
    return WordTable(
        words=distinct,
        s=s,
        of_sentence=of_sentence,
        n_x=(len(words["X"]), len(distinct["X"])),
        sums=sums,
        balanced_means=of_balanced.sums[:, 0] / of_balanced.counts,
        balanced_effect_size=effect_size(*balanced, weights["X"], weights["Y"]),
    )


def check_sets(test: AssociationTest) -> None:
    """Refuse sets that make no association test.

    Raises:
        ValueError: an empty set, a word on both sides of the targets or of the attributes, or target sets with unequal
            numbers of words: p-values are over partitions into equal sets (Caliskan et al. 2017). Numbers of sentences
            may differ, and so may those of attribute words.
    """
    words = {role: set(of_set.words) for role, of_set in test.sets.items()}
    for role in "XYAB":
        if not words[role]:
            raise ValueError(f"{test.label}: set {role} ({test.sets[role].name}) is empty; give it words")
    for one, other in ("XY", "AB"):
        if both := sorted(words[one] & words[other]):
            raise ValueError(
                f"{test.label}: {both[0]!r} is a word of both {one} and {other}; leave it out of one of them"
            )
    n_x, n_y = len(words["X"]), len(words["Y"])
    if n_x != n_y:
        larger, role = (test.X, "X") if n_x > n_y else (test.Y, "Y")
        raise ValueError(
            f"{test.label}: X has {n_x} words and Y has {n_y}, but the p-value is over partitions into equal sets; "
            f"leave {abs(n_x - n_y)} out of {role} ({larger.name}), or add as many to the other"
        )


def _means(units: np.ndarray, words) -> tuple[np.ndarray, np.ndarray]:
    """Mean of all rows (hidden,), and the means without each word (words, hidden), NaN for the only word."""
    distinct = list(dict.fromkeys(words))
    belongs = np.array([[word == other for word in words] for other in distinct], dtype=np.float64)
    remaining = len(units) - belongs.sum(axis=1, keepdims=True)
    without = np.full((len(distinct), units.shape[1]), np.nan)
    np.divide(units.sum(axis=0) - belongs @ units, remaining, out=without, where=remaining > 0)
    return units.mean(axis=0), without


def measure(
    test: AssociationTest,
    vectors: Mapping[str, np.ndarray] | WordTable,
    *,
    seed: int = 0,
    confidence_level: float = 0.95,
) -> TestResult:
    """Run one test on the vectors of its sentences.

    Args:
        test: its four sets.
        vectors: by set ("X", "Y", "A", "B"), (n_sentences, hidden); or the `word_table` made from them.
        seed: of the partitions that are drawn where there are too many to enumerate; each test has its own stream.
        confidence_level: of the interval.

    Returns:
        The result with ``p_value_holm`` and ``detectable_effect_size`` still ``None``: they take the whole family.

    Raises:
        ValueError: as `word_table`.
    """
    table = vectors if isinstance(vectors, WordTable) else word_table(test, vectors)
    described = {
        "label": test.label,
        "family": test.family,
        "targets": (test.X.name, test.Y.name),
        "attributes": (test.A.name, test.B.name),
        "n_sentences": {role: len(test.sets[role].words) for role in "XYAB"},
        "n_words": {role: len(table.words[role]) for role in "XYAB"},
        "interval_method": intervals.METHOD,
    }
    if not table.has_spread:
        return TestResult(**described, **_undefined("the model associates all targets alike, so d has no scale"))
    d, without_word = effect_size(*np.split(table.s, table.n_x[:1])), without_each_word(table)
    jackknifed = intervals.Jackknifed.of_test({"effect_size": d, "without_word": without_word})
    interval, standard_error = (
        intervals.effect_size_interval(jackknifed, confidence_level) if jackknifed else (None,) * 2
    )
    return TestResult(
        **described,
        effect_size=d,
        standard_error=standard_error,
        confidence_interval=interval,
        **_p_values(table, seed, test.name),
        p_value_holm=None,
        effect_size_word_balanced=table.balanced_effect_size,
        sign_disagreement=bool(d * table.balanced_effect_size < 0),
        word_correlation=word_correlation(table.sums, table.n_x[1]),
        detectable_effect_size=None,
        associations=_standardised(table),
        without_word=without_word,
        note=None if interval else "no interval: it takes two words in every set, and d without each of them",
    )


def without_each_word(table: WordTable) -> dict[str, dict[str, float | None]]:
    """d without each word of each set, ``None`` where it is not defined (the only word of a set)."""
    in_x, keep = table.in_x, 1 - np.eye(len(table.in_x))
    of_targets = table.sums.effect_sizes(in_x * keep, (1 - in_x) * keep, slice(0, 1))[:, 0]
    of_attributes = table.sums.effect_sizes(in_x[None, :], 1 - in_x[None, :], slice(1, None))[0]
    values = iter([*of_targets, *of_attributes])
    return {
        role: {word: float(d) if np.isfinite(d := next(values)) else None for word in table.words[role]}
        for role in "XYAB"
    }


def _standardised(table: WordTable) -> dict[str, dict[str, list[float]]]:
    """By target set and word: number of sentences, and mean of s, standardised over X ∪ Y."""
    means = table.sums.sums[:, 0] / table.sums.counts / table.s.std(ddof=1)
    values = zip(table.sums.counts.astype(int).tolist(), means.tolist(), strict=True)
    return {role: {word: list(next(values)) for word in table.words[role]} for role in "XY"}


def _undefined(reason: str) -> dict[str, object]:
    """The fields of a result that has no effect size."""
    given = {"label", "family", "targets", "attributes", "n_sentences", "n_words", "interval_method", "note"}
    return {**dict.fromkeys(field for field in TestResult.__dataclass_fields__ if field not in given), "note": reason}


def _p_values(table: WordTable, seed: int, name: str) -> dict[str, object]:
    """The default p-value (words move with all their sentences; the statistic weighs sentences as d does), the legacy
    one (sentences move), and the one where each word is one unit of weight 1."""
    words, n_x_words = table.sums, table.n_x[1]
    by_word = permutation_test(
        words.sums[:, 0], words.counts, n_x_words, two_sided=True, rng=Stream(seed, name, "words")
    )
    means, ones = table.balanced_means, np.ones(len(words.counts))
    balanced = permutation_test(means, ones, n_x_words, two_sided=True, rng=Stream(seed, name, "words"))
    ones, rng = np.ones(len(table.s)), Stream(seed, name, "sentences")
    legacy = permutation_test(table.s, ones, table.n_x[0], two_sided=False, rng=rng)
    return {
        "p_value": by_word.p_value,
        "p_value_method": "exact" if by_word.exact else "monte_carlo",
        "p_value_permutations": by_word.permutations,
        "p_value_legacy": legacy.p_value,
        "p_value_legacy_method": "exact" if legacy.exact else "sampled",
        "p_value_legacy_permutations": legacy.permutations,
        "p_value_word_balanced": balanced.p_value,
    }
