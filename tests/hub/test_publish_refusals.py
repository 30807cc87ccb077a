"""What is not published, in one line: tokens, networks, other people's repositories, licence and amplification."""

import dataclasses
import json

import pytest
from folder_contents import contents
from huggingface_hub import HfApi

from evenhand.model_cards import publish
from evenhand.model_cards.amplification_gate import Gate
from evenhand.model_cards.hub.refusals import one_line_errors
from evenhand.model_cards.hub.target import HubRepository

HERE = HubRepository("ada/student")
pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize(
    ("token", "line"),
    [
        ("hf_nobodys", "answered 401; the token is not valid: log in again"),
        ("hf_TheTokenOfAdaWithRead0123456789", "the token may only read: use one with write access"),
        (None, "no login to the Hub: run 'hf auth login' or set HF_TOKEN"),
    ],
)
def test_a_token_that_cannot_publish_is_found_before_anything_is_staged(hub, run, facts, monkeypatch, token, line):
    hub.add_user("ada", role="read")
    monkeypatch.setattr("huggingface_hub.hf_api.get_token", lambda: None)
    with pytest.raises(RuntimeError, match=line) as refused:
        publish(run, HERE, facts, api=HfApi(endpoint=hub.address, token=token))
    assert "\n" not in str(refused.value) and not (token and token in str(refused.value))
    assert hub.repositories == {} and not (run / "published").exists()


def test_no_network_is_one_line_within_seconds(hub, run, facts, pauses, monkeypatch):
    nowhere = HfApi(endpoint="http://127.0.0.1:9", token=hub.token)
    with pytest.raises(RuntimeError, match=r"the Hub cannot be reached \(ConnectError\): check the network"):
        publish(run, HERE, facts, api=nowhere)
    assert sum(pauses) <= 5
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RuntimeError, match="offline mode is on; unset HF_HUB_OFFLINE, or use --dry-run"):
        publish(run, HERE, facts, api=nowhere)
    assert not (run / "published").exists()


def test_a_token_of_unknown_rights_is_refused_by_the_hub_in_one_line(hub, run, facts):
    """Fine-grained tokens do not say which organisations they may write to."""
    eves = HfApi(endpoint=hub.address, token=hub.add_user("eve", role="fineGrained"))
    with pytest.raises(RuntimeError, match="answered 403; the token may not write to ada/student"):
        publish(run, HERE, facts, api=eves)
    hub.add_repository("ada/student")
    with pytest.raises(RuntimeError, match="answered 403; the token may not write to ada/student"):
        publish(run, HERE, facts, api=eves)
    assert hub.repository("ada/student").files() == {}


def test_a_repository_made_by_others_after_a_refusal_stays_theirs_and_private(hub, run, facts):
    there = HubRepository("lab/student")
    outsider = HfApi(endpoint=hub.address, token=hub.add_user("ada", role="fineGrained"))
    with pytest.raises(RuntimeError, match="answered 403"):
        publish(run, there, facts, api=outsider)
    assert not (run / "publishing.json").exists()
    theirs = {"secret_notes.txt": "unpublished", "README.md": "# An internal card"}
    repository = hub.add_repository("lab/student", files=theirs, private=True)
    before = repository.files()
    member = HfApi(endpoint=hub.address, token=hub.add_user("ada", organisations=["lab"]))
    with pytest.raises(ValueError, match=r"holds something else \(secret_notes.txt\)"):
        publish(run, there, facts, api=member)
    assert repository.private and repository.files() == before and hub.shown == [{}]


@pytest.mark.parametrize("files", [{"other.txt": "private work"}, {}])
def test_a_repository_deleted_and_made_again_by_hand_keeps_its_visibility(hub, api, run, facts, pauses, files):
    hub.fail("commit", 500, times=50)
    with pytest.raises(RuntimeError):
        publish(run, HERE, facts, api=api)
    assert (run / "publishing.json").exists()
    hub.faults.clear()
    hub.repositories.clear()
    repository = hub.add_repository("ada/student", files=files, private=True)
    if files:
        with pytest.raises(ValueError, match=r"holds something else \(other.txt\)"):
            publish(run, HERE, facts, api=api)
    else:
        assert "is private and stays so" in publish(run, HERE, facts, api=api).summary()
    assert repository.private and set(files) <= set(repository.files()) and all(not state for state in hub.shown)


def test_files_that_somebody_put_into_an_interrupted_private_repository_are_not_shown(hub, api, run, facts, pauses):
    hub.fail("settings", 500, times=50)
    with pytest.raises(RuntimeError, match="complete on the Hub but still private"):
        publish(run, HERE, facts, api=api)
    hub.faults.clear()
    repository = hub.repository("ada/student")
    repository.edit("secret_notes.txt", "unpublished")
    assert "stays private, as it holds secret_notes.txt" in publish(run, HERE, facts, api=api).summary()
    assert repository.private and "secret_notes.txt" in repository.files()


def test_a_card_written_by_hand_into_an_interrupted_repository_is_not_replaced(hub, api, run, facts, pauses):
    hub.fail("commit", 500, times=50)
    with pytest.raises(RuntimeError):
        publish(run, HERE, facts, api=api)
    hub.faults.clear()
    repository = hub.repository("ada/student")
    repository.edit("README.md", "# My own card")
    with pytest.raises(ValueError, match="holds a card that is not evenhand's"):
        publish(run, HERE, facts, api=api)
    assert repository.private and repository.files() == {"README.md": b"# My own card"}


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (401, "answered 401; the token is not valid: log in again"),
        (403, "answered 403; the token may not write to ada/student"),
        (404, "answered 404; it knows no ada/student"),
    ],
)
def test_a_refused_upload_through_xet_is_a_refusal_in_one_line(hub, api, run, facts, monkeypatch, status, line):
    """The client's own way for large files wherever hf_xet is installed."""
    pytest.importorskip("hf_xet")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    hub.fail("xet_token", status, times=50)
    shown = []
    with pytest.raises(RuntimeError, match=line) as refused:
        publish(run, HERE, facts, show=shown.append, api=api)
    said = str(refused.value)
    assert "\n" not in said and hub.address not in said and "cannot be reached" not in said
    assert hub.calls("xet_token") and shown[-1].startswith("Uploading ")
    assert hub.repository("ada/student").private and hub.repository("ada/student").files() == {}


@pytest.mark.parametrize(
    ("raised", "said", "line"),
    [
        (
            "ConnectionError",
            "Rate limited: Request error: HTTP status client error (429 Too Many Requests), domain: http://hub/xet",
            "answered 429; too many requests: run the same command again",
        ),
        (
            "ConnectionError",
            "Server error: Request error: HTTP status server error (500 Internal Server Error), domain: http://hub/xet",
            "answered 500; a fault of the server: run the same command again",
        ),
        (
            "ConnectionError",
            "Network error: error sending request for http://hub/xet",
            r"cannot be reached \(ConnectionError\)",
        ),
        ("XetAuthenticationError", "Authentication error: x", "answered 403; the token may not write to ada/student"),
    ],
)
def test_what_xet_tried_for_minutes_is_told_from_a_network_that_is_away(raised, said, line):
    hf_xet = pytest.importorskip("hf_xet")
    # as hf_xet 1.8 words it, after its own silent tries
    xet_error = getattr(hf_xet, raised, None) or ConnectionError
    expected = pytest.raises(RuntimeError, match=f"^it was not published: the Hub {line}")
    with expected as refused, one_line_errors("it was not published", "ada/student"):
        raise xet_error(said)
    assert "http" not in str(refused.value)


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"model.gguf": "weights"}, r"holds something else \(model.gguf\)"),
        ({"README.md": "---\nlicense: mit\n---\n\n# My own card"}, "holds a card that is not evenhand's"),
        ({"README.md": "no front matter"}, "holds a card that is not evenhand's"),
        ({"card_facts.json": "{}"}, r"holds something else \(card_facts.json\)"),
        (
            {"card_facts.json": '{"schema": "evenhand-card-facts"}', "pytorch_model.bin": b"\0"},
            "holds pytorch_model.bin",
        ),
        ({"modeling.py": "import os"}, "holds modeling.py, which would be loaded"),
    ],
)
def test_a_repository_of_something_else_is_left_as_it_is(hub, api, run, facts, files, line):
    repository = hub.add_repository("ada/student", files=files)
    before = repository.files()
    with pytest.raises(ValueError, match=line):
        publish(run, HERE, facts, api=api)
    assert repository.files() == before and hub.calls("commit") == 0 and not (run / "published").exists()


def test_without_a_licence_nothing_is_published_anywhere(hub, api, run, facts, tmp_path):
    for target in (HERE, tmp_path / "folder"):
        with pytest.raises(RuntimeError, match="no licence is known, and none is guessed"):
            publish(run, target, dataclasses.replace(facts, licence=None), api=api)
    assert hub.requests == [] and not (tmp_path / "folder").exists()


def test_amplification_needs_a_reason_that_stands_in_the_card(hub, api, run, facts, monkeypatch):
    assert Gate().reasons(json.loads((run / "report.json").read_text())) == []
    passing = publish(run, HERE, facts, accept_amplification="none needed", api=api)
    assert "the reason to accept it is not in the card" in passing.summary()
    assert b"none needed" not in b"".join(contents(passing.folder).values())
    monkeypatch.setattr(Gate, "reasons", lambda gate, report: ["mean |d| is worse", "so is C6"])
    with pytest.raises(
        RuntimeError, match=r"not published: mean \|d\| is worse \(and 1 more\); publish it with --accept"
    ):
        publish(run, HERE, facts, api=api)
    with pytest.raises(ValueError, match="accepted_amplification must say something"):
        publish(run, HERE, facts, accept_amplification=" ", api=api)
    assert hub.calls("commit") == 1
    published = publish(run, HERE, facts, accept_amplification="kept to study why", api=api)
    assert "kept to study why" in hub.repository("ada/student").files()["README.md"].decode() and published.changed
