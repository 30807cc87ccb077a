"""``evenhand doctor`` of a task recipe: the models and data that it needs offline, each with what to do about it."""

import pytest

from evenhand.evaluation.grouped_data import celeba, grouped_data_names, mnli_hans
from evenhand.evaluation.grouped_data.registry import default_settings
from evenhand.launch.command import main
from evenhand.launch.task.needs import task_needs
from evenhand.launch.task.recipe import task_recipe_from_dict


@pytest.fixture(autouse=True)
def empty_caches(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")


def needs(**sections):
    recipe = task_recipe_from_dict({"task": {"data": {"name": "digits"}}, "student": {"family": "vit"}} | sections)
    return {found.subject: found for found in task_needs(recipe)}


def test_what_comes_with_packages_is_no_gap():
    assert [name for name, found in needs().items() if found.advice] == []


def test_published_data_are_fetched_at_their_revision():
    found = needs(task={"data": {"name": "mnli_hans"}}, student={"family": "bert"})
    assert "nyu-mll/glue" in found["task.data.path"].found and "mnli" in found["task.data.path"].advice
    assert mnli_hans.HUB_REVISION in found["task.data.hans_path"].found
    assert mnli_hans.HUB_NAME in found["task.data.hans_path"].advice
    faces = needs(task={"data": {"name": "celeba"}})["task.data.path"]
    assert celeba.HUB_NAME in faces.found and celeba.HUB_REVISION in faces.found and faces.advice


def test_another_copy_of_the_images_is_the_one_that_is_fetched():
    data = {"name": "waterbirds", "repository": "someone/birds", "revision": "abc"}
    assert "someone/birds (revision abc)" in needs(task={"data": data})["task.data.path"].found


def test_local_files_are_there_or_not(tmp_path):
    (tmp_path / "glue").mkdir()
    there = needs(task={"data": {"name": "sst2", "path": str(tmp_path / "glue")}}, student={"family": "bert"})
    gone = needs(task={"data": {"name": "sst2", "path": str(tmp_path / "none")}}, student={"family": "bert"})
    assert not there["task.data.path"].advice and gone["task.data.path"].advice


def test_models_of_every_step_of_the_ladder_are_looked_for(tmp_path):
    (tmp_path / "teacher").mkdir()
    found = needs(
        teacher={"path": [str(tmp_path / "teacher"), "someone/teacher"]},
        objective={"alpha": 0.5},
        ladder=[{"path": "someone/assistant"}],
        student={"path": str(tmp_path / "missing"), "family": "vit"},
    )
    assert "someone/assistant" in found["ladder[1].path"].advice
    assert "does not exist" in found["student.path"].found
    assert "someone/teacher" in found["teacher.path"].advice  # the last of the two; the first is here


def test_data_of_a_measure_that_are_not_the_tasks_own():
    measures = {"groups": {"data": {"name": "qqp_paws"}}}
    found = needs(evaluation={"measures": measures}, student={"family": "bert"})
    assert "paws" in found["evaluation.measures.groups.data.paws_path"].found


def test_every_setting_that_means_the_hub_is_known():
    for name in grouped_data_names():
        for setting, value in default_settings(name).items():
            if value == "hub":
                assert any(
                    subject == f"task.data.{setting}"
                    for subject in needs(task={"data": {"name": name}}, student={"family": "bert"})
                ), (name, setting)


def test_the_command_prints_it(tmp_path, capsys):
    file = tmp_path / "task.yaml"
    file.write_text("task: {data: {name: celeba}}\nstudent: {path: google/vit-base-patch16-224-in21k}\n")
    assert main(["doctor", str(file)]) == 0
    shown = capsys.readouterr().out
    assert celeba.HUB_NAME in shown and "hf download google/vit-base-patch16-224-in21k" in shown
    assert main(["doctor", str(file), "--settings", str(file)]) == 2
