"""Verifying what is on the Hub, over real HTTP: only safe files are downloaded, at one commit, and every failure is one line."""

import json

import pytest
import yaml
from hub_server import running_hub
from huggingface_hub import HfApi

from evenhand.model_cards import verify
from evenhand.model_cards.hub.benchmark_results import glue_entries
from evenhand.model_cards.verification import verify_folder
from evenhand.model_cards.verification.card_rows import benchmark_rows
from evenhand.model_cards.verification.rows import RECOMPUTED, UNCHECKED


@pytest.fixture
def hub(monkeypatch, same_runs_once):
    monkeypatch.setattr("evenhand.model_cards.hub.retries.time.sleep", lambda seconds: None)
    monkeypatch.setattr(verify_folder, "picture_rows", lambda *arguments: [])  # drawn in test_verify.py
    with running_hub(monkeypatch) as server:
        yield server


@pytest.fixture
def api(hub, tmp_path):
    return HfApi(endpoint=hub.address, token=hub.token)


@pytest.fixture
def student(hub, small_once):
    """The repository ada/student with the staged folder, and some files that staging never writes."""
    files = {
        path.relative_to(small_once).as_posix(): path.read_bytes() for path in small_once.rglob("*") if path.is_file()
    }
    return hub.add_repository("ada/student", files=files)


def row(result, claim):
    return next(row for row in result.rows if row.claim == claim)


def downloaded(hub):
    return {
        request.path.rsplit("/resolve/", 1)[1].split("/", 1)[1]
        for request in hub.requests
        if "/resolve/" in request.path
    }


def test_a_published_student_verifies_at_one_commit(hub, api, student):
    result = verify("ada/student", api=api)
    assert result.ok and result.commit == student.head.oid and result.folder == "ada/student"
    assert f"verified of ada/student at commit {student.head.oid}" in result.summary
    assert row(result, "SEAT mean, builtin: sent-weat6").status == RECOMPUTED
    assert {
        request.path.rsplit("/resolve/", 1)[1].split("/")[0] for request in hub.requests if "/resolve/" in request.path
    } == {student.head.oid}


def test_files_that_could_run_code_are_not_downloaded_and_fail(hub, api, student):
    for name in ("pytorch_model.bin", "modeling_evil.py", "adapter_config.json"):
        student.edit(name, b"\0 evil")
    student.edit("LICENSE", "text")
    student.edit("onnx/model.onnx", b"\0 big")
    result = verify("ada/student", api=api)
    assert [r.claim for r in result.failed] == ["files: weights without code"]
    assert row(result, "other files: 2").status == UNCHECKED
    got = downloaded(hub)
    assert "model.safetensors" in got and "report.json" in got
    assert not {"pytorch_model.bin", "modeling_evil.py", "adapter_config.json", "LICENSE", "onnx/model.onnx"} & got


def test_what_an_earlier_download_left_in_the_cache_is_not_loaded(hub, api, student, monkeypatch):
    """`hf download` fetches everything; the adapter would change the weights if the cache's folder were loaded."""
    student.edit("adapter_config.json", json.dumps({"base_model_name_or_path": "evil/base"}))
    api.snapshot_download("ada/student")
    result = verify("ada/student", api=api)
    assert row(result, "student: weights").passed and not result.ok


def test_a_revision_names_what_is_verified(hub, api, student, small):
    good = student.head.oid
    report = json.loads((small / "report.json").read_text())
    report["model"]["layers"] = 12
    student.edit("report.json", json.dumps(report))
    assert verify(f"ada/student@{good}", api=api).ok
    assert not verify("ada/student@main", api=api).ok


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("ada/nothing", "no such model, or it is private"),
        ("ada/student@v9", "no such branch, tag or commit"),
        ("eve/hers", "private"),
    ],
)
def test_what_is_not_there_is_one_line(hub, api, student, target, message):
    hub.add_repository("eve/hers", private=True)
    with pytest.raises(FileNotFoundError, match=message) as error:
        verify(target, api=api)
    assert "\n" not in str(error.value) and "hf_" not in str(error.value)


def test_a_repository_that_evenhand_did_not_publish_is_one_line(hub, api):
    hub.add_repository("ada/other", files={"README.md": "# other"})
    with pytest.raises(FileNotFoundError, match=r"ada/other holds no report\.json"):
        verify("ada/other", api=api)
    assert downloaded(hub) == set()


def test_a_fault_that_passes_is_waited_for_and_one_that_stays_is_one_line(hub, api, student):
    hub.fail("info", 503, times=2)
    assert verify("ada/student", api=api).ok
    hub.fail("info", 503, times=20)
    with pytest.raises(RuntimeError, match=r"ada/student cannot be had from the Hub: .*503") as error:
        verify("ada/student", api=api)
    assert "\n" not in str(error.value)


def test_a_wrong_token_is_one_line_without_the_token(hub, student):
    with pytest.raises(RuntimeError, match="log in again") as error:
        verify("ada/student", api=HfApi(endpoint=hub.address, token="hf_wrongwrongwrongwrong"))
    assert "hf_wrong" not in str(error.value)


def test_a_teacher_on_the_hub_is_taken_from_its_safetensors_alone(hub, api, small_once, small_run, tmp_path):
    teacher = {path.name: path.read_bytes() for path in (small_run / "teacher").iterdir()}
    hub.add_repository("eve/teacher", files={**teacher, "pytorch_model.bin": b"\0 evil", "modules.json": "[]"})
    result = verify(small_once, teacher="eve/teacher@main", api=api)
    assert result.ok and row(result, "teacher: weights").passed
    assert "pytorch_model.bin" not in downloaded(hub) and "modules.json" not in downloaded(hub)
    hub.add_repository("eve/old", files={"config.json": "{}", "pytorch_model.bin": b"\0 evil"})
    with pytest.raises(ValueError, match="eve/old holds no safetensors"):
        verify(small_once, teacher="eve/old", api=api)


def test_results_for_the_hub_s_benchmarks_must_be_the_report_s(tmp_path):
    metric = {"name": "accuracy", "split": "validation", "n": 277, "mean": 61.5}
    task = {"subset": None, "metrics": {"accuracy": metric}, "main_metric": "accuracy"}
    glue = {"tasks": {"rte": task}, "seeds": [0], "data": {"source": "hub, revision abc"}}
    entries = list(glue_entries(glue, [{"id": "rte_of_the_hub", "config": "rte", "split": "validation"}]))
    from huggingface_hub import eval_result_entries_to_yaml

    path = tmp_path / ".eval_results" / "evenhand-glue.yaml"
    path.parent.mkdir()
    report = {"measures": {"glue": [{"model": glue}]}}
    for change, passed in (
        ({}, True),
        ({"value": 99.0}, False),
        ({"notes": "the best"}, False),
        ({"source": {"url": "x"}}, False),
    ):
        path.write_text(yaml.safe_dump([{**eval_result_entries_to_yaml(entries)[0], **change}]))
        (found,) = benchmark_rows(tmp_path, report)
        assert found.status == RECOMPUTED and found.passed is passed, change
    path.write_text("- just text")
    assert benchmark_rows(tmp_path, report)[0].passed is False
    assert benchmark_rows(tmp_path / "none", report) == []
