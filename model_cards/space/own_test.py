"""From text boxes to an association test: a user's own words in frames, or whole sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import yaml

from evenhand.evaluation.sent_bias import ROLES
from evenhand.evaluation.stimuli import AssociationTest, Stimuli, StimulusSet, builtin_stimuli
from evenhand.evaluation.stimulus_checks import check_test
from evenhand.evaluation.templates import fill, frames_by_class
from evenhand.evaluation.word_list_file import read_tests
from evenhand.evaluation.word_recovery import infer_words
from evenhand.model_cards.escaping import one_line

SETS = ("X", "Y", "A", "B")
WHERE = "your lists"
OWN_CLASS = "own"
# A page that anybody can reach must not be asked for hours of work.
MOST_WORDS, MOST_FRAMES, MOST_SENTENCES, LONGEST = 100, 20, 800, 300


@dataclass(frozen=True)
class Box:
    """What a user entered for one of the four sets.

    Args:
        name: what the set is called; an empty one is called by its letter.
        text: words, or whole sentences, one a line; words may also stand between commas. ``word: class`` gives a word a
            class of its own, ``word: class a`` or ``an`` its article as well.
        word_class: class of the other words; it decides the frames that they are put into.
    """

    name: str
    text: str
    word_class: str = "noun"


def word_list_text(boxes: Mapping[str, Box], frames: str = "") -> str:
    """The boxes as a file of word lists (docs/new_association_test.md), which ``evenhand evaluate`` takes as stimuli.

    Args:
        boxes: the four sets by "X", "Y", "A", "B".
        frames: sentences with ``{word}``, one a line, that all words are put into; by default each word goes into
            the built-in frames of its class.

    Raises:
        ValueError: a set without words, a word twice, or more than the app takes.
    """
    own = _lines(frames)
    _at_most(len(own), MOST_FRAMES, "frames")
    sets = {}
    for role in SETS:
        words: dict[str, object] = {}
        for entry in _words(boxes[role].text):
            word, value = _word_and_class(entry, boxes[role].word_class, bool(own), role)
            if word in words:
                raise ValueError(f"{WHERE}: {role} holds {word!r} twice; take one out")
            words[word] = value
        if not words:
            raise ValueError(f"{WHERE}: {role} has no words; write some, one a line")
        _at_most(len(words), MOST_WORDS, f"words in {role}")
        sets[role] = {"name": _name(role, boxes), "words": words}
    content = {
        "sets": sets,
        **({"templates": {OWN_CLASS: own}} if own else {}),
        "tests": {"own": {role: role for role in SETS}},
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def words_test(boxes: Mapping[str, Box], frames: str = "") -> Stimuli:
    """The association test of word lists; arguments as in `word_list_text`.

    Raises:
        ValueError: lists that make no test; one line that names the set and the word.
    """
    return Stimuli("yaml", WHERE, read_tests(word_list_text(boxes, frames), WHERE))


def sentences_text(boxes: Mapping[str, Box]) -> str:
    """Whole sentences, one a line, as a file in sent-bias's format, which ``evenhand evaluate`` takes as stimuli.

    Raises:
        ValueError: a set without sentences, or more than the app takes.
    """
    content = {
        key: {"category": _name(role, boxes), "examples": _sentences(role, boxes)} for role, key in ROLES.items()
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def sentences_test(boxes: Mapping[str, Box]) -> Stimuli:
    """The association test of whole sentences, one a line; their words are found by how the sentences repeat.

    Raises:
        ValueError: a set without sentences, a sentence whose word cannot be told, or sets that make no test.
    """
    lines = {role: _sentences(role, boxes) for role in SETS}
    try:
        found = infer_words(lines)
    except ValueError as error:
        raise ValueError(f"{WHERE}: {error}; put each word into the same sentences as the others") from error
    test = AssociationTest("own", "own", **{role: StimulusSet(_name(role, boxes), found[role]) for role in SETS})
    check_test(test, WHERE)
    return Stimuli("sent-bias", WHERE, (test,))


@lru_cache(maxsize=1)
def built_in_boxes() -> dict[str, dict[str, Box]]:
    """The built-in tests as boxes to start from, by a title such as ``C6: male names / female names, career / family``."""
    tests = builtin_stimuli().tests
    return {
        f"{t.label}: {t.X.name} / {t.Y.name}, {t.A.name} / {t.B.name}": {r: _box(t.sets[r]) for r in SETS}
        for t in tests
    }


def _box(of: StimulusSet) -> Box:
    """The box that gives a built-in set; the class that most of its words have stands beside it."""
    entries = []
    for word in dict.fromkeys(of.words):
        stimuli = [stimulus for stimulus in of.stimuli if stimulus.word == word]
        word_class = _class_of(word, tuple(stimulus.template for stimulus in stimuli))
        ruled = all(fill(s.template, word) == s.sentence for s in stimuli)
        articles = (a for a in ("a", "an") if all(fill(s.template, word, a) == s.sentence for s in stimuli))
        entries.append((word, word_class, "" if ruled else f" {next(articles)}"))
    names = [word_class for _, word_class, _ in entries]
    common = max(dict.fromkeys(names), key=names.count)
    lines = [
        word if (word_class, article) == (common, "") else f"{word}: {word_class}{article}"
        for word, word_class, article in entries
    ]
    return Box(of.name, "\n".join(lines), common)


def _class_of(word: str, frames: tuple[str, ...]) -> str:
    """The class with these frames; names share theirs with mass nouns and have a capital."""
    classes = [name for name, of_class in frames_by_class().items() if of_class == frames]
    return next((name for name in classes if (name == "name") == word[0].isupper()), classes[0])


def _word_and_class(entry: str, common: str, own_frames: bool, role: str) -> tuple[str, object]:
    """The word of an entry, and what a file of word lists says of it."""
    word, colon, rest = (part.strip() for part in entry.partition(":"))
    word_class, _, article = rest.partition(" ")
    if not word or (colon and not word_class) or article.strip() not in ("", "a", "an"):
        raise ValueError(f"{WHERE}: {role} holds {entry!r}; write 'word', 'word: class' or 'word: class an'")
    word_class = OWN_CLASS if own_frames else word_class or common
    return word, {"class": word_class, "article": article.strip()} if article.strip() else word_class


def _name(role: str, boxes: Mapping[str, Box]) -> str:
    """What a set is called, as one line."""
    return one_line(boxes[role].name) or role


def _sentences(role: str, boxes: Mapping[str, Box]) -> list[str]:
    sentences = _lines(boxes[role].text)
    if not sentences:
        raise ValueError(f"{WHERE}: {role} has no sentences; write some, one a line")
    _at_most(len(sentences), MOST_SENTENCES, f"sentences in {role}")
    return sentences


def _words(text: str) -> list[str]:
    return [entry for line in _lines(text) for entry in (part.strip() for part in re.split("[,;]", line)) if entry]


def _lines(text: str) -> list[str]:
    """Lines that are not empty, each without blanks at its ends and control characters inside."""
    lines = [one_line(line) for line in (text or "").splitlines()]
    for line in lines:
        if len(line) > LONGEST:
            raise ValueError(f"{WHERE}: the line {line[:40]!r}… has {len(line)} characters; {LONGEST} are the most")
    return [line for line in lines if line]


def _at_most(n: int, most: int, what: str) -> None:
    if n > most:
        raise ValueError(f"{WHERE}: {n} {what}; {most} are the most")
