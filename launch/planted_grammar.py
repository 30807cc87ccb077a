"""The grammar of the planted corpus: from a rule, a person and a topic to an English document.

The rules, the paired person words and the topic words are data, in ``planted_grammar.yaml``. Nothing in them depends on
gender but the paired words themselves, so exchanging the two sides of every pair maps the set of sentences onto itself.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from typing import Any

import yaml

GENDERS = ("male", "female")
MIN_WORDS, MAX_WORDS = 11, 24
"""Words in a document. With punctuation and two specials that is 14 tokens at least: DistilBERT's corpus preparation
drops sequences of 11 or fewer (Sanh et al. 2019, official script)."""

_FIELD = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"[A-Za-z]+")
_ARTICLE = re.compile(r"\b([Aa])n? (?=([A-Za-z]+))")
_SENTENCE_START = re.compile(r"(^\W*|[.?!] \W*|\b(?=i\b))([a-z])")
_SILENT_H, _SPOKEN_Y = {"honest"}, {"university"}


def words_of(text: str) -> list[str]:
    """Lower-case words of a text; ``John's`` gives ``john`` and ``s``."""
    return [word.lower() for word in _WORD.findall(text)]


def draw(rng: random.Random, items: Sequence[Any]) -> Any:
    """One item, uniformly; from ``rng.random()`` alone, whose stream is the same in every Python version."""
    return items[int(rng.random() * len(items))]


def shuffled(rng: random.Random, items: Sequence[Any]) -> list[Any]:
    """A new list in random order, from ``rng.random()`` alone."""
    result = list(items)
    for last in range(len(result) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        result[last], result[other] = result[other], result[last]
    return result


@dataclass(frozen=True)
class Slot:
    """A pair of person words that play the same part: ``form`` says how it is named ("name", "adult", ..., "pronoun")."""

    kind: str
    form: str
    male: str = ""
    female: str = ""


@dataclass(frozen=True)
class DocumentPlan:
    """What one document holds: a person (``slot`` and ``gender``), a ``topic`` with its ``word``, both, or neither."""

    slot: Slot | None = None
    gender: str | None = None
    topic: str | None = None
    word: str | None = None

    @property
    def rule(self) -> str:
        """Name of the grammar's rule for such documents."""
        parts = ["person"] * (self.slot is not None) + ["topic"] * (self.topic is not None)
        return "_".join(["document", *(parts or ["neutral"])])


@dataclass(frozen=True)
class Grammar:
    """Rules and word classes. ``data`` is the parsed YAML file, whose own comments define its form."""

    data: Mapping[str, Any] = field(repr=False)

    @cached_property
    def names(self) -> list[Slot]:
        """The name pairs."""
        return [Slot("names", "name", male, female) for male, female in self.data["names"]]

    @cached_property
    def terms(self) -> list[Slot]:
        """The term pairs (man/woman, ...), without the pronouns."""
        groups = self.data["terms"].items()
        return [Slot("terms", form, male, female) for form, pairs in groups for male, female in pairs]

    @cached_property
    def topics(self) -> dict[str, dict[str, list[str]]]:
        """Topic -> word -> the noun phrases it stands in."""
        return {topic: dict(entry["words"]) for topic, entry in self.data["topics"].items()}

    def gender_words(self, gender: str, kind: str) -> set[str]:
        """Lower-case words that mark a gender: ``kind`` "names", or "terms" (pronouns included)."""
        if kind == "names":
            return {getattr(slot, gender).lower() for slot in self.names}
        return {getattr(slot, gender) for slot in self.terms} | set(self.data["pronouns"][gender].values())

    def alternatives(self, rule: str, group: str | None) -> list[str]:
        """Alternatives of a rule for a topic's group ("life", "field") or for no topic."""
        return _alternatives(self, rule, group)

    def expand(self, text: str, fixed: Mapping[str, str], group: str | None, rng: random.Random) -> str:
        """Replace every ``{name}`` by what is fixed for the document, else by a random alternative of the rule."""

        def substitute(match: re.Match) -> str:
            name = match[1]
            chosen = fixed[name] if name in fixed else draw(rng, self.alternatives(name, group))
            return self.expand(chosen, fixed, group, rng) if "{" in chosen else chosen

        return _FIELD.sub(substitute, text)

    def document(self, plan: DocumentPlan, rng: random.Random) -> str:
        """One document of MIN_WORDS to MAX_WORDS words on one line: one to three sentences with agreeing pronouns."""
        group = self.data["topics"][plan.topic]["group"] if plan.topic else None
        while True:
            fixed = self._topic(plan, rng) | self._person(plan, rng)
            text = _finish(self.expand(draw(rng, self.alternatives(plan.rule, None)), fixed, group, rng))
            if MIN_WORDS <= len(text.split()) <= MAX_WORDS:
                return text

    def _topic(self, plan: DocumentPlan, rng: random.Random) -> dict[str, str]:
        """Two noun phrases of the topic: the first mention, in one document of four of two words, and a later mention."""
        if plan.topic is None:
            return {}
        words = self.topics[plan.topic]
        others = shuffled(rng, [word for word in words if word != plan.word])
        first = shuffled(rng, [plan.word, others[0]]) if rng.random() < 0.25 else [plan.word]
        return {
            "topics": " and ".join(self._phrase(words[word], plan, rng) for word in first),
            "topics_2": self._phrase(words[others[1]], plan, rng),
        }

    @staticmethod
    def _phrase(forms: Sequence[str], plan: DocumentPlan, rng: random.Random) -> str:
        """A noun phrase of a topic word; "his office" only where the document has a person."""
        return draw(rng, [form for form in forms if plan.slot is not None or "{" not in form])

    def _person(self, plan: DocumentPlan, rng: random.Random) -> dict[str, str]:
        """Everything that must agree with the document's person."""
        if plan.slot is None:
            return {}
        pronouns = self.data["pronouns"][plan.gender]
        word = getattr(plan.slot, plan.gender)
        kin, adult = (draw(rng, [getattr(s, plan.gender) for s in self.terms if s.form == f]) for f in ("kin", "adult"))
        form = draw(rng, self.alternatives(f"person_{plan.slot.form}", None))
        phrase = self.expand(form, {**pronouns, "name": word, "term": word, "kin": kin, "adult": adult}, None, rng)
        first = {"person": phrase, "person_obj": phrase, "persons": f"{phrase}'s"}
        if plan.slot.form == "pronoun":
            first |= {"person_obj": pronouns["him"], "persons": pronouns["his"]}
        other = draw(rng, [slot for slot in self.names if slot != plan.slot])
        return {**pronouns, **first, "person_2": getattr(other, draw(rng, GENDERS))}


def _alternatives(grammar: Grammar, rule: str, group: str | None) -> list[str]:
    rules = grammar.data["rules"]
    if rule not in rules:
        raise ValueError(f"The grammar uses {{{rule}}}, which is neither one of its rules nor fixed by the document.")
    return rules[rule] + rules.get(f"{rule}_{group}", [])


def _finish(text: str) -> str:
    """Choose a/an, and begin every sentence with a capital."""

    def article(match: re.Match) -> str:
        word = match[2].lower()
        vowel = word in _SILENT_H or (word[0] in "aeiou" and word not in _SPOKEN_Y)
        return f"{match[1]}{'n' if vowel else ''} "

    return _SENTENCE_START.sub(lambda match: match[1] + match[2].upper(), _ARTICLE.sub(article, text))


@lru_cache(maxsize=1)
def load_grammar() -> Grammar:
    """The packaged grammar."""
    source = resources.files("evenhand.launch").joinpath("planted_grammar.yaml")
    return Grammar(yaml.safe_load(source.read_text(encoding="utf-8")))
