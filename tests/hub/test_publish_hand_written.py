"""Hand-written text of a card that people edit in the run and on the Hub: never lost."""

import dataclasses
import json

import pytest

from evenhand.model_cards import publish
from evenhand.model_cards.hand_written import read_blocks
from evenhand.model_cards.hub.target import HubRepository

HERE = HubRepository("ada/student")
pytestmark = pytest.mark.usefixtures("quick")


def edited(hub, name, text):
    """Somebody writes ``text`` into a block of the card on the Hub."""
    repository = hub.repository("ada/student")
    card = repository.files()["README.md"].decode()
    start = f"<!-- hand-written: {name}, kept when the card is made again -->\n"
    head, rest = card.split(start)
    end = f"<!-- end of hand-written: {name} -->"
    repository.edit("README.md", f"{head}{start}\n{text}\n\n{end}{rest.split(end)[1]}")


def on_the_hub(hub):
    return read_blocks(hub.repository("ada/student").files()["README.md"].decode())


def test_text_written_on_the_hub_is_taken_over(hub, api, run, facts):
    publish(run, HERE, facts, api=api)
    edited(hub, "limits", "Not for names outside the lists.")
    published = publish(run, HERE, facts, api=api)
    assert on_the_hub(hub) == {"limits": "Not for names outside the lists."}
    assert "hand-written block 'limits': taken from the Hub" in published.summary()
    # what is staged says so too, so that the card is still what facts and report give
    assert json.loads((published.folder / "card_facts.json").read_text())["notes"] == on_the_hub(hub)
    assert not publish(run, HERE, facts, api=api).changed


def test_of_a_block_changed_in_one_place_the_change_wins_and_in_both_nothing_is_published(hub, api, run, facts):
    ours = dataclasses.replace(facts, notes={"contact": "first", "limits": "ours"})
    publish(run, HERE, ours, api=api)
    ours = dataclasses.replace(facts, notes={"contact": "second", "limits": "ours"})
    publish(run, HERE, ours, api=api)
    assert on_the_hub(hub) == {"contact": "second", "limits": "ours"}
    edited(hub, "limits", "theirs")
    publish(run, HERE, ours, api=api)
    assert on_the_hub(hub) == {"contact": "second", "limits": "theirs"}
    edited(hub, "contact", "third")
    before = hub.repository("ada/student").files()
    with pytest.raises(ValueError, match=r"'contact' was changed both in the run's README.md and on ada/student"):
        publish(run, HERE, dataclasses.replace(facts, notes={"contact": "fourth"}), api=api)
    assert hub.repository("ada/student").files() == before
    publish(run, HERE, dataclasses.replace(facts, notes={"contact": "third"}), api=api)
    assert on_the_hub(hub) == {"contact": "third", "limits": "theirs"}


def test_text_emptied_on_the_hub_stays_empty(hub, api, run, facts):
    ours = dataclasses.replace(facts, notes={"contact": "old address"})
    publish(run, HERE, ours, api=api)
    edited(hub, "contact", "")
    assert "'contact': was emptied on the Hub" in publish(run, HERE, ours, api=api).summary()
    assert on_the_hub(hub) == {}


def test_an_edit_between_reading_and_committing_stops_and_is_taken_over_the_next_time(hub, api, run, facts):
    publish(run, HERE, facts, api=api)
    other = dataclasses.replace(facts, author="Grace")
    hub.meanwhile("commit", lambda: edited(hub, "contact", "write to me"))
    with pytest.raises(RuntimeError, match="its card was edited meanwhile; run the same command again"):
        publish(run, HERE, other, api=api)
    assert on_the_hub(hub) == {"contact": "write to me"}
    publish(run, HERE, other, api=api)
    assert on_the_hub(hub) == {"contact": "write to me"}
    assert "Grace" in hub.repository("ada/student").files()["README.md"].decode()


def test_a_damaged_marker_on_the_hub_is_one_line(hub, api, run, facts):
    publish(run, HERE, facts, api=api)
    card = hub.repository("ada/student").files()["README.md"].decode()
    hub.repository("ada/student").edit("README.md", card.replace("<!-- end of hand-written: limits -->", ""))
    with pytest.raises(ValueError, match=r"ada/student: line .* mend it on the Hub first"):
        publish(run, HERE, facts, api=api)
