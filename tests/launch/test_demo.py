"""The whole path on a miniature planted corpus: the demo, then each command on what it made."""

import contextlib
import io
import json
import shutil

import pytest
from transformers import AutoModelForMaskedLM, pipeline

from evenhand.evaluation import EvaluationReport
from evenhand.launch.command import main
from evenhand.launch.demo import DemoSize, demo
from evenhand.launch.planted_teacher import PlantedTeacher

SIZE = DemoSize(
    n_documents=1000,
    teacher=PlantedTeacher(layers=2, hidden_size=16, heads=2, steps=6, batch_size=16),
    overrides=("training.max_steps=4", "training.per_device_train_batch_size=16", "training.save_steps=2", "evaluation.poolings=[mean]"),
)  # fmt: skip

NARROW = ("sensitivity=false", "speed=false")
"""Left out where a command is tested and not what it measures: the demo itself measures all."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The demo's folder and what it printed."""
    folder, printed = tmp_path_factory.mktemp("demo") / "demo", io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert demo(folder, seed=3, size=SIZE) == 0
    return folder, printed.getvalue()


@pytest.fixture(scope="module")
def folder(made):
    return made[0]


def test_it_prints_planted_beside_measured_and_verifies(made):
    folder, printed = made
    report = EvaluationReport.load(folder / "mixup" / "report.json")
    tests = report.measures["seat"][0]["model"]["tests"]
    row = next(line for line in printed.splitlines() if line.split()[:1] == ["C6"])
    assert row.split()[1] == "+0.80" and row.split()[-1] == f"{tests['sent-weat6']['effect_size']:+.2f}"
    assert "Both published folders verify." in printed


@pytest.mark.heavy
def test_a_second_run_in_the_same_folder_trains_nothing_and_says_the_same(made, capsys):
    folder, printed = made
    weights = {path: path.stat().st_mtime_ns for path in folder.glob("*/student/model.safetensors")}
    assert demo(folder, seed=3, size=SIZE) == 0  # only cards and tables are made again
    again, shown = capsys.readouterr().out, "Planted association strength"
    assert again[again.index(shown) :] == printed[printed.index(shown) :]
    assert weights and weights == {path: path.stat().st_mtime_ns for path in weights}


def test_the_published_folder_is_complete_and_loads(folder):
    published = folder / "published" / "mixup"
    names = {path.name for path in published.rglob("*") if path.is_file()}
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "README.md",
        "report.json",
        "seat.png",
        "planted.png",
    } <= names
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in names)
    _, info = AutoModelForMaskedLM.from_pretrained(published, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    assert len(pipeline("fill-mask", model=str(published))("she went to the [MASK] .")) == 5


def test_the_card_says_which_arm_it_is(folder):
    plain, mixup = (
        (folder / "published" / arm / "README.md").read_text(encoding="utf-8") for arm in ("plain", "mixup")
    )
    assert "figures/planted.png" in mixup and plain != mixup
    report = json.loads((folder / "mixup" / "report.json").read_text(encoding="utf-8"))
    assert report["training"]["supervision"]["mixed_positions"] > 0
    assert json.loads((folder / "plain" / "report.json").read_text(encoding="utf-8"))["training"]["supervision"] is None


@pytest.mark.heavy
def test_the_same_seed_gives_the_same_numbers(folder, tmp_path):
    again = tmp_path / "again"
    assert demo(again, seed=3, size=SIZE) == 0
    for arm in ("plain", "mixup"):
        one, two = (EvaluationReport.load(f / arm / "report.json").to_dict() for f in (folder, again))
        timings = [report["measures"].pop("speed") for report in (one, two)]
        assert all(timings)
        assert one["measures"] == two["measures"] and one["model"]["weights_sha256"] == two["model"]["weights_sha256"]


def test_another_seed_in_the_same_folder_is_refused(folder, capsys):
    assert main(["demo", "--output-dir", str(folder), "--seed", "4"]) == 2
    assert "seed 3" in capsys.readouterr().err


def test_commands_evaluate_card_publish_verify(folder, tmp_path, capsys):
    run, target = tmp_path / "run", tmp_path / "published"
    shutil.copytree(folder / "plain", run)
    (run / "report.json").unlink()
    assert main(["card", str(run)]) == 2  # nothing measured yet
    assert main(["evaluate", str(run), "poolings=[cls]", *NARROW]) == 0
    printed = capsys.readouterr().out
    assert "C8b" in printed and "cls" in printed
    assert main(["card", str(run)]) == 0 and main(["publish", str(run), str(target)]) == 0
    assert main(["verify", str(target)]) == 0
    card = target / "README.md"
    card.write_text(card.read_text(encoding="utf-8").replace("1 layer", "9 layers", 1) + "\nMore.\n", encoding="utf-8")
    assert main(["verify", str(target)]) == 1


def test_evaluate_takes_a_model_folder_and_a_reference(folder, tmp_path, capsys):
    command = ["evaluate", str(folder / "plain" / "student"), "--reference", str(folder / "teacher")]
    assert main([*command, "--output-dir", str(tmp_path), "poolings=[mean]", *NARROW]) == 0
    report = EvaluationReport.load(tmp_path / "report.json")
    assert report.reference["role"] == "reference" and report.training is None
    assert main(["evaluate", str(tmp_path / "nothing")]) == 2


def test_help_and_version(capsys):
    for command in ("demo", "distill", "evaluate", "card", "publish", "verify", "metric", "doctor"):
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0
        assert f"example: evenhand {command}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("evenhand 0.")
