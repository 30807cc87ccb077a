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
    repository.edit("README.md", with_block(card, name, text))


def with_block(card, name, text):
    start = f"<!-- hand-written: {name}, kept when the card is made again -->\n"
    head, rest = card.split(start)
    end = f"<!-- end of hand-written: {name} -->"
    return f"{head}{start}\n{text}\n\n{end}{rest.split(end)[1]}"


def edited_folder(folder, name, text):
    card = folder / "README.md"
    card.write_text(with_block(card.read_text(), name, text))


def in_folder(folder):
    return read_blocks((folder / "README.md").read_text())


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


def test_text_taken_from_the_hub_stays_until_the_runs_own_changes(hub, api, run, facts):
    ours = dataclasses.replace(facts, notes={"limits": "ours", "contact": "me"})
    publish(run, HERE, ours, api=api)
    edited(hub, "limits", "theirs")
    publish(run, HERE, ours, api=api)
    for author in ("Ada", "Grace"):
        publish(run, HERE, dataclasses.replace(ours, author=author), api=api)
        assert on_the_hub(hub) == {"limits": "theirs", "contact": "me"}
    publish(run, HERE, dataclasses.replace(facts, notes={"limits": "both", "contact": "me"}), api=api)
    assert on_the_hub(hub) == {"limits": "both", "contact": "me"} and not (run / "superseded_text.json").exists()


def test_text_taken_from_what_was_staged_stays_after_a_failed_commit(hub, api, run, facts, pauses):
    ours = dataclasses.replace(facts, notes={"limits": "ours"})
    publish(run, HERE, ours, api=api)
    edited_folder(run / "published", "limits", "staged")
    hub.fail("commit", 500, times=50)
    with pytest.raises(RuntimeError, match="answered 500"):
        publish(run, HERE, ours, api=api)
    hub.faults.clear()
    for _ in range(2):
        publish(run, HERE, ours, api=api)
        assert on_the_hub(hub) == {"limits": "staged"}


def test_a_note_of_superseded_text_that_was_changed_by_hand_is_one_line(run, facts, tmp_path):
    (run / "superseded_text.json").write_text("[]")
    with pytest.raises(ValueError, match=r"superseded_text\.json was changed by hand; delete it"):
        publish(run, tmp_path / "out", facts)
    assert not (tmp_path / "out").exists()


def test_a_damaged_marker_on_the_hub_is_one_line(hub, api, run, facts):
    publish(run, HERE, facts, api=api)
    card = hub.repository("ada/student").files()["README.md"].decode()
    hub.repository("ada/student").edit("README.md", card.replace("<!-- end of hand-written: limits -->", ""))
    with pytest.raises(ValueError, match=r"ada/student: line .* mend it on the Hub first"):
        publish(run, HERE, facts, api=api)


# --- folders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("had", ["", "older words"])
def test_text_written_into_a_published_folder_is_kept_each_time_it_is_published_again(run, facts, tmp_path, had):
    out = tmp_path / "out"
    facts = dataclasses.replace(facts, notes={"introduction": had} if had else {})
    publish(run, out, facts)
    edited_folder(out, "introduction", "My careful words.")
    published = publish(run, out, facts)
    assert f"hand-written block 'introduction': taken from {out}" in published.summary()
    for author in ("Ada", "Grace"):
        publish(run, out, dataclasses.replace(facts, author=author))
        assert in_folder(out) == {"introduction": "My careful words."}
    assert json.loads((out / "card_facts.json").read_text())["notes"] == in_folder(out)
    dry = publish(run, out, facts, dry_run=True)
    assert dry.files["README.md"] == len((out / "README.md").read_bytes()) - len("Grace") + len("Ada")


def test_a_block_changed_in_the_run_and_in_the_folder_stops_and_leaves_the_folder(run, facts, tmp_path):
    out = tmp_path / "out"
    publish(run, out, dataclasses.replace(facts, notes={"limits": "first"}))
    edited_folder(out, "limits", "theirs")
    before = (out / "README.md").read_text()
    ours = dataclasses.replace(facts, notes={"limits": "ours"})
    for dry_run in (True, False):
        with pytest.raises(
            ValueError, match=r"'limits' was changed both in the run's README.md and in .*out; make the"
        ):
            publish(run, out, ours, dry_run=dry_run)
    assert (out / "README.md").read_text() == before
    (out / "README.md").write_text(before.replace("<!-- end of hand-written: limits -->", ""))
    with pytest.raises(ValueError, match=r"out: line .* mend it in .*out first"):
        publish(run, out, facts)


def test_text_written_into_what_is_staged_for_the_hub_goes_out_with_it_and_nowhere_else(hub, api, run, facts):
    publish(run, HERE, facts, dry_run=True)
    edited_folder(run / "published", "contact", "write to me")
    publish(run, HERE, facts, dry_run=True)
    assert "'contact': taken from " in publish(run, HERE, facts, api=api).summary()
    assert on_the_hub(hub) == {"contact": "write to me"} == in_folder(run / "published")
    edited(hub, "contact", "")
    publish(run, HERE, facts, api=api)
    assert on_the_hub(hub) == {}
    edited(hub, "contact", "of this repository")
    publish(run, HERE, facts, api=api)
    publish(run, HubRepository("ada/other"), facts, api=api)
    assert read_blocks(hub.repository("ada/other").files()["README.md"].decode()) == {}
