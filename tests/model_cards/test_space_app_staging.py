"""The app's staged Space: the same bytes each time, complete in itself, and never over somebody else's files."""

import ast
import json
import re

import pytest
import yaml
from folder_contents import contents
from imported_packages import imported_packages, required_packages

from evenhand.model_cards.hub.space import publish_space, stage_space
from evenhand.model_cards.hub.staged_list import LIST
from evenhand.model_cards.space.compared_models import ComparedModel, models_text, read_models

MODELS = [
    ComparedModel("ada/teacher", "ada/teacher", "teacher", revision="c" * 40),
    ComparedModel("ada/student", "ada/student", "student", "ada/teacher"),
]


@pytest.fixture
def folder(tmp_path):
    return stage_space(MODELS, "ada/compare", tmp_path / "space")


def test_staging_again_gives_the_same_bytes_and_removes_old_library_files(folder):
    first = contents(folder)
    left = "evenhand/evaluation/left_from_an_older_version.py"
    (folder / left).write_text("")
    (folder / LIST).write_text(json.dumps([*first, left]))
    assert contents(stage_space(MODELS, "ada/compare", folder)) == first


def test_the_card_is_a_spaces_and_names_its_models(folder):
    front = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert (front["sdk"], front["app_file"], front["license"]) == ("gradio", "app.py", "apache-2.0")
    assert front["models"] == ["ada/teacher", "ada/student"] and len(front["short_description"]) <= 60
    body = (folder / "README.md").read_text(encoding="utf-8")
    assert f"| ada/teacher | teacher | `ada/teacher` | `{'c' * 40}` |" in body
    assert read_models(folder / "models.json") == MODELS


def test_every_import_of_the_library_and_every_file_that_it_reads_is_in_the_folder(folder):
    for path in folder.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("evenhand"):
                module = folder / node.module.replace(".", "/")
                named = [module.with_suffix(".py"), *(module / f"{alias.name}.py" for alias in node.names)]
                read_by_type_checkers = node.col_offset and "TYPE_CHECKING" in text
                assert any(file.is_file() for file in named) or read_by_type_checkers, (path, node.module)
        for name in re.findall(r'"([a-z_]+[.]yaml)"', text):
            # the page calls so what a visitor may copy
            assert (path.parent / name).is_file() or path.name == "page.py", (path, name)


def test_requirements_name_every_package_that_the_folder_imports(folder):
    assert imported_packages(folder) - {"evenhand"} == required_packages(folder)


@pytest.mark.parametrize(
    "held", [["weights.safetensors"], ["evenhand/notes.txt"], ["README.md", "app.py", "requirements.txt"]]
)
def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, held):
    for name in held:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match="cannot stage into"):
        stage_space(MODELS, "ada/compare", tmp_path)
    assert contents(tmp_path) == dict.fromkeys(held, b"mine")


def test_a_link_in_the_folder_is_left_alone(tmp_path):
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "README.md").write_text("mine")
    folder = stage_space(MODELS, "ada/compare", tmp_path / "space")
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to(tmp_path / "others" / "README.md")
    with pytest.raises(ValueError, match=r"it holds 'README.md'"):
        stage_space(MODELS, "ada/compare", folder)
    assert (tmp_path / "others" / "README.md").read_text() == "mine"


@pytest.mark.parametrize("repo_id", ["compare", "ada/", "/compare", "ada/s/compare", "a b/compare", "ada/-compare", ""])
def test_a_bad_repo_id_is_refused_before_anything_is_written(tmp_path, repo_id):
    with pytest.raises(ValueError, match="is no name for a Space") as refused:
        publish_space(MODELS, repo_id, tmp_path / "space", dry_run=True)
    assert "\n" not in str(refused.value) and not (tmp_path / "space").exists()


def test_a_model_of_this_machine_cannot_be_in_a_space(tmp_path):
    for source in ("/runs/student", "./student", "a/b/c", "~/x"):
        with pytest.raises(ValueError, match="a Space loads models from the Hub"):
            stage_space([ComparedModel("x", source)], "ada/compare", tmp_path / "space")
    assert not (tmp_path / "space").exists()


@pytest.mark.parametrize(
    "text", ["[]", "{}", "[1]", '[{"name": "x"}]', "not json", '[{"name": "x", "source": "y", "z": 1}]']
)
def test_a_list_of_models_that_is_none_is_one_line(tmp_path, text):
    (tmp_path / "models.json").write_text(text)
    with pytest.raises(ValueError) as refused:
        read_models(tmp_path / "models.json")
    assert "\n" not in str(refused.value)
    (tmp_path / "models.json").write_text(models_text(MODELS))
    assert (
        json.loads(models_text(MODELS))[1]["teacher"] == "ada/teacher"
        and read_models(tmp_path / "models.json") == MODELS
    )
