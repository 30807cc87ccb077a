"""A staged folder is complete, holds nothing else of the run, and is replaced as a whole or not at all."""

import contextlib
import io
import json
import os
import re

import numpy as np
import pytest
from folder_contents import contents
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from transformers import AutoModelForMaskedLM

from evenhand.model_cards import CardFacts, publish, stage
from evenhand.model_cards import staging as staging_module
from evenhand.model_cards.lint.staged_folder import lint_staged
from evenhand.model_cards.published_report import canonical_sha256

FACTS = CardFacts(licence="apache-2.0")


def test_it_holds_model_card_report_facts_and_pictures_and_no_pickle_or_log(run, tmp_path):
    folder = stage(run, tmp_path / "out" / "student", FACTS)
    names = set(contents(folder))
    assert names == {
        *("README.md", "report.json", "card_facts.json", "figures/seat.png", "figures/own.png"),
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
    }
    assert [path.name for path in folder.parent.iterdir()] == ["student"]
    assert folder.stat().st_mode & 0o777 == 0o777 & ~_umask()
    card = (folder / "README.md").read_text()
    assert "(figures/seat.png)" in card and "(figures/own.png)" in card


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_staging_twice_gives_the_same_bytes(run, tmp_path):
    once = contents(stage(run, tmp_path / "a", FACTS))
    assert contents(stage(run, tmp_path / "b", FACTS)) == once
    assert contents(stage(run, tmp_path / "a", FACTS)) == once


def test_the_report_is_the_one_whose_hash_the_card_prints_and_has_no_machine_path(run, tmp_path):
    folder = stage(run, tmp_path / "a", FACTS)
    report = json.loads((folder / "report.json").read_text())
    assert canonical_sha256(report) in (folder / "README.md").read_text()
    assert "somebody" in (run / "report.json").read_text()
    assert all(b"somebody" not in text and str(tmp_path).encode() not in text for text in contents(folder).values())


def test_a_config_that_names_its_origin_loses_the_path(run, tmp_path):
    path = run / "student" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "_name_or_path": "/home/somebody/teacher"}))
    config = json.loads((stage(run, tmp_path / "a", FACTS) / "config.json").read_text())
    assert config["_name_or_path"] == "teacher"


def test_the_staged_student_loads_and_the_code_of_the_card_runs(run, tmp_path, monkeypatch):
    folder = stage(run, tmp_path / "a", FACTS)
    _, info = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    code = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)[1]
    monkeypatch.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, {})
    assert "token_str" in printed.getvalue()


def test_a_changed_run_replaces_an_earlier_staged_folder(run, tmp_path):
    folder = stage(run, tmp_path / "a", FACTS)
    (run / "figures" / "own.png").unlink()
    stage(run, folder, CardFacts(title="Second"))
    assert "# Second" in (folder / "README.md").read_text()
    assert not (folder / "figures" / "own.png").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "run"]


def test_an_empty_folder_is_used(run, tmp_path):
    (tmp_path / "a").mkdir()
    assert (stage(run, tmp_path / "a", FACTS) / "README.md").is_file()


def test_of_a_runs_own_picture_the_pixels_leave_and_no_notes(run, tmp_path):
    path = run / "figures" / "own.png"
    with Image.open(path) as image:
        pixels, program = np.asarray(image), image.info["Software"]
        notes = PngInfo()
        notes.add_text("Software", program)
        notes.add_text("Comment", "drawn in /home/somebody/runs")
        notes.add_text("Comment", "with hf_" + "a" * 34, zip=True)
        exif = Image.Exif()
        exif[0x010E] = "/home/somebody/camera"
        image.save(path, pnginfo=notes, exif=exif, icc_profile=b"/home/somebody/colours")
    path.write_bytes(path.read_bytes() + b"/home/somebody/behind")
    staged = stage(run, tmp_path / "a", FACTS) / "figures" / "own.png"
    with Image.open(staged) as image:
        image.load()
        assert image.info == {"Software": program} and np.array_equal(np.asarray(image), pixels)
    assert b"somebody" in path.read_bytes() and b"somebody" not in staged.read_bytes()


def test_a_picture_with_a_palette_keeps_what_can_be_seen_through(run, tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    image.save(run / "figures" / "own.png", transparency=1)
    with Image.open(stage(run, tmp_path / "a", FACTS) / "figures" / "own.png") as staged:
        assert np.asarray(staged.convert("RGBA")).tolist() == [[[255, 0, 0, 255], [0, 255, 0, 0]]]


def test_a_picture_that_is_none_is_one_line(run, tmp_path):
    (run / "figures" / "own.png").write_text("none")
    with pytest.raises(ValueError, match=r"own\.png cannot be read as a PNG") as refused:
        stage(run, tmp_path / "a", FACTS)
    assert "\n" not in str(refused.value) and not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["notes.txt", ".git/config", "pytorch_model.bin", "report.json"])
def test_a_folder_with_anything_else_is_refused_and_left_alone(run, tmp_path, name):
    path = tmp_path / "a" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(ValueError, match="cannot stage into"):
        stage(run, tmp_path / "a", FACTS)
    assert path.read_text() == "mine"


def test_notes_added_to_a_staged_folder_are_not_lost(run, tmp_path):
    folder = stage(run, tmp_path / "a", FACTS)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"notes\.txt"):
        stage(run, folder, FACTS)
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("where", [".", "student", "student/deep", ".."])
def test_the_run_itself_is_never_replaced(run, where):
    before = contents(run)
    with pytest.raises(ValueError, match="cannot stage into"):
        stage(run, run / where, FACTS)
    assert contents(run) == before


def test_a_failure_in_the_middle_leaves_the_earlier_folder_and_no_rubbish(run, tmp_path, monkeypatch):
    folder = stage(run, tmp_path / "a", FACTS)
    before = contents(folder)
    monkeypatch.setattr(staging_module, "build_card", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        stage(run, folder, CardFacts(title="Second"))
    assert contents(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "run"]


@pytest.mark.parametrize(
    ("remove", "error", "message"),
    [
        ("report.json", FileNotFoundError, "evenhand evaluate"),
        ("student/config.json", FileNotFoundError, "holds no student"),
        ("student/model.safetensors", ValueError, "no safetensors"),
    ],
)
def test_an_incomplete_run_is_refused_in_one_line(run, tmp_path, remove, error, message):
    (run / remove).unlink()
    with pytest.raises(error, match=message) as caught:
        stage(run, tmp_path / "a", FACTS)
    assert "\n" not in str(caught.value) and not (tmp_path / "a").exists()


def test_a_run_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="evenhand distill"):
        stage(tmp_path / "none", tmp_path / "a", FACTS)


def test_a_sound_folder_has_no_lint(staged):
    assert lint_staged(staged) == []


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("training_args.bin", lambda text: "x", "training_args.bin: staging never writes"),
        ("README.md", lambda text: text.replace("model-index:", "model-index: ["), "front matter cannot be read"),
        ("README.md", lambda text: text.split("---\n", 2)[2], "no front matter"),
        (
            "README.md",
            lambda text: text.replace("figures/seat.png", "figures/gone.png"),
            "'figures/gone.png' does not exist",
        ),
        ("README.md", lambda text: text + "see /home/me/runs/1\n", "machine path '/home/me/runs/1'"),
        ("card_facts.json", lambda text: text.replace("Someone", "hf_" + "a" * 34), "a Hugging Face token"),
        ("report.json", lambda text: text.replace('"seed": 3', '"seed": 4'), "another report's hash"),
    ],
)
def test_lint_finds(staged, name, change, problem):
    path = staged / name
    path.write_text(change(path.read_text() if path.exists() else ""))
    assert any(problem in line for line in lint_staged(staged)), lint_staged(staged)


def test_publish_stages_a_sound_run(run, tmp_path):
    assert lint_staged(publish(run, tmp_path / "a", FACTS).folder) == []


def test_publish_shows_nothing_when_a_secret_would_leave(run, tmp_path):
    report = json.loads((run / "report.json").read_text())
    report["training"]["recipe"]["hub_token"] = "hf_" + "A" * 34
    (run / "report.json").write_text(json.dumps(report))
    with pytest.raises(RuntimeError, match="a Hugging Face token"):
        publish(run, tmp_path / "a", FACTS)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_publish_refuses_a_student_that_is_not_the_measured_one(run, tmp_path):
    (run / "teacher" / "model.safetensors").replace(run / "student" / "model.safetensors")
    with pytest.raises(RuntimeError, match=r"weights: not what report\.json measured"):
        publish(run, tmp_path / "a", FACTS)
    assert not (tmp_path / "a").exists()
