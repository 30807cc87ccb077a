"""The recipes that a scale's teachers are made by: its own without any arm's changes, and with those of a teacher."""

from __future__ import annotations

import copy

from evenhand.launch.arms_file import changed
from evenhand.launch.recipe import Recipe, recipe_from_dict
from evenhand.launch.study.study_parts import Scale, Study

TO_BE_FILLED_IN = "filled-in-by-the-study"
"""Stands for paths that are known only once a study directory and a seed are."""


def scale_values(scale: Scale) -> dict:
    """The scale's recipe as plain values, with a stand-in for what is filled in later.

    Raises:
        ValueError: a section that does not hold keys and values, or has what is the study's own.
    """
    values = copy.deepcopy(scale.recipe)
    for name in ("teacher", "corpus", "training"):
        values[name] = {} if values.get(name) is None else values[name]
        if not isinstance(values[name], dict):
            raise ValueError(f"recipe.{name} must hold keys and values, not {values[name]!r}.")
    if "seed" in values["training"]:
        raise ValueError("training.seed is the study's own; leave it out of the recipe.")
    values["teacher"].setdefault("path", TO_BE_FILLED_IN)
    if scale.planted is not None:
        values["corpus"]["sources"] = [{"path": TO_BE_FILLED_IN}]
    return values


def base_recipe(study: Study) -> Recipe:
    """The scale's recipe without any arm's changes."""
    return recipe_from_dict(scale_values(study.settings))


def teacher_recipe(scale: Scale, name: str) -> Recipe:
    """The recipe that ``evenhand debias-teacher`` makes a further teacher of the scale by; its ``teacher`` is the scale's own.

    Raises:
        ValueError: changes that give no recipe.
    """
    return recipe_from_dict(changed(recipe_from_dict(scale_values(scale)).to_dict(), scale.teachers[name]))
