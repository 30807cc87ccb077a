"""Whether the models of a task can be made, before any of them is."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

from evenhand.evaluation.evaluators import EVALUATORS
from evenhand.evaluation.internals.internals import Internals
from evenhand.launch.distillability.models import GridModel
from evenhand.launch.evaluator_settings import configured_evaluator
from evenhand.launch.task.data import TaskData, load_task_data
from evenhand.launch.task.recipe import TaskStudentSection, named_settings, task_section
from evenhand.launch.task.student import new_student
from evenhand.trainer.bias_models import bias_model
from evenhand.trainer.classifiers import LoadedClassifier
from evenhand.trainer.debiasing import TrainingFacts, debiasing_method


def check_task(models: Sequence[GridModel]) -> None:
    """Load the task's data, and make every model of one seed with random weights.

    Args:
        models: of one task; a teacher's size is that of the model of this size among them.

    Raises:
        ValueError, FileNotFoundError: data that are not there, a size that cannot be, a method that lacks what it needs, settings
            that no measure has.
    """
    for model in {repr((dict(m.why), m.recipe.evaluation)): m for m in models}.values():
        _check_measures(model)  # before the data, which may take long to load
    loaded: dict[str, TaskData] = {}
    seen: set[str] = set()
    sizes = {model.size: model.recipe.student for model in models if model.recipe.student.initialisation == "own"}
    for model in models:
        recipe = dataclasses.replace(model.recipe, teacher=dataclasses.replace(model.recipe.teacher, path=""))
        if recipe.sha256 in seen:
            continue
        seen.add(recipe.sha256)
        wanted = repr((recipe.task.data, recipe.augmentation))
        if wanted not in loaded:
            loaded[wanted] = load_task_data(recipe)
        data = loaded[wanted]
        for section in (*recipe.ladder, recipe.student):
            _check_student(section, data, sizes.get(model.teacher_size))
        if recipe.debiasing.bias_model:
            kind, settings = named_settings(recipe.debiasing.bias_model, "debiasing.bias_model", "kind")
            bias_model(kind, **settings).check(data.train)
        method = debiasing_method(recipe.debiasing.method, **recipe.debiasing.settings)
        if not method.needs_bias_log_probs:
            method.check(TrainingFacts.of(data.train, len(data.grouped.label_names("train"))))


def _check_measures(model: GridModel) -> None:
    """Make the evaluators that the model will be measured with; nothing is measured."""
    for measure, settings in task_section(model.recipe, model.why).measures.items():
        where = "why." if model.why and measure == Internals.measure else f"evaluation.measures.{measure}."
        try:
            # a place for finished parts is wanted, and nothing is written there before something is measured
            configured_evaluator(
                EVALUATORS[measure], settings or {}, where, Path(tempfile.gettempdir()), progress=False
            )
        except ValueError as error:
            raise ValueError(str(error) if where in str(error) else f"{where}{error}") from None


def _check_student(section: TaskStudentSection, data: TaskData, of_teacher: TaskStudentSection | None) -> None:
    teachers = []
    if section.initialisation == "teacher" and of_teacher is not None:
        made = new_student(of_teacher, data, [], 0)
        teachers = [LoadedClassifier(made.model, made.processor, data.grouped.kind, has_head=True, path="")]
    if section.initialisation == "own" or teachers:
        new_student(section, data, teachers, 0)
