"""Whether the card prints the hash of the report that lies beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from evenhand.model_cards.lint.linted_card import LintedCard
from evenhand.model_cards.lint.problem import Problem
from evenhand.model_cards.published_report import canonical_sha256

REPORT_HASH = re.compile(r"^\| canonical report\b[^|\n]*\| `([0-9a-f]{64})` \|", re.MULTILINE)


def printed_report_hash(card: str) -> str | None:
    """The hash of the canonical report that a card prints, or None."""
    match = REPORT_HASH.search(card)
    return match[1] if match else None


def report_hash(card: LintedCard) -> Iterator[Problem]:
    """The card prints no hash of the report, or that of another."""
    match, actual = REPORT_HASH.search(card.text), canonical_sha256(card.report)
    if match is None:
        yield Problem(None, "prints no hash of report.json; make the card again")
    elif match[1] != actual:
        line = card.text.count("\n", 0, match.start()) + 1
        yield Problem(line, f"prints another report's hash, {match[1][:12]}…, than that of report.json, {actual[:12]}…")
