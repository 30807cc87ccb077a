"""The Sentence Encoder Association Test (May et al. 2019) with statistics at the level of words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import nn

from evenhand.evaluation.anisotropy import anisotropy
from evenhand.evaluation.association import TestResult, measure, word_table
from evenhand.evaluation.encoder import POOLINGS, encode
from evenhand.evaluation.families import complete, families_of, summarise
from evenhand.evaluation.paired_difference import compare_results
from evenhand.evaluation.random_labels import random_labels
from evenhand.evaluation.stimuli import GENDER_TESTS, Stimuli
from evenhand.evaluation.stimulus_sources import load_stimuli
from evenhand.evaluation.unknown_words import check_known_words


@dataclass(frozen=True)
class SeatResult:
    """The tests of one model under one pooling and one source of stimuli.

    ``tests`` is keyed by the stimuli's names (``"sent-weat6"``). ``mean_absolute_effect_size`` is the mean of |d| over
    C6, C6b, C7, C7b, C8 and C8b, and ``None`` (``note`` says why) where one of the six was not run or has no d.
    ``families`` says of each family of tests its mean |d| with interval, what it would be without any association
    (`noise_floor`), the smallest d its tests can be expected to find (`detectable_effect`), and how many distinct sentences they
    use (``n_sentences``; ``n_distinct_sentences`` is of all tests). ``anisotropy`` and
    ``random_labels`` are checks on whether the numbers can be read at all.
    """

    pooling: str
    stimuli: dict[str, str]
    seed: int
    confidence_level: float
    n_distinct_sentences: int
    tests: dict[str, TestResult]
    families: dict[str, dict[str, object]]
    anisotropy: dict[str, object]
    random_labels: dict[str, object] | None

    @property
    def mean_absolute_effect_size(self) -> float | None:
        if self.note:
            return None
        return float(np.mean([abs(self.tests[name].effect_size) for name in GENDER_TESTS]))

    @property
    def note(self) -> str | None:
        """Why there is no mean, or ``None``."""
        absent = [n for n in GENDER_TESTS if n not in self.tests or self.tests[n].effect_size is None]
        return f"no mean |d|: it is over six tests, and {', '.join(absent)} is not here or has no d" if absent else None

    def to_dict(self) -> dict[str, object]:
        """As it stands in report.json."""
        return {
            "measure": "seat",
            "pooling": self.pooling,
            "stimuli": dict(self.stimuli),
            "seed": self.seed,
            "confidence_level": self.confidence_level,
            "n_distinct_sentences": self.n_distinct_sentences,
            "tests": {name: result.to_dict() for name, result in self.tests.items()},
            "mean_absolute_effect_size": self.mean_absolute_effect_size,
            "mean_absolute_effect_size_tests": list(GENDER_TESTS),
            "families": {family: dict(summary) for family, summary in self.families.items()},
            "anisotropy": dict(self.anisotropy),
            "random_labels": None if self.random_labels is None else dict(self.random_labels),
            "note": self.note,
        }


@dataclass(frozen=True)
class Seat:
    """SEAT as an evaluator: ``Seat().run(model, tokenizer)``.

    Args:
        pooling: how token vectors become a sentence vector: ``"mean"`` (default), ``"mean_no_special"``, ``"cls"`` or
            ``"first_token"``. Numbers under different poolings are not comparable.
        stimuli: ``"builtin"`` (default), a directory or file in sent-bias's format, or a YAML file of word lists;
            or `Stimuli` made already.
        tests: names (``"sent-weat6"``) or labels (``"C6"``) of the tests to run; by default all of ``families``.
        families: names of the families to run. By default ``"gender"``, ``"gender-extended"`` and ``"control"`` of the
            built-in tests, and everything of other sources; tests of other families can still be named in ``tests``.
        seed: of random partitions, relabellings and sign flips.
        batch_size: sentences per forward; it does not change the numbers.
        confidence_level: of the intervals.
        progress: show a bar where encoding takes more than two seconds.

    Raises:
        ValueError, FileNotFoundError: an argument that cannot be used, or stimuli that cannot be read.

    Example:
        >>> result = Seat(pooling="cls").run(model, tokenizer)
        >>> result.tests["sent-weat6"].effect_size, result.mean_absolute_effect_size
    """

    pooling: str = "mean"
    stimuli: str | Path | Stimuli = "builtin"
    tests: Sequence[str] | None = None
    families: Sequence[str] | None = None
    seed: int = 0
    batch_size: int = 64
    confidence_level: float = 0.95
    progress: bool = False

    measure = "seat"

    def __post_init__(self):
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling {self.pooling!r} is unknown; use one of {', '.join(POOLINGS)}")
        if not 0 < self.confidence_level < 1:
            raise ValueError(f"confidence_level must lie between 0 and 1, not {self.confidence_level}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")
        for name in ("tests", "families"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a list of names, not {getattr(self, name)!r}")

    @cached_property
    def _source(self) -> Stimuli:
        return load_stimuli(self.stimuli)

    @cached_property
    def loaded_stimuli(self) -> Stimuli:
        """The tests that will be run; read once."""
        return self._source.of_families(self.families).select(self.tests)

    def settings(self) -> dict[str, object]:
        """What a result of this evaluator is filed under in a report."""
        return {"pooling": self.pooling, "stimuli": self.loaded_stimuli.describe()}

    def run(self, model: nn.Module, tokenizer) -> SeatResult:
        """Measure ``model``; its weights and training mode are left as they were.

        Args:
            model: a transformers model, with or without a head.
            tokenizer: its tokenizer.

        Raises:
            ValueError: the tokenizer does not know a word of the sets, the model gives NaN or zero vectors or cannot
                take a sentence, or sets make no test.
        """
        stimuli = self.loaded_stimuli
        check_known_words(stimuli, tokenizer)
        sentences = stimuli.distinct_sentences
        vectors = encode(
            model, tokenizer, sentences, pooling=self.pooling, batch_size=self.batch_size, progress=self.progress
        )
        return self.result_of(vectors)

    def result_of(self, vectors: np.ndarray) -> SeatResult:
        """All statistics of the vectors of ``loaded_stimuli.distinct_sentences``, (n, hidden)."""
        stimuli = self.loaded_stimuli
        row = {sentence: index for index, sentence in enumerate(stimuli.distinct_sentences)}
        tables = {
            test.name: word_table(test, {r: vectors[[row[s] for s in of.sentences]] for r, of in test.sets.items()})
            for test in stimuli.tests
        }
        settings = {"seed": self.seed, "confidence_level": self.confidence_level}
        tests = complete({t.name: measure(t, tables[t.name], **settings) for t in stimuli.tests}, tables)
        of_family = Counter(test.family for test in (*self._source.tests, *self._source.set_aside))
        n_sentences = {name: len(stimuli.of_families([name]).distinct_sentences) for name in stimuli.families}
        return SeatResult(
            pooling=self.pooling,
            stimuli=stimuli.describe(),
            n_distinct_sentences=len(row),
            tests=tests,
            families={
                family: summarise({name: tests[name] for name in names}, of=of_family[family], **settings)
                | {"n_sentences": n_sentences[family]}
                for family, names in families_of(tests).items()
            },
            anisotropy=anisotropy(vectors),
            random_labels=random_labels(tables, **settings),
            **settings,
        )

    def compare(self, result: SeatResult, reference: SeatResult) -> dict[str, object]:
        """How ``result`` differs from ``reference``, test by test and family by family; see `paired_difference`."""
        return compare_results(result.to_dict(), reference.to_dict())
