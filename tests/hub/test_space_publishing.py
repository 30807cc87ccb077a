"""Publishing a Space (a metric's or the app's): one commit or none, nothing half-visible, and the folder works elsewhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_repositories import SPACE_CARD
from huggingface_hub import HfApi

from evenhand.model_cards.hub.metric_space import publish_metric, stage_metric
from evenhand.model_cards.hub.space import publish_space
from evenhand.model_cards.hub.staged_list import with_list
from evenhand.model_cards.space.compared_models import ComparedModel

SEAT_FILES = {"README.md", "app.py", "requirements.txt", "seat.py", "association.py", "effect_size.py", "stimuli.py"}
STUDENT = ComparedModel("ada/student", "ada/student", "student", "ada/teacher")
MODELS = [ComparedModel("ada/teacher", "ada/teacher", "teacher"), STUDENT]


pytestmark = pytest.mark.usefixtures("pauses")


def contents(folder):
    folder = Path(folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def staged_files(repository):
    return {path: content for path, content in repository.files().items() if path != ".gitattributes"}


def seat(tmp_path, api, **options):
    return publish_metric("seat", "ada/seat", tmp_path / "staged" / "space", api=api, **options)


def app(tmp_path, api, **options):
    return publish_space(MODELS, "ada/compare", tmp_path / "staged" / "space", api=api, **options)


def test_a_dry_run_writes_the_folder_only(tmp_path):
    # Any call of the API would fail.
    space = publish_metric("seat", "ada/seat", tmp_path / "space", dry_run=True, api=object())
    assert space.url is None and not space.changed
    assert set(space.files) >= SEAT_FILES and set(space.files) == set(contents(space.folder))
    assert "nothing was published" in space.summary() and 'evaluate.load("ada/seat")' in space.summary()
    assert all(name in space.summary() for name in space.files)
    assert [path.name for path in tmp_path.iterdir()] == ["space"]
    of_app = publish_space(MODELS, "ada/compare", tmp_path / "app", dry_run=True, api=object())
    assert of_app.url is None and {"models.json", "evenhand/evaluation/seat.py"} <= set(of_app.files)


def test_twice_is_one_commit_and_nobody_sees_a_half_filled_space(hub, api, tmp_path, caplog):
    first = seat(tmp_path, api)
    space = hub.repository("ada/seat", "space")
    assert first.changed and first.url == f"{hub.address}/spaces/ada/seat" and space.sdk == "gradio"
    held = staged_files(space)
    assert held == contents(first.folder) and first.commit == space.branches["main"][-1].oid
    n_commits = len(space.branches["main"])
    again = seat(tmp_path, api)
    assert not again.changed and "nothing was changed" in again.summary() and again.commit == first.commit
    assert len(space.branches["main"]) == n_commits and not space.private
    visible = [state["ada/seat"] for state in hub.shown if "ada/seat" in state]
    assert visible and all(set(first.files) <= files for files in visible)
    assert [path.name for path in (tmp_path / "staged").iterdir()] == ["space"]
    assert hub.tokens == {f"Bearer {hub.token}"}
    everything = [*contents(first.folder).values(), *held.values(), caplog.text.encode()]
    everything += [first.summary().encode(), again.summary().encode()]
    assert not any(hub.token.encode() in text for text in everything)


def test_files_that_an_earlier_version_staged_go_and_the_owners_stay(hub, api, tmp_path):
    earlier = with_list({"README.md": SPACE_CARD, "seat.py": "old", "old_library_file.py": "old", "gone.py": "old"})
    owners = {"my_tests.py": b"mine", "data/mine.py": b"mine", "mine.csv": b"mine"}
    space = hub.add_repository("ada/seat", "space", {**earlier, **owners}, sdk="gradio")
    space.edit("gone.py", None)
    first = seat(tmp_path, api)
    assert first.changed and space.files() == {**contents(first.folder), **owners}
    assert not seat(tmp_path, api).changed


@pytest.mark.parametrize("held", ["", "[", '{"my_tests.py": 1}', "[1]"])
def test_nothing_of_a_space_goes_that_no_list_names(hub, api, tmp_path, held):
    files = {"seat.py": "old", "my_tests.py": "mine", **({"staged_files.json": held} if held else {})}
    space = hub.add_repository("ada/seat", "space", files, sdk="gradio")
    first = seat(tmp_path, api)
    assert space.files() == {**contents(first.folder), "my_tests.py": b"mine"}


def test_a_space_of_something_else_is_not_overwritten(hub, api, tmp_path):
    space = hub.add_repository("ada/seat", "space", {"app.py": "mine"}, sdk="gradio")
    before = space.files()
    with pytest.raises(ValueError, match=r"holds something else \(app.py\)"):
        seat(tmp_path, api)
    assert space.files() == before


def test_a_new_space_stays_private_where_that_is_asked_for(hub, api, tmp_path):
    assert seat(tmp_path, api, private=True).changed and hub.repository("ada/seat", "space").private
    assert not any("ada/seat" in state for state in hub.shown)
    later = seat(tmp_path, api)
    assert not later.changed and "is private and stays so" in later.summary()
    assert hub.repository("ada/seat", "space").private
    hub.repository("ada/seat", "space").private = False
    with pytest.raises(ValueError, match="is there and public; leave --private out"):
        seat(tmp_path, api, private=True)


def test_a_space_cut_short_is_ended_from_where_its_note_lies_and_stays_private_from_elsewhere(hub, api, tmp_path):
    hub.fail("settings", 500, times=100)
    note = tmp_path / "staged" / "publishing.json"
    with pytest.raises(RuntimeError, match=f"nothing of it can be seen.* as {note} says"):
        seat(tmp_path, api)
    hub.faults.clear()
    elsewhere = publish_metric("seat", "ada/seat", tmp_path / "other" / "space", api=api)
    assert hub.repository("ada/seat", "space").private
    assert f"as {tmp_path / 'other' / 'publishing.json'} does not say that an unfinished" in elsewhere.summary()
    again = seat(tmp_path, api)
    assert not hub.repository("ada/seat", "space").private and "private" not in again.summary() and not note.exists()


@pytest.mark.parametrize("files", [{}, {"seat.py": "mine", "secret.py": "secret"}])
def test_a_private_space_made_by_hand_after_one_that_was_cut_short_stays_private(hub, api, tmp_path, files):
    hub.fail("commit", 500, times=100)
    with pytest.raises(RuntimeError, match="nothing of it can be seen"):
        seat(tmp_path, api)
    hub.faults.clear()
    del hub.repositories["space", "ada/seat"]
    space = hub.add_repository("ada/seat", "space", files, sdk="gradio", private=True)
    for _ in range(2):
        assert "is private and stays so" in seat(tmp_path, api).summary() and space.private
    assert not any("ada/seat" in state for state in hub.shown)


@pytest.mark.parametrize(
    ("route", "status", "when"),
    [
        *(("whoami", 429, "before"), ("create", 503, "before"), ("create", 500, "after"), ("info", 502, "before")),
        *(
            ("preupload", 500, "before"),
            ("commit", 500, "before"),
            ("commit", 504, "after"),
            ("settings", 500, "after"),
        ),
        *(("commit", None, "before"), ("commit", None, "after"), ("commit", None, "middle")),
    ],
)
def test_a_fault_that_passes_by_ends_in_one_complete_commit(hub, api, tmp_path, route, status, when):
    if status is None:
        hub.cut(route, when=when)
    else:
        hub.fail(route, status, when=when)
    space = seat(tmp_path, api)
    of_hub = hub.repository("ada/seat", "space")
    held = staged_files(of_hub)
    assert held == contents(space.folder) and not of_hub.private and space.changed
    assert [commit.title for commit in of_hub.branches["main"]].count("Metric seat, from evenhand") == 1


def test_what_somebody_else_commits_meanwhile_is_kept(hub, api, tmp_path):
    hub.add_repository("ada/seat", "space", {"seat.py": "old"}, sdk="gradio")
    hub.meanwhile("commit", lambda: hub.repository("ada/seat", "space").edit("notes.txt", "mine", "eve"))
    assert seat(tmp_path, api).changed
    files = hub.repository("ada/seat", "space").files()
    assert files["notes.txt"] == b"mine" and set(files) >= SEAT_FILES


@pytest.mark.parametrize(
    ("route", "status", "fault"),
    [
        ("whoami", 401, "the token is not valid"),
        ("create", 403, "the token may not write to ada/seat"),
        ("commit", 500, "run the same command again"),
        ("settings", 500, "run the same command again"),
    ],
)
def test_a_fault_that_stays_is_one_line_shows_nothing_and_the_same_command_ends_it(
    hub, api, tmp_path, route, status, fault
):
    hub.fail(route, status, times=100)
    with pytest.raises(RuntimeError, match=fault) as refused:
        seat(tmp_path, api)
    assert str(refused.value).startswith("ada/seat was not published") and "\n" not in str(refused.value)
    assert hub.token not in str(refused.value)
    assert not any("ada/seat" in state for state in hub.shown)
    hub.faults.clear()
    seat(tmp_path, api)
    assert not hub.repository("ada/seat", "space").private
    assert [path.name for path in (tmp_path / "staged").iterdir()] == ["space"]


def test_somebody_elses_space_is_refused(hub, tmp_path):
    hub.add_repository("ada/seat", "space", {"seat.py": "old"}, sdk="gradio")
    eve = HfApi(endpoint=hub.address, token=hub.add_user("eve"))
    with pytest.raises(RuntimeError, match="the token may not write to ada/seat"):
        seat(tmp_path, eve)
    assert hub.repository("ada/seat", "space").files()["seat.py"] == b"old"


def test_without_a_login_or_a_network_it_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.utils._headers.get_token", lambda: None)
    with pytest.raises(RuntimeError, match="no login to the Hub: run 'hf auth login'"):
        seat(tmp_path, HfApi(endpoint="http://127.0.0.1:9"))
    with pytest.raises(RuntimeError, match="the Hub cannot be reached"):
        seat(tmp_path, HfApi(endpoint="http://127.0.0.1:9", token="hf_x"))


def test_the_app_pins_the_commits_of_its_models_and_names_one_that_is_missing(hub, api, tmp_path):
    teacher = hub.add_repository("ada/teacher", files={"config.json": "{}"})
    with pytest.raises(RuntimeError, match="it knows no ada/student"):
        app(tmp_path, api)
    assert not hub.calls("create")
    student = hub.add_repository("ada/student", files={"config.json": "{}"})
    space = app(tmp_path, api)
    pinned = {model["name"]: model["revision"] for model in json.loads((space.folder / "models.json").read_text())}
    assert pinned == {"ada/teacher": teacher.branches["main"][-1].oid, "ada/student": student.branches["main"][-1].oid}
    assert not app(tmp_path, api).changed
    student.edit("config.json", "{ }", "ada")
    newer = app(tmp_path, api)
    assert newer.changed and student.branches["main"][-1].oid in (newer.folder / "README.md").read_text()


ELSEWHERE = """
import json, sys

sys.modules["evenhand"] = None  # any import of it fails
sys.path.insert(0, sys.argv[1])
import evaluate
import numpy as np

def column(n, shift):
    i, j = np.arange(n)[:, None], np.arange(6)
    vectors = np.sin(0.7 * i + 1.3 * j + shift)
    vectors[:, 0] += 0.15 * shift
    return vectors.tolist()

roles = ("targ1", "targ2", "attr1", "attr2")
embedding = [v for shift in (0.1, 0.9, 0.3, 1.7) for v in column(4, shift)]
rows = {"embedding": embedding, "role": [r for r in roles for _ in range(4)]}
rows |= {"term": [f"{r}{i}" for r in roles for i in range(4)], "template": [""] * 16}

import app  # of the staged folder, on a stand-in for gradio
results = {
    "page": app.page().kwargs["fn"](app.EXAMPLE, 0, 0.95),
    "folder": app.metric.compute(**rows),
    "hub": evaluate.load("ada/seat").compute(**rows),
    "glue": evaluate.load(sys.argv[2] + "/glue.py", "stsb").compute(predictions=[1, 2, 4], references=[1, 2, 3]),
}
print(json.dumps(results, allow_nan=False))
"""

STAND_IN = """
class Interface:
    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs

Textbox = Number = Slider = Dropdown = JSON = Interface
Error = ValueError
"""


def test_a_metric_works_where_evenhand_is_not_installed(hub, api, tmp_path):
    seat(tmp_path, api)
    stage_metric("glue", "ada/glue", tmp_path / "glue")
    (tmp_path / "stand_in").mkdir()
    (tmp_path / "stand_in" / "gradio.py").write_text(STAND_IN)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path / "staged" / "space"), str(tmp_path / "glue")],
        cwd=tmp_path,
        env={
            **{key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "HF_TOKEN")},
            "PYTHONPATH": str(tmp_path / "stand_in"),
            "HF_ENDPOINT": hub.address,
            "HF_HOME": str(tmp_path / "home"),
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.strip().splitlines()[-1])
    for where in ("folder", "hub"):
        assert results[where]["effect_size"] == pytest.approx(0.7837366715, abs=1e-9)
        assert results[where]["p_value_legacy"] == pytest.approx(8 / 70, abs=1e-12)
    assert results["page"]["effect_size"] == pytest.approx(1.4618745, abs=1e-6)
    assert results["glue"] == {"pearson": pytest.approx(0.98198051), "spearmanr": pytest.approx(1.0)}
