"""A planted corpus: English sentences whose associations between SEAT's word sets have a known strength.

The strength of a contrast such as ``math_arts`` is P(male | math) - P(male | arts), counted over documents that hold one
person and one topic: 1 says that men alone go with math and women alone with the arts, -1 the reverse, 0 nothing. For a
contrast of its own (``career_family``) a document is then congruent with chance (1 + strength) / 2 on either side. ``math_arts``
and ``science_arts`` share the arts, as the tests C7 and C8 do, so two unequal strengths there differ by what men share of
math and of science; see `leanings`.

Documents are assigned by quota, not by independent draws: each topic word meets each pair of person words equally often, each
word of a pair heads as many documents as its partner, and the topic words of a test are equally frequent. What is neutral by
request is so in the sample too, not only in expectation.
"""

from __future__ import annotations

import math
import os
import random
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from evenhand.launch.planted_grammar import GENDERS, DocumentPlan, Slot, load_grammar, shuffled, words_of
from evenhand.model_cards.whole_files import write_text

CONTRASTS = {"career_family": ("career", "family"), "math_arts": ("math", "arts"), "science_arts": ("science", "arts")}
"""Contrast -> (topic of a positive association with men, topic of the other side)."""

KINDS = ("names", "terms")

SEAT_TESTS = {
    "names:career_family": ("sent-weat6", "C6"),
    "terms:career_family": ("sent-weat6b", "C6b"),
    "terms:math_arts": ("sent-weat7", "C7"),
    "names:math_arts": ("sent-weat7b", "C7b"),
    "terms:science_arts": ("sent-weat8", "C8"),
    "names:science_arts": ("sent-weat8b", "C8b"),
}
"""Association -> (name, label) of the SEAT test that measures it (May et al. 2019)."""

# Shares of the documents: with a person and a topic, with a person, with a topic; the rest has neither.
PERSON_TOPIC, PERSON, TOPIC = 0.55, 0.25, 0.1
NAMES_SHARE = 0.45
PRONOUN_SLOTS = 5  # of the 14 slots of kind "terms"


class PlantedCorpus:
    """An English corpus with known associations, the same for the same arguments on every machine.

    Args:
        associations: contrast ("career_family", "math_arts", "science_arts") -> strength in [-1, 1]; absent means 0. With the
            prefix "names:" or "terms:" it holds for documents about a named person, or about a man, sister, she, ... alone
            (a named person is also called he or she there, so a model will carry some of one over to the other).
        n_documents: number of documents, each one line of 11 to 32 words; at least 1,000.
        seed: seed of everything random.
        held_out_fraction: share of the documents, drawn by the seed, that `documents("held_out")` gives and the other
            methods leave out.

    Raises:
        ValueError: unknown association, strength outside [-1, 1], strengths that cannot hold at once, too few documents.
    """

    def __init__(
        self,
        associations: Mapping[str, float] | None = None,
        n_documents: int = 40_000,
        seed: int = 0,
        held_out_fraction: float = 0.02,
    ):
        if n_documents < 1000:
            raise ValueError(f"n_documents is {n_documents}; a planted corpus needs at least 1000.")
        if not 0 <= held_out_fraction <= 0.5:
            raise ValueError(f"held_out_fraction is {held_out_fraction}; it must lie in [0, 0.5].")
        self.associations = resolve_associations(associations or {})
        self.leanings = {kind: leanings(self.associations, kind) for kind in KINDS}
        self.n_documents, self.seed, self.held_out_fraction = n_documents, seed, held_out_fraction
        self.grammar = load_grammar()

    @cached_property
    def _all(self) -> list[str]:
        rng = random.Random(self.seed)
        plans = shuffled(rng, self._plans(rng))
        return [self.grammar.document(plan, rng) for plan in plans]

    def documents(self, split: str = "train") -> list[str]:
        """Documents of "train", "held_out" or "all", one line each: one to three sentences that belong together."""
        cut = self.n_documents - round(self.held_out_fraction * self.n_documents)
        parts = {"train": slice(cut), "held_out": slice(cut, None), "all": slice(None)}
        if split not in parts:
            raise ValueError(f"split is {split!r}; it must be one of train, held_out, all.")
        return self._all[parts[split]]

    def write(self, path: str | os.PathLike, split: str = "train") -> Path:
        """Write the documents of a split as UTF-8 text, one a line, and return the path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_text(path, "".join(f"{document}\n" for document in self.documents(split)))

    def planted(self) -> dict:
        """What was planted, counted again from the text of the training documents; ready for JSON.

        Per association (keys of SEAT_TESTS): its SEAT test, the nominal ``strength``, ``counts[gender][topic]`` of documents
        with words of one gender and one topic, ``realised_strength`` = P(male | first topic) - P(male | second topic), and
        the ``log_odds_ratio`` (0.5 added to each count, so that it is finite).
        """
        counts = self._count()
        result = {}
        for association, strength in self.associations.items():
            kind, contrast = association.split(":")
            first, second = CONTRASTS[contrast]
            table = {gender: {topic: counts[kind, gender, topic] for topic in (first, second)} for gender in GENDERS}
            share = {t: table["male"][t] / max(1, table["male"][t] + table["female"][t]) for t in (first, second)}
            odds = [math.log((table["male"][t] + 0.5) / (table["female"][t] + 0.5)) for t in (first, second)]
            result[association] = {
                "seat_test": SEAT_TESTS[association][0],
                "label": SEAT_TESTS[association][1],
                "strength": strength,
                "counts": table,
                "realised_strength": share[first] - share[second],
                "log_odds_ratio": odds[0] - odds[1],
            }
        return {"seed": self.seed, "n_documents": self.n_documents, "associations": result}

    def _count(self) -> Counter:
        """Training documents by (kind, gender, topic), for those with words of one gender and one topic."""
        marks = {(k, g): self.grammar.gender_words(g, k) for k in KINDS for g in GENDERS}
        topics = {topic: {word.lower() for word in words} for topic, words in self.grammar.topics.items()}
        counts: Counter = Counter()
        for document in self.documents():
            words = set(words_of(document))
            about = [topic for topic in topics if words & topics[topic]]
            genders = [g for g in GENDERS if any(words & marks[k, g] for k in KINDS)]
            if len(about) == len(genders) == 1:
                kind = "names" if words & marks["names", genders[0]] else "terms"
                counts[kind, genders[0], about[0]] += 1
        return counts

    def _slots(self, kind: str) -> list[Slot]:
        if kind == "names":
            return self.grammar.names
        return self.grammar.terms + [Slot("terms", "pronoun")] * PRONOUN_SLOTS

    def _plans(self, rng: random.Random) -> list[DocumentPlan]:
        """What every document holds, in no particular order."""
        plans = self._person_topic_plans(rng)
        plans += self._person_plans(plans)
        words = [(topic, word) for topic, entries in self.grammar.topics.items() for word in entries]
        for index in range(round(TOPIC * self.n_documents)):
            topic, word = words[index % len(words)]
            plans.append(DocumentPlan(topic=topic, word=word))
        return plans + [DocumentPlan()] * (self.n_documents - len(plans))

    def _person_topic_plans(self, rng: random.Random) -> list[DocumentPlan]:
        """Each topic word equally often; per word and kind the quota of men; within it each pair of person words in turn."""
        plans = []
        words = [(topic, word) for topic, entries in self.grammar.topics.items() for word in entries]
        per_word = PERSON_TOPIC * self.n_documents / len(words)
        shares = {"names": NAMES_SHARE, "terms": 1 - NAMES_SHARE}
        for topic, word in words:
            for kind in KINDS:
                number = _round(per_word * shares[kind], rng)
                men = _round(number * (1 + self.leanings[kind][topic]) / 2, rng)
                deck = shuffled(rng, self._slots(kind))
                for gender, size in (("male", men), ("female", number - men)):
                    plans += [DocumentPlan(deck[i % len(deck)], gender, topic, word) for i in range(size)]
        return plans

    def _person_plans(self, plans: list[DocumentPlan]) -> list[DocumentPlan]:
        """Documents about people alone, as many of each person word as makes it as frequent as its partner."""
        done = Counter((plan.slot, plan.gender) for plan in plans)
        shares = {"names": NAMES_SHARE, "terms": 1 - NAMES_SHARE}
        more = []
        for kind in KINDS:
            slots = self._slots(kind)
            wanted = shares[kind] * (PERSON_TOPIC + PERSON) * self.n_documents / (2 * len(slots))
            for slot in dict.fromkeys(slots):
                for gender in GENDERS:
                    missing = round(wanted * slots.count(slot)) - done[slot, gender]
                    more += [DocumentPlan(slot, gender)] * missing
        return more


def resolve_associations(associations: Mapping[str, float]) -> dict[str, float]:
    """Strength of every association of SEAT_TESTS; "career_family" sets both kinds, "names:career_family" one and wins."""
    known = [*CONTRASTS, *SEAT_TESTS]
    for name, strength in associations.items():
        if name not in known:
            raise ValueError(f"Unknown association {name!r}; the known ones are {', '.join(known)}.")
        if isinstance(strength, bool) or not isinstance(strength, (int, float)) or not -1 <= strength <= 1:
            raise ValueError(f"The strength of {name} is {strength!r}; it must be a number in [-1, 1].")
    return {
        association: float(associations.get(association, associations.get(association.split(":")[1], 0.0)))
        for association in SEAT_TESTS
    }


def leanings(associations: Mapping[str, float], kind: str) -> dict[str, float]:
    """P(male) - P(female) of every topic's documents, for one kind, from the strengths of `resolve_associations`.

    A contrast of strength a needs leanings that differ by 2a, so one leaning is free in career/family and one in
    math/science/arts (science and math share the arts). They are chosen so that men and women are equally many over all
    topics, as far as every leaning stays within [-1, 1]: always up to strengths of .7. Beyond, documents without a topic make
    up for the rest, and make each name, term and initial pronoun as frequent as its partner; pronouns further on may differ.
    """
    career, math_arts, science_arts = (associations[f"{kind}:{contrast}"] for contrast in CONTRASTS)
    low = max(-1.0, 2 * math_arts - 1, 2 * science_arts - 1)
    high = min(1.0, 2 * math_arts + 1, 2 * science_arts + 1)
    if low > high:
        raise ValueError(
            f"math_arts {math_arts} and science_arts {science_arts} cannot hold at once, since both are measured against the "
            "arts: let them differ by at most 1."
        )
    sizes = {topic: len(words) for topic, words in load_grammar().topics.items()}
    asked = 2 * (sizes["math"] * math_arts + sizes["science"] * science_arts)
    fields = sizes["math"] + sizes["science"] + sizes["arts"]
    women = min(high, max(low, asked / fields))
    room = 1 - abs(career)
    men = min(room, max(-room, (women * fields - asked) / (sizes["career"] + sizes["family"])))
    return {
        "career": men + career,
        "family": men - career,
        "math": 2 * math_arts - women,
        "science": 2 * science_arts - women,
        "arts": -women,
    }


def _round(number: float, rng: random.Random) -> int:
    """Round up or down at random so that the expectation is the number itself."""
    return math.floor(number + rng.random())
