"""Intended use, what is out of scope, and advice that follows from the results, each by a rule that is printed with it."""

from __future__ import annotations

from typing import Any

from evenhand.model_cards.amplification_gate import Gate
from evenhand.model_cards.sections.card_source import CardSource
from evenhand.model_cards.sections.recommendation_rules import RULES


def context(source: CardSource) -> dict[str, Any]:
    """What `recommendations.md.jinja` prints."""
    return {
        "advice": [given for rule in RULES if (given := rule(source)) is not None],
        "language": source.facts.language,
        "gate": source.facts.gate,
        "found": Gate(**source.facts.gate).reasons(source.published),
    }
