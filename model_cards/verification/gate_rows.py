"""The bias gate, asked again: whether a student that it holds back was published with a stated reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenhand.model_cards.amplification_gate import Gate
from evenhand.model_cards.facts import GATE, CardFacts
from evenhand.model_cards.verification.rows import RECOMPUTED, UNCHECKED, Row

_CLAIM = "amplification: accepted where the gate asks"


def gate_rows(report: Mapping[str, Any], facts: CardFacts) -> list[Row]:
    """One row by the thresholds that the facts declare, and where they are not the default ones one about them.

    Thresholds of one's own stand in the recipe, which the report holds; any others were put in later. Whether they are wide
    for a good reason nobody can compute, so a student that passes by them alone is not called checked.

    Args:
        report: a published report.
        facts: as they lie beside the card.
    """
    try:
        reasons, by_default = Gate(**facts.gate).reasons(report), Gate().reasons(report)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [Row(_CLAIM, RECOMPUTED, passed=False, note=f"the gate cannot read the report ({error!r})"[:200])]
    accepted = facts.accepted_amplification
    shown = "no reason is given" if accepted is None else f"accepted: {accepted}"[:60]
    note = f"{reasons[0]}{_more(reasons)}" if reasons else None
    rows = [Row(_CLAIM, RECOMPUTED, shown, _asked(reasons), not reasons or accepted is not None, note)]
    if dict(facts.gate) == dict(GATE):
        return rows
    claim = f"amplification: thresholds {', '.join(f'{key} {value:g}' for key, value in facts.gate.items())}"
    if dict(facts.gate) != _of_recipe(report):
        note = "they are neither the default ones nor those of the recipe in the report"
        return [*rows, Row(claim, RECOMPUTED, passed=False, note=note)]
    if by_default and not reasons and accepted is None:
        note = f"declared by the recipe; by the default ones {by_default[0]}{_more(by_default)}"
        return [*rows, Row(claim, UNCHECKED, note=note, missed=True)]
    return [*rows, Row(claim, RECOMPUTED, passed=True, note="as in the recipe; the default ones decide the same")]


def _of_recipe(report: Mapping[str, Any]) -> dict[str, float] | None:
    """The thresholds in the recipe of the training record, the missing ones by default."""
    held: Any = report
    for key in ("training", "recipe", "publish", "gate"):
        held = held.get(key) if isinstance(held, Mapping) else None
    return {**GATE, **held} if isinstance(held, Mapping) else None


def _asked(reasons: list[str]) -> str:
    return f"{len(reasons)} to accept" if reasons else "nothing to accept"


def _more(reasons: list[str]) -> str:
    return f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
