"""A metric's staged Space: the same bytes each time, complete in itself, and never over somebody else's files."""

import json

import pytest
import yaml
from folder_contents import contents
from imported_packages import imported_packages, required_packages

from evenhand.evaluation.modules import NAMES
from evenhand.model_cards.hub.metric_space import check_repo_id, publish_metric, stage_metric
from evenhand.model_cards.hub.staged_list import LIST


@pytest.mark.parametrize("name", NAMES)
def test_staging_again_gives_the_same_bytes_and_removes_old_library_files(tmp_path, name):
    folder = stage_metric(name, f"ada/{name}", tmp_path / "space")
    first = contents(folder)
    (folder / "left_from_an_older_version.py").write_text("")
    (folder / LIST).write_text(json.dumps([*first, "left_from_an_older_version.py"]))
    assert contents(stage_metric(name, f"ada/{name}", folder)) == first


def test_a_file_of_ones_own_in_a_staged_folder_is_not_lost(tmp_path):
    folder = stage_metric("seat", "ada/seat", tmp_path / "space")
    (folder / "my_tests.py").write_text("mine")
    with pytest.raises(ValueError, match=r"it holds 'my_tests.py', which staging did not write"):
        stage_metric("seat", "ada/seat", folder)
    assert (folder / "my_tests.py").read_text() == "mine"


def test_the_card_is_a_spaces_and_loads_the_metric_from_it(tmp_path):
    card = (stage_metric("glue", "ada/glue", tmp_path / "space") / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---\n")[1])
    assert (front["sdk"], front["app_file"]) == ("gradio", "app.py")
    assert 'evaluate.load("ada/glue", "mrpc")' in card and "module_path" not in card


@pytest.mark.parametrize("name", NAMES)
def test_requirements_name_every_package_that_the_folder_imports(tmp_path, name):
    folder = stage_metric(name, f"ada/{name}", tmp_path / "space")
    assert imported_packages(folder) == required_packages(folder)


@pytest.mark.parametrize(
    "held", [["weights.safetensors"], ["notes.py"], ["README.md", "app.py", "requirements.txt", "glue.py"]]
)
def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, held):
    for name in held:
        (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match="cannot stage into"):
        stage_metric("seat", "ada/seat", tmp_path)
    assert contents(tmp_path) == dict.fromkeys(held, b"mine")


@pytest.mark.parametrize(
    "repo_id", ["seat", "ada/", "/seat", "ada/s/seat", "a b/seat", "ada/-seat", "ada/my-seat", "ada/glue", ""]
)
def test_a_bad_repo_id_is_refused_before_anything_is_written(tmp_path, repo_id):
    with pytest.raises(ValueError, match="Space") as refused:
        publish_metric("seat", repo_id, tmp_path / "space", dry_run=True)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "space").exists()


def test_a_metric_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no metric 'bleu'"):
        check_repo_id("bleu", "ada/bleu")
