"""Numbers of the report that a card prints without an interval or n, and without saying why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evenhand.model_cards.escaping import markdown
from evenhand.model_cards.lint.linted_card import LintedCard
from evenhand.model_cards.lint.problem import Problem

ESTIMATES = ("effect_size", "value", "mean_absolute_effect_size", "difference")
"""Keys of the numbers that stand beside a ``confidence_interval`` of their own."""


def missing_uncertainty(card: LintedCard) -> Iterator[Problem]:
    """Every estimate whose place for an interval (or for n) is empty without a note, or whose note the card does not print."""
    for measure, entries in card.report["measures"].items():
        for entry in entries:
            for side in ("model", "reference", "comparison"):
                for name, record, outer_note in _records(entry.get(side) or {}, measure):
                    yield from _problems(card, f"{name} ({side})", record, outer_note)


def _problems(card: LintedCard, name: str, record: Mapping[str, Any], outer_note: str | None) -> Iterator[Problem]:
    missing = _missing(record)
    note = record.get("note") or outer_note
    if not missing:
        return
    if not note:
        yield Problem(None, f"{name} has no {missing} in report.json, and no note says why; evaluate the run again")
    elif str(markdown(note)) not in card.text:
        yield Problem(None, f"{name} stands without {missing}, and the card does not print why: {note}")


def _missing(record: Mapping[str, Any]) -> str | None:
    interval = record["confidence_interval"] or [None]
    if any(end is None for end in interval):
        return "interval"
    if "n" in record and not record["n"]:
        return "n"
    return None


def _records(part: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any], str | None]]:
    """The estimates that a card's tables print: tests, families and scores, with what each is called and the note above it."""
    outer = part.get("note")
    groups = [part.get(group) or {} for group in ("tests", "families")]
    named = [(key, record) for group in groups for key, record in group.items()]
    named += [(record["key"], record) for record in part.get("scores") or []]
    named += [(record.get("name"), record) for record in part.get("averages") or []]
    for key, record in named:
        if "confidence_interval" in record and any(record.get(estimate) is not None for estimate in ESTIMATES):
            yield f"{name}, {key}", record, outer
