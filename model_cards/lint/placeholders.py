"""Places that somebody meant to fill in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from evenhand.model_cards.lint.linted_card import LintedCard
from evenhand.model_cards.lint.problem import Problem, shortened

# "More Information Needed" is what the Hub's own template of a card leaves.
_ANYWHERE = re.compile(
    r"(?i:\[(?:more information needed|needs more information)[^\]]*\])"
    r"|(?i:\[\s*(?:insert|fill in|your|to be (?:added|done|written))\b[^\]]*\](?!\())"
    r"|\b(?:TODO|FIXME|TBD|TBA|XXX|PLACEHOLDER|CHANGEME|REPLACE_ME)\b"
    r"|(?i:\b(?:your|my)[_-](?:user|repo|org|model)?[_-]?name\b)"
    r"|(?i:\blorem ipsum\b)|(?<!\?)\?\?\?(?!\?)"
)
_TEMPLATE_SIGNS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|<(?:your|insert|name of)\b[^>]*>", re.IGNORECASE)


def placeholders(card: LintedCard) -> Iterator[Problem]:
    """`TODO`, "[More Information Needed]" and their like anywhere; a template's signs in hand-written text.

    In the generated part a template's signs can only be somebody's name for something, printed as it is.
    """
    for number, line in enumerate(card.lines, start=1):
        found = _ANYWHERE.search(line)
        if found is None and number in card.hand_written_lines:
            found = _TEMPLATE_SIGNS.search(line)
        if found:
            yield Problem(number, f"a placeholder is left: {shortened(found[0], 60)!r}; fill it in or take it out")
