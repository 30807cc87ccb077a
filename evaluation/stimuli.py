"""What an association test is computed on: sentences that know their word and their template."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files

import yaml

from evenhand.evaluation.templates import fill, frames_by_class

GENDER_TESTS = ("sent-weat6", "sent-weat6b", "sent-weat7", "sent-weat7b", "sent-weat8", "sent-weat8b")
"""The six tests whose mean \\|d\\| papers report, in their order (Meade et al. 2022)."""

CONTROL_TESTS = ("sent-weat1", "sent-weat2")
"""Flowers/insects and instruments/weapons against pleasant/unpleasant: a working measure finds both positive."""

LABELS = {name: name.replace("sent-weat", "C") for name in (*CONTROL_TESTS, *GENDER_TESTS)}
"""Labels by name, ``{"sent-weat6b": "C6b", ...}``; a name here is a file's stem in sent-bias."""


@dataclass(frozen=True)
class Stimulus:
    """One sentence, the word that it is there for, and the frame that is left without the word."""

    sentence: str
    word: str
    template: str


@dataclass(frozen=True)
class StimulusSet:
    """One of the four sets of a test, e.g. "male names"."""

    name: str
    stimuli: tuple[Stimulus, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        return tuple(stimulus.sentence for stimulus in self.stimuli)

    @property
    def words(self) -> tuple[str, ...]:
        """The word of each sentence (so a word stands here as often as it has sentences)."""
        return tuple(stimulus.word for stimulus in self.stimuli)


@dataclass(frozen=True)
class AssociationTest:
    """Are targets X nearer to attributes A, and Y to B? (Caliskan et al. 2017; May et al. 2019, section 2)

    Args:
        name: its key in results, the file stem of sent-bias (``"sent-weat6"``).
        label: its short name in papers (``"C6"``).
        X, Y: target sets.
        A, B: attribute sets.
        family: ``"gender"`` (enters the mean of \\|d\\| and Holm's correction) or ``"control"``.
    """

    name: str
    label: str
    X: StimulusSet
    Y: StimulusSet
    A: StimulusSet
    B: StimulusSet
    family: str

    @property
    def sets(self) -> dict[str, StimulusSet]:
        return {"X": self.X, "Y": self.Y, "A": self.A, "B": self.B}


@dataclass(frozen=True)
class Stimuli:
    """The tests of one source.

    Args:
        source: ``"builtin"`` or ``"sent-bias"``.
        name: what to call them in a report.
        tests: in the order of the report.
    """

    source: str
    name: str
    tests: tuple[AssociationTest, ...]

    @property
    def sha256(self) -> str:
        """Hash of everything a number depends on: sentences, words, templates and how they make up tests."""
        content = json.dumps([asdict(test) for test in self.tests], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode("utf-8")).hexdigest()

    @property
    def distinct_sentences(self) -> tuple[str, ...]:
        """Every sentence once, in the order of first use."""
        sets = (s for test in self.tests for s in test.sets.values())
        return tuple(dict.fromkeys(sentence for s in sets for sentence in s.sentences))

    def select(self, names) -> "Stimuli":
        """Only the tests called ``names`` (name or label, any order); all of them for ``None``.

        Raises:
            ValueError: a name that is not here, or no name.
        """
        if names is None:
            return self
        known = {key: test.name for test in self.tests for key in (test.name, test.label)}
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            have = ", ".join(test.name for test in self.tests)
            raise ValueError(
                f"tests: {unknown[0] if unknown else 'an empty list'!r} is not in {self.name}; use: {have}"
            )
        chosen = {known[name] for name in names}
        return Stimuli(self.source, self.name, tuple(test for test in self.tests if test.name in chosen))

    def describe(self) -> dict[str, str]:
        """``{"source", "name", "sha256"}`` for a report."""
        return {"source": self.source, "name": self.name, "sha256": self.sha256}


@lru_cache(maxsize=1)
def builtin_stimuli() -> Stimuli:
    """The six gender tests on this project's own sentences: eight words a set, eight sentences a word.

    The words are those of Caliskan et al. 2017 as used in sent-bias; the sentences are not theirs.
    """
    lists = yaml.safe_load(files("evenhand.evaluation").joinpath("word_lists.yaml").read_text(encoding="utf-8"))
    frames = frames_by_class()
    sets = {
        key: StimulusSet(
            entry["name"],
            tuple(
                Stimulus(fill(frame, word), word, frame)
                for word, word_class in entry["words"].items()
                for frame in frames[word_class]
            ),
        )
        for key, entry in lists["sets"].items()
    }
    tests = tuple(
        AssociationTest(name, entry["label"], *(sets[entry[role]] for role in "XYAB"), family="gender")
        for name, entry in lists["tests"].items()
    )
    return Stimuli("builtin", "evenhand built-in sentences", tests)
