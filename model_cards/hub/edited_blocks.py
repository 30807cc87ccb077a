"""Hand-written text of a card that was edited on the Hub: kept, or the publishing stops; never lost."""

from __future__ import annotations

from collections.abc import Mapping

from evenhand.model_cards.hand_written import NAMES, read_blocks
from evenhand.model_cards.hub.repository_state import RepositoryState


def merged_notes(state: RepositoryState, ours: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The hand-written blocks to publish, from the run's and those that stand on the Hub.

    What was published last (the facts beside the card) tells who changed a block: one that changed on the Hub alone is taken
    over, as is one that the run has not; one that changed in the run alone replaces the Hub's.

    Args:
        state: of the repository.
        ours: the run's blocks by name.

    Returns:
        The blocks, and one line for each that was taken from the Hub.

    Raises:
        ValueError: a block changed in both places, or the card on the Hub has a damaged marker.
    """
    if state.facts is None or state.card is None:
        return dict(ours), []
    try:
        theirs = read_blocks(state.card)
    except ValueError as error:
        raise ValueError(f"{state.repo_id}: {error}; mend it on the Hub first") from None
    published = state.facts.get("notes") or {}
    merged, taken = {}, []
    for name in NAMES:
        here, there, before = ours.get(name, ""), theirs.get(name, ""), published.get(name, "")
        merged[name] = here
        if there == here or (there == before and here):
            continue
        if here not in ("", before):
            raise ValueError(
                f"the hand-written block {name!r} was changed both in the run's README.md and on {state.repo_id}; make the "
                "two say the same, then publish again"
            )
        merged[name] = there
        taken.append(
            f"hand-written block {name!r}: taken from the Hub" if there else f"{name!r}: was emptied on the Hub"
        )
    return {name: text for name, text in merged.items() if text}, taken
