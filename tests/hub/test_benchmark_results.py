"""Entries for the Hub's leaderboards: of registered benchmarks, for exactly what they describe, and nothing else."""

import copy

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries

from evenhand.model_cards.hub.benchmark_results import benchmark_results

DESCRIPTION = {
    "name": "GLUE",
    "tasks": [
        {"id": "glue_cola", "config": "cola", "split": "validation"},
        {"id": "glue_sst2", "config": "sst2", "split": "validation"},
        {"id": "glue_rte", "config": "rte", "split": "test"},
        {"id": "glue_wnli", "config": "wnli", "split": "validation"},
        {"config": "cola"},
    ],
}


def task(metric, value, subset=None):
    scores = {metric: {"name": metric, "mean": value, "n": 1043, "split": "validation"}}
    return {"main_metric": metric, "metrics": scores, "subset": subset}


@pytest.fixture
def report():
    """GLUE on the Hub's data: CoLA and RTE whole, SST-2 on a subset."""
    tasks = {"cola": task("Matthews correlation", 44.8), "rte": task("accuracy", 62.1)}
    tasks["sst2"] = task("accuracy", 90.4, subset={"train": 4000})
    glue = {"data": {"source": f"hub, revision {'b' * 40}"}, "seeds": [0, 1], "tasks": tasks}
    return {"measures": {"seat": [], "glue": [{"model": glue}]}}


@pytest.fixture
def registered(hub):
    files = {"eval.yaml": yaml.safe_dump(DESCRIPTION)}
    return hub.add_repository("nyu-mll/glue", "dataset", files=files, tags=["benchmark:official"])


def test_a_registered_benchmark_gets_what_it_describes(api, registered, report):
    (name, text), *others = benchmark_results(report, api).items()
    assert name == ".eval_results/evenhand-glue.yaml" and not others
    (entry,) = parse_eval_result_entries(yaml.safe_load(text))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("nyu-mll/glue", "glue_cola", 44.8)
    assert entry.dataset_revision == "b" * 40
    assert entry.notes == "Matthews correlation on validation, n 1043, fine-tuned with seeds 0, 1"
    assert benchmark_results(report, api)[name] == text


@pytest.mark.parametrize("change", ["not registered", "no description", "not YAML", "not there", "not GLUE's", "none"])
def test_otherwise_there_is_none(hub, api, registered, report, change):
    if change == "not registered":
        registered.tags.clear()
    elif change in ("no description", "not YAML"):
        registered.edit("eval.yaml", None if change == "no description" else "a: [")
    elif change == "not there":
        hub.repositories.clear()
    elif change == "not GLUE's":
        report["measures"]["glue"][0]["model"]["data"]["source"] = "directory"
    else:
        del report["measures"]["glue"]
    assert benchmark_results(report, api) == {}
    if change in ("not GLUE's", "none"):
        assert hub.requests == []


def test_they_are_staged_and_published(hub, api, registered, report, run, facts, monkeypatch, quick):
    from evenhand.model_cards import publish
    from evenhand.model_cards.hub import student_push
    from evenhand.model_cards.hub.target import HubRepository

    glue = copy.deepcopy(report)
    monkeypatch.setattr(student_push, "benchmark_results", lambda published, api: benchmark_results(glue, api))
    published = publish(run, HubRepository("ada/student"), facts, api=api)
    assert ".eval_results/evenhand-glue.yaml" in hub.repository("ada/student").files().keys() & set(published.files)
    assert not publish(run, HubRepository("ada/student"), facts, api=api).changed
    registered.tags.clear()
    assert publish(run, HubRepository("ada/student"), facts, api=api).changed
    assert ".eval_results/evenhand-glue.yaml" not in hub.repository("ada/student").files()
