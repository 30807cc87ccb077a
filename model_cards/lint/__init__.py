"""What must not be published: checks of a card and of a staged folder, one line a problem."""

from evenhand.model_cards.lint.card_checks import lint_card
from evenhand.model_cards.lint.staged_folder import lint_staged

__all__ = ["lint_card", "lint_staged"]
