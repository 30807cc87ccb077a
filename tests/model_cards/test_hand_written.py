"""Text that people write into a card survives when the card is made again, and cannot hide what was generated."""

import json

import pytest

from evenhand.model_cards import CardFacts, build_card
from evenhand.model_cards.hand_written import NAMES, block, read_blocks

TEXTS = {
    "introduction": "One *line*.",
    "intended_use": "Two paragraphs,\n\n\n\nfar apart; a | pipe and a `code`.",
    "training": "```python\nprint('<b>')\n```",
    "limits": "- a list\n  - inside\n\n| a | b |\n| --- | --- |\n| 1 | 2 |",
    "contact": "    indented code\n\n> a quotation",
}


def test_every_block_comes_back_as_it_was_written(report):
    facts = CardFacts(notes=TEXTS)
    card = build_card(report, facts)
    assert read_blocks(card) == TEXTS
    assert build_card(report, CardFacts(notes=read_blocks(card))) == card


def test_text_survives_a_changed_report_and_an_editor_that_writes_carriage_returns(report):
    card = build_card(report, CardFacts(notes=TEXTS)).replace("\n", "\r\n")
    report["training"]["steps"] = 101
    again = build_card(report, CardFacts(notes=read_blocks(card)))
    assert read_blocks(again) == TEXTS and "101 steps" in again


def test_a_card_without_text_has_an_empty_block_of_every_name(report):
    card = build_card(report, CardFacts())
    assert all(block(name, "") in card for name in NAMES) and read_blocks(card) == {}


def test_notes_survive_json_and_are_stored_without_blank_edges(report):
    facts = CardFacts(notes={"limits": "\n\ntext  \r\nmore\n\n", "contact": "  \n"})
    assert facts.notes == {"limits": "text\nmore"}
    assert CardFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts


def test_markers_in_a_name_are_no_blocks(report):
    title = block("limits", "x").replace("\n", " ")
    assert read_blocks(build_card(report, CardFacts(title=title, author=title))) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.replace("<!-- end of hand-written: limits -->", ""), "'limits' is not closed"),
        (lambda card: card + block("limits", "again"), "'limits' stands twice"),
        (lambda card: card + block("licence", "mine"), "no hand-written block 'licence'"),
        (lambda card: card + "<!-- end of hand-written: limits -->", "ends without a beginning"),
        (lambda card: card + "<!-- hand-written: limits -->", "a damaged marker"),
        (lambda card: card + "<!--hand-written: limits, kept when the card is made again-->", "a damaged marker"),
    ],
)
def test_damaged_blocks_are_one_clear_line_with_the_place(report, change, message):
    card = change(build_card(report, CardFacts(notes={"limits": "text"})))
    with pytest.raises(ValueError, match=message) as error:
        read_blocks(card)
    assert "\n" not in str(error.value) and str(error.value).startswith("line ")
    number = int(str(error.value).split()[1])
    assert "hand-written" in card.split("\n")[number - 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- hides the rest", "holds HTML"),
        ("<details>\n\nnot closed", "holds HTML"),
        ("a <span hidden>word</span>", "holds HTML"),
        (block("limits", "nested"), "holds HTML"),
        ("```\nnot closed", "leaves a code block open"),
        ("~~~~\n```\n~~~", "leaves a code block open"),
    ],
)
def test_text_that_would_swallow_the_rest_of_the_card_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        CardFacts(notes={"limits": text})


@pytest.mark.parametrize("notes", [{"licence": "x"}, {"limits": 3}, "text"])
def test_notes_of_another_form_are_refused(notes):
    with pytest.raises(ValueError, match="notes"):
        CardFacts(notes=notes)
