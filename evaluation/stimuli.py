"""What an association test is computed on: sentences that know their word and their template."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files

GENDER_TESTS = ("sent-weat6", "sent-weat6b", "sent-weat7", "sent-weat7b", "sent-weat8", "sent-weat8b")
"""The six tests whose mean \\|d\\| papers report, in their order (Meade et al. 2022)."""

EXTENDED_TESTS = tuple(name.replace("sent-", "extended-") for name in GENDER_TESTS)
"""The same six questions asked with 24 words a set, where eight see large effects only."""

CONTROL_TESTS = ("sent-weat1", "sent-weat2")
"""Flowers/insects and instruments/weapons against pleasant/unpleasant: a working measure finds both positive."""

FAMILY_TESTS = {
    "gender": GENDER_TESTS,
    "gender-extended": EXTENDED_TESTS,
    "control": CONTROL_TESTS,
    "race": ("sent-weat3", "sent-weat4", "sent-weat5"),
    "health": ("sent-weat9",),
    "age": ("sent-weat10",),
}
"""The built-in tests by family, in the order of reports. Statistics over several tests are over one family."""

FAMILIES = tuple(FAMILY_TESTS)
DEFAULT_FAMILIES = ("gender", "gender-extended", "control")
"""What is run of the built-in families where nothing is chosen."""

LABELS = {
    name: name.replace("sent-weat", "C").replace("extended-weat", "E")
    for names in FAMILY_TESTS.values()
    for name in names
}
"""Labels by name, ``{"sent-weat6b": "C6b", "extended-weat6b": "E6b", ...}``; ``sent-…`` is a file's stem in sent-bias."""


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
        family: what it is counted with in means and corrections: one of `FAMILIES`, or a word of one's own.
    """

    name: str
    label: str
    X: StimulusSet
    Y: StimulusSet
    A: StimulusSet
    B: StimulusSet
    family: str = "custom"

    @property
    def sets(self) -> dict[str, StimulusSet]:
        return {"X": self.X, "Y": self.Y, "A": self.A, "B": self.B}


@dataclass(frozen=True)
class Stimuli:
    """The tests of one source.

    Args:
        source: ``"builtin"``, ``"sent-bias"`` (files in its JSON format) or ``"yaml"`` (a file of word lists).
        name: what to call them in a report.
        tests: in the order of the report.
        set_aside: tests outside the default families, which `select` still finds by name.

    Raises:
        ValueError: one name or label for two tests.
    """

    source: str
    name: str
    tests: tuple[AssociationTest, ...]
    set_aside: tuple[AssociationTest, ...] = field(default=(), repr=False)

    def __post_init__(self):
        seen: set[str] = set()
        for test in (*self.tests, *self.set_aside):
            if twice := seen & {test.name, test.label}:
                raise ValueError(f"stimuli: {self.name} has two tests called {min(twice)!r}; rename one")
            seen |= {test.name, test.label}

    @cached_property
    def sha256(self) -> str:
        """Hash of everything a number depends on: sentences, words, templates and how they make up tests."""
        content = json.dumps([asdict(test) for test in self.tests], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode("utf-8")).hexdigest()

    @property
    def distinct_sentences(self) -> tuple[str, ...]:
        """Every sentence once, in the order of first use."""
        sets = (s for test in self.tests for s in test.sets.values())
        return tuple(dict.fromkeys(sentence for s in sets for sentence in s.sentences))

    @property
    def families(self) -> tuple[str, ...]:
        """The families of the tests, in the order of first use."""
        return tuple(dict.fromkeys(test.family for test in self.tests))

    def of_families(self, families: Sequence[str] | None = None) -> "Stimuli":
        """Only the tests of ``families``.

        Args:
            families: names of families; ``None`` means `DEFAULT_FAMILIES` of the built-in tests (the others are then
                set aside, so that `select` finds them by name) and everything of other sources.

        Raises:
            ValueError: a family that is not here, or no family.
        """
        if families is None:
            chosen = DEFAULT_FAMILIES if self.source == "builtin" else self.families
            others = tuple(test for test in self.tests if test.family not in chosen)
        else:
            chosen, others = self._known(families, self.families, "families"), ()
        return Stimuli(self.source, self.name, tuple(t for t in self.tests if t.family in chosen), others)

    def select(self, names: Sequence[str] | None) -> "Stimuli":
        """Only the tests called ``names`` (name or label, any order); all that are not set aside for ``None``.

        Raises:
            ValueError: a name that is not here, or no name.
        """
        if names is None:
            return self
        tests = (*self.tests, *self.set_aside)
        known = {key: test.name for test in tests for key in (test.name, test.label)}
        self._known(names, known, "tests", ", ".join(test.name for test in tests))
        chosen = {known[name] for name in names}
        return Stimuli(self.source, self.name, tuple(test for test in tests if test.name in chosen))

    def _known(self, names: Sequence[str], known, argument: str, listed: str | None = None) -> Sequence[str]:
        """``names`` if there are some and all are ``known``."""
        if isinstance(names, str):
            raise ValueError(f"{argument} must be a list of names, not {names!r}")
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            wrong = repr(unknown[0]) if unknown else "an empty list"
            raise ValueError(f"{argument}: {wrong} is not in {self.name}; use: {listed or ', '.join(known)}")
        return names

    def describe(self) -> dict[str, str]:
        """``{"source", "name", "sha256"}`` for a report."""
        return {"source": self.source, "name": self.name, "sha256": self.sha256}


@lru_cache(maxsize=1)
def builtin_stimuli() -> Stimuli:
    """The built-in tests on this project's own sentences, family by family; every word has eight sentences.

    The words of C1 to C10 are those of Caliskan et al. 2017, the sentences are not sent-bias's; the extended gender
    family is this project's own.
    """
    # imported here because that file builds the classes above
    from evenhand.evaluation.word_list_file import read_tests

    package = files("evenhand.evaluation")
    texts = {
        name: package.joinpath(name).read_text(encoding="utf-8") for name in ("word_lists.yaml", "extended_gender.yaml")
    }
    tests = [test for name, text in texts.items() for test in read_tests(text, name)]
    tests.sort(key=lambda test: FAMILIES.index(test.family))
    return Stimuli("builtin", "evenhand built-in sentences", tuple(tests))
