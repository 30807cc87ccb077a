"""The first lines of a classifier's card: what it is, and how much it leans on a shortcut, beside its teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenhand.model_cards import numbers
from evenhand.model_cards.amplification_gate import Gate
from evenhand.model_cards.sections.card_source import CardSource, part, parts
from evenhand.model_cards.sections.opening import speed_up

NAMED_LABELS = 12
"""So many labels are named; of more their number is."""
PLAIN = "erm"
"""The method that is none: plain cross-entropy."""


def context(source: CardSource) -> dict[str, Any] | None:
    """What `classifier_opening.md.jinja` prints; None for a masked language model."""
    if not source.kind:
        return None
    table = next(iter(source.groups), None)
    labels = source.published["model"].get("labels") or []
    return {
        "title": source.title,
        "facts": source.facts,
        "found": Gate(**source.facts.gate).reasons(source.published),
        "licence": source.licence,
        "model": source.published["model"],
        "kind": source.kind,
        "labels": labels if len(labels) <= NAMED_LABELS else [],
        "n_labels": len(labels),
        "teacher": source.teacher,
        **_taught_by(source),
        "debiasing": debiased_with(source.training),
        "table": table,
        "headlines": headline_splits(table) if table else [],
        "no_gap": _no_gap(table) if table else None,
        "inside": next((split for split in table["splits"] if not split["shift"]), None) if table else None,
        "seat": next(iter(source.seat), None),
        "speed": speed_up(source),
    }


def debiased_with(training: Mapping[str, Any] | None) -> str | None:
    """Name of the debiasing method of a training record; None for plain cross-entropy and without a record."""
    name = part(training, "debiasing").get("name")
    return None if name == PLAIN else name


def _taught_by(source: CardSource) -> dict[str, Any]:
    """`teachers` (all that the student learned from), their `average`, `compared_with` (name of the model that was measured beside the
    student, where that is another thing) and `alone`.

    A record without a teacher is of a model that was trained alone, whatever it is compared with; without a record the model beside
    it is taken for its teacher, as everywhere on a card.
    """
    training, recorded = source.training, part(source.training, "teacher")
    alone = "teacher" in (training or {}) and not recorded
    # a report may compare with another model than the teacher: what the record says of the teacher goes first
    single = [{**source.teacher, **recorded}] if source.teacher and not alone else []
    teachers = parts(training, "teachers") or single
    compared = (source.published.get("reference") or {}).get("name")
    return {
        "alone": alone,
        "teachers": [{**one, "method": debiased_with(one)} for one in teachers],
        "average": (training or {}).get("average"),
        "compared_with": None if [compared] == [one.get("name") for one in teachers] else compared,
    }


def headline_splits(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The splits of the headline: those out of distribution, with what is said of their gap in words.

    Where a shortcut always misleads, as on a planted `flipped` split, or never does, there is no gap: `gap` is None and not printed.
    If no split of the headline has one, those that do come first, without their worst group (`worst` None).
    """
    headline = [split for split in table["splits"] if split["split"] in table["headline"]]
    further = [] if any(map(_has_gap, headline)) else [split for split in table["splits"] if _has_gap(split)]
    return [_headline(split, worst=False) for split in further] + [_headline(split) for split in headline]


def _headline(split: Mapping[str, Any], worst: bool = True) -> dict[str, Any]:
    return {
        **split,
        "gap": split["metrics"]["spurious_gap"] if _has_gap(split) else None,
        "worst": split["metrics"]["worst_group"] if worst else None,
        "words": _words(split),
    }


def _has_gap(split: Mapping[str, Any]) -> bool:
    return split["metrics"]["spurious_gap"]["student"] is not None


def _no_gap(table: Mapping[str, Any]) -> str | None:
    """Why no split has a gap; None where one has."""
    if any(map(_has_gap, table["splits"])):
        return None
    notes = [split["metrics"]["spurious_gap"]["note"] for split in table["splits"]]
    return "; ".join(dict.fromkeys(note for note in notes if note)) or "no reason given"


def _words(split: Mapping[str, Any]) -> str | None:
    """`right more often where the shortcut helps …`, by the interval of the student's gap; None without a gap."""
    row = split["metrics"]["spurious_gap"]
    ends = [numbers.checked(end) for end in row["interval"] or []]
    if row["student"] is None or len(ends) != 2:
        return None
    if ends[0] > 0:
        return "it is right more often where the shortcut points to the right label than where it misleads"
    if ends[1] < 0:
        return "it is right more often where the shortcut misleads than where it points to the right label"
    return "no difference was shown between examples where the shortcut helps and where it misleads"
