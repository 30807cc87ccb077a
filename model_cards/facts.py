"""What a card states that no report can know: licence, author, names. Declared by a person, never guessed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

FACTS_SCHEMA = "evenhand-card-facts"


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

    def __post_init__(self) -> None:
        if isinstance(self.datasets, str):
            raise ValueError(f"datasets must be a list of names, got the string {self.datasets!r}")
        object.__setattr__(self, "datasets", tuple(self.datasets or ()))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name != "datasets" and value is not None and not isinstance(value, str):
                raise ValueError(f"{field.name} must be text, got {value!r}")
        if not all(isinstance(name, str) for name in self.datasets):
            raise ValueError(f"datasets must be names, got {list(self.datasets)!r}")
        if self.licence is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", self.licence):
            raise ValueError(
                f"licence must be a Hub identifier such as 'apache-2.0' or 'cc-by-4.0', got {self.licence!r}"
            )
        if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]+)*", self.language or ""):
            raise ValueError(f"language must be an ISO code such as 'en', got {self.language!r}")
        for name in ("repo_id", "base_model"):
            value = getattr(self, name)
            if value is not None and not is_hub_id(value):
                raise ValueError(f"{name} must be a Hub id such as 'user/name', got {value!r}")

    def to_dict(self) -> dict[str, Any]:
        """JSON data; the inverse of `from_dict`."""
        return {"schema": FACTS_SCHEMA, **dataclasses.asdict(self), "datasets": list(self.datasets)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CardFacts:
        """Read what `to_dict` wrote. Raises ValueError on another schema or unknown keys."""
        if not isinstance(data, Mapping) or data.get("schema") != FACTS_SCHEMA:
            raise ValueError(f"card facts need the schema {FACTS_SCHEMA!r}; stage the folder again")
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(data) - known - {"schema"})
        if unknown:
            raise ValueError(f"unknown card fact {unknown[0]!r}; known are {', '.join(sorted(known))}")
        return cls(**{key: value for key, value in data.items() if key in known})


def is_hub_id(name: str) -> bool:
    """Whether the Hub would accept `name` as a repository id."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True
