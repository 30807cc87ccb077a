"""Recipes of task distillation: a classifier on data with groups, distilled from another one or trained alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from evenhand.evaluation.evaluators import EVALUATORS
from evenhand.evaluation.grouped_data import grouped_data_names
from evenhand.evaluation.grouped_data.augmentation import check_augmentation
from evenhand.evaluation.groups import Groups
from evenhand.evaluation.internals.internals import Internals
from evenhand.launch.publish_section import PublishSection
from evenhand.launch.recipe_reading import build_section, training_fields
from evenhand.model_cards.whole_files import write_text
from evenhand.trainer.bias_models import BIAS_MODELS, bias_model
from evenhand.trainer.classifiers import ClassifierShape
from evenhand.trainer.debiasing import debiasing_method
from evenhand.trainer.task_objective import TaskObjective
from evenhand.trainer.teacher_average import AVERAGES

TASK = "task"
"""Section that makes a recipe one of a task."""
WORDS = "words"
"""A tokenizer made of the training texts."""
ON_THE_TASK = (Groups.measure, Internals.measure)
"""Measures that are taken on data with groups: the task's, where the recipe names no others."""


@dataclass(frozen=True)
class TaskSection:
    """What is learned. ``data``: ``name`` and settings of :func:`evenhand.evaluation.grouped_data.load_grouped_data`."""

    data: dict = field(default_factory=dict)


@dataclass(frozen=True)
class TaskTeacherSection:
    """``path``: a classifier's folder, run directory, Hub id or ``package:NAME/FOLDER``, or a list of several, whose ``average`` (of their
    ``probabilities`` or ``logits``) is distilled. Empty: the student is trained alone."""

    path: str | list[str] = ""
    revision: str | None = None
    average: str = "probabilities"

    @property
    def paths(self) -> list[str]:
        """None, one or several."""
        if isinstance(self.path, str):
            return [self.path] if self.path else []
        return list(self.path)


@dataclass(frozen=True)
class TaskStudentSection:
    """Where the student comes from: ``path`` (a pre-trained model, which gets a new head: folder, Hub id, ``package:NAME/FOLDER``; with ``layers`` so
    many of its layers, evenly spaced, or those listed), else a ``family`` with a ``shape`` (:class:`~evenhand.trainer.classifiers.ClassifierShape`) and
    random weights. ``initialisation: teacher`` copies the teacher's weights: ``layers`` says how many, or which (default half of them); family and
    widths are then the teacher's. Where stacks differ ``layers`` holds a number or a list for each by its name
    (:func:`~evenhand.trainer.layer_copies.layer_stacks`): ``{encoder.block: 4, decoder.block: [0, 5]}`` of T5, ``encoder.stages.0.layers`` … of ResNet;
    of a stack that is not named, half. ``tokenizer`` (of texts, for random weights): a model's path, or ``words`` (default): every word of the
    training texts is a token."""

    path: str = ""
    revision: str | None = None
    family: str = "bert"
    shape: ClassifierShape = field(default_factory=ClassifierShape)
    tokenizer: str = WORDS
    initialisation: str = "own"
    layers: int | list[int] | dict[str, int | list[int]] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.layers, dict):
            _check_layers_by_stack(self.layers)
        if self.initialisation not in ("own", "teacher"):
            raise ValueError(f"student.initialisation must be own or teacher, not {self.initialisation!r}.")
        if self.path and self.initialisation == "teacher":
            raise ValueError(
                "student.path names a model, and student.initialisation=teacher wants the teacher's weights; choose one of them."
            )
        if self.layers is not None and not self.path and self.initialisation != "teacher":
            raise ValueError(
                "student.layers says which layers are copied; it needs student.path or student.initialisation=teacher."
            )


def _check_layers_by_stack(layers: dict) -> None:
    if not layers:
        raise ValueError("student.layers names no stack; give a number or layers for at least one, or leave it out.")
    for stack, chosen in layers.items():
        numbers = chosen if isinstance(chosen, list) else [chosen]
        if not isinstance(stack, str) or not numbers or not all(type(number) is int for number in numbers):
            raise ValueError(
                f"student.layers must hold names of stacks, each with a number of layers or a list of them, not {stack!r}: {chosen!r}."
            )


@dataclass(frozen=True)
class DebiasingSection:
    """``method``: a name of :func:`evenhand.trainer.debiasing.debiasing_method`, with its ``settings``. ``bias_model``: the bias-only model that methods
    with one need, by ``kind`` and settings."""

    method: str = "erm"
    settings: dict = field(default_factory=dict)
    bias_model: dict = field(default_factory=dict)


@dataclass(frozen=True)
class TaskEvaluationSection:
    """Measures by name with the settings of their evaluators. ``groups`` (on the task's data) is always taken."""

    measures: dict[str, dict] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskRecipe:
    """Everything that decides a classifier.

    Args:
        augmentation: of the training data: ``name`` and settings of :func:`evenhand.evaluation.grouped_data.augment`; empty for none.
        ladder: ``student`` sections of the models between teacher and student, the first distilled from the teacher, each next one from the one
            before, the student from the last (iterative distillation); an empty entry is a round of the student's own size: its section again.
        training: fields of :class:`~evenhand.trainer.DistillationArguments` by their own names.
    """

    task: TaskSection = field(default_factory=TaskSection)
    teacher: TaskTeacherSection = field(default_factory=TaskTeacherSection)
    student: TaskStudentSection = field(default_factory=TaskStudentSection)
    objective: TaskObjective = field(default_factory=TaskObjective)
    debiasing: DebiasingSection = field(default_factory=DebiasingSection)
    augmentation: dict = field(default_factory=dict)
    ladder: list[TaskStudentSection] = field(default_factory=list)
    training: dict = field(default_factory=dict)
    evaluation: TaskEvaluationSection = field(default_factory=TaskEvaluationSection)
    publish: PublishSection = field(default_factory=PublishSection)

    def to_dict(self) -> dict:
        """Plain values, every default filled in."""
        return dataclasses.asdict(self)

    @property
    def sha256(self) -> str:
        """Hash of what decides the student: all but ``evaluation`` and ``publish``."""
        return hashlib.sha256(json.dumps(decisive_task_sections(self.to_dict()), sort_keys=True).encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the resolved recipe as YAML."""
        write_text(path, yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True))


def decisive_task_sections(recipe: dict) -> dict:
    """What of :meth:`TaskRecipe.to_dict` decides the student: all but ``evaluation`` and ``publish``."""
    return {name: section for name, section in recipe.items() if name not in ("evaluation", "publish")}


def task_recipe_from_dict(data: dict) -> TaskRecipe:
    """A checked recipe from nested plain values.

    Raises:
        ValueError: an unknown key (the nearest known one is named), a wrong type or value, or what cannot go together.
    """
    recipe: TaskRecipe = build_section(TaskRecipe, data, "")
    recipe = dataclasses.replace(
        recipe, training=training_fields(recipe.training, "training."), ladder=_ladder(data, recipe)
    )
    if not isinstance(recipe.task.data.get("name"), str):
        raise ValueError(f"task.data.name is missing; use one of {', '.join(grouped_data_names())}.")
    if recipe.augmentation:
        name, settings = named_settings(recipe.augmentation, "augmentation", "name")
        check_augmentation(name, settings)
    method = debiasing_method(recipe.debiasing.method, **recipe.debiasing.settings)
    if recipe.debiasing.bias_model:
        kind, settings = named_settings(recipe.debiasing.bias_model, "debiasing.bias_model", "kind")
        bias_model(kind, **settings)
    if method.needs_bias_log_probs != bool(recipe.debiasing.bias_model):
        raise ValueError(
            f"debiasing.bias_model is missing, which {method.name} needs; name one of {', '.join(BIAS_MODELS)} as kind."
            if method.needs_bias_log_probs
            else f"debiasing.bias_model: {method.name} has no use for one; leave it out."
        )
    if recipe.teacher.average not in AVERAGES:
        raise ValueError(f"teacher.average must be one of {', '.join(AVERAGES)}, not {recipe.teacher.average!r}.")
    if set(recipe.evaluation.measures) - set(EVALUATORS):
        unknown = min(set(recipe.evaluation.measures) - set(EVALUATORS))
        raise ValueError(f"evaluation.measures.{unknown} is no measure; use one of {', '.join(EVALUATORS)}.")
    return recipe


def _ladder(data: dict, recipe: TaskRecipe) -> list[TaskStudentSection]:
    """The sections of the ladder, with the student's own in the place of empty entries."""
    given = data.get("ladder") or []
    own = recipe.student
    if not all(given) and own.initialisation == "teacher" and own.layers is None:
        raise ValueError(
            "ladder: an empty entry is of the student's own size, which student.initialisation=teacher without student.layers does not say; add them."
        )
    return [read if entry else own for entry, read in zip(given, recipe.ladder, strict=True)]


def check_teacher(recipe: TaskRecipe) -> None:
    """Whether what needs a teacher has one; apart from :func:`task_recipe_from_dict`, since a study fills its path in later.

    Raises:
        ValueError: it does not, or a teacher is named that nothing uses.
    """
    needed = {
        "objective.alpha above 0": recipe.objective.needs_teacher,
        "student.initialisation=teacher": recipe.student.initialisation == "teacher",
    }
    wanting = [what for what, needs in needed.items() if needs]
    if wanting and not recipe.teacher.paths:
        raise ValueError(
            f"teacher.path is missing, which {wanting[0]} needs (objective.alpha=0 trains the student alone)."
        )
    if recipe.teacher.paths and not wanting:
        raise ValueError(
            "teacher.path names a teacher, but objective.alpha is 0 and the student is not made from it; leave it out."
        )
    if recipe.ladder and not recipe.objective.needs_teacher:
        raise ValueError(
            "ladder: the models between teacher and student are distilled, so objective.alpha must be above 0."
        )


def named_settings(section: dict, where: str, key: str) -> tuple[str, dict]:
    """A section of a name and settings, as both.

    Raises:
        ValueError: the name is missing.
    """
    if not isinstance(section.get(key), str):
        raise ValueError(f"{where}.{key} is missing.")
    return section[key], {name: value for name, value in section.items() if name != key}


def task_section(recipe: TaskRecipe, why: Mapping[str, object] | None = None) -> TaskEvaluationSection:
    """The recipe's evaluation section with ``groups`` in it, and the task's data where a measure wants data with groups.

    Args:
        why: settings of the measure that looks inside student and teacher, in the place of the recipe's; None or empty: as the recipe says.
    """
    measures = {Groups.measure: {}} | dict(recipe.evaluation.measures)
    if why:
        measures[Internals.measure] = dict(why)
    for name in ON_THE_TASK:
        if name in measures:
            usual = {"data": dict(recipe.task.data)}
            if "max_length" in recipe.training:
                usual["max_length"] = recipe.training["max_length"]
            measures[name] = _on_the_tasks_data(usual, measures[name] or {})
    return dataclasses.replace(recipe.evaluation, measures=measures)


def _on_the_tasks_data(usual: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """Settings of a measure with the task's own where it gives none; settings of the task's data set are changed, another data set stands alone."""
    settings = dict(usual) | dict(given)
    data = given.get("data")
    if isinstance(data, Mapping) and data.get("name", usual["data"]["name"]) == usual["data"]["name"]:
        settings["data"] = dict(usual["data"]) | dict(data)
    return settings
