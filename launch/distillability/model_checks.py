"""Whether the models of a task can be made, before any of them is."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedModel

from evenhand.evaluation.evaluator import Evaluator
from evenhand.evaluation.evaluators import EVALUATORS
from evenhand.evaluation.grouped_data.registry import loaded_once
from evenhand.evaluation.groups import Groups
from evenhand.evaluation.internals.internals import Internals
from evenhand.launch.distillability.models import GridModel
from evenhand.launch.evaluator_settings import configured_evaluator
from evenhand.launch.task.data import TaskData, load_task_data
from evenhand.launch.task.recipe import TaskRecipe, TaskStudentSection, named_settings, task_section
from evenhand.launch.task.student import new_student
from evenhand.trainer.bias_models import bias_model
from evenhand.trainer.classifiers import LoadedClassifier
from evenhand.trainer.debiasing import TrainingFacts, debiasing_method
from evenhand.trainer.label_order import label_names
from evenhand.trainer.labelled_examples import training_facts


def check_task(models: Sequence[GridModel]) -> None:
    """Load the task's data, and make every model of one seed with random weights.

    Args:
        models: of one task; a teacher's size is that of the model of this size among them.

    Raises:
        ValueError, FileNotFoundError: data that are not there, a size that cannot be, a method that lacks what it needs, settings
            that no measure has, data that a measure cannot be taken on.
    """
    # before the data, which may take long to load
    measures = {how: _evaluators(model) for how, model in {_measured(model): model for model in models}.items()}
    loaded: dict[str, TaskData] = {}
    seen: set[str] = set()
    sizes = {model.size: model.recipe.student for model in models if model.recipe.student.initialisation == "own"}
    with loaded_once():  # measures are taken on the same data
        for model in models:
            recipe = dataclasses.replace(model.recipe, teacher=dataclasses.replace(model.recipe.teacher, path=""))
            wanted = repr((recipe.task.data, recipe.augmentation))
            if wanted not in loaded:
                loaded[wanted] = load_task_data(recipe)
            for evaluator in measures.pop(_measured(model), []):
                _check_measured_data(evaluator)
            if recipe.sha256 not in seen:
                seen.add(recipe.sha256)
                _check_recipe(recipe, loaded[wanted], sizes.get(model.teacher_size))


def _measured(model: GridModel) -> str:
    """What decides how a model is measured, and on what."""
    return repr(task_section(model.recipe, model.why))


def _evaluators(model: GridModel) -> list[Evaluator]:
    """Those that the model will be measured with; nothing is measured."""
    made = []
    for measure, settings in task_section(model.recipe, model.why).measures.items():
        where = "why." if model.why and measure == Internals.measure else f"evaluation.measures.{measure}."
        try:
            # a place for finished parts is wanted, and nothing is written there before something is measured
            made.append(
                configured_evaluator(
                    EVALUATORS[measure], settings or {}, where, Path(tempfile.gettempdir()), progress=False
                )
            )
        except ValueError as error:
            raise ValueError(str(error) if where in str(error) else f"{where}{error}") from None
    return made


def _check_measured_data(evaluator: Evaluator) -> None:
    """Whether the data have the splits that are measured on, and for a look inside examples of both sides."""
    if isinstance(evaluator, Groups):
        _ = evaluator.split_names
    elif isinstance(evaluator, Internals):
        _ = evaluator.chosen


def _check_recipe(recipe: TaskRecipe, data: TaskData, of_teacher: TaskStudentSection | None) -> None:
    """Whether models, bias-only model and debiasing method fit the data, by the rules of the training.

    Args:
        of_teacher: size of the teacher, whose weights a student may begin with.
    """
    method = debiasing_method(recipe.debiasing.method, **recipe.debiasing.settings)
    if recipe.debiasing.bias_model:
        kind, settings = named_settings(recipe.debiasing.bias_model, "debiasing.bias_model", "kind")
        bias_model(kind, **settings).check(data.train)
    facts = TrainingFacts.of(data.train, len(data.grouped.label_names("train")))
    # predictions of a bias-only model are not there yet
    (method.check_groups if method.needs_bias_log_probs else method.check)(facts)
    for section in (*recipe.ladder, recipe.student):
        student = _made(section, data, of_teacher)
        if student is not None and method.needs_held_out_groups:
            names = label_names(student.config, "The student")
            train, held_out = (
                None if rows is None else training_facts(rows, data.grouped.kind, names)
                for rows in (data.train, data.held_out)
            )
            method.check_held_out(student, train, held_out, names)


def _made(section: TaskStudentSection, data: TaskData, of_teacher: TaskStudentSection | None) -> PreTrainedModel | None:
    """A new student; None of one that begins with its teacher's weights, where the teacher's size is not known."""
    teachers = []
    if section.initialisation == "teacher":
        if of_teacher is None:
            return None
        made = new_student(of_teacher, data, [], 0)
        teachers = [LoadedClassifier(made.model, made.processor, data.grouped.kind, has_head=True, path="")]
    return new_student(section, data, teachers, 0).model
