"""What a task recipe needs on a node without a network: models, data, packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from evenhand.evaluation import glue_data
from evenhand.evaluation.grouped_data import mnli_hans, qqp_paws
from evenhand.evaluation.grouped_data.registry import PLANTED_GLUE, default_settings
from evenhand.evaluation.groups import is_local_path
from evenhand.launch.doctor import Finding
from evenhand.launch.hub_cache import HubDataset
from evenhand.launch.recipe_needs import caches, local_path, model_needed, on_the_hub, packages_needed
from evenhand.launch.task.recipe import WORDS, TaskRecipe, TaskStudentSection, named_settings


def task_needs(recipe: TaskRecipe) -> list[Finding]:
    """One finding for each thing, in the recipe's order; no network is used.

    Args:
        recipe: checked.
    """
    data = {"task.data": recipe.task.data}
    for name, settings in recipe.evaluation.measures.items():
        if isinstance(other := (settings or {}).get("data"), dict) and other != recipe.task.data:
            data[f"evaluation.measures.{name}.data"] = other
    return [
        caches(),
        *(finding for where, settings in data.items() for finding in _data(where, settings)),
        *(model_needed("teacher.path", path, recipe.teacher.revision) for path in recipe.teacher.paths if path),
        *_student("student", recipe.student),
        *(found for number, rung in enumerate(recipe.ladder, 1) for found in _student(f"ladder[{number}]", rung)),
        *packages_needed(recipe.training),
    ]


def _student(where: str, section: TaskStudentSection) -> Iterator[Finding]:
    if section.path:
        yield model_needed(f"{where}.path", section.path, section.revision)
    elif section.tokenizer != WORDS:
        yield model_needed(f"{where}.tokenizer", section.tokenizer)


def _data(where: str, section: Mapping[str, object]) -> Iterator[Finding]:
    """The files of a data set, or what of it comes from the Hub."""
    name, given = named_settings(dict(section), where, "name")
    settings = default_settings(name) | given
    for setting, value in settings.items():
        if value == "hub" and (name, setting) in _ON_THE_HUB:
            yield on_the_hub(f"{where}.{setting}", _ON_THE_HUB[name, setting](settings))
        elif is_local_path(setting, value) and isinstance(value, str):
            yield local_path(f"{where}.{setting}", value)


def _glue(task: str) -> HubDataset:
    return HubDataset(glue_data.HUB_NAME, (task,), glue_data.HUB_REVISION)


def _copy(settings: Mapping[str, object]) -> HubDataset:
    return HubDataset(settings["repository"], revision=settings["revision"])


_ON_THE_HUB: dict[tuple[str, str], Callable[[Mapping[str, object]], HubDataset]] = {
    **{(task, "path"): lambda settings, task=task: _glue(task) for task in PLANTED_GLUE},
    ("mnli_hans", "path"): lambda settings: _glue("mnli"),
    ("mnli_hans", "hans_path"): lambda settings: HubDataset(mnli_hans.HUB_NAME, revision=mnli_hans.HUB_REVISION),
    ("qqp_paws", "path"): lambda settings: _glue("qqp"),
    ("qqp_paws", "paws_path"): lambda settings: HubDataset(
        qqp_paws.HUB_NAME, (qqp_paws.HUB_CONFIGURATION,), qqp_paws.HUB_REVISION
    ),
    ("celeba", "path"): _copy,
    ("waterbirds", "path"): _copy,
}
"""(data set, setting) → what ``hub`` stands for."""
