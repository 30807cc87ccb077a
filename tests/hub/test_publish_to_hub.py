"""Publishing over real HTTP with the real client: what goes out, what does not, and what was there before."""

import dataclasses
import json

import pytest
from folder_contents import contents
from huggingface_hub import HfApi

from evenhand.model_cards import publish, verify
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


# --- what is there already, and where it goes --------------------------------------------------------------------------


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
def test_a_gitignore_that_would_keep_a_file_out_is_one_line_and_no_commit(hub, api, run, facts):
    repository = hub.add_repository("ada/student", files={".gitignore": "*.json"})
    with pytest.raises(ValueError, match=r"the \.gitignore of ada/student keeps card_facts\.json out"):
        publish(run, HERE, facts, api=api)
    assert set(repository.files()) == {".gitignore"} and hub.calls("commit") == 0


@pytest.mark.usefixtures("quick")
def test_a_new_repository_that_does_not_hold_what_was_sent_stays_private(hub, api, run, facts):
    def damage():
        repository = hub.repository("ada/student")
        (large,) = [oid for oid, content in repository.large_files.items() if content.startswith(b"\x89PNG")]
        repository.large_files[large] = b"\x89PNG but another"

    hub.meanwhile("commit", damage)
    with pytest.raises(
        RuntimeError, match=r"does not hold figures/seat\.png as it was sent; run the same command again"
    ):
        publish(run, HERE, facts, api=api)
    assert hub.repository("ada/student").private and hub.shown == [{}]


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
def test_a_folder_is_published_without_the_hub_and_a_dry_run_writes_nothing(run, facts, tmp_path):
    folder = tmp_path / "out" / "student"
    dry = publish(run, folder, facts, dry_run=True)
    assert not folder.parent.exists() and f"This would go to the folder {folder}" in dry.summary()
    first, again = publish(run, folder, facts), publish(run, folder, facts)
    assert first.changed and not again.changed and first.url is None
    assert first.files == again.files == dry.files == {name: len(data) for name, data in contents(folder).items()}
    assert publish(run, folder, dataclasses.replace(facts, author="Grace")).changed


@pytest.mark.usefixtures("quick")
def test_a_note_of_begun_repositories_that_was_changed_by_hand_is_one_line(hub, api, run, facts):
    (run / "publishing.json").write_text('{"begun": "ada/student"}')
    with pytest.raises(ValueError, match=r"publishing\.json was changed by hand; delete it"):
        publish(run, HERE, facts, api=api)
    assert hub.repositories == {}


@pytest.mark.usefixtures("quick")
def test_a_revision_is_a_branch_made_where_it_is_missing(hub, api, run, facts, tmp_path):
    branch = HubRepository("ada/student", "v2")
    published = publish(run, branch, facts, api=api)
    repository = hub.repository("ada/student")
    assert repository.files() == {} and set(repository.files("v2")) == set(published.files)
    assert published.url == f"{hub.address}/ada/student/tree/v2"
    assert not publish(run, HERE, facts, revision="v2", api=api).changed
    # nobody sees an empty default branch
    assert repository.private and hub.shown == [{}]
    assert "ada/student is private until its main is published too: leave the revision out" in published.summary()
    assert set(downloaded(api, tmp_path / "v2", revision="v2")) == set(published.files)
    complete = publish(run, HERE, facts, api=api)
    assert not repository.private and hub.shown == [{}, {"ada/student": frozenset(complete.files)}]
    assert "private" not in complete.summary() and not (run / "publishing.json").exists()


@pytest.mark.usefixtures("quick")
def test_a_branch_published_in_between_leaves_an_interrupted_publish_to_be_completed(hub, api, run, facts, pauses):
    hub.fail("commit", 500, times=50)
    with pytest.raises(RuntimeError):
        publish(run, HERE, facts, api=api)
    hub.faults.clear()
    publish(run, HubRepository("ada/student", "v2"), facts, api=api)
    assert hub.repository("ada/student").private
    publish(run, HERE, facts, api=api)
    assert not hub.repository("ada/student").private


@pytest.mark.usefixtures("quick")
def test_text_as_target_is_read_as_on_the_command_line(hub, api, run, facts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert publish(run, "ada/student", facts, api=api).url == f"{hub.address}/ada/student"
    assert publish(run, "./student", facts).folder == tmp_path / "student"
    assert publish(run, str(tmp_path / "other"), facts).is_local and not (tmp_path / "ada").exists()
    with pytest.raises(ValueError, match=r"'student2' is neither an existing folder nor OWNER/NAME"):
        publish(run, "student2", facts)


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
