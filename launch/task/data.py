"""The data of a task recipe: loaded, augmented, and with the predictions of a bias-only model where the debiasing method reads them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import datasets
import numpy as np
from accelerate import PartialState

from evenhand.evaluation.grouped_data import GroupedData, load_grouped_data
from evenhand.evaluation.grouped_data.augmentation import SOURCE, augment
from evenhand.evaluation.grouped_data.columns import numbers
from evenhand.evaluation.grouped_data.split_hash import split_sha256
from evenhand.evaluation.models import weights_sha256
from evenhand.launch.task.kept_predictions import KeptPredictions
from evenhand.launch.task.recipe import TaskRecipe, named_settings
from evenhand.trainer.bias_models import bias_model, with_bias_log_probs
from evenhand.trainer.classifier_fit import ClassifierFit

TRAIN, HELD_OUT = "train", "validation"


@dataclass(frozen=True)
class TaskData:
    """What a classifier is trained on.

    Args:
        grouped: the data as published or planted.
        train: their training split, augmented and with further columns as the recipe says.
        held_out: the validation split, None where there is none.
        facts: what was added, as plain values for training.json: ``augmentation``, ``bias_model``; empty for nothing.
        sources: (n,) of augmented training examples, the number of the example that each was made from; None where nothing was augmented.
    """

    grouped: GroupedData
    train: datasets.Dataset
    held_out: datasets.Dataset | None
    facts: dict
    sources: np.ndarray | None = None

    @property
    def sha256(self) -> dict[str, str]:
        """Hashes of the ``train`` and ``validation`` splits as published or planted, before any augmentation; every image is decoded."""
        return {name: self.grouped.sha256(name) for name in (TRAIN, HELD_OUT) if name in self.grouped.splits}


def load_task_data(recipe: TaskRecipe) -> TaskData:
    """The data, augmented as the recipe says.

    Raises:
        ValueError: a wrong name or setting, a data set without ``train``, or one that the augmentation cannot be used on. FileNotFoundError: data that
            are not there.
    """
    name, settings = named_settings(recipe.task.data, "task.data", "name")
    grouped = load_grouped_data(name, **settings)
    if TRAIN not in grouped.splits:
        raise ValueError(f"task.data: {name} has no split {TRAIN}; its splits are {', '.join(grouped.splits)}.")
    train, facts, sources = grouped.splits[TRAIN], {}, None
    if recipe.augmentation:
        way, chosen = named_settings(recipe.augmentation, "augmentation", "name")
        train, facts["augmentation"] = augment(grouped, way, TRAIN, **chosen)
        sources, train = numbers(train, SOURCE), train.remove_columns(SOURCE)
    return TaskData(grouped, train, grouped.splits.get(HELD_OUT), facts, sources)


def with_bias_model(
    data: TaskData, recipe: TaskRecipe, fit: ClassifierFit, kept: KeptPredictions, seed: int
) -> TaskData:
    """The training data with the column ``bias_log_probs``, if the recipe names a bias-only model.

    Its predictions are kept under a hash of the examples, the model and the seed: methods of a study that read the same ones share them.

    Args:
        fit: trains a model like the student; few-sample bias models need it, whose predictions are then kept under the student too, and under its
            first weights where these are a teacher's.
        seed: of the folds and of what the model draws, the training's.

    Raises:
        ValueError: data that the model cannot be used on; several processes and a model that trains others, whose predictions are not kept yet.
    """
    if not recipe.debiasing.bias_model:
        return data
    kind, settings = named_settings(recipe.debiasing.bias_model, "debiasing.bias_model", "kind")
    model = bias_model(kind, **settings)
    like_the_student = [recipe.to_dict()["student"], recipe.training] if model.needs_fit else None
    if model.needs_fit and recipe.student.initialisation == "teacher":  # which teacher's, the recipe does not say
        like_the_student.append(weights_sha256(fit.make_model(seed)))
    examples = data.sha256[TRAIN] if data.sources is None else split_sha256(data.train)
    decisive = [model.report(), seed, examples, like_the_student]
    if data.sources is not None:  # they decide the folds
        decisive.append(hashlib.sha256(data.sources.astype("<i8").tobytes()).hexdigest())
    found = kept.find(decisive)
    if found:
        values, facts = found
        train = data.train.add_column("bias_log_probs", list(values))
    elif model.needs_fit and PartialState().num_processes > 1:
        raise ValueError(
            f"debiasing.bias_model {kind} trains models of its own, which is done in one process: start this run, with the same settings, without a "
            "launcher once, which keeps their predictions, or use another bias model."
        )
    else:
        train, facts = with_bias_log_probs(data.train, model, fit, seed, data.grouped.aligned, data.sources)
        kept.keep(decisive, np.asarray(train["bias_log_probs"][:], dtype=np.float32), facts)
    return replace(data, train=train, facts=data.facts | {"bias_model": facts})
