"""The scores of twin distances from the states of both twins at every place that is looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from evenhand.evaluation.effect_size import unit_rows
from evenhand.evaluation.scores import Difference, Score

JACKKNIFE = "jackknife over word pairs, Student t"
PLACES = {"word": "at the exchanged word", "other": "at the other words", "pooled": "of the sentence vectors"}
SMALLEST_SCALE = 1e-9
"""Vectors that all point one way have no distance that another could be a share of."""


@dataclass(frozen=True)
class PlaceStates:
    """The vectors of one place (the exchanged word, the other words, the whole sentence), reduced to pairs of words.

    Args:
        words: names of the pairs, ``"man/woman"``.
        cosine: (pairs,) mean of 1 − cos of the twins.
        relative: (pairs,) mean of the twins' Euclidean distance over the mean of their two lengths.
        directions: (pairs, hidden) mean of all unit vectors of the pair, both twins.
    """

    words: tuple[str, ...]
    cosine: np.ndarray
    relative: np.ndarray
    directions: np.ndarray

    @classmethod
    def of(cls, names: Sequence[str], male: Sequence[np.ndarray], female: Sequence[np.ndarray]) -> PlaceStates:
        """From the states of each twin, (tokens, hidden); every sentence of a pair weighs the same, whatever its number of tokens.

        Args:
            names: of the pair of words of each twin.
            male, female: their states, place by place.

        Raises:
            ValueError: a vector that is zero or not finite.
        """
        rows: dict[str, list] = {name: [] for name in names}
        for name, a, b in zip(names, male, female, strict=True):
            a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
            unit_a, unit_b = unit_rows(a), unit_rows(b)
            lengths = (np.linalg.norm(a, axis=1) + np.linalg.norm(b, axis=1)) / 2
            # half the squared distance of unit vectors is 1 − cos, without cancellation where they nearly agree
            cosine = np.square(unit_a - unit_b).sum(axis=1) / 2
            relative = np.linalg.norm(a - b, axis=1) / lengths
            rows[name].append((cosine.mean(), relative.mean(), (unit_a + unit_b).mean(axis=0) / 2))
        columns = [
            np.array([np.mean([row[i] for row in of_pair], axis=0) for of_pair in rows.values()]) for i in range(3)
        ]
        return cls(tuple(rows), *columns)

    def only(self, words: Sequence[str]) -> PlaceStates:
        """The pairs ``words`` alone, in that order."""
        index = [self.words.index(word) for word in words]
        return PlaceStates(tuple(words), self.cosine[index], self.relative[index], self.directions[index])

    def mean_cosine(self) -> float:
        """Mean cosine over all vectors of different pairs of words: what is left of a distance when nothing but chance decides."""
        total = self.directions.sum(axis=0)
        n = len(self.directions)
        return float((total @ total - np.square(self.directions).sum()) / (n * (n - 1)))

    def share(self) -> float | None:
        """Mean cosine distance of twins over that of vectors of different pairs, (1 − `mean_cosine`)."""
        scale = 1 - self.mean_cosine()
        return None if scale < SMALLEST_SCALE else float(self.cosine.mean()) / scale


# Key, name and unit of each number of a place, and how it follows from its states.
_NUMBERS: tuple[tuple[str, str, str, Callable[[PlaceStates], float | None]], ...] = (
    ("cosine_distance", "cosine distance of twins", "cosine distance", lambda states: float(states.cosine.mean())),
    ("relative_distance", "Euclidean distance of twins over their length", "ratio", lambda s: float(s.relative.mean())),
    ("mean_cosine", "mean cosine of different word pairs", "cosine", PlaceStates.mean_cosine),
    ("share", "cosine distance of twins over that of different word pairs", "ratio", PlaceStates.share),
)


def jackknifed(
    states: Sequence[PlaceStates], number: Callable[..., float | None], confidence_level: float
) -> tuple[float | None, tuple[float, float] | None]:
    """A number of one or more `PlaceStates` on the same pairs of words, and its interval from leaving out each pair in turn.

    The delete-one jackknife (Efron & Tibshirani 1993, chapter 11) with Student's t at (pairs − 1) degrees of freedom; for a mean that
    is the usual t-interval.
    """
    words = states[0].words
    value = number(*states)
    if value is None or len(words) < 3:
        return value, None
    without = []
    for left_out in words:
        kept = [word for word in words if word != left_out]
        without.append(number(*(one.only(kept) for one in states)))
    if None in without:
        return value, None
    n = len(words)
    error = float(np.sqrt((n - 1) * np.var(without)))
    reach = float(stats.t.ppf((1 + confidence_level) / 2, n - 1)) * error
    return value, (value - reach, value + reach)


@dataclass(frozen=True)
class TwinDistanceResult:
    """How far apart one model holds a sentence and its gender twin.

    Args:
        places: by name (see `PLACES`), the states of all twins.
        n_twins: by pair of words, how many sentences stand behind it.
        left_out: what could not be compared, from `gender_twins.align`.
        tests: by name, `effect_parts` of the SEAT tests.
        pooling: of the sentence vectors.
        confidence_level: of the intervals.
    """

    places: Mapping[str, PlaceStates]
    n_twins: Mapping[str, int]
    left_out: Mapping[str, object]
    tests: Mapping[str, Mapping[str, object]]
    pooling: str
    confidence_level: float

    @cached_property
    def scores(self) -> tuple[Score, ...]:
        """Each number at each place; none is better high or low, as they say what a model is like and not how biased it is."""
        scores = []
        for place, where in PLACES.items():
            for key, name, unit, number in _NUMBERS:
                value, interval = jackknifed([self.places[place]], number, self.confidence_level)
                scores.append(
                    Score(
                        *(f"{place}_{key}", f"{name}, {where}", value, unit, len(self.n_twins), interval),
                        confidence_level=self.confidence_level,
                        interval_method=JACKKNIFE if interval else None,
                        note=None if interval else "no interval: the vectors all point one way",
                    )
                )
        return tuple(scores)

    @property
    def note(self) -> str | None:
        """What was left out, in words."""
        words, unaligned = self.left_out["unknown_words"], self.left_out["n_unaligned"]
        parts = [f"words that the tokenizer does not know: {', '.join(words)}"] if words else []
        parts += [f"{unaligned} twins of unequal numbers of tokens"] if unaligned else []
        return f"left out: {'; '.join(parts)}" if parts else None

    def to_dict(self) -> dict[str, object]:
        """As it stands in report.json."""
        pairs = {
            name: {
                "n_twins": count,
                **{place: float(states.cosine[states.words.index(name)]) for place, states in self.places.items()},
            }
            for name, count in self.n_twins.items()
        }
        return {
            "measure": "twin_distance",
            "pooling": self.pooling,
            "confidence_level": self.confidence_level,
            "n_twins": sum(self.n_twins.values()),
            "left_out": {
                key: list(value) if isinstance(value, list) else value for key, value in self.left_out.items()
            },
            "word_pairs": pairs,
            "tests": {name: dict(parts) for name, parts in self.tests.items()},
            "scores": [score.to_dict() for score in self.scores],
            "note": self.note,
        }

    def compare(self, reference: TwinDistanceResult) -> dict[str, object]:
        """Differences from the reference on the pairs of words that both have, paired by pair of words.

        Distances depend on how narrow a cone a model's vectors fill, which differs between models; the shares allow for it.
        """
        shared = [name for name in self.n_twins if self.n_twins[name] == reference.n_twins.get(name)]
        differences = []
        for place, where in PLACES.items():
            for key, name, unit, number in _NUMBERS:
                difference = interval = None
                if len(shared) >= 2:
                    both = [result.places[place].only(shared) for result in (self, reference)]
                    difference, interval = jackknifed(both, _minus(number), self.confidence_level)
                note = None if interval else "no interval: too few word pairs that both models know, or no distance"
                differences.append(
                    Difference(
                        *(f"{place}_{key}", f"{name}, {where}", difference, unit, len(shared), interval),
                        confidence_level=self.confidence_level,
                        interval_method=JACKKNIFE if interval else None,
                        note=note,
                    ).to_dict()
                )
        return {"scores": differences}


def _minus(number: Callable[[PlaceStates], float | None]) -> Callable[[PlaceStates, PlaceStates], float | None]:
    def difference(one: PlaceStates, other: PlaceStates) -> float | None:
        values = number(one), number(other)
        return None if None in values else values[0] - values[1]

    return difference
