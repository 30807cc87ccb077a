"""A study on the Hub: students, metric and app, then the collection that holds them; doing it again changes nothing."""

import json
import re
import shutil

import pytest
import yaml
from huggingface_hub import HfApi

from evenhand.evaluation import EvaluationReport
from evenhand.launch.published_study import publish_study
from evenhand.launch.recipe import recipe_from_dict
from evenhand.model_cards.hub.collection import Item, publish_collection, student_note

pytestmark = pytest.mark.usefixtures("quick", "pauses")
TITLE = "Even-handed: a study"


@pytest.fixture
def runs(made_run, tmp_path):
    """Two runs of one teacher that is on the Hub as somebody/teacher."""
    made = []
    for name in ("plain", "mixup"):
        run = shutil.copytree(made_run, tmp_path / "runs" / name)
        declare(run)
        (run / "training.json").write_text(json.dumps({"seed": 0, "teacher": {"name": "teacher"}}))
        made.append(run)
    return made


def declare(run, **publish):
    declared = {"licence": "apache-2.0", "base_model": "somebody/teacher", **publish}
    recipe = {"teacher": {"path": "somebody/teacher"}, "corpus": {"sources": [{"path": "a.txt"}]}, "publish": declared}
    recipe_from_dict(recipe).save(run / "recipe.yaml")


@pytest.fixture
def teacher(hub):
    return hub.add_repository("somebody/teacher", files={"config.json": "{}"})


def study(runs, tmp_path, api, **options):
    options = {"seat": True, "space": "compare", **options}
    return publish_study("ada", TITLE, runs, tmp_path / "spaces", api=api, **options)


def collect(tmp_path, api, note="note", folder="notes", **options):
    items = [Item("ada/student", "model", note)]
    return publish_collection("ada", TITLE, items, tmp_path / folder, api=api, **options)


def only_collection(hub):
    (collection,) = hub.collections.by_slug.values()
    return collection


def entries(collection):
    return [(item["type"], item["id"], (item.get("note") or {}).get("text")) for item in collection["items"]]


def writes(hub):
    return [r.route for r in hub.requests if r.method in ("POST", "PUT", "PATCH", "DELETE")]


def test_a_study_becomes_a_collection_once(hub, api, teacher, runs, tmp_path):
    said = study(runs, tmp_path, api)
    collection = only_collection(hub)
    note = student_note(EvaluationReport.load(runs[0] / "report.json"))
    assert [entry[:2] for entry in entries(collection)] == [
        *(("model", "ada/plain"), ("model", "ada/mixup"), ("space", "ada/seat"), ("space", "ada/compare")),
    ]
    assert [entry[2] for entry in entries(collection)][:2] == [note, note]
    assert collection["title"] == TITLE and not collection["private"] and "evenhand verify" in collection["description"]
    models = json.loads(hub.repository("ada/compare", "space").files()["models.json"])
    assert [(m["name"], m["role"], m["teacher"]) for m in models] == [
        *(("somebody/teacher", "teacher", None), ("ada/plain", "student", "somebody/teacher")),
        ("ada/mixup", "student", "somebody/teacher"),
    ]
    ids = [(name, kind) for name, kind in (("ada/plain", "model"), ("ada/mixup", "model"), ("ada/compare", "space"))]
    heads = {name: hub.repository(name, kind).branches["main"][-1].oid for name, kind in ids}
    assert [m["revision"] for m in models][1:] == [heads["ada/plain"], heads["ada/mixup"]]
    for name in ("ada/plain", "ada/mixup", "ada/seat", "ada/compare", collection["slug"]):
        assert name in said

    before = len(hub.requests), json.dumps(collection)
    again = study(runs, tmp_path, api)
    assert json.dumps(only_collection(hub)) == before[1] and again.count("nothing was changed") == 5
    assert {r.route for r in hub.requests[before[0] :]} & set(writes(hub)) == set()
    assert {name: hub.repository(name, kind).branches["main"][-1].oid for name, kind in ids} == heads


def test_the_note_says_the_mean_with_interval_beside_the_teachers(runs):
    report = EvaluationReport.load(runs[0] / "report.json")
    entry = report.to_dict()["measures"]["seat"][0]
    note = student_note(report)
    for side in ("model", "reference"):
        family = entry[side]["families"]["gender"]
        low, high = family["confidence_interval"]
        assert f"{family['mean_absolute_effect_size']:.2f} [{low:.2f}, {high:.2f}]" in note
    words = {"better": "reliably lower", "worse": "reliably higher"}
    verdict = entry["comparison"]["families"]["gender"]["verdict"]
    assert note.endswith(f": {words.get(verdict, 'not distinguishable from it')}.") and len(note) <= 500


def test_a_dry_run_checks_everything_and_asks_nothing(hub, runs, tmp_path):
    said = study(runs, tmp_path, object(), dry_run=True)
    assert not hub.requests and said.count("Dry run") == 5
    for name in ("ada/plain", "ada/mixup", "ada/seat", "ada/compare", TITLE):
        assert name in said


def test_a_student_that_must_not_be_published_keeps_all_back(hub, api, teacher, runs, tmp_path):
    (runs[1] / "student" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="safetensors"):
        study(runs, tmp_path, api)
    assert not {"create", "commit", "create_collection"} & set(writes(hub))


def test_a_teacher_that_is_not_on_the_hub_keeps_all_back(hub, api, runs, tmp_path):
    with pytest.raises(RuntimeError, match="it knows no somebody/teacher"):
        study(runs, tmp_path, api)
    assert not {"create", "commit", "create_collection"} & set(writes(hub))
    assert "ada/plain" in study(runs, tmp_path, api, space=None)


def test_private_is_all_of_it(hub, api, teacher, runs, tmp_path):
    study(runs, tmp_path, api, private=True)
    assert only_collection(hub)["private"]
    assert all(state.keys() <= {"somebody/teacher"} for state in hub.shown)
    assert len(hub.repositories) == 5


def test_a_collection_that_is_there_is_brought_up_to_date_and_keeps_what_others_added(hub, api, tmp_path):
    for name in ("student", "other"):
        hub.add_repository(f"ada/{name}", files={"config.json": "{}"})
    slug = api.create_collection(TITLE, namespace="ada", description="Old", private=False).slug
    api.add_collection_item(slug, "ada/other", "model", note="mine")
    api.add_collection_item(slug, "ada/student", "model", note="an old note")
    done = collect(tmp_path, api, "new", description="New")
    assert done.changed and done.url == f"{hub.address}/collections/{slug}"
    assert entries(only_collection(hub)) == [("model", "ada/other", "mine"), ("model", "ada/student", "new")]
    assert only_collection(hub)["description"] == "New"


@pytest.mark.parametrize(
    "route", ["whoami", "list_collections", "create_collection", "collection", "add_item", "update_collection"]
)
@pytest.mark.parametrize(("status", "when"), [(429, "before"), (500, "after"), (None, "before"), (None, "after")])
def test_a_fault_that_passes_by_ends_in_one_complete_collection(hub, api, tmp_path, route, status, when):
    hub.add_repository("ada/student", files={"config.json": "{}"})
    if status is None:
        hub.cut(route, when=when)
    else:
        hub.fail(route, status, when=when)
    collect(tmp_path, api)
    assert entries(only_collection(hub)) == [("model", "ada/student", "note")] and not only_collection(hub)["private"]


def test_a_fault_that_stays_is_one_line_and_shows_no_half_collection(hub, api, tmp_path):
    hub.add_repository("ada/student", files={"config.json": "{}"})
    hub.fail("add_item", 500, times=100)
    with pytest.raises(RuntimeError, match="was not published") as refused:
        collect(tmp_path, api)
    assert "\n" not in str(refused.value) and hub.token not in str(refused.value)
    assert only_collection(hub)["private"]
    hub.faults.clear()
    assert collect(tmp_path, api).changed
    assert not only_collection(hub)["private"]


def test_somebody_elses_name_is_refused(hub, tmp_path):
    eve = HfApi(endpoint=hub.address, token=hub.add_user("eve"))
    with pytest.raises(RuntimeError, match="the token may not write to ada"):
        publish_collection("ada", TITLE, [], tmp_path / "notes", api=eve)
    assert not hub.collections.by_slug and not (tmp_path / "notes").exists()


@pytest.mark.parametrize("by", ["evenhand", "hand"])
def test_a_collection_that_is_private_stays_so(hub, api, tmp_path, by):
    hub.add_repository("ada/student", files={"config.json": "{}"})
    if by == "hand":
        api.create_collection(TITLE, namespace="ada", private=True)
    else:
        collect(tmp_path, api, private=True)
    for _ in range(2):
        assert "It is private and stays so" in collect(tmp_path, api).summary() and only_collection(hub)["private"]
    assert "private" not in collect(tmp_path, api, private=True).summary()
    assert entries(only_collection(hub)) == [("model", "ada/student", "note")]


def test_a_collection_that_is_public_cannot_be_published_as_private(hub, api, teacher, runs, tmp_path):
    hub.add_repository("ada/student", files={"config.json": "{}"})
    assert "private" not in collect(tmp_path, api).summary() and not (tmp_path / "notes").exists()
    before, n_writes = json.dumps(only_collection(hub)), len(writes(hub))
    with pytest.raises(ValueError, match="is there and public; leave --private out") as refused:
        collect(tmp_path, api, private=True)
    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="is there and public; leave --private out"):
        study(runs, tmp_path, api, private=True)
    assert json.dumps(only_collection(hub)) == before and len(writes(hub)) == n_writes


def test_a_private_collection_made_by_hand_after_one_that_was_cut_short_stays_private(hub, api, tmp_path):
    hub.add_repository("ada/student", files={"config.json": "{}"})
    hub.add_repository("ada/secret", files={"config.json": "{}"}, private=True)
    hub.fail("add_item", 500, times=100)
    with pytest.raises(RuntimeError, match="was not published"):
        collect(tmp_path, api)
    hub.faults.clear()
    hub.collections.by_slug.clear()
    slug = api.create_collection(TITLE, namespace="ada", private=True).slug
    api.add_collection_item(slug, "ada/secret", "model")
    for _ in range(2):
        assert "It is private and stays so" in collect(tmp_path, api).summary() and only_collection(hub)["private"]


def test_a_collection_cut_short_stays_private_from_elsewhere(hub, api, tmp_path):
    hub.add_repository("ada/student", files={"config.json": "{}"})
    hub.fail("update_collection", 500, times=100)
    with pytest.raises(RuntimeError, match="was not published"):
        collect(tmp_path, api)
    hub.faults.clear()
    elsewhere = collect(tmp_path, api, folder="other").summary()
    assert f"as {tmp_path / 'other' / 'publishing.json'} does not say" in elsewhere and only_collection(hub)["private"]
    assert collect(tmp_path, api).changed and not only_collection(hub)["private"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"owner": "a b"}, "'a b' is no name on the Hub"),
        ({"owner": "a/b"}, "'a/b' is no name on the Hub"),
        ({"title": ""}, "the title must be one line of 1 to 60 characters"),
        ({"title": "x" * 61}, "the title must be one line"),
        ({"title": "two\nlines"}, "the title must be one line"),
        ({"space": "seat"}, "is the metric's name"),
        ({"space": "a b"}, "is no name for a Space"),
        ({"no_report": True}, "holds no report.json; measure it first"),
        ({"no_training": True}, "holds no finished training"),
        ({"same": True}, "would both be ada/same"),
        ({"repo_id": "eve/student"}, "is to be eve/student, which is not ada's"),
    ],
)
def test_what_cannot_be_used_is_one_line_before_anything_is_asked(hub, runs, tmp_path, change, fault):
    if change.get("no_report"):
        (runs[1] / "report.json").unlink()
    if change.get("no_training"):
        (runs[1] / "training.json").unlink()
    for run in runs if change.get("same") else runs[1:] if "repo_id" in change else ():
        declare(run, repo_id=change.get("repo_id", "ada/same"))
    owner, title, space = (
        change.get(key, other) for key, other in (("owner", "ada"), ("title", TITLE), ("space", "c"))
    )
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(fault)) as refused:
        publish_study(owner, title, runs, tmp_path / "spaces", seat=True, space=space, api=object())
    assert "\n" not in str(refused.value) and not hub.requests and not (tmp_path / "spaces").exists()


def test_a_run_may_name_its_repository(hub, api, runs, tmp_path):
    declare(runs[0], repo_id="ada/my-student")
    study(runs[:1], tmp_path, api, seat=False, space=None)
    assert entries(only_collection(hub))[0][:2] == ("model", "ada/my-student")
    assert yaml.safe_load((runs[0] / "recipe.yaml").read_text())["publish"]["repo_id"] == "ada/my-student"
