"""Hand-written text of a card that was edited where it was published: kept, or the publishing stops; never lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenhand.model_cards.hand_written import NAMES, read_blocks
from evenhand.model_cards.hub.repository_state import RepositoryState, our_facts
from evenhand.model_cards.staging import CARD, FACTS


@dataclass(frozen=True)
class PublishedCard:
    """A card where it was published, and the facts beside it that it was made from.

    Args:
        place: for messages, such as ``"the Hub"``.
        name: of the repository or the folder, for messages.
        at: either, after a preposition: ``"on the Hub"``.
        text: of the card.
        notes: the hand-written blocks as they were published, by name.
        repo_id: the repository it was made for; None for none.
    """

    place: str
    name: str
    at: str
    text: str
    notes: Mapping[str, str]
    repo_id: str | None


def card_on_the_hub(state: RepositoryState) -> PublishedCard | None:
    """The card of a repository; None where it holds none of ours."""
    if state.facts is None or state.card is None:
        return None
    repo_id = state.repo_id
    return PublishedCard("the Hub", repo_id, "on the Hub", state.card, state.facts.get("notes") or {}, repo_id)


def card_in_a_folder(folder: Path) -> PublishedCard | None:
    """The card of a staged folder; None where it holds none of ours."""
    card, facts = (_read(folder / name) for name in (CARD, FACTS))
    known: Mapping[str, Any] | None = our_facts(facts)
    if known is None or card is None:
        return None
    name = str(folder)
    return PublishedCard(name, name, f"in {name}", card, known.get("notes") or {}, known.get("repo_id"))


def merged_notes(
    published: PublishedCard | None,
    ours: Mapping[str, str],
    superseded: Mapping[str, str],
    edits_alone: bool = False,
) -> tuple[dict[str, str], list[str]]:
    """The hand-written blocks to publish, from the run's and those that stand where it was published.

    What was published last (the facts beside the card) tells who changed a block: one that changed there alone is taken
    over, as is one that the run has not; one that changed in the run alone replaces it.

    Args:
        published: the card there; None where there is none, then the run's blocks are the ones.
        ours: the run's blocks by name.
        superseded: blocks of the run in whose place others were published before, see `superseded_text`; a block that is still
            the same gives way again.
        edits_alone: take over only what was edited there by hand, and nothing that an earlier publishing put there.

    Returns:
        The blocks, and one line for each that was taken over.

    Raises:
        ValueError: a block changed in both places, or the card has a damaged marker.
    """
    if published is None:
        return dict(ours), []
    try:
        theirs = read_blocks(published.text)
    except ValueError as error:
        raise ValueError(f"{published.name}: {error}; mend it {published.at} first") from None
    merged, taken = {}, []
    for name in NAMES:
        here, there, before = ours.get(name, ""), theirs.get(name, ""), published.notes.get(name, "")
        merged[name] = here
        yields = here in ("", superseded.get(name))
        if there == here or (there == before and (edits_alone or not yields)):
            continue
        if not yields and here != before:
            where = f"on {published.name}" if published.place == "the Hub" else published.at
            raise ValueError(
                f"the hand-written block {name!r} was changed both in the run's README.md and {where}; make the two say the "
                "same, then publish again"
            )
        merged[name] = there
        taken.append(
            f"hand-written block {name!r}: taken from {published.place}"
            if there
            else f"{name!r}: was emptied {published.at}"
        )
    return {name: text for name, text in merged.items() if text}, taken


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
