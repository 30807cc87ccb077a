"""A study's students as a collection on the Hub: made once, brought up to date by every further call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evenhand.model_cards import numbers
from evenhand.model_cards.hub.refusals import one_line_errors
from evenhand.model_cards.hub.retries import retried

# The Hub's limits.
LONGEST_TITLE, LONGEST_DESCRIPTION, LONGEST_NOTE = 60, 150, 500


@dataclass(frozen=True)
class Item:
    """One entry: a model or a Space on the Hub, with what the collection says of it."""

    repo_id: str
    kind: str
    note: str


@dataclass(frozen=True)
class PublishedCollection:
    """A collection, and what became of it on the Hub.

    Args:
        owner, title, items: as they were asked for.
        url: ``None`` after a dry run.
        changed: whether anything on the Hub is other than before.
    """

    owner: str
    title: str
    items: tuple[Item, ...]
    url: str | None = None
    changed: bool = False

    def summary(self) -> str:
        """For people: the entries, and what was done."""
        listing = [f"  {item.kind:<5}  {item.repo_id}  {item.note}" for item in self.items]
        if self.url is None:
            done = f"Dry run: the collection {self.title!r} of {self.owner} would hold:"
        elif self.changed:
            done = f"The collection {self.title!r} ({self.url}) holds:"
        else:
            done = f"The collection {self.title!r} ({self.url}) holds them already; nothing was changed:"
        return "\n".join([done, *listing])


def check_collection(owner: str, title: str) -> None:
    """Raise ValueError unless the Hub would take such a collection."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(f"{owner}/collection")
    except HFValidationError:
        raise ValueError(f"{owner!r} is no name on the Hub; give yours, or that of an organisation of yours") from None
    if not title.strip() or title != " ".join(title.split()) or len(title) > LONGEST_TITLE:
        raise ValueError(f"the title must be one line of 1 to {LONGEST_TITLE} characters, not {title!r}")


def publish_collection(
    owner: str,
    title: str,
    items: Sequence[Item],
    *,
    description: str = "",
    private: bool = False,
    dry_run: bool = False,
    api: Any = None,
) -> PublishedCollection:
    """Make the collection ``title`` of ``owner``, or bring it up to date.

    It is private until it is complete. In one that exists, entries that are missing are added and notes that differ are
    replaced; other people's entries and the order stay.

    Args:
        owner: user or organisation.
        title: by which it is found again, at most 60 characters.
        items: all on the Hub already.
        description: cut to 150 characters.
        private: a private collection stays private, and a new one is; without it the collection is public at the end.
        dry_run: only say what it would hold.
        api: a `huggingface_hub.HfApi`; by default one with the token of the user's login.

    Raises:
        ValueError: an owner or a title that cannot be.
        RuntimeError: no login, or the Hub refuses or cannot be reached.
    """
    check_collection(owner, title)
    asked = PublishedCollection(owner, title, tuple(items))
    if dry_run:
        return asked
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    description = description[:LONGEST_DESCRIPTION]
    with one_line_errors(f"the collection {title!r} was not published", owner):
        retried(api.whoami)
        found = [c for c in retried(lambda: list(api.list_collections(owner=owner))) if c.title == title]
        if found:
            slug, changed = found[0].slug, False
        else:
            settings = {"namespace": owner, "description": description or None, "private": True, "exists_ok": True}
            slug, changed = retried(api.create_collection, title, **settings).slug, True
        # A listing holds four entries at most.
        there = retried(api.get_collection, slug)
        for item in items:
            changed |= _bring_up_to_date(there, item, api)
        settings = {}
        if description and there.description != description:
            settings["description"] = description
        if there.private and not private:
            settings["private"] = False
        if settings:
            retried(api.update_collection_metadata, slug, **settings)
        url = retried(api.get_collection, slug).url
    return PublishedCollection(owner, title, tuple(items), url, changed or bool(settings))


def _bring_up_to_date(there: Any, item: Item, api: Any) -> bool:
    """Whether the entry had to be added, or its note to be changed."""
    note = item.note[:LONGEST_NOTE]
    for entry in there.items:
        if (entry.item_type, entry.item_id) == (item.kind, item.repo_id):
            if (entry.note or "") == note:
                return False
            retried(api.update_collection_item, there.slug, entry.item_object_id, note=note)
            return True
    retried(api.add_collection_item, there.slug, item.repo_id, item.kind, note=note, exists_ok=True)
    return True


def student_note(report: Any) -> str:
    """What a collection says of a student: mean \\|d\\| over the gender tests, beside its teacher's, with intervals.

    Args:
        report: an `EvaluationReport`.
    """
    entry = report.to_dict()["measures"]["seat"][0]
    sides = {side: _mean(entry[side]) for side in ("model", "reference") if entry.get(side)}
    if sides.get("model") is None:
        return "Student; its SEAT mean is not defined, see the card."
    text = f"Student, mean SEAT |d| {sides['model']} over the gender tests ({entry['pooling']} pooling)"
    if sides.get("reference") is None:
        return f"{text}."
    change = ((entry.get("comparison") or {}).get("families") or {}).get("gender") or {}
    words = {"better": "reliably lower", "worse": "reliably higher"}
    verdict = words.get(change.get("verdict"), "not distinguishable from it")
    return f"{text}; its teacher {sides['reference']}: {verdict}."


def _mean(result: Any) -> str | None:
    family = result["families"].get("gender") or {}
    mean, interval = family.get("mean_absolute_effect_size"), family.get("confidence_interval")
    return None if mean is None else numbers.scored(mean, interval, 2)
