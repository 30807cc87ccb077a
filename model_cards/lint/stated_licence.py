"""Whether the card states a licence."""

from __future__ import annotations

from collections.abc import Iterator

from evenhand.model_cards.licence import known_licence
from evenhand.model_cards.lint.linted_card import LintedCard
from evenhand.model_cards.lint.problem import Problem


def stated_licence(card: LintedCard) -> Iterator[Problem]:
    """Neither the facts nor the teacher's card, as it was read for the report, name a licence.

    That the card states the known one is part of the comparison with what report and facts give.
    """
    if known_licence(card.report, card.facts).licence is None:
        yield Problem(
            None,
            "no licence is known: the teacher's card states none; declare the student's as publish.licence in the recipe "
            "(`unknown` and a bare `other` name no licence)",
        )
