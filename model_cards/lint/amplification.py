"""Whether a student whose association is reliably worse than its teacher's goes out with a stated reason."""

from __future__ import annotations

from collections.abc import Iterator

from evenhand.model_cards.amplification_gate import Gate
from evenhand.model_cards.escaping import markdown
from evenhand.model_cards.lint.linted_card import LintedCard
from evenhand.model_cards.lint.problem import Problem


def amplification(card: LintedCard) -> Iterator[Problem]:
    """The gate's reasons, where nobody accepted them; an accepted reason that the card does not state."""
    reasons = Gate(**card.facts.gate).reasons(card.report)
    accepted = card.facts.accepted_amplification
    if accepted is None:
        for reason in reasons:
            yield Problem(None, f'{reason}; publish it with --accept-amplification "why" only if that is meant')
    elif reasons and str(markdown(accepted)) not in card.text:
        yield Problem(None, f"does not state why it is published although {reasons[0]}; make the card again")
