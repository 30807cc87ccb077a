"""What of a scale is used only after hours of work is looked at before anything starts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from evenhand.launch.accelerate_plan import find_config
from evenhand.launch.planted_corpus import PlantedCorpus
from evenhand.launch.study.base_recipe import teacher_recipe
from evenhand.launch.study.study_parts import Scale


def check_types(settings: Scale) -> None:
    """Refuse lists and texts that are none, which a dataclass of dictionaries lets through.

    Raises:
        ValueError: the place is named.
    """
    for name, values in settings.lists.items():
        if not isinstance(values, list):
            raise ValueError(f"lists.{name} must be a list, not {values!r}.")
    for arm, changes in settings.changes.items():
        if not isinstance(changes, list) or not all(isinstance(change, str) for change in changes):
            raise ValueError(f"changes.{arm} must be a list of section.key=value, not {changes!r}.")
    for name, reason in settings.without.items():
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"without.{name} must be the reason, in words, not {reason!r}.")


def check_scale(settings: Scale, arms: Collection[str]) -> None:
    """Refuse what could not be made: teachers, planted associations, a config of accelerate, arms with GLUE.

    Args:
        settings: the scale.
        arms: names of all arms, those too that the scale is without.

    Raises:
        ValueError: the place is named.
    """
    for name, changes in settings.teachers.items():
        _check_teacher(name, changes, settings)
    if settings.planted is not None:
        try:
            PlantedCorpus(settings.planted.associations, settings.planted.n_documents)
        except ValueError as error:
            raise ValueError(f"planted: {error}") from None
    if settings.accelerate is not None:
        try:
            find_config(settings.accelerate)
        except FileNotFoundError as error:
            raise ValueError(f"accelerate: {error}") from None
    strange = [name for name in settings.glue.arms if name not in arms] if settings.glue is not None else []
    if strange:
        raise ValueError(f"glue.arms names the arm {strange[0]}, which is not among arms.")


def _check_teacher(name: str, changes: object, settings: Scale) -> None:
    try:
        if isinstance(changes, Mapping) and "teacher" in changes:
            raise ValueError("it is made from the scale's own teacher; leave the section teacher out.")
        teacher_recipe(settings, name)
    except ValueError as error:
        raise ValueError(f"teachers.{name}: {error}") from None
