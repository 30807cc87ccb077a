"""Checking a published student from its files alone: `verify` and the rows of its result."""

from evenhand.model_cards.verification.rows import HASH_ONLY, RECOMPUTED, UNCHECKED, Row, Verification
from evenhand.model_cards.verification.verify_folder import verify

__all__ = ["HASH_ONLY", "RECOMPUTED", "UNCHECKED", "Row", "Verification", "verify"]
