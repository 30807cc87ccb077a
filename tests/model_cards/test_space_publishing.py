"""Publishing a metric's Space: one commit or none, and the folder alone computes the metric."""

import json
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import httpx2
import pytest
from folder_contents import contents
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError
from space_server import Hub

from evenhand.model_cards.hub.metric_space import publish_metric, stage_metric

TOKEN = "hf_a_secret_of_the_test"
SEAT_FILES = {"README.md", "app.py", "requirements.txt", "seat.py", "association.py", "effect_size.py", "stimuli.py"}


def test_a_dry_run_writes_the_folder_only(tmp_path):
    # Any call of the API would fail.
    space = publish_metric("seat", "ada/seat", tmp_path / "space", dry_run=True, api=object())
    assert space.url is None and not space.changed
    assert set(space.files) >= SEAT_FILES and set(space.files) == set(contents(space.folder))
    assert "nothing was published" in space.summary() and 'evaluate.load("ada/seat")' in space.summary()
    assert all(name in space.summary() for name in space.files)
    assert [path.name for path in tmp_path.iterdir()] == ["space"]


# --- against a stand-in ------------------------------------------------------------------------------------------------


class RecordingApi:
    """What `publish_metric` uses of HfApi; holds one Space's files."""

    def __init__(self, files=(".gitattributes", "README.md")):
        self.files, self.calls, self.sha = set(files), [], "sha-0"

    def whoami(self):
        self.calls.append(("whoami",))

    def create_repo(self, repo_id, **kwargs):
        self.calls.append(("create_repo", repo_id, kwargs))

    def repo_info(self, repo_id, repo_type):
        return SimpleNamespace(sha=self.sha, siblings=[SimpleNamespace(rfilename=file) for file in sorted(self.files)])

    def create_commit(self, repo_id, operations, **kwargs):
        self.calls.append(("create_commit", repo_id, operations, kwargs))
        self.sha = "sha-1"
        return SimpleNamespace(oid=self.sha, commit_url=f"hub/{repo_id}/commit/{self.sha}")


def test_publishing_is_a_gradio_space_and_one_commit_on_what_was_there(tmp_path):
    api = RecordingApi()
    space = publish_metric("seat", "ada/seat", tmp_path / "space", api=api)
    assert space.changed and space.url == "hub/ada/seat/commit/sha-1" and "Published" in space.summary()
    whoami, create, commit = api.calls
    assert whoami == ("whoami",)
    assert create[1:] == (
        "ada/seat",
        {"repo_type": "space", "space_sdk": "gradio", "private": None, "exist_ok": True},
    )
    _, repo_id, operations, kwargs = commit
    assert repo_id == "ada/seat" and kwargs["repo_type"] == "space" and kwargs["parent_commit"] == "sha-0"
    assert {operation.path_in_repo for operation in operations} == set(space.files) >= SEAT_FILES


def test_private_is_passed_on(tmp_path):
    api = RecordingApi()
    publish_metric("glue", "ada/glue", tmp_path / "space", private=True, api=api)
    assert api.calls[1][2]["private"] is True


def test_library_files_of_an_earlier_version_go_and_other_files_stay(tmp_path):
    api = RecordingApi([".gitattributes", "README.md", "seat.py", "old_library_file.py", "data/mine.py", "mine.csv"])
    publish_metric("seat", "ada/seat", tmp_path / "space", api=api)
    deleted = [op.path_in_repo for op in api.calls[-1][2] if type(op).__name__ == "CommitOperationDelete"]
    assert deleted == ["old_library_file.py"]


def test_a_space_of_something_else_is_not_overwritten(tmp_path):
    api = RecordingApi([".gitattributes", "README.md", "app.py"])
    with pytest.raises(ValueError, match=r"holds something else \(app.py\)"):
        publish_metric("seat", "ada/seat", tmp_path / "space", api=api)
    assert [call[0] for call in api.calls] == ["whoami", "create_repo"]


def answer(status, headers=None):
    response = httpx2.Response(status, headers=headers, request=httpx2.Request("POST", "http://hub.invalid/api"))
    return HfHubHTTPError(f"{status} for a request with {TOKEN}", response=response)


@pytest.mark.parametrize(
    ("step", "error", "fault"),
    [
        ("whoami", LocalTokenNotFoundError("no token\nat all"), "no login to the Hub: run 'hf auth login'"),
        ("whoami", answer(401), "answered 401; the token is not valid"),
        ("create_repo", answer(403), "answered 403; the token may not write to ada/seat"),
        ("create_commit", answer(412), "answered 412; the Space was changed meanwhile"),
        ("create_commit", answer(500), "answered 500; run the same command again"),
        ("whoami", httpx2.ConnectError(f"refused\n{TOKEN}"), r"the Hub cannot be reached \(ConnectError\)"),
        ("whoami", ConnectionError("offline mode"), "the Hub cannot be reached"),
    ],
)
def test_what_the_hub_refuses_is_one_line_without_the_token(tmp_path, step, error, fault):
    def refuse(*args, **kwargs):
        raise error

    api = RecordingApi()
    setattr(api, step, refuse)
    with pytest.raises(RuntimeError, match=fault) as refused:
        publish_metric("seat", "ada/seat", tmp_path / "space", api=api)
    assert "\n" not in str(refused.value) and TOKEN not in str(refused.value)


# --- against an HTTP server --------------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


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


def test_published_twice_is_one_commit_and_works_where_evenhand_is_not_installed(hub, tmp_path, caplog):
    api = HfApi(endpoint=hub.address, token=TOKEN)
    first = publish_metric("seat", "ada/seat", tmp_path / "seat", api=api)
    assert first.changed and first.url.endswith(f"/commit/{1:040d}")
    assert hub.created[0] == {"name": "seat", "organization": "ada", "type": "space", "sdk": "gradio"}
    assert {name: content for name, content in hub.files.items() if name != ".gitattributes"} == contents(first.folder)

    again = publish_metric("seat", "ada/seat", tmp_path / "seat", api=api)
    assert hub.commits == ["Metric seat, from evenhand"]
    assert not again.changed and "nothing was changed" in again.summary()

    hub.files["old_library_file.py"] = b"left from an older version"
    third = publish_metric("seat", "ada/seat", tmp_path / "seat", api=api)
    assert third.changed and "old_library_file.py" not in hub.files

    assert hub.tokens == {f"Bearer {TOKEN}"}
    everything = [*contents(first.folder).values(), *hub.files.values(), caplog.text.encode()]
    everything += [space.summary().encode() for space in (first, again, third)]
    assert not any(TOKEN.encode() in text for text in everything)

    stage_metric("glue", "ada/glue", tmp_path / "glue")
    (tmp_path / "stand_in").mkdir()
    (tmp_path / "stand_in" / "gradio.py").write_text(STAND_IN)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path / "seat"), str(tmp_path / "glue")],
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
