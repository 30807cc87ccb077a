"""``evenhand distill`` of a task recipe: a classifier in its run directory, made once; what is trained beside it is kept."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import yaml

from evenhand.evaluation.grouped_data import grouped, load_grouped_data
from evenhand.launch.planted_tokenizer import build_tokenizer
from evenhand.launch.task import data as task_data
from evenhand.launch.task.data import load_task_data, with_bias_model
from evenhand.launch.task.distill import KEPT, distill_task
from evenhand.launch.task.kept_predictions import KeptPredictions
from evenhand.launch.task.recipe import TaskRecipe, task_recipe_from_dict
from evenhand.trainer.classifier_fit import predicted_log_probs
from evenhand.trainer.classifiers import ClassifierShape, load_classifier, new_classifier, new_image_processor
from evenhand.trainer.distillation_trainer import DistillationTrainer

TRAINING = {"max_steps": 3, "per_device_train_batch_size": 8, "use_cpu": True, "disable_tqdm": True, "report_to": "none", "save_strategy": "no"}  # fmt: skip


def sections(**changed) -> dict:
    """A tiny ResNet on three of scikit-learn's digits."""
    data = {"name": "digits", "strength": 0.9, "classes": [0, 1, 2], "max_examples": {"train": 60, "validation": 30}}
    resnet = {"family": "resnet", "shape": {"width": 8, "layers": 1, "image_size": 8}}
    return {"task": {"data": data}, "student": resnet, "objective": {"alpha": 0.0}, "training": TRAINING} | changed


def recipe(**changed) -> TaskRecipe:
    return task_recipe_from_dict(sections(**changed))


JTT = {"method": "jtt", "settings": {"identification_epochs": 0.2}}


@pytest.fixture
def trainings(monkeypatch):
    """The lengths of the trainings that are begun."""
    begun, train = [], DistillationTrainer.train

    def counted(self, *given, **named):
        begun.append(self.args.max_steps if self.args.max_steps > 0 else self.args.num_train_epochs)
        return train(self, *given, **named)

    monkeypatch.setattr(DistillationTrainer, "train", counted)
    return begun


def test_a_finished_run_is_left_alone(tmp_path, trainings):
    run = distill_task(recipe(), tmp_path / "run")
    weights = (run.student / "model.safetensors").read_bytes()
    distill_task(recipe(), tmp_path / "run")
    assert trainings == [3] and (run.student / "model.safetensors").read_bytes() == weights
    facts = run.training()
    assert facts["steps"] == 3 and 0 <= facts["held_out"]["accuracy_conflicting"] <= 1


def test_a_student_that_was_fitted_on_the_validation_split_has_no_held_out_number(tmp_path):
    """DFR: what was measured there before is of the network before, and is said to be."""
    data = sections()["task"]["data"] | {"strength": 0.6, "grouping": "side", "max_examples": {"train": 60}}
    task, dfr = {"data": data}, {"method": "dfr", "settings": {"draws": 2, "strengths": [1.0]}}
    plain = distill_task(recipe(task=task), tmp_path / "plain")
    fitted = distill_task(recipe(task=task, debiasing=dfr), tmp_path / "fitted")
    before, after = plain.training(), fitted.training()
    assert after["held_out"] == {} and "held_out_before_fit" not in before
    # plain training of the same seed is what DFR begins with: only the time it took may differ
    shown = {name for name in before["held_out"] if not name.endswith(("runtime", "per_second"))}
    assert "accuracy" in shown
    assert {name: after["held_out_before_fit"][name] for name in shown} == {
        name: before["held_out"][name] for name in shown
    }
    validation = load_grouped_data(**data).splits["validation"]
    right = []
    for run in (plain, fitted):
        loaded = load_classifier(str(run.student))
        guesses = predicted_log_probs(loaded.model, validation, loaded.processor).argmax(1)
        right.append((guesses == np.array(validation["label"])).mean())
    assert right[0] == pytest.approx(after["held_out_before_fit"]["accuracy"], abs=1e-6) and right[0] != right[1]
    assert after["debiasing"]["fitted_on"] == len(validation)


def wrong_labels(folder):
    """A teacher of other digits, and the recipe of a JTT student, whose identification model would be trained first."""
    labels = load_grouped_data("digits", classes=[0, 1, 3], strength=0.9).label_names("train")
    new_classifier("resnet", labels, ClassifierShape(width=8, layers=1, image_size=8)).save_pretrained(folder)
    new_image_processor(8).save_pretrained(folder)
    return sections(debiasing=JTT, objective={"alpha": 0.5}, teacher={"path": str(folder)})


def no_decoder_inputs(folder):
    """A T5 as teacher whose config does not say what its decoder begins with; the few-sample bias model would be trained first."""
    folder.mkdir()
    rows = [f"a {word} film,{word},{word} {side}" for word in ("good", "bad") for side in (0, 1) for _ in range(10)]
    (folder / "train.csv").write_text("text,label,group\n" + "\n".join(rows), encoding="utf-8")
    aligned = {"good 0": True, "good 1": False, "bad 0": False, "bad 1": True}
    tokenizer = build_tokenizer(["a good film", "a bad film"])
    tokenizer.eos_token = tokenizer.sep_token
    shape = ClassifierShape(width=8, layers=1, heads=2)
    t5 = new_classifier("t5", ("bad", "good"), shape, tokenizer)
    t5.config.decoder_start_token_id = None
    t5.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    data = {"name": "own", "kind": "text", "files": {"train": str(folder / "train.csv")}, "aligned": aligned}
    student = {"family": "bert", "shape": {"width": 8, "layers": 1, "heads": 2}, "tokenizer": "words"}
    few = {"method": "product_of_experts", "bias_model": {"kind": "few_sample", "n_examples": 8}}
    return sections(
        task={"data": data}, student=student, debiasing=few, objective={"alpha": 0.5}, teacher={"path": str(folder)}
    )


def no_validation(folder):
    """DFR without the split that it fits on."""
    wrong = no_decoder_inputs(folder) | {"debiasing": {"method": "dfr"}, "objective": {"alpha": 0.0}}
    return {name: section for name, section in wrong.items() if name != "teacher"}


def a_group_too_few(folder):
    """DFR on a validation split of so few examples that a group has a single one."""
    data = {"name": "digits", "strength": 0.9, "grouping": "side", "classes": [0, 1, 2]}
    limits = {"max_examples": {"train": 90, "validation": 30}}
    return sections(task={"data": data | limits}, debiasing={"method": "dfr"})


def a_wrong_ladder(folder):
    """A good teacher and a good first model; the second is to have more layers than the first, from which it is made."""
    labels = load_grouped_data("digits", classes=[0, 1, 2], strength=0.9).label_names("train")
    new_classifier("resnet", labels, ClassifierShape(width=8, layers=1, image_size=8)).save_pretrained(folder)
    new_image_processor(8).save_pretrained(folder)
    ladder = [sections()["student"], {"initialisation": "teacher", "layers": 9}]
    return sections(objective={"alpha": 0.5}, teacher={"path": str(folder)}, ladder=ladder)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (wrong_labels, r"Labels of the teacher \(0, 1, 3\) are not those of the student \(0, 1, 2\)"),
        (no_decoder_inputs, "the teacher .t5. makes its decoder's inputs from config.decoder_start_token_id"),
        (lambda _: sections(debiasing={"method": "dedier"}), "dedier .* set objective.alpha above 0"),
        (no_validation, "dfr retrains the last layer on the validation split, which these data do not have"),
        (a_group_too_few, "dfr .* a single example of group"),
        (a_wrong_ladder, "layers"),
        (
            lambda _: sections(debiasing={"method": "reweighting", "bias_model": {"kind": "bag_of_words"}}),
            "needs the column text",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_the_directory_is_claimed_and_anything_trained(
    tmp_path, trainings, made, said
):
    with pytest.raises(ValueError, match=said) as caught:
        distill_task(task_recipe_from_dict(made(tmp_path / "teacher")), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert trainings == [] and not (tmp_path / "run").exists()


def test_an_empty_rung_is_trained_in_the_students_own_size(tmp_path):
    vit = {"family": "vit", "shape": {"width": 8, "layers": 3, "heads": 2, "image_size": 8}}
    teacher = distill_task(recipe(), tmp_path / "teacher")
    taught = recipe(student=vit, ladder=[{}], objective={"alpha": 0.5}, teacher={"path": str(teacher.path)})
    facts = distill_task(taught, tmp_path / "run").training()
    assert [(one["student"]["model_type"], one["student"]["layers"]) for one in facts["ladder"]] == [("vit", 3)]
    assert facts["student"]["layers"] == 3


def test_a_debiased_teachers_method_is_recorded(tmp_path):
    debiased = distill_task(recipe(debiasing={"method": "group_dro"}), tmp_path / "debiased")
    plain = distill_task(recipe(), tmp_path / "plain")
    for number, (path, said) in enumerate(
        ((debiased.path, {"name": "group_dro"}), (debiased.student, {"name": "group_dro"}), (plain.path, None))
    ):
        taught = recipe(objective={"alpha": 0.5}, teacher={"path": str(path)})
        facts = distill_task(taught, tmp_path / str(number)).training()
        assert facts["teacher"].get("debiasing") == said


def test_another_recipe_does_not_go_on_in_the_directory(tmp_path):
    distill_task(recipe(), tmp_path / "run")
    with pytest.raises((ValueError, FileExistsError), match="recipe"):
        distill_task(recipe(training=TRAINING | {"max_steps": 4}), tmp_path / "run")


def test_identification_models_are_trained_once_for_runs_that_share_them(tmp_path, trainings):
    first = distill_task(recipe(debiasing=JTT), tmp_path / "first", tmp_path / "kept")
    assert trainings == [0.2, 3]
    second = distill_task(recipe(debiasing=JTT), tmp_path / "second", tmp_path / "kept")
    assert trainings == [0.2, 3, 3]
    assert first.training()["debiasing"] == second.training()["debiasing"]
    assert first.training()["student"]["weights_sha256"] == second.training()["student"]["weights_sha256"]
    # other first weights: another identification model
    distill_task(recipe(debiasing=JTT, training=TRAINING | {"seed": 7}), tmp_path / "third", tmp_path / "kept")
    assert trainings == [0.2, 3, 3, 0.2, 3]


def test_a_run_that_goes_on_has_its_identification_model(tmp_path, trainings, monkeypatch):
    def interrupted(self, *given, **named):
        if self.args.max_steps > 0:
            raise KeyboardInterrupt
        return counted(self, *given, **named)

    counted = DistillationTrainer.train
    monkeypatch.setattr(DistillationTrainer, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        distill_task(recipe(debiasing=JTT), tmp_path / "run")
    monkeypatch.setattr(DistillationTrainer, "train", counted)
    distill_task(recipe(debiasing=JTT), tmp_path / "run")
    assert trainings == [0.2, 3]
    assert len(list((tmp_path / "run" / KEPT).iterdir())) == 1


FEW = {"method": "product_of_experts", "bias_model": {"kind": "few_sample", "n_examples": 20}}


class CountedFit:
    """Stands for models of the student's kind: knows nothing, and counts how many were trained."""

    def __init__(self):
        self.trained = 0

    def __call__(self, data, epochs, seed):
        self.trained += 1
        return lambda given: np.log(np.full((len(given), 3), 1 / 3))


def test_predictions_of_a_model_like_the_student_are_not_shared_by_students_of_two_teachers(tmp_path):
    few = recipe(debiasing=FEW, objective={"alpha": 0.5}, student={"initialisation": "teacher"})
    labels, shape = load_task_data(few).grouped.label_names("train"), ClassifierShape(width=8, layers=1, image_size=8)
    kept = KeptPredictions(tmp_path)
    trained = []
    for teacher in (0, 1, 0):
        fit = CountedFit()
        fit.make_model = lambda seed, of=teacher: new_classifier("resnet", labels, shape, seed=of)
        with_bias_model(load_task_data(few), few, fit, kept, seed=0)
        trained.append(fit.trained)
    assert trained == [2, 2, 0], "one for each of two folds and teachers, once"


def test_several_processes_use_kept_predictions_and_refuse_where_there_are_none(tmp_path, monkeypatch):
    few, fit, kept = recipe(debiasing=FEW), CountedFit(), KeptPredictions(tmp_path / "kept")
    processes = type("Processes", (), {"num_processes": 2})
    alone = task_data.PartialState
    monkeypatch.setattr(task_data, "PartialState", processes)
    with pytest.raises(ValueError, match=r"done in one process: start this run, .* without a launcher once") as caught:
        with_bias_model(load_task_data(few), few, fit, kept, seed=0)
    assert "\n" not in str(caught.value) and fit.trained == 0
    monkeypatch.setattr(task_data, "PartialState", alone)
    first = with_bias_model(load_task_data(few), few, fit, kept, seed=0)  # as the message says
    monkeypatch.setattr(task_data, "PartialState", processes)
    again = with_bias_model(load_task_data(few), few, fit, kept, seed=0)
    assert fit.trained == 2, "one for each of two folds, once"
    assert again.train["bias_log_probs"][:] == first.train["bias_log_probs"][:] and again.facts == first.facts


def test_the_examples_that_remedies_made_copies_of_decide_folds_and_keys_and_are_no_column(tmp_path):
    kept, fit = KeptPredictions(tmp_path), CountedFit()
    swapped = recipe(debiasing=FEW, augmentation={"name": "swap_shortcut"})
    data = load_task_data(swapped)
    assert data.sources.tolist() == [*range(60), *range(60)] and len(data.train) == 120
    assert "source_example" not in data.train.column_names
    made = with_bias_model(data, swapped, fit, kept, seed=0)
    assert made.facts["bias_model"]["n_sources"] == 60 and made.facts["bias_model"]["n"] == 120
    assert set(made.train.column_names) == {*data.grouped.splits["train"].column_names, "bias_log_probs"}
    # the same rows, but as if each were an example of its own: other folds, so other predictions
    unknown = task_data.TaskData(data.grouped, data.train, data.held_out, data.facts, np.arange(120))
    with_bias_model(unknown, swapped, fit, kept, seed=0)
    assert fit.trained == 4 and len(list(tmp_path.iterdir())) == 2
    with_bias_model(load_task_data(swapped), swapped, fit, kept, seed=0)
    assert fit.trained == 4


def test_the_training_split_is_hashed_once(tmp_path, monkeypatch):
    """Hashing decodes every image."""
    hashed, plain = [], grouped.split_sha256
    monkeypatch.setattr(grouped, "split_sha256", lambda rows: hashed.append(len(rows)) or plain(rows))
    colours = {"method": "product_of_experts", "bias_model": {"kind": "mean_colours"}}
    distill_task(recipe(debiasing=colours), tmp_path / "run")
    assert hashed == [60, 30]  # training and validation


def test_predictions_are_kept_with_their_facts(tmp_path):
    kept = KeptPredictions(tmp_path / "kept")
    assert kept.find(["a", 1]) is None
    kept.keep(["a", 1], np.arange(6.0).reshape(3, 2), {"n": 3})
    values, facts = kept.find(["a", 1])
    assert values.tolist() == [[0, 1], [2, 3], [4, 5]] and facts == {"n": 3}
    assert kept.find(["a", 2]) is None


def test_what_is_half_kept_is_not_found(tmp_path):
    kept = KeptPredictions(tmp_path)
    kept.keep("a", np.zeros((1, 2)), {})
    (next(tmp_path.iterdir()) / "facts.json").unlink()
    assert kept.find("a") is None


@pytest.mark.heavy
def test_two_processes_find_the_same_errors_as_one(tmp_path):
    """JTT's identification run and the training, by a launcher; effective batches are the same."""
    alone = distill_task(recipe(debiasing=JTT), tmp_path / "alone").training()
    file = tmp_path / "recipe.yaml"
    half = TRAINING | {"per_device_train_batch_size": 4}
    file.write_text(yaml.safe_dump(sections(debiasing=JTT, training=half)), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "evenhand.launch.distill", str(file), "--output-dir", str(tmp_path / "run")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    together = json.loads((tmp_path / "run" / "training.json").read_text(encoding="utf-8"))
    assert together["debiasing"]["error_set"] == alone["debiasing"]["error_set"] > 0
    assert together["debiasing"]["error_rate_by_group"] == alone["debiasing"]["error_rate_by_group"]
    assert len(list((tmp_path / "run" / KEPT).iterdir())) == 1
