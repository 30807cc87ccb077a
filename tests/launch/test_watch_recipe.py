"""A recipe's ``watch`` section, from YAML to curve, loggers, student and training.json."""

import struct
from pathlib import Path

import pytest
import torch
import yaml
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from run_contents import facts_without_costs
from safetensors.torch import load_file
from transformers import TrainingArguments

from evenhand.evaluation.models import weights_sha256
from evenhand.launch.command import main
from evenhand.launch.evaluate import evaluate_run
from evenhand.launch.recipe import load_recipe, recipe_from_dict
from evenhand.launch.recipe_needs import recipe_needs
from evenhand.launch.run_directory import RunDirectory
from evenhand.launch.watch_section import WatchSection
from evenhand.launch.watched_numbers import watched_numbers
from evenhand.launch.watching import EvaluatorMeasure, make_watch
from evenhand.trainer.teacher import load_teacher

MINIMAL = {"teacher": {"path": "some/teacher"}, "corpus": {"sources": [{"path": "text.txt"}]}}
FULL = {
    "teacher": {"path": "a/b", "revision": "main", "mlm_steps": 10},
    "student": {"layers": [0, 2], "family": "distilbert"},
    "corpus": {"sources": [{"path": "a.txt", "weight": 2.0}], "max_length": 64, "cache_dir": "/x", "workers": 3},
    "objective": {"alpha_mse": 0.1},
    "mixup": {"enabled": True},
    "training": {"max_steps": 5, "seed": 3, "learning_rate": 1e-3},
    "evaluation": {"seed": 4},
    "publish": {"author": "me"},
}
BEFORE_THERE_WAS_A_WATCH = [
    (MINIMAL, "aa04b8aa210791747a352375f09d40ea393340611b4b2e9d100a84f9ce370b47"),
    (FULL, "8086a985b923b6cbabc2e02d8b376a39bf5a60ca4b3273c6c9f903b3f7203f01"),
]
WORDS = {
    "sets": {
        "work": {"class": "thing", "words": ["doctor", "engineer", "work", "city"]},
        "home": {"class": "thing", "words": ["nurse", "teacher", "home", "house"]},
        "male": {"class": "thing", "words": ["he", "man", "boy", "father"]},
        "female": {"class": "thing", "words": ["she", "woman", "girl", "mother"]},
    },
    "templates": {"thing": ["the {word} was old .", "that is {word} ."]},
    "tests": {
        "jobs": {"label": "T1", "X": "work", "Y": "home", "A": "male", "B": "female", "family": "gender"},
        "turned": {"label": "T2", "X": "male", "Y": "female", "A": "work", "B": "home", "family": "my-own"},
    },
}


@pytest.fixture
def stimuli(tmp_path):
    path = tmp_path / "words.yaml"
    path.write_text(yaml.safe_dump(WORDS), encoding="utf-8")
    return str(path)


@pytest.fixture
def watched_recipe(tiny_recipe, stimuli):
    """A recipe of six steps that is measured after 2, 4 and 6 of them; keywords change its ``watch`` section."""

    def write(training=None, **changes) -> str:
        watch = {"every_steps": 2, "measures": {"seat": {"stimuli": stimuli}}}
        section = {"save_strategy": "no", "learning_rate": 0.02} | (training or {})
        recipe = yaml.safe_load(Path(tiny_recipe(training=section, watch=watch | changes)).read_text(encoding="utf-8"))
        for key in ("save_strategy", "save_steps"):
            if changes.get("keep_best") and key not in (training or {}):
                del recipe["training"][key]
        path = Path(stimuli).with_name("watched.yaml")
        path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        return str(path)

    return write


def distill(recipe: str, run, *overrides: str) -> int:
    return main(["distill", recipe, "--output-dir", str(run), *overrides])


def training(run) -> dict:
    return facts_without_costs(run / "training.json")


# -- the hash ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("recipe", "expected"), BEFORE_THERE_WAS_A_WATCH)
def test_runs_begun_before_there_was_a_watch_section_go_on(recipe, expected):
    """Their directories hold the hash that the code of then computed."""
    made = recipe_from_dict(recipe)
    assert made.sha256 == expected
    assert "watch" not in made.to_dict()


def test_a_curve_does_not_change_the_hash_and_a_choice_does():
    def sha256(**watch) -> str:
        return recipe_from_dict(MINIMAL | {"watch": watch}).sha256

    plain = recipe_from_dict(MINIMAL).sha256
    assert sha256(every_steps=10, measures={"seat": {}}, tradeoff={"mlm": 1}) == plain
    choices = [
        {"every_steps": 10, "tradeoff": {"mlm": 1}, "keep_best": True},
        {"every_steps": 10, "tradeoff": {"mlm": 1}, "patience": 2},
        {"every_steps": 10, "tradeoff": {"mlm": 2}, "patience": 2},
        {"every_steps": 20, "tradeoff": {"mlm": 1}, "patience": 2},
    ]
    assert len({plain, *(sha256(**choice) for choice in choices)}) == 5


# -- a watched run -----------------------------------------------------------------------------------------------------


def test_a_curve_stands_in_training_json_and_as_a_picture_and_changes_no_student(watched_recipe, tiny_recipe, tmp_path):
    assert distill(watched_recipe(tradeoff={"seat_mean_abs": "5e-1", "mlm": 1}), tmp_path / "watched") == 0
    assert distill(watched_recipe(), tmp_path / "plain", "watch={}") == 2  # no section.key
    assert (
        distill(
            tiny_recipe(watch={"every_steps": 0}, training={"save_strategy": "no", "learning_rate": 0.02}),
            tmp_path / "plain",
        )
        == 0
    )
    files = [tmp_path / name / "student" / "model.safetensors" for name in ("watched", "plain")]
    assert files[0].read_bytes() == files[1].read_bytes()
    facts, plain = training(tmp_path / "watched"), training(tmp_path / "plain")
    assert facts["recipe_sha256"] == plain["recipe_sha256"] and plain["watch"] is None
    watch = facts["watch"]
    assert [entry["step"] for entry in watch["curve"]] == [0, 2, 4, 6]
    assert watch["measures"]["seat"]["measure"] == "seat" and len(watch["measures"]["seat"]["stimuli"]["sha256"]) == 64
    assert watch["chosen"] is None
    for entry in watch["curve"]:
        assert entry.keys() == {
            "step",
            "ce",
            "mlm",
            "cos",
            "mse",
            "loss",
            "tradeoff",
            "seat_mean_abs",
            "seat_mean_abs_my_own",
            "seat_d_T1",
            "seat_d_T2",
        }
        assert entry["seat_mean_abs"] == abs(entry["seat_d_T1"])
        assert entry["tradeoff"] == pytest.approx(0.5 * entry["seat_mean_abs"] + entry["mlm"])
    assert (tmp_path / "watched" / "figures" / "bias_over_training.png").stat().st_size > 10_000
    assert not (tmp_path / "plain" / "figures").exists()


def test_the_best_student_is_kept_and_the_record_says_so(watched_recipe, tmp_path, capsys):
    """The masked-LM loss falls at this rate, so a negative weight makes the first measured student the best."""
    recipe = watched_recipe(tradeoff={"mlm": -1.0}, keep_best=True, patience=1)
    assert distill(recipe, tmp_path / "run") == 0
    assert "Student (of step 2, tradeoff " in capsys.readouterr().out
    facts = training(tmp_path / "run")
    chosen = facts["watch"]["chosen"]
    assert facts["steps"] == 4  # patience 1: over at the second measurement
    assert {key: chosen[key] for key in ("metric", "step", "measurements", "kept_best", "patience", "stopped_early")} == {
        "metric": "tradeoff", "step": 2, "measurements": 2, "kept_best": True, "patience": 1, "stopped_early": True,
    }  # fmt: skip
    assert chosen["value"] == facts["watch"]["curve"][1]["tradeoff"]
    saved = load_file(tmp_path / "run" / "checkpoints" / "checkpoint-2" / "model.safetensors")
    student = load_file(tmp_path / "run" / "student" / "model.safetensors")
    assert all(torch.equal(student[name], value) for name, value in saved.items())
    student = load_teacher(str(tmp_path / "run" / "student")).model
    assert weights_sha256(student) == facts["student"]["weights_sha256"]
    for lost in ("student/model.safetensors", "training.json"):
        (tmp_path / "run" / lost).unlink()
    assert distill(recipe, tmp_path / "run") == 0  # resumed when all is done
    assert training(tmp_path / "run") == facts


def scalars(event_file) -> dict[str, list[tuple[int, float]]]:
    """Tag to (step, value) of a TensorBoard event file: records of length, checksum, protocol buffer, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, found, at = event_file.read_bytes(), {}, 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        event = Event.FromString(data[at + 12 : at + 12 + length])
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
        at += 12 + length + 4
    return found


def test_tensorboard_gets_terms_figures_and_measures_and_evaluate_measures_the_same(
    watched_recipe, stimuli, tmp_path, monkeypatch
):
    pytest.importorskip("tensorboardX")
    monkeypatch.chdir(tmp_path)
    assert distill(watched_recipe(training={"report_to": ["tensorboard"]}), tmp_path / "run") == 0
    run = RunDirectory(tmp_path / "run")
    watch = training(run.path)["watch"]
    (file,) = (run.checkpoints / "runs").rglob("events.out.tfevents*")
    assert not (tmp_path / "runs").exists()
    found = scalars(file)
    figures = ("learning_rate", "tokens_per_second", "padding_efficiency", "mixed_positions_per_batch", "mean_lambda")
    for name in ("loss", "ce", "mlm", "cos", "mse", *figures):
        assert [step for step, _ in found[f"train/{name}"]] == [2, 4, 6], name
    expected = [(entry["step"], pytest.approx(entry["seat_mean_abs"])) for entry in watch["curve"]]
    assert found["eval/seat_mean_abs"] == expected

    overrides = [f"evaluation.stimuli=[{stimuli}]", "evaluation.poolings=[mean]", "evaluation.sensitivity=false"]
    entry = evaluate_run(run, load_recipe(run.recipe_file, overrides).evaluation).measures["seat"][0]
    for side, numbers in (("model", watch["curve"][-1]), ("reference", watch["teacher"])):
        expected = watched_numbers(entry[side])
        assert {name: numbers[f"seat_{name}"] for name in expected} == pytest.approx(expected, rel=1e-9)
    assert (run.figures / "bias_over_training.png").is_file()


GLUE_SETTINGS = {"data": "glue_data", "tasks": ["sst2"], "epochs": 1, "batch_size": 4}


@pytest.fixture
def glue_data(tmp_path, monkeypatch):
    folder = tmp_path / "glue_data" / "SST-2"
    folder.mkdir(parents=True)
    for name, n in (("train", 8), ("dev", 6)):
        lines = [f"{'the old man saw a dog' if i % 2 else 'the girl read a red book'} \t{i % 2}" for i in range(n)]
        (folder / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *lines]) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)


class FineTuning:
    """Does what a ``Trainer`` inside an evaluator does to the process, without the training."""

    measure = "fine_tuning"

    def __init__(self, folder) -> None:
        self.folder = str(folder)

    def run(self, model, tokenizer):
        assert torch.is_grad_enabled()
        arguments = TrainingArguments(output_dir=self.folder, use_cpu=True, report_to=[])
        accelerator = Accelerator(cpu=arguments.use_cpu, gradient_accumulation_steps=3)
        accelerator.gradient_state._set_sync_gradients(False)
        return self

    def to_dict(self) -> dict:
        return {"measure": self.measure, "scores": []}


def test_accelerates_state_is_as_it_was_after_an_evaluator_with_a_trainer_of_its_own(tmp_path):
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=True, mixed_precision="bf16", gradient_accumulation_steps=2)
    before = dict(AcceleratorState._shared_state), dict(GradientState._shared_state)
    with torch.no_grad():
        EvaluatorMeasure("mine", FineTuning(tmp_path))(None, None)
    assert (dict(AcceleratorState._shared_state), dict(GradientState._shared_state)) == before
    assert accelerator.mixed_precision == "bf16" and accelerator.sync_gradients


@pytest.mark.parametrize("yes", ["true", "True", "1"])
def test_one_process_under_deepspeed_takes_no_measure_that_fine_tunes(glue_data, tmp_path, monkeypatch, yes):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", yes)
    with pytest.raises(ValueError, match=r"watch\.measures\.glue fine-tunes a classifier"):
        make_watch(WatchSection(every_steps=2, measures={"glue": GLUE_SETTINGS}), tmp_path / "store")


@pytest.mark.heavy
def test_a_measure_that_fine_tunes_leaves_the_training_alone_too(watched_recipe, glue_data, tmp_path):
    """It makes a Trainer of its own, which sets accelerate's process-wide state, here to another precision."""
    half = {"bf16": True, "max_steps": 2}
    assert (
        distill(watched_recipe(training=half, measures={"glue": GLUE_SETTINGS}, every_steps=1), tmp_path / "glue") == 0
    )
    assert distill(watched_recipe(training=half), tmp_path / "seat") == 0
    files = [tmp_path / name / "student" / "model.safetensors" for name in ("glue", "seat")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert all(0 <= entry["glue_sst2"] <= 100 for entry in training(tmp_path / "glue")["watch"]["curve"])


# -- numbers of results ------------------------------------------------------------------------------------------------


def test_scores_get_their_distance_from_an_ideal_and_undefined_ones_are_left_out():
    scores = [
        {"key": "stereotype_score_gender", "value": 46.0, "ideal": 50.0, "better": "nearer"},
        {"key": "cola", "value": 12.0, "ideal": None, "better": "higher"},
        {"key": "correlation", "value": None, "ideal": 0.0, "better": "nearer"},
    ]
    assert watched_numbers({"measure": "crows_pairs", "scores": scores}) == {
        "stereotype_score_gender": 46.0,
        "stereotype_score_gender_from_ideal": 4.0,
        "cola": 12.0,
    }


def test_sensitivity_gives_a_curve_per_pooling_and_layer():
    cells = [
        {"pooling": "cls", "layer": 1, "mean_absolute_effect_size": 0.5},
        {"pooling": "cls", "layer": 0, "mean_absolute_effect_size": None},
    ]
    assert watched_numbers({"measure": "seat_sensitivity", "cells": cells, "scores": []}) == {
        "mean_abs_cls_layer1": 0.5
    }


def test_the_doctor_says_what_watched_measures_need_without_a_network(watched_recipe):
    measures = {"seat": {"stimuli": "nowhere.yaml"}, "stereotypes": {"measure": "crows_pairs", "data": "pairs.csv"}}
    recipe = load_recipe(watched_recipe(measures=measures))
    found = {finding.subject: finding.found for finding in recipe_needs(recipe)}
    assert found["watch.measures.seat.stimuli"] == "nowhere.yaml: does not exist"
    assert found["watch.measures.stereotypes.data"] == "pairs.csv: does not exist"


# -- bad input ---------------------------------------------------------------------------------------------------------

BAD = [
    ({"every_steps": -1}, "watch.every_steps must not be negative"),
    ({"every_steps": 0}, "watch.every_steps is missing"),
    ({"keep_best": True}, "need watch.tradeoff"),
    ({"patience": 0, "tradeoff": {"mlm": 1}}, "watch.patience must be at least 1"),
    ({"tradeoff": {"mlm": "much"}}, "watch.tradeoff.mlm must be a number"),
    ({"tradeoff": {"mlm": 0}}, "watch.tradeoff: every weight is 0"),
    ({"mesures": {}}, "nearest known one is watch.measures"),
    ({"measures": {"set": {}}}, "watch.measures.set: set is no measure; use one of seat"),
    ({"measures": {"seat": {"poling": "cls"}}}, "watch.measures.seat.poling"),
    ({"measures": {"seat": {"stimuli": "nowhere.yaml"}}}, "nowhere.yaml"),
    ({"measures": {"mine": {"measure": "seat"}}}, "does not know"),  # the tiny tokenizer lacks the built-in words
    ({"tradeoff": {"seat_mean": 1}}, "tradeoff names seat_mean, which is not measured; known are ce, mlm, cos, mse, loss, seat_mean_abs"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "line"), BAD, ids=[line for _, line in BAD])
def test_bad_input_is_one_line_before_any_long_work(watched_recipe, tmp_path, capsys, changes, line):
    assert distill(watched_recipe(**changes), tmp_path / "run") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("evenhand distill: ") and line in error
    assert not (tmp_path / "run" / "cache").exists() and not (tmp_path / "run" / "checkpoints").exists()
    assert not (tmp_path / "run" / "run.json").exists()  # free for the mended recipe


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"eval_steps": 3}, "training.eval_steps and watch"),
        ({"load_best_model_at_end": True}, "training.load_best_model_at_end and watch"),
        ({"report_to": ["dvclive"]}, "training.report_to names dvclive, which is not installed"),
    ],
)
def test_settings_that_contradict_the_watch_are_refused(watched_recipe, tmp_path, capsys, settings, line):
    assert distill(watched_recipe(training=settings), tmp_path / "run") == 2
    assert line in capsys.readouterr().err


def test_saving_at_other_steps_than_measuring_is_refused(watched_recipe, tmp_path, capsys):
    chosen = {"tradeoff": {"mlm": 1}, "keep_best": True}
    assert (
        distill(watched_recipe(training={"save_steps": 4}, **chosen), tmp_path / "run", "training.save_strategy=steps")
        == 2
    )
    assert "training.save_strategy and watch" in capsys.readouterr().err


def test_nothing_to_measure_is_refused(watched_recipe, tmp_path, capsys):
    assert distill(watched_recipe(measures={}), tmp_path / "run", "corpus.held_out=0") == 2
    assert "nothing to measure" in capsys.readouterr().err
