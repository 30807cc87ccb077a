"""Reading a file of ``kind: distillability``, and checking all of it before anything runs."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evenhand.launch.distillability.grid import ERM, Grid, GridScale, GridTask, Method, Remedy
from evenhand.launch.distillability.grid_checks import (
    check_labels,
    check_method,
    check_once,
    check_remedy,
    check_task_settings,
)
from evenhand.launch.recipe_reading import apply_override, build_section, read_packaged_yaml

KIND = "distillability"
STUDENT_METHODS = ("plain", "same")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
"""Names are parts of folders' names."""


@dataclass(frozen=True)
class _GridEntry:
    kind: str
    title: str
    methods: dict
    scales: dict
    remedies: dict = field(default_factory=dict)
    paper: dict = field(default_factory=dict)


def load_grid(
    path: str | Path,
    scale: str,
    *,
    tasks: Iterable[str] | None = None,
    seeds: int | None = None,
    overrides: Sequence[str] = (),
) -> Grid:
    """Read a study of distillability at one scale.

    Args:
        path: a YAML file, or the name of a packaged study (``distillability``).
        scale: one of the file's scales.
        tasks: names of tasks; all of the scale by default.
        seeds: in the place of the numbers in the file.
        overrides: ``section.key=value`` for the recipes of all models, before what methods, sizes and remedies change;
            one of a value that every size or each cell sets itself is refused, since it would do nothing.

    Raises:
        FileNotFoundError: no such file. ValueError: an unknown key or name, one that is listed twice, a label of two methods or remedies, a size that no
            model can have, no ERM, a recipe that cannot be; the place is named.
    """
    chosen = None if tasks is None else list(dict.fromkeys(tasks))
    data = read_packaged_yaml(path, "studies", "Study")
    try:
        if data.get("kind") != KIND:
            raise ValueError(f"kind must be {KIND}, not {data.get('kind')!r}.")
        entry: _GridEntry = build_section(_GridEntry, data, "")
        methods = {name: build_section(Method, given, f"methods.{name}.") for name, given in entry.methods.items()}
        remedies = {name: build_section(Remedy, given, f"remedies.{name}.") for name, given in entry.remedies.items()}
        if ERM not in methods or methods[ERM].debiasing:
            raise ValueError(f"methods.{ERM} must be there, without debiasing: all others are compared with it.")
        settings = _scale(entry, scale, seeds, overrides, chosen)
        for name in (*methods, *remedies, *settings.tasks):
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name: small letters, digits, - and _ only.")
        for name, method in methods.items():
            check_method(name, method)
        for name, remedy in remedies.items():
            check_remedy(name, remedy)
        check_labels("methods", methods)
        check_labels("remedies", remedies)
        found = {name: _task(name, task, methods, remedies) for name, task in settings.tasks.items()}
        wanted = list(found) if chosen is None else chosen
        unknown = [name for name in wanted if name not in found]
        if unknown:
            raise ValueError(f"scale {scale} has no task {unknown[0]}; it has {', '.join(found)}.")
    except ValueError as error:
        raise ValueError(f"Study {path}: {error}") from None
    return Grid(
        Path(path).stem,
        entry.title,
        scale,
        methods,
        remedies,
        {name: found[name] for name in wanted},
        settings,
        entry.paper,
    )


def _scale(
    entry: _GridEntry, scale: str, seeds: int | None, overrides: Sequence[str], chosen: Sequence[str] | None
) -> GridScale:
    if scale not in entry.scales:
        raise ValueError(f"there is no scale {scale}; it has {', '.join(map(str, entry.scales))}.")
    given = entry.scales[scale]
    if isinstance(given, Mapping) and "accelerate" in given:
        raise ValueError(
            f"scales.{scale}.accelerate: a cell trains its models in one process; leave it out, and spread the cells with --launcher slurm."
        )
    settings: GridScale = build_section(GridScale, copy.deepcopy(given), f"scales.{scale}.")
    tasks = {}
    for name, given in settings.tasks.items():
        where = f"scales.{scale}.tasks.{name}."
        task: GridTask = build_section(GridTask, given, where)
        # what is said of the chosen tasks need not be possible for the others
        for override in overrides if chosen is None or name in chosen else ():
            apply_override(task.recipe, override)
        tasks[name] = dataclasses.replace(task, seeds=seeds or task.seeds)
    if not tasks:
        raise ValueError(f"scales.{scale}.tasks is empty; name at least one task.")
    counts = {"seeds": settings.seeds} | {f"tasks.{name}.seeds": task.seeds for name, task in tasks.items()}
    for where, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"scales.{scale}.{where} must be at least 1, not {count}.")
    return dataclasses.replace(settings, tasks=tasks, seeds=seeds or settings.seeds)


def _task(name: str, task: GridTask, methods: Mapping[str, Method], remedies: Mapping[str, Remedy]) -> GridTask:
    """With every default filled in, and its names checked."""
    where = f"tasks.{name}."
    if not task.sizes:
        raise ValueError(f"{where}sizes is empty; name at least one.")
    chosen = {
        "teachers": (task.teachers or list(task.sizes), task.sizes),
        "students": (task.students or list(task.sizes), task.sizes),
        "methods": (task.methods or list(methods), methods),
        "remedies": (task.remedies, remedies),
        "remedied": (task.remedied, methods),
        "why_methods": (task.why_methods, methods),
        "method_settings": (list(task.method_settings), methods),
    }
    for key, (names, known) in chosen.items():
        unknown = [one for one in names if one not in known]
        if unknown:
            raise ValueError(f"{where}{key} names {unknown[0]}, which is not among {', '.join(known)}.")
        check_once(f"{where}{key}", names)
    strange = [how for how in task.student_methods if how not in STUDENT_METHODS]
    if strange or not task.student_methods:
        raise ValueError(f"{where}student_methods are of {', '.join(STUDENT_METHODS)}, not {task.student_methods}.")
    check_once(f"{where}student_methods", task.student_methods)
    if "data" not in (task.recipe.get("task") or {}):
        raise ValueError(f"{where}recipe.task.data is missing; name the data with groups.")
    names = chosen["methods"][0]
    outside = [one for one in (*task.remedied, *task.why_methods) if one not in names]
    if outside:
        raise ValueError(f"{where}remedied and why_methods must be among the task's methods; {outside[0]} is not.")
    task = dataclasses.replace(
        task,
        teachers=[size for size in task.sizes if size in chosen["teachers"][0]],
        students=[size for size in task.sizes if size in chosen["students"][0]],
        # ERM first: it is what the others are compared with
        methods=[ERM, *(one for one in names if one != ERM)],
    )
    check_task_settings(where, task, remedies)
    return task
