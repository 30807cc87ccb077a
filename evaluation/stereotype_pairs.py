"""The sentence pairs of CrowS-Pairs (Nangia et al. 2020), and which sentence of each a model prefers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from evenhand.evaluation.measure_data import (
    DataFacts,
    check_bias_types,
    check_settings,
    content_sha256,
    find_file,
    hub_rows,
    of_bias_types,
    read_table,
)
from evenhand.evaluation.percentages import percentage_difference, percentage_score, preferences
from evenhand.evaluation.scores import Score

HUB_NAME = "nyu-mll/crows_pairs"
# The repository's main branch is a loading script, which datasets no longer runs; this branch is the Hub's own
# conversion of it. It has no fixed commit: the hash of the pairs in a report tells whether it changed.
HUB_REVISION = "refs/convert/parquet"
FILE_NAMES = ("crows_pairs_anonymized.csv", "data/crows_pairs_anonymized.csv", "crows_pairs/crows_pairs_anonymized.csv")
COLUMNS = ("sent_more", "sent_less", "stereo_antistereo", "bias_type")
DIRECTIONS = ("stereo", "antistereo")


@dataclass(frozen=True)
class SentencePair:
    """Two sentences that differ in whom they speak of.

    Args:
        more: the more stereotypical one, whatever the direction.
        less: the other.
        direction: ``"stereo"`` where ``more`` shows a stereotype of a disadvantaged group, ``"antistereo"`` where
            ``less`` goes against one.
        bias_type: e.g. ``"gender"``.
    """

    more: str
    less: str
    direction: str
    bias_type: str


def load_pairs(source: str | Path) -> tuple[tuple[SentencePair, ...], DataFacts]:
    """All pairs of CrowS-Pairs.

    Args:
        source: ``"hub"``, or ``crows_pairs_anonymized.csv`` as published, or a directory with it.

    Raises:
        FileNotFoundError, ValueError: it cannot be had or read; the message says what is wrong.
    """
    if str(source) == "hub":
        table = hub_rows(HUB_NAME, COLUMNS, split="test", revision=HUB_REVISION)
        names = [getattr(table.features[column], "names", None) for column in COLUMNS]
        columns = [
            [labels[value] for value in table[column][:]] if labels else table[column][:]
            for column, labels in zip(COLUMNS, names, strict=True)
        ]
        rows, where = list(zip(*columns, strict=True)), HUB_NAME
    else:
        where = find_file(source, FILE_NAMES, "CrowS-Pairs")
        rows = [tuple(row[column] for column in COLUMNS) for row in read_table(where, COLUMNS, delimiter=",")]
    pairs = tuple(SentencePair(*row) for row in rows)
    for number, pair in enumerate(pairs, start=1):
        if pair.direction not in DIRECTIONS:
            raise ValueError(
                f"{where}, pair {number}: stereo_antistereo is {pair.direction!r}, not one of {DIRECTIONS}"
            )
        if not pair.more.strip() or not pair.less.strip():
            raise ValueError(f"{where}, pair {number}: a sentence is empty")
    hub = str(source) == "hub"
    name = f"{HUB_NAME}, {HUB_REVISION}" if hub else Path(where).name
    return pairs, DataFacts("hub" if hub else "local", name, content_sha256(rows))


@dataclass(frozen=True)
class PairResult:
    """Scores of both sentences of every pair, under one model.

    Args:
        measure: ``"crows_pairs"`` or ``"aul"``.
        settings: of the evaluator, as they stand in the report.
        name: what tables call the percentage.
        pairs: (n,).
        more, less: (n,) scores of the more and the less stereotypical sentence.
        confidence_level, seed: of intervals.
    """

    measure: str
    settings: dict[str, object]
    name: str
    pairs: tuple[SentencePair, ...]
    more: np.ndarray
    less: np.ndarray
    confidence_level: float
    seed: int

    @cached_property
    def outcomes(self) -> np.ndarray:
        """(n,): 1 where the more stereotypical sentence is preferred, 0 where the other is, ½ where neither is."""
        return preferences(self.more, self.less)

    @cached_property
    def groups(self) -> dict[str, np.ndarray]:
        """Bias type → its pairs' numbers; with several types ``"all"`` comes last."""
        types = np.array([pair.bias_type for pair in self.pairs])
        groups = {name: np.flatnonzero(types == name) for name in sorted(set(types.tolist()))}
        return groups if len(groups) == 1 else {**groups, "all": np.arange(len(types))}

    @cached_property
    def scores(self) -> tuple[Score, ...]:
        """One percentage per group, ideally 50."""
        return tuple(
            percentage_score(
                self.outcomes[rows],
                key=f"stereotype_score_{group}",
                name=f"{self.name}, {group}",
                ideal=50.0,
                better="nearer",
                confidence_level=self.confidence_level,
            )
            for group, rows in self.groups.items()
        )

    def to_dict(self) -> dict[str, object]:
        """As it stands in report.json."""
        ties = int((self.outcomes == 0.5).sum())
        return {
            "measure": self.measure,
            **self.settings,
            "seed": self.seed,
            "confidence_level": self.confidence_level,
            "n_pairs": len(self.pairs),
            "n_ties": ties,
            "scores": [score.to_dict() for score in self.scores],
            "details": {group: self._details(rows) for group, rows in self.groups.items()},
            "note": f"{ties} of {len(self.pairs)} pairs are ties and count half" if ties else None,
        }

    def _details(self, rows: np.ndarray) -> dict[str, object]:
        """Counts of a group, its percentage with ties counted as published, and both directions apart."""
        outcomes = self.outcomes[rows]
        directions = np.array([self.pairs[row].direction for row in rows])
        details: dict[str, object] = {
            "n_pairs": len(rows),
            "n_ties": int((outcomes == 0.5).sum()),
            "value_ties_as_not_stereotypical": 100 * float((outcomes == 1).mean()),
            "mean_difference_nats": float((self.more[rows] - self.less[rows]).mean()),
        }
        for direction in DIRECTIONS:
            of_direction = outcomes[directions == direction]
            value = 100 * float(of_direction.mean()) if len(of_direction) else None
            details[direction] = {"value": value, "n_pairs": len(of_direction)}
        return details

    def compare(self, reference: PairResult) -> dict[str, object]:
        """Differences from the reference's percentages, paired by sentence pair.

        Raises:
            ValueError: the two were not computed on the same pairs.
        """
        if self.pairs != reference.pairs:
            raise ValueError(f"{self.measure}: the results are of different pairs and cannot be compared")
        differences, details = [], {}
        for score, (group, rows) in zip(self.scores, self.groups.items(), strict=True):
            own, other = self.outcomes[rows], reference.outcomes[rows]
            differences.append(percentage_difference(own, other, score, self.seed))
            details[group] = {
                "signed_difference": 100 * float((own - other).mean()),
                "n_changed": int((own != other).sum()),
            }
        return {"scores": [difference.to_dict() for difference in differences], "details": details}


@dataclass(frozen=True)
class PairMeasure:
    """A measure on the pairs of CrowS-Pairs: the arguments and data that `CrowsPairs` and `Aul` share.

    A subclass sets ``measure`` and ``title`` and scores the sentences in ``run``.

    Args:
        data: ``"hub"`` (default), or ``crows_pairs_anonymized.csv`` or a directory with it.
        bias_types: ``("gender",)`` by default; ``None`` for all nine, each with its own score, and one over all.
        batch_size: inputs per forward; it does not change the scores but by rounding.
        seed: of the resamples for the interval of a difference.
        confidence_level: of the intervals.
        progress: show a bar where it takes more than two seconds.

    Raises:
        ValueError: an argument that cannot be used.
    """

    data: str | Path = "hub"
    bias_types: Sequence[str] | None = ("gender",)
    batch_size: int = 64
    seed: int = 0
    confidence_level: float = 0.95
    progress: bool = False

    measure: ClassVar[str]
    title: ClassVar[str]

    def __post_init__(self):
        check_settings(self.confidence_level, self.seed, self.batch_size)
        check_bias_types(self.bias_types)

    @cached_property
    def loaded(self) -> tuple[tuple[SentencePair, ...], DataFacts]:
        """The pairs to be scored, and where they came from; read once."""
        pairs, facts = load_pairs(self.data)
        return of_bias_types(pairs, self.bias_types), facts

    def settings(self) -> dict[str, object]:
        """What a result of this evaluator is filed under in a report; the data are read and checked here."""
        pairs, facts = self.loaded
        return {"data": facts.to_dict(), "bias_types": sorted({pair.bias_type for pair in pairs})}

    def result(self, scores: np.ndarray) -> PairResult:
        """From the scores of all sentences, (2 · pairs,): the more stereotypical of the first pair, the other, and so on."""
        name = f"{self.title}, more stereotypical sentence preferred"
        settings, level = self.settings(), self.confidence_level
        return PairResult(self.measure, settings, name, self.loaded[0], scores[0::2], scores[1::2], level, self.seed)

    def compare(self, result: PairResult, reference: PairResult) -> dict[str, object]:
        """How far ``result`` is from 50 less how far ``reference`` is, paired by sentence pair."""
        return result.compare(reference)
