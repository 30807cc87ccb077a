"""The classifiers of a task recipe: its teachers, and the student before it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from evenhand.evaluation.grouped_data.columns import texts
from evenhand.launch.planted_tokenizer import build_tokenizer
from evenhand.launch.run_directory import student_of_run
from evenhand.launch.task.data import TaskData
from evenhand.launch.task.recipe import WORDS, TaskRecipe, TaskStudentSection
from evenhand.trainer.classifiers import (
    IMAGE_FAMILIES,
    LoadedClassifier,
    load_classifier,
    new_classifier,
    new_image_processor,
)
from evenhand.trainer.task_student import make_task_student
from evenhand.trainer.teacher import resolve_model_path
from evenhand.trainer.teacher_average import TeacherAverage


@dataclass(frozen=True)
class NewStudent:
    """A student before its training.

    Args:
        model: in fp32 on the CPU.
        processor: its tokenizer or image processor.
        plan: how it was made, for training.json.
    """

    model: PreTrainedModel
    processor: Any
    plan: dict


def load_teachers(recipe: TaskRecipe) -> list[LoadedClassifier]:
    """The teachers with their heads; a run directory stands for its student.

    Raises:
        FileNotFoundError: one is not there. ValueError: it is no classifier, or has no head.
    """
    return [load_classifier(student_of_run(path), revision=recipe.teacher.revision) for path in recipe.teacher.paths]


def taught_by(teachers: list[LoadedClassifier], average: str) -> dict:
    """``teacher`` and ``teacher_processing_class`` for the trainer."""
    if not teachers:
        return {}
    if len(teachers) == 1:
        return {"teacher": teachers[0].model, "teacher_processing_class": teachers[0].processor}
    processors = [teacher.processor for teacher in teachers]
    return {"teacher": TeacherAverage([teacher.model for teacher in teachers], processors, average)}


def new_student(section: TaskStudentSection, data: TaskData, teachers: list[LoadedClassifier], seed: int) -> NewStudent:
    """A student as the recipe says, its labels in the order of the data's.

    Args:
        section: the recipe's, or that of a rung of its ladder.
        seed: of random weights.

    Raises:
        ValueError: a teacher that the student cannot be made from, a family for another kind of data. FileNotFoundError: a model that is not there.
    """
    labels = data.grouped.label_names("train")
    if section.initialisation == "teacher":
        model, plan = make_task_student(teachers[0].model, layers=section.layers, labels=labels, seed=seed)
        return NewStudent(model, teachers[0].processor, plan.to_dict())
    if section.path:
        loaded = load_classifier(section.path, labels, section.revision, seed)
        plan = {"initialisation": "pre-trained", "path": section.path}
        if section.layers is None:
            return NewStudent(loaded.model, loaded.processor, plan)
        model, made = make_task_student(loaded.model, layers=section.layers, seed=seed)
        return NewStudent(model, loaded.processor, made.to_dict() | plan)
    plan = {"initialisation": "random", "family": section.family}
    of_images = section.family in IMAGE_FAMILIES
    if of_images != (data.grouped.kind == "image"):
        raise ValueError(
            f"student.family {section.family} reads {'images' if of_images else 'texts'}, the data are {data.grouped.kind}s."
        )
    if of_images:
        processor = new_image_processor(section.shape.image_size)
        return NewStudent(new_classifier(section.family, labels, section.shape, seed=seed), processor, plan)
    tokenizer = _tokenizer(section, data)
    return NewStudent(new_classifier(section.family, labels, section.shape, tokenizer, seed), tokenizer, plan)


def _tokenizer(section: TaskStudentSection, data: TaskData) -> PreTrainedTokenizerBase:
    if section.tokenizer != WORDS:
        return AutoTokenizer.from_pretrained(resolve_model_path(section.tokenizer))
    # of the data as they are loaded, not as they are augmented: a remedy must not change the vocabulary
    rows = data.grouped.splits["train"]
    documents = [
        text for column in ("text", "text_pair") if column in rows.column_names for text in texts(rows, column)
    ]
    return build_tokenizer(documents, max_length=section.shape.max_positions)
