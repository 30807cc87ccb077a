"""``evenhand distill`` of a task recipe: a classifier in its run directory, made once; what is trained beside it is kept."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import yaml

from evenhand.launch.kept_predictions import KeptPredictions
from evenhand.launch.task_distill import KEPT, distill_task
from evenhand.launch.task_recipe import TaskRecipe, task_recipe_from_dict
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
