"""The example in docs/ is what its own report gives, and would pass the check before publishing."""

import json

from example_card import EXAMPLE, SHOTS, example_text

from evenhand.model_cards import CardFacts
from evenhand.model_cards.lint import lint_card


def test_the_example_is_what_its_report_and_facts_give():
    assert (EXAMPLE / "README.md").read_text(encoding="utf-8") == example_text(EXAMPLE), (
        "the card's text has changed; make the example again: python tests/model_cards/example_card.py"
    )


def test_the_example_would_pass_the_check_before_publishing():
    report, facts = (
        json.loads((EXAMPLE / name).read_text(encoding="utf-8")) for name in ("report.json", "card_facts.json")
    )
    assert (
        lint_card((EXAMPLE / "README.md").read_text(encoding="utf-8"), report, CardFacts.from_dict(facts), EXAMPLE)
        == []
    )


def test_the_pictures_of_its_page_are_there():
    assert all((EXAMPLE / name).read_bytes().startswith(b"\x89PNG") for name in SHOTS)
