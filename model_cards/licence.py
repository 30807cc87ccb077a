"""The licence that a card states, and where it was read: declared by whoever publishes, or in the teacher's own card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from evenhand.model_cards.facts import LICENCE_ID, CardFacts

UNSPECIFIED = ("unknown", "other")
"""Identifiers of the Hub that name no licence by themselves."""


class Licence(NamedTuple):
    """A licence's identifier on the Hub and where it comes from, both None where none is known; name and link of a licence `other`."""

    licence: str | None
    source: str | None
    name: str | None = None
    link: str | None = None


def known_licence(published: Mapping[str, Any], facts: CardFacts) -> Licence:
    """The declared licence, else the one that the training record read from the teacher's card, else none: never a guess.

    The Hub's identifier `unknown` names no licence, wherever it stands. `other` names one only with a name or a link, which a teacher's card can
    give and a declaration cannot: declared, it is known where the teacher's card says the same.

    Args:
        published: a published report.
        facts: the declared facts.
    """
    read = _of_teacher(published)
    if not facts.licence:
        return read
    if facts.licence in UNSPECIFIED:
        return read if read.licence == facts.licence else Licence(None, None)
    return Licence(facts.licence, facts.licence_source or "declared by whoever publishes this model")


def _of_teacher(published: Mapping[str, Any]) -> Licence:
    """What the training record read from the teacher's card, where that names one licence."""
    read = ((published.get("training") or {}).get("teacher") or {}).get("licence")
    if not isinstance(read, Mapping) or not isinstance(read.get("licence"), str):
        return Licence(None, None)
    name, link = (
        value if isinstance(value := read.get(key), str) and value.strip() else None for key in ("name", "link")
    )
    licence = read["licence"]
    if not LICENCE_ID.fullmatch(licence) or licence == "unknown" or (licence == "other" and not (name or link)):
        return Licence(None, None)
    return Licence(licence, str(read.get("source") or "the teacher's card"), name, link)
