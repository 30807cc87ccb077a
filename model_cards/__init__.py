"""Numbers in, cards and staged folders out: `build_card`, `stage`, `publish`, `verify`, `CardFacts`."""

from evenhand.model_cards.card import build_card
from evenhand.model_cards.facts import CardFacts
from evenhand.model_cards.publishing import publish
from evenhand.model_cards.staging import stage
from evenhand.model_cards.verification.verify_folder import verify

__all__ = ["CardFacts", "build_card", "publish", "stage", "verify"]
