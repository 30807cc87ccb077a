"""A generator of pairs for natural language inference in which lexical overlap is a shortcut of known strength.

In the manner of HANS's three heuristics (McCoy, Pavlick and Linzen 2019, *Right for the Wrong Reasons*): a hypothesis made of the
premise's words alone looks entailed, and sometimes is not. Words and constructions are the project's own (``lexical_overlap.yaml``).
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import yaml
from datasets import ClassLabel, Dataset, Features, Value

from evenhand.evaluation.grouped_data.grouped import GroupedData, group_facts
from evenhand.evaluation.grouped_data.subsets import check_groups_of_train, check_numbers
from evenhand.evaluation.measure_data import content_sha256

LABELS = ("entailment", "non-entailment")
HEURISTICS = ("lexical_overlap", "subsequence", "constituent")
GROUPINGS = ("heuristic", "overlap")
OVERLAP = "lexical overlap"
"""What the facts call the shortcut."""
_LOW = "low overlap"
_BUCKETS = {"train": range(5), "validation": (5,), "test": (6,), "aligned": (7,), "conflicting": (8,), "neutral": (9,)}
"""Tenths of all premises (by their hash): no premise is in two splits, whatever the sizes and the seed."""

_TRIES = 5000
"""For a premise that is new and of the split; one in ten is of a test split."""


@dataclass(frozen=True)
class Pair:
    """One example; ``heuristic`` is the one that an overlapping hypothesis invites, ``None`` for one in other words."""

    premise: str
    hypothesis: str
    entailed: bool
    heuristic: str | None


@dataclass(frozen=True)
class OverlapGrammar:
    """Words and constructions.

    Args:
        words: class of words → pairs of synonyms (nouns, transitive, intransitive) or single words.
        constructions: ``premise``, and the events that follow and do not, each with its heuristic.
    """

    words: Mapping[str, list]
    constructions: tuple[Mapping, ...]
    _options: dict = field(default_factory=dict, repr=False, compare=False)

    def options(self, entailed: bool, heuristic: str) -> list[tuple[Mapping, str]]:
        """The constructions with an event of this kind, and the event."""
        if not self._options:
            for construction in self.constructions:
                for key, holds in (("follows", True), ("does_not", False)):
                    for event, name in construction.get(key, {}).items():
                        self._options.setdefault((holds, name), []).append((construction, event))
        return self._options[entailed, heuristic]

    def pair(self, entailed: bool, high_overlap: bool, draw: random.Random) -> Pair:
        """A premise and a hypothesis with the label and the overlap that are asked for."""
        heuristic = HEURISTICS[draw.randrange(len(HEURISTICS))]
        # A hypothesis in other words does not follow in one of three ways: its event does not, or one of its words is another's.
        changed = None if entailed or high_overlap else (None, "noun", "verb")[draw.randrange(3)]
        options = self.options(entailed or changed is not None, heuristic)
        construction, event = options[draw.randrange(len(options))]
        said, meant = self._words_of(construction["premise"], draw)
        premise = construction["premise"].format_map(said)
        if not high_overlap:
            meant = self._changed(changed, event, meant, draw) if changed else meant
        hypothesis = _event(event, said if high_overlap else meant)
        return Pair(_sentence(premise), _sentence(hypothesis), entailed, heuristic if high_overlap else None)

    def _words_of(self, premise: str, draw: random.Random) -> tuple[dict[str, str], dict[str, str]]:
        """Words of the premise's slots, and their synonyms; no two are of the same pair."""
        said, meant = {}, {}
        for kind, slots in (("nouns", "abc"), ("transitive", "tu"), ("intransitive", "i")):
            pairs = draw.sample(self.words[kind], len(slots))
            for slot, pair in zip(slots, pairs, strict=True):
                side = draw.randrange(2)
                said[slot], meant[slot] = pair[side], pair[1 - side]
        for kind in ("near", "place", "fact", "nonfact", "sub", "cond", "surely", "perhaps"):
            if f"{{{kind}}}" in premise:
                said[kind] = self.words[kind][draw.randrange(len(self.words[kind]))]
        return said, meant

    def _changed(self, which: str, event: str, meant: dict[str, str], draw: random.Random) -> dict[str, str]:
        """The same words, but one noun or the verb of the event is of a pair that the premise has nothing of."""
        slots = event.split()
        slot = slots[1] if which == "verb" else [slots[0], *slots[2:]][draw.randrange(len(slots) - 1)]
        kind = {"t": "transitive", "u": "transitive", "i": "intransitive"}.get(slot, "nouns")
        others = [pair for pair in self.words[kind] if not set(pair) & set(meant.values())]
        return {**meant, slot: others[draw.randrange(len(others))][draw.randrange(2)]}


def _event(event: str, words: Mapping[str, str]) -> str:
    subject, verb, *objects = (words[slot] for slot in event.split())
    return " ".join(["the", subject, verb, *(f"the {noun}" for noun in objects)])


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}.".replace(" ,", ",")


@cache
def builtin_grammar() -> OverlapGrammar:
    """The project's own, ``lexical_overlap.yaml``."""
    content = yaml.safe_load((files(__package__) / "lexical_overlap.yaml").read_text(encoding="utf-8"))
    constructions = tuple(content.pop("constructions"))
    return OverlapGrammar(content, constructions)


def generate(split: str, n: int, strength: float, seed: int, exclude: Iterable[str] = ()) -> Iterator[Pair]:
    """``n`` pairs with different premises, half of them entailed, ``strength`` of each label bias-aligned (exactly, to the
    rounding of one), in random order.

    Args:
        split: which tenths of all premises may be used: half of them for ``"train"``, one each for the others.
        n: how many.
        strength: share of the entailed pairs with a high overlap, and of the others with a low one.
        seed: of everything drawn.
        exclude: premises not to use.

    Raises:
        ValueError: more pairs than the words give premises.
    """
    grammar = builtin_grammar()
    draw = random.Random(f"{seed} {split}")
    cells = []
    for entailed, size in ((True, n - n // 2), (False, n // 2)):
        n_aligned = round(strength * size)
        cells += [(entailed, entailed)] * n_aligned + [(entailed, not entailed)] * (size - n_aligned)
    seen = set(exclude)
    for cell in draw.sample(cells, len(cells)):
        for _ in range(_TRIES):
            pair = grammar.pair(*cell, draw)
            if zlib.crc32(pair.premise.encode()) % 10 in _BUCKETS[split] and pair.premise not in seen:
                break
        else:
            raise ValueError(
                f"the grammar has no more than about {len(seen)} premises for {split!r}; ask for fewer pairs"
            )
        seen.add(pair.premise)
        yield pair


def load_lexical_overlap(
    *,
    strength: float = 0.9,
    grouping: str = "heuristic",
    n_train: int = 8000,
    n_validation: int = 1000,
    n_test: int = 1000,
    seed: int = 0,
) -> GroupedData:
    """Generated pairs, entailment against non-entailment, with overlap as a shortcut.

    The tests: ``"test"`` (as in train), ``"aligned"`` (overlap is always right), ``"conflicting"`` (always wrong), ``"neutral"``
    (independent of the label). No premise is in two splits.

    Args:
        strength: share of each label, in train, validation and test, that is bias-aligned: entailed with a high overlap, or not
            entailed with a low one; between 0.5 (no shortcut) and 1.
        grouping: ``"heuristic"``: label × (lexical overlap, subsequence, constituent, low overlap), 8 groups;
            ``"overlap"``: label × (high, low overlap), 4 groups.
        n_train, n_validation, n_test: sizes; ``n_test`` is that of each of the four tests.
        seed: of everything drawn.

    Raises:
        ValueError: a setting out of its range, or so few examples that ``test`` lacks one of train's groups.
    """
    check_numbers(strength=strength, n_train=n_train, n_validation=n_validation, n_test=n_test, seed=seed)
    if not 0.5 <= strength <= 1:
        raise ValueError(f"strength must lie between 0.5 (chance) and 1, not {strength}")
    if grouping not in GROUPINGS:
        raise ValueError(f"grouping must be {' or '.join(map(repr, GROUPINGS))}, not {grouping!r}")
    if min(n_train, n_validation, n_test) < 8 or seed < 0:
        raise ValueError(
            f"sizes must be at least 8 and the seed not negative, not {n_train}, {n_validation}, {n_test}; {seed}"
        )
    plan = {
        "train": (n_train, strength),
        "validation": (n_validation, strength),
        "test": (n_test, strength),
        "aligned": (n_test, 1.0),
        "conflicting": (n_test, 0.0),
        "neutral": (n_test, 0.5),
    }
    splits = {name: as_dataset(list(generate(name, n, share, seed)), grouping) for name, (n, share) in plan.items()}
    facts = {
        "source": "evenhand's lexical-overlap generator (lexical_overlap.yaml)",
        "licence": "Apache-2.0",
        "sha256": content_sha256(
            [rows.select_columns(["text", "text_pair", "label"]).to_list() for rows in splits.values()]
        ),
        "planted": {"shortcut": OVERLAP, "strength": strength, "seed": seed, "grouping": grouping},
        "n_by_group": group_facts(splits),
    }
    data = GroupedData(
        "lexical_overlap", "text", splits, group_sides(grouping), shift=("conflicting", "neutral"), facts=facts
    )
    check_groups_of_train(data, ["test"], "Ask for a larger n_test, less strength, or grouping: overlap")
    return data


def group_sides(grouping: str) -> dict[str, bool]:
    """Group's name → whether it is bias-aligned."""
    kinds = (
        (*(name.replace("_", " ") for name in HEURISTICS), _LOW) if grouping == "heuristic" else ("high overlap", _LOW)
    )
    return {f"{label} × {kind}": (label == LABELS[0]) == (kind != _LOW) for label in LABELS for kind in kinds}


def as_dataset(pairs: list[Pair], grouping: str) -> Dataset:
    """Pairs as a split, with the heuristic as a column (``low overlap`` for none)."""
    names = list(group_sides(grouping))
    kinds = [_LOW if pair.heuristic is None else pair.heuristic.replace("_", " ") for pair in pairs]
    shown = kinds if grouping == "heuristic" else [_LOW if kind == _LOW else "high overlap" for kind in kinds]
    labels = [LABELS[not pair.entailed] for pair in pairs]
    features = {
        "text": Value("string"),
        "text_pair": Value("string"),
        "label": ClassLabel(names=list(LABELS)),
        "group": ClassLabel(names=names),
        "heuristic": Value("string"),
    }
    return Dataset.from_dict(
        {
            "text": [pair.premise for pair in pairs],
            "text_pair": [pair.hypothesis for pair in pairs],
            "label": [LABELS.index(label) for label in labels],
            "group": [names.index(f"{label} × {kind}") for label, kind in zip(labels, shown, strict=True)],
            "heuristic": kinds,
        },
        features=Features(features),
    )
