"""What a card states that no report can know: licence, author, names, hand-written text. Declared by a person, never guessed."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from evenhand.model_cards.amplification_gate import Gate
from evenhand.model_cards.hand_written import checked_notes

FACTS_SCHEMA = "evenhand-card-facts"
LICENCE_ID = re.compile(r"[a-z0-9][a-z0-9.+-]*")
GATE: Mapping[str, float] = MappingProxyType(dataclasses.asdict(Gate()))
"""The thresholds of the amplification gate where a recipe names none: margins in units of d, and a significance level."""


@dataclass(frozen=True)
class CardFacts:
    """Declared facts of one published student.

    Args:
        licence: the Hub's identifier in lower case, such as `apache-2.0`; None means "not declared": the front matter
            then names no licence and the text says so.
        author: person or group.
        repo_id: `name` or `user/name` on the Hub; None for a folder that has no home there yet.
        base_model: the teacher's Hub id; None when the teacher is not on the Hub.
        language: ISO code of the text the student was trained on.
        title: heading of the card; None takes the last part of `repo_id`, or the model's name in the report.
        datasets: names of the corpora; those that are Hub ids enter the front matter, all enter the text.
        notes: hand-written Markdown by block name (`hand_written.NAMES`); it stands between markers in the card.
        accepted_amplification: why the student is published although its association is reliably worse than the teacher's; None
            where nobody accepted that.
        gate: thresholds of the amplification gate, `mean_margin` and `test_margin` (units of d, at least 0) and `alpha` (between
            0 and 1); a missing one is that of `GATE`.
        licence_source: where `licence` comes from, such as "the card of google-bert/bert-base-uncased"; None means that whoever
            publishes declared it.
        data_licences: licence by name of a corpus or evaluation data set, as its own page states it.

    Raises:
        ValueError: a fact is not of the form that the Hub accepts.
    """

    licence: str | None = None
    author: str | None = None
    repo_id: str | None = None
    base_model: str | None = None
    language: str = "en"
    title: str | None = None
    datasets: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    accepted_amplification: str | None = None
    gate: Mapping[str, float] = field(default_factory=lambda: dict(GATE))
    licence_source: str | None = None
    data_licences: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.datasets, str):
            raise ValueError(f"datasets must be a list of names, got the string {self.datasets!r}")
        object.__setattr__(self, "datasets", tuple(self.datasets or ()))
        for fact in dataclasses.fields(self):
            value = getattr(self, fact.name)
            if fact.name not in _NOT_TEXT and value is not None and not isinstance(value, str):
                raise ValueError(f"{fact.name} must be text, got {value!r}")
        for name in ("accepted_amplification", "licence_source"):
            if getattr(self, name) is not None and not getattr(self, name).strip():
                raise ValueError(f"{name} must say something; leave it out instead of giving an empty text")
        if not all(isinstance(name, str) for name in self.datasets):
            raise ValueError(f"datasets must be names, got {list(self.datasets)!r}")
        if self.licence is not None and not LICENCE_ID.fullmatch(self.licence):
            raise ValueError(
                f"licence must be a Hub identifier such as 'apache-2.0' or 'cc-by-4.0', got {self.licence!r}"
            )
        if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]+)*", self.language or ""):
            raise ValueError(f"language must be an ISO code such as 'en', got {self.language!r}")
        for name in ("repo_id", "base_model"):
            value = getattr(self, name)
            if value is not None and not is_hub_id(value):
                raise ValueError(f"{name} must be a Hub id such as 'user/name', got {value!r}")
        object.__setattr__(self, "notes", checked_notes(self.notes))
        object.__setattr__(self, "gate", _checked_gate(self.gate))
        object.__setattr__(self, "data_licences", _checked_licences(self.data_licences))

    def to_dict(self) -> dict[str, Any]:
        """JSON data; the inverse of `from_dict`."""
        return {"schema": FACTS_SCHEMA, **dataclasses.asdict(self), "datasets": list(self.datasets)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CardFacts:
        """Read what `to_dict` wrote. Raises ValueError on another schema or unknown keys."""
        if not isinstance(data, Mapping) or data.get("schema") != FACTS_SCHEMA:
            raise ValueError(f"card facts need the schema {FACTS_SCHEMA!r}; stage the folder again")
        known = {fact.name for fact in dataclasses.fields(cls)}
        unknown = sorted(set(data) - known - {"schema"})
        if unknown:
            raise ValueError(f"unknown card fact {unknown[0]!r}; known are {', '.join(sorted(known))}")
        return cls(**{key: value for key, value in data.items() if key in known})


_NOT_TEXT = {"datasets", "notes", "gate", "data_licences"}


def _checked_gate(gate: Mapping[str, float]) -> dict[str, float]:
    """All thresholds, the missing ones from `GATE`."""
    if not isinstance(gate, Mapping):
        raise ValueError(f"gate must be thresholds by name, got {gate!r}")
    unknown = sorted(set(map(str, gate)) - set(GATE))
    if unknown:
        raise ValueError(f"gate: unknown threshold {unknown[0]!r}; known are {', '.join(GATE)}")
    for name, value in gate.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
            raise ValueError(f"gate: {name} must be a number that is not negative, got {value!r}")
    thresholds = {name: float(gate.get(name, default)) for name, default in GATE.items()}
    if not 0 < thresholds["alpha"] < 1:
        raise ValueError(f"gate: alpha must lie between 0 and 1, got {thresholds['alpha']!r}")
    return thresholds


def _checked_licences(licences: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(licences, Mapping):
        raise ValueError(f"data_licences must be licences by name of a data set, got {licences!r}")
    for name, licence in licences.items():
        if not isinstance(name, str) or not isinstance(licence, str) or not name.strip() or not licence.strip():
            raise ValueError(f"data_licences must be licences by name of a data set, got {name!r}: {licence!r}")
    return dict(sorted(licences.items()))


def is_hub_id(name: str) -> bool:
    """Whether the Hub would accept `name` as a repository id."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True
