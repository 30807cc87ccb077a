"""Publishing over real HTTP with the real client: what goes out, what does not, and what was there before."""

import dataclasses
import json

import pytest
from folder_contents import contents
from huggingface_hub import HfApi

from evenhand.launch.command import main
from evenhand.model_cards import publish, verify
from evenhand.model_cards.amplification_gate import Gate
from evenhand.model_cards.hand_written import read_blocks
from evenhand.model_cards.hub.target import HubRepository

HERE = HubRepository("ada/student")


def downloaded(api, folder, revision=None):
    """The repository as the client downloads it, without what the client and the Hub add."""
    api.snapshot_download("ada/student", revision=revision, local_dir=folder)
    return {name: data for name, data in contents(folder).items() if not name.startswith((".cache", ".gitattributes"))}


# --- the whole way, nothing stubbed ------------------------------------------------------------------------------------


def test_a_student_goes_out_checked_as_one_commit_comes_back_the_same_and_verifies(
    hub, api, run, facts, tmp_path, capsys, caplog
):
    before = contents(run)
    dry = publish(run, HERE, facts, dry_run=True, api=object())  # any call of it would fail
    assert hub.requests == [] and not dry.changed and dry.url is None
    assert "Dry run" in dry.summary() and all(name in dry.summary() for name in dry.files)
    shown = []
    first = publish(run, HERE, facts, show=shown.append, api=api)
    assert first.changed and first.url == f"{hub.address}/ada/student" and first.url in first.summary()
    assert all(f"{size:,} bytes" in shown[0] and name in shown[0] for name, size in first.files.items())
    repository = hub.repository("ada/student")
    assert repository.commits == ["student, from evenhand"] and not repository.private
    assert hub.shown == [{}, {"ada/student": frozenset(first.files)}]
    there = downloaded(api, tmp_path / "down")
    assert there == contents(run / "published") and set(there) == set(first.files)
    assert {"model.safetensors", "README.md", "report.json", "card_facts.json", "figures/seat.png"} < set(there)
    assert not set(there) & {"training_args.bin", "optimizer.pt", "trainer.log"}
    assert json.loads(there["card_facts.json"])["repo_id"] == "ada/student"
    again = publish(run, HERE, facts, api=api)
    assert not again.changed and again.commit == first.commit and "nothing was changed" in again.summary()
    assert len(repository.branches["main"]) == 2 and hub.calls("commit") == 1
    assert verify(tmp_path / "down").ok and verify("ada/student", api=api).ok
    # the run itself is as it was, and neither a path of this machine nor the token is anywhere
    assert {name: data for name, data in contents(run).items() if not name.startswith("published/")} == before
    output = capsys.readouterr()
    everything = [
        *there.values(),
        output.out.encode(),
        output.err.encode(),
        caplog.text.encode(),
        first.summary().encode(),
    ]
    everything += [str(commit).encode() for commit in repository.branches["main"]]
    assert not any(hub.token.encode() in text for text in everything)
    assert not any(str(tmp_path).encode() in text for text in there.values())
    assert hub.tokens == {f"Bearer {hub.token}"}


def test_what_the_checks_refuse_reaches_nothing(hub, api, run, facts):
    report = json.loads((run / "report.json").read_text())
    report["model"]["weights_sha256"] = "0" * 64
    (run / "report.json").write_text(json.dumps(report))
    with pytest.raises(RuntimeError, match=r"not published: student: weights: not what report.json measured"):
        publish(run, HERE, facts, api=api)
    assert hub.repositories == {} and not (run / "published").exists()


# --- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(api, run, quick, monkeypatch, tmp_path):
    """``evenhand publish RUN …`` as ada, in a folder of its own; the run has a recipe that names a licence."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: api)  # the user's login and HF_ENDPOINT, read at import
    recipe = {
        "teacher": {"path": "/somewhere/teacher"},
        "corpus": {"sources": [{"path": "text.txt"}]},
        "publish": {"licence": "mit", "title": "A student"},
    }
    (run / "recipe.yaml").write_text(json.dumps(recipe))
    return lambda *words: main(["publish", str(run), *words])


def test_the_command_lists_publishes_and_prints_the_address(command, hub, capsys):
    assert command("ada/student", "--dry-run") == 0
    assert "Dry run: nothing was published" in capsys.readouterr().out and hub.requests == []
    assert command("ada/student") == 0
    printed = capsys.readouterr().out
    assert f"Published ada/student: {hub.address}/ada/student" in printed and "model.safetensors" in printed
    assert "license: mit" in hub.repository("ada/student").files()["README.md"].decode()
    assert command("ada/student@tested", "--output-dir", "elsewhere") == 0
    assert "model.safetensors" in hub.repository("ada/student").files("tested")
    assert command("./folder") == 0 and command("folder") == 0
    assert "nothing changed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["student"], 2, "'student' is neither an existing folder nor OWNER/NAME; write ./PATH for a new folder"),
        (
            ["run/new"],
            2,
            "run/new may be a new folder in ./run or a repository on the Hub; write ./run/new or hf://run/new",
        ),
        (["a/b/c"], 2, "neither an existing folder nor OWNER/NAME"),
        (["ada/stu dent"], 2, "no repository of the Hub"),
        (["./folder", "--private"], 2, "--private is for the Hub, and folder is a folder"),
        (["./folder", "--create-pr"], 2, "--create-pr is for the Hub"),
        (["./folder", "--output-dir", "x"], 2, "--output-dir is for the Hub"),
        (["ada/student", "--create-pr", "--revision", "dev"], 2, "leave the revision out"),
        (["ada/student", "--create-pr", "--private"], 2, "give one of them"),
        (["ada/student@dev", "--revision", "main"], 2, "name two revisions"),
        (["ada/student@" + "a" * 40], 2, "is a commit, which cannot be changed"),
        (["ada/student@refs/pr/7"], 2, "ada/student has no refs/pr/7"),
        (["ada/student", "--create-pr"], 2, "ada/student does not exist"),
        (["eve/student"], 1, "eve/student was not published: eve is not ada: use a name of yours"),
    ],
)
def test_what_cannot_be_is_one_line_and_an_exit_code(command, hub, run, capsys, words, code, line):
    assert command(*words) == code
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("evenhand publish: ") and line in error
    assert all(repository.private for repository in hub.repositories.values()) and hub.shown in ([], [{}])


# --- who may, and what is there ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
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


@pytest.mark.usefixtures("quick")
def test_no_network_is_one_line_within_seconds(hub, run, facts, pauses, monkeypatch):
    nowhere = HfApi(endpoint="http://127.0.0.1:9", token=hub.token)
    with pytest.raises(RuntimeError, match=r"the Hub cannot be reached \(ConnectError\): check the network"):
        publish(run, HERE, facts, api=nowhere)
    assert sum(pauses) <= 5
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RuntimeError, match="offline mode is on; unset HF_HUB_OFFLINE, or use --dry-run"):
        publish(run, HERE, facts, api=nowhere)
    assert not (run / "published").exists()


@pytest.mark.usefixtures("quick")
def test_a_token_of_unknown_rights_is_refused_by_the_hub_in_one_line(hub, run, facts):
    """Fine-grained tokens do not say which organisations they may write to."""
    eves = HfApi(endpoint=hub.address, token=hub.add_user("eve", role="fineGrained"))
    with pytest.raises(RuntimeError, match="answered 403; the token may not write to ada/student"):
        publish(run, HERE, facts, api=eves)
    hub.add_repository("ada/student")
    with pytest.raises(RuntimeError, match="answered 403; the token may not write to ada/student"):
        publish(run, HERE, facts, api=eves)
    assert hub.repository("ada/student").files() == {}


@pytest.mark.usefixtures("quick")
def test_an_organisations_member_publishes_there(hub, run, facts):
    member = HfApi(endpoint=hub.address, token=hub.add_user("grace", organisations=["lab"]))
    publish(run, HubRepository("lab/student"), facts, api=member)
    assert hub.repository("lab/student").commits == ["student, from evenhand"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("repo_type", ["space", "dataset"])
def test_a_repository_of_the_same_name_and_another_type_is_another_repository(hub, api, run, facts, repo_type):
    other = hub.add_repository("ada/student", repo_type, files={"data.csv": "a,b"})
    before = other.files()
    published = publish(run, HERE, facts, api=api)
    assert other.files() == before and set(hub.repository("ada/student").files()) == set(published.files)


@pytest.mark.usefixtures("quick")
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


@pytest.mark.usefixtures("quick")
def test_a_fresh_repository_made_by_hand_keeps_its_visibility(hub, api, run, facts):
    repository = hub.add_repository("ada/student", files={"README.md": "---\nlicense: mit\n---\n"}, private=True)
    published = publish(run, HERE, facts, api=api)
    assert repository.private and "is private and stays so" in published.summary() and published.changed
    assert set(repository.files()) == set(published.files)


@pytest.mark.usefixtures("quick")
def test_private_makes_a_private_repository_and_does_not_hide_a_public_one(hub, api, run, facts):
    published = publish(run, HERE, facts, private=True, api=api)
    assert hub.repository("ada/student").private and hub.shown == [{}] and published.notes == ()
    assert not publish(run, HERE, facts, private=True, api=api).changed
    hub.repository("ada/student").private = False
    with pytest.raises(ValueError, match="is there and public; leave --private out"):
        publish(run, HERE, facts, private=True, api=api)


@pytest.mark.usefixtures("quick")
def test_files_of_an_earlier_student_go_in_the_same_commit_and_those_of_the_owner_stay(hub, api, run, facts):
    publish(run, HERE, facts, api=api)
    repository = hub.repository("ada/student")
    theirs = {"examples/use.md": "how", "onnx/model.onnx": "x", ".eval_results/other.yaml": "[]", "LICENSE": "text"}
    for path, content in theirs.items():
        repository.edit(path, content)
    for path in (
        "figures/old.png",
        "merges.txt",
        "model-00001-of-00002.safetensors",
        ".eval_results/evenhand-glue.yaml",
    ):
        repository.edit(path, "of an earlier student")
    commits = len(repository.commits)
    published = publish(run, HERE, facts, api=api)
    assert published.changed and len(repository.commits) == commits + 1
    assert set(repository.files()) == {*published.files, *theirs}
    assert not publish(run, HERE, facts, api=api).changed


@pytest.mark.usefixtures("quick")
def test_a_revision_is_a_branch_made_where_it_is_missing(hub, api, run, facts, tmp_path):
    branch = HubRepository("ada/student", "v2")
    published = publish(run, branch, facts, api=api)
    repository = hub.repository("ada/student")
    assert repository.files() == {} and set(repository.files("v2")) == set(published.files)
    assert published.url == f"{hub.address}/ada/student/tree/v2" and not repository.private
    assert not publish(run, HERE, facts, revision="v2", api=api).changed
    assert set(downloaded(api, tmp_path / "v2", revision="v2")) == set(published.files)


@pytest.mark.usefixtures("quick")
def test_a_pull_request_is_proposed_to_others_once(hub, api, run, facts, pauses):
    repository = hub.add_repository("eve/student")
    there = HubRepository("eve/student")
    hub.cut("commit", when="after")
    proposed = publish(run, there, facts, create_pr=True, api=api)
    assert proposed.changed and proposed.url == f"{hub.address}/eve/student/discussions/1" in proposed.summary()
    assert repository.files() == {} and set(repository.files("refs/pr/1")) == set(proposed.files)
    again = publish(run, there, facts, create_pr=True, api=api)
    assert not again.changed and again.url == proposed.url and len(repository.pull_requests) == 1
    renamed = dataclasses.replace(facts, author="Grace")
    other = publish(run, there, renamed, create_pr=True, api=api)
    assert other.url.endswith("/discussions/2") and len(repository.pull_requests) == 2
    # merged: there is nothing to propose any more
    repository.branches["main"].append(repository.branches["refs/pr/2"][-1])
    assert not publish(run, there, renamed, create_pr=True, api=api).changed


@pytest.mark.usefixtures("quick")
def test_a_front_matter_that_the_hub_refuses_is_one_line(hub, api, run, facts):
    odd = dataclasses.replace(facts, licence="no-such-licence")
    with pytest.raises(ValueError, match=r'Invalid metadata in README.md. - "license" must be one of'):
        publish(run, HERE, odd, api=api)
    assert hub.repository("ada/student").private and hub.repository("ada/student").files() == {}


# --- licence and gate --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
def test_without_a_licence_nothing_is_published_anywhere(hub, api, run, facts, tmp_path):
    for target in (HERE, tmp_path / "folder"):
        with pytest.raises(RuntimeError, match="no licence is known, and none is guessed"):
            publish(run, target, dataclasses.replace(facts, licence=None), api=api)
    assert hub.requests == [] and not (tmp_path / "folder").exists()


@pytest.mark.usefixtures("quick")
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


# --- hand-written text -------------------------------------------------------------------------------------------------


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


@pytest.mark.usefixtures("quick")
def test_text_written_on_the_hub_is_taken_over(hub, api, run, facts):
    publish(run, HERE, facts, api=api)
    edited(hub, "limits", "Not for names outside the lists.")
    published = publish(run, HERE, facts, api=api)
    assert on_the_hub(hub) == {"limits": "Not for names outside the lists."}
    assert "hand-written block 'limits': taken from the Hub" in published.summary()
    # what is staged says so too, so that the card is still what facts and report give
    assert json.loads((published.folder / "card_facts.json").read_text())["notes"] == on_the_hub(hub)
    assert not publish(run, HERE, facts, api=api).changed


@pytest.mark.usefixtures("quick")
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


@pytest.mark.usefixtures("quick")
def test_text_emptied_on_the_hub_stays_empty(hub, api, run, facts):
    ours = dataclasses.replace(facts, notes={"contact": "old address"})
    publish(run, HERE, ours, api=api)
    edited(hub, "contact", "")
    assert "'contact': was emptied on the Hub" in publish(run, HERE, ours, api=api).summary()
    assert on_the_hub(hub) == {}


@pytest.mark.usefixtures("quick")
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


@pytest.mark.usefixtures("quick")
def test_a_damaged_marker_on_the_hub_is_one_line(hub, api, run, facts):
    publish(run, HERE, facts, api=api)
    card = hub.repository("ada/student").files()["README.md"].decode()
    hub.repository("ada/student").edit("README.md", card.replace("<!-- end of hand-written: limits -->", ""))
    with pytest.raises(ValueError, match=r"ada/student: line .* mend it on the Hub first"):
        publish(run, HERE, facts, api=api)
