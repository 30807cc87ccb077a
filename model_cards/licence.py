"""The licence that a card states, and where it was read: declared by whoever publishes, or in the teacher's own card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from evenhand.model_cards.facts import LICENCE_ID, CardFacts


class Licence(NamedTuple):
    """A licence's identifier on the Hub and where it comes from, both None where none is known; name and link of a licence `other`."""

    licence: str | None
    source: str | None
    name: str | None = None
    link: str | None = None


def known_licence(published: Mapping[str, Any], facts: CardFacts) -> Licence:
    """The declared licence, else the one that the training record read from the teacher's card, else none: never a guess.

    Args:
        published: a published report.
        facts: the declared facts.
    """
    if facts.licence:
        return Licence(facts.licence, facts.licence_source or "declared by whoever publishes this model")
    teacher = (published.get("training") or {}).get("teacher") or {}
    read = teacher.get("licence")
    if isinstance(read, Mapping) and isinstance(read.get("licence"), str) and LICENCE_ID.fullmatch(read["licence"]):
        name, link = (value if isinstance(value := read.get(key), str) else None for key in ("name", "link"))
        return Licence(read["licence"], str(read.get("source") or "the teacher's card"), name, link)
    return Licence(None, None)
