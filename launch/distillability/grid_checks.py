"""What a grid's file may not say: settings that would do nothing, or make a model other than the one its name promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evenhand.launch.distillability.grid import ERM, GridTask, Method, Remedy
from evenhand.launch.distillability.models import NO_REMEDY, layers_of
from evenhand.trainer.debiasing import debiasing_method

_OF_THE_CELL = {
    "debiasing": "methods.NAME.debiasing, or method_settings of the task",
    "teacher": "teachers, by the names of sizes",
    "ladder": "remedies.NAME.ladder",
    "augmentation": "remedies.NAME.changes, as augmentation.name=…",
}
"""Sections of a recipe that a cell sets itself, and where the grid says them."""
_SEEDS = ("seed", "data_seed")
"""Fields of ``training`` that each cell has its own of: f_S and g share first weights and order of data, f_T has others."""


def check_labels(section: str, named: Mapping[str, Method | Remedy]) -> None:
    """Refuse one label for two methods, or for two remedies: the page tells them apart by it, and would take their students for one cell.

    Args:
        section: of the file, ``"methods"`` or ``"remedies"``.

    Raises:
        ValueError: see above.
    """
    first: dict[str, str] = {}
    for name, entry in named.items():
        other = first.setdefault(entry.label.strip(), name)
        if other != name:
            raise ValueError(
                f"{section}.{name}.label {entry.label!r} is that of {section}.{other} too; give each a label of its own."
            )


def check_once(where: str, names: Sequence[str]) -> None:
    """Refuse a name that is listed twice: its models would count twice.

    Args:
        where: the list, e.g. ``"tasks.digits.methods"``.

    Raises:
        ValueError: see above.
    """
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ValueError(f"{where} names {name} twice; name it once.")


def check_method(name: str, method: Method) -> None:
    """Refuse a method that would train nothing new, or could not train all its models.

    Raises:
        ValueError: see above.
    """
    where = f"methods.{name}"
    if name == ERM:
        if method.distils or method.self_distilled:
            raise ValueError(f"{where}: distils and self_distilled are of methods with debiasing; leave them out.")
        return
    if not method.debiasing:
        raise ValueError(f"{where}.debiasing is missing: without it the method would be {ERM} again.")
    if "bias_model" in method.debiasing:
        raise ValueError(f"{where}.debiasing.bias_model: each task names its own as bias_model; leave it out here.")
    settings = method.debiasing.get("settings", {})
    _check_mapping(f"{where}.debiasing.settings", settings)
    if method.distils and method.self_distilled:
        raise ValueError(
            f"{where}: with distils its teachers are {ERM}'s, and self_distilled does nothing; choose one of them."
        )
    try:
        made = debiasing_method(method.debiasing.get("method", ERM), **settings)
    except ValueError as error:
        raise ValueError(f"{where}.debiasing: {error}") from None
    if made.name == ERM:
        raise ValueError(f"{where}.debiasing.method is {ERM}, which methods.{ERM} is already; name another.")
    if made.needs_teacher and not method.distils and not method.self_distilled:
        raise ValueError(
            f"{where}: {made.name} needs a teacher; say distils: true (it acts on the distillation alone) or self_distilled "
            "(its teachers are distilled from those of ERM)."
        )


def check_remedy(name: str, remedy: Remedy) -> None:
    """Refuse a remedy that changes nothing, or what a cell sets itself.

    Raises:
        ValueError: see above.
    """
    where = f"remedies.{name}"
    if name == NO_REMEDY:
        raise ValueError(f"{where}: {NO_REMEDY} is the name of a model without remedy; name it otherwise.")
    if not (remedy.changes or remedy.ladder or remedy.from_teacher):
        raise ValueError(f"{where} changes nothing; give it changes, a ladder or from_teacher: true.")
    for change in remedy.changes:
        key = change.partition("=")[0]
        if key in [f"training.{seed}" for seed in _SEEDS] or key.split(".")[0] in ("teacher", "ladder"):
            raise ValueError(f"{where}.changes: {key} is set by each cell itself; leave it out.")
        if key.split(".")[0] == "student" and remedy.from_teacher:
            raise ValueError(f"{where}.changes: {key} does nothing with from_teacher, which copies the teacher.")


def check_task_settings(where: str, task: GridTask, remedies: Mapping[str, Remedy]) -> None:
    """Refuse settings of a task that would do nothing, or be something else than the cell's models say.

    Args:
        where: begins the names in errors, e.g. ``"tasks.digits."``.
        task: with its defaults filled in.

    Raises:
        ValueError: see above.
    """
    for section, place in _OF_THE_CELL.items():
        if section in task.recipe:
            raise ValueError(f"{where}recipe.{section} (or an override of it): each cell sets it itself; use {place}.")
    student = task.recipe.get("student") or {}
    for section in ("task", "student", "objective", "training"):
        if task.recipe.get(section) is not None:
            _check_mapping(f"{where}recipe.{section}", task.recipe[section])
    for seed in _SEEDS:
        if seed in (task.recipe.get("training") or {}):
            raise ValueError(
                f"{where}recipe.training.{seed} (or an override of it): each cell has its own; leave it out."
            )
    sections = {f"{where}sizes.{size}": section for size, section in task.sizes.items()}
    for place, section in (sections | {f"{where}recipe.student": student}).items():
        _check_mapping(place, section)
        _check_mapping(f"{place}.shape", section.get("shape", {}))
    for method, settings in task.method_settings.items():
        if method not in task.methods:
            raise ValueError(f"{where}method_settings names {method}, which is not among the task's methods.")
        _check_mapping(f"{where}method_settings.{method}", settings)
    of_sizes = [set(_leaves(section)) for section in task.sizes.values()]
    for key in _leaves(student):
        if all(key in leaves for leaves in of_sizes):
            raise ValueError(
                f"{where}recipe.student.{key} (or an override of it) does nothing: every size sets it; change it in {where}sizes."
            )
    for name in task.remedies:
        if remedies[name].from_teacher:
            _check_from_teacher(where, name, task)


def _check_from_teacher(where: str, remedy: str, task: GridTask) -> None:
    """A student made of its teacher's layers has all else of it too; it must be what a student of its size is."""
    for size in task.students:
        for teacher_size in task.teachers:
            if not task.from_teacher_possible(teacher_size, size):
                continue
            student, teacher = task.student_of(size), task.student_of(teacher_size)
            if layers_of(student) is None:
                raise ValueError(
                    f"{where}sizes.{size} has a path and no layers; remedy {remedy} copies as many of the teacher's layers, so say how many."
                )
            one, other = (
                {key: value for key, value in _leaves(section).items() if key not in ("layers", "shape.layers")}
                for section in (student, teacher)
            )
            differing = [key for key in one | other if one.get(key) != other.get(key)]
            if differing:
                raise ValueError(
                    f"{where}remedies: {remedy} would give a student of size {size} the {differing[0]} of its {teacher_size} teacher, which differs; "
                    "use sizes that differ in layers alone, or leave the remedy out."
                )


def _check_mapping(where: str, section: object) -> None:
    if not isinstance(section, Mapping):
        raise ValueError(f"{where} must hold keys and values, not {section!r}.")


def _leaves(student: Mapping) -> dict[str, object]:
    """Keys and values of a ``student`` section, those of its shape as ``shape.KEY``."""
    shape = {f"shape.{key}": value for key, value in student.get("shape", {}).items()}
    return {key: value for key, value in student.items() if key != "shape"} | shape
