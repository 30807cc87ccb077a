"""The models of a grid: every one with its recipe and the key by which its report is found."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

from evenhand.launch.distillability.grid import ERM, Grid, GridTask
from evenhand.launch.recipe_reading import apply_override
from evenhand.launch.task.recipe import TaskRecipe, TaskStudentSection, task_recipe_from_dict
from evenhand.trainer.classifiers import ClassifierShape
from evenhand.trainer.debiasing import DebiasingMethod, debiasing_method

TEACHER, ALONE, DISTILLED = "teacher", "alone", "distilled"
"""Roles: f_T, f_S and g of Cheng et al. 2025."""
ALONE_SEED = 1000
"""Added to the seed of f_S and g: first weights and order of data are theirs together, and not those of the teacher of the same seed, so that a student
of its teacher's size is another training and not the same one twice."""
NO_REMEDY = "none"


@dataclass(frozen=True)
class GridModel:
    """One model of the grid.

    Args:
        task, method, seed: of its cell.
        role: ``teacher`` (f_T, trained without distillation), ``alone`` (f_S, the student trained without) or ``distilled`` (g).
        size: of the model itself.
        teacher_size: of g's teacher.
        student_method: of g: ``plain`` or ``same``.
        remedy: a remedy's name, or ``none``; of f_S only one that changes the student's own training and can do without a teacher.
        rungs: sizes of the models of the recipe's ladder, from its teacher on.
        recipe: complete but for the teacher's path.
        teacher: key of the model that it is distilled from; None for one that is trained alone.
        why: settings of the measure that looks inside; empty where it is not taken.
        key: hash of everything that decides model and report.
    """

    task: str
    method: str
    seed: int
    role: str
    size: str
    recipe: TaskRecipe
    teacher_size: str | None = None
    student_method: str = "plain"
    remedy: str = NO_REMEDY
    rungs: tuple[str, ...] = ()
    teacher: str | None = None
    why: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Folder of the model within its cell."""
        how = "" if self.remedy == NO_REMEDY else f"-{self.remedy}"
        if self.role != DISTILLED:
            return f"{self.role}-{self.size}{how}"
        return f"{self.role}-{self.teacher_size}-to-{self.size}-{self.student_method}{how}"

    @property
    def model_key(self) -> str:
        """Hash of everything that decides the model."""
        return _digest([self.recipe.sha256, self.teacher])

    @property
    def key(self) -> str:
        """Hash of everything that decides its report."""
        return _digest([self.model_key, self.recipe.to_dict()["evaluation"], dict(self.why)])


def models_of(grid: Grid, task: str, method: str, seed: int) -> list[GridModel]:
    """The models of one cell, each after the one it is distilled from.

    Raises:
        ValueError: a recipe that cannot be; the model is named.
    """
    return list(_Cell(grid, task, method, seed).models())


def all_models(grid: Grid) -> Iterator[GridModel]:
    """Every model of the grid, cell by cell: all methods of a seed before the next seed, so that an unfinished study has whole seeds."""
    for task, settings in grid.tasks.items():
        for seed in range(grid.seeds_of(task)):
            for method in settings.methods:
                yield from models_of(grid, task, method, seed)


class _Cell:
    def __init__(self, grid: Grid, task: str, method: str, seed: int) -> None:
        self.grid, self.task, self.method, self.seed = grid, task, method, seed
        self.settings: GridTask = grid.tasks[task]

    def models(self) -> Iterator[GridModel]:
        settings, chosen = self.settings, self.grid.methods[self.method]
        # a method of the distillation alone has the teachers and students of ERM, which are made in ERM's cell
        own = self if not chosen.distils else _Cell(self.grid, self.task, ERM, self.seed)
        teachers = [own._model(TEACHER, size) for size in settings.teachers]
        variants = self._variants(self.method)
        if not chosen.distils:
            yield from teachers
            yield from (self._model(ALONE, size) for size in settings.students)
            yield from self._alone_with_remedies()
        for teacher in teachers:
            for size in settings.students:
                for variant in variants:
                    yield self._distilled(teacher, size, variant, NO_REMEDY)
                if self.method in settings.remedied:
                    for remedy in settings.remedies:
                        if self._possible(remedy, teacher.size, size):
                            yield self._distilled(teacher, size, variants[0], remedy)

    def _variants(self, method: str) -> list[str]:
        """How students are trained that are distilled from teachers of this method; remedies are tried on the first."""
        if self.grid.methods[method].distils:
            return ["same"]
        return self.settings.student_methods if method != ERM else ["plain"]

    def _alone_with_remedies(self) -> Iterator[GridModel]:
        """f_S with each remedy that changes the student's own training, made once for all methods whose g with it is trained as these are."""
        wanted = {self._trains(method) for method in self.settings.remedied}
        for remedy in self.settings.remedies if self.method in wanted else ():
            if self._possible_alone(remedy):
                yield from (self._model(ALONE, size, remedy) for size in self.settings.students)

    def _possible_alone(self, remedy: str) -> bool:
        """Whether a remedy changes the student's own training, and not to a method that needs a teacher, as DeDiER does."""
        if not self.grid.remedies[remedy].own_changes:
            return False
        without, with_it = (self._model(ALONE, self.settings.students[0], one).recipe for one in (NO_REMEDY, remedy))
        return with_it.debiasing.method == without.debiasing.method or not _method(with_it).needs_teacher

    def _trains(self, method: str) -> str:
        """The method by which the student is trained that remedies are tried on."""
        own = self._variants(method)[0] == "same" and not self.grid.methods[method].distils
        return method if own else ERM

    def _possible(self, remedy: str, teacher_size: str, size: str) -> bool:
        return not self.grid.remedies[remedy].from_teacher or self.settings.from_teacher_possible(teacher_size, size)

    def _model(self, role: str, size: str, remedy: str = NO_REMEDY) -> GridModel:
        data = self._base(size, self.method, self.seed + (ALONE_SEED if role == ALONE else 0))
        for change in self.grid.remedies[remedy].own_changes if remedy != NO_REMEDY else ():
            apply_override(data, change)
        objective = self.grid.methods[self.method].self_distilled
        data["objective"] = (data.get("objective") or {}) | (objective or {"alpha": 0.0})
        first = _Cell(self.grid, self.task, ERM, self.seed)._model(role, size).model_key if objective else None
        return self._made(data, role=role, size=size, method=self.method, remedy=remedy, teacher=first)

    def _distilled(self, teacher: GridModel, size: str, variant: str, remedy: str) -> GridModel:
        method = self.method if variant == "same" else ERM
        data, rungs = self._base(size, method, self.seed + ALONE_SEED), ()
        looked_into = self.method in self.settings.why_methods
        if remedy != NO_REMEDY:
            chosen = self.grid.remedies[remedy]
            looked_into &= chosen.from_teacher and not chosen.ladder  # of a ladder it begins with the last rung's
            for change in chosen.changes:
                apply_override(data, change)
            if chosen.from_teacher:
                data["student"] = {"initialisation": "teacher", "layers": layers_of(self.settings.student_of(size))}
            if chosen.ladder:
                rungs = tuple(self._rung(rung, teacher.size, size) for rung in chosen.ladder)
                # an empty section would be the student's own
                data["ladder"] = [self.settings.student_of(rung) or asdict(TaskStudentSection()) for rung in rungs]
        why = self.settings.why if looked_into else {}
        return self._made(
            data, role=DISTILLED, size=size, method=self.method, teacher_size=teacher.size, student_method=variant, remedy=remedy,
            rungs=rungs, teacher=teacher.model_key, why=why,
        )  # fmt: skip

    def _rung(self, rung: str, teacher_size: str, size: str) -> str:
        """Name of the size that an entry of a remedy's ladder stands for."""
        name = {"teacher": teacher_size, "student": size}.get(rung, rung)
        if name not in self.settings.sizes:
            raise ValueError(f"tasks.{self.task}: a remedy's ladder names the size {name}, which it does not have.")
        return name

    def _base(self, size: str, method: str, seed: int) -> dict:
        settings = self.settings
        data = copy.deepcopy(settings.recipe)
        data["student"] = settings.student_of(size)
        data["training"] = (data.get("training") or {}) | {"seed": seed}
        debiasing = copy.deepcopy(self.grid.methods[method].debiasing)
        if debiasing:
            if method in settings.method_settings:
                debiasing["settings"] = debiasing.get("settings", {}) | settings.method_settings[method]
            made = debiasing_method(debiasing.get("method", ERM), **debiasing.get("settings", {}))
            if made.needs_bias_log_probs:
                debiasing["bias_model"] = copy.deepcopy(settings.bias_model)
            data["debiasing"] = debiasing
        return data

    def _made(self, data: dict, **facts) -> GridModel:
        try:
            recipe = task_recipe_from_dict(data)
            _check_objective(recipe, facts["teacher"] is not None)
        except ValueError as error:
            raise ValueError(
                f"task {self.task}, method {self.method}, {facts['role']} {facts['size']}: {error}"
            ) from None
        return GridModel(task=self.task, seed=self.seed, recipe=recipe, **facts)


def layers_of(student: dict) -> int | dict[str, int] | None:
    """Layers of a ``student`` section (by stack where it says so), by which a student made from its teacher's weights has as many; None where only its
    checkpoint knows."""
    layers = student.get("layers")
    if layers is None and not student.get("path"):
        layers = student.get("shape", {}).get("layers", ClassifierShape.layers)
    # which of the checkpoint's layers they are says nothing about the teacher's
    if isinstance(layers, dict):
        return {stack: len(chosen) if isinstance(chosen, list) else chosen for stack, chosen in layers.items()}
    return len(layers) if isinstance(layers, list) else layers


def _check_objective(recipe: TaskRecipe, has_teacher: bool) -> None:
    """Refuse here what would fail only after the teachers have been trained."""
    from_weights = recipe.student.initialisation == "teacher"
    if not has_teacher:
        if from_weights:
            raise ValueError("student.initialisation=teacher: it has no teacher; use a remedy with from_teacher.")
        return
    if recipe.objective.needs_teacher:
        return
    if not from_weights or recipe.ladder or _method(recipe).needs_teacher:
        raise ValueError("objective.alpha is 0, so nothing would be distilled from its teacher; set it above 0.")


def _method(recipe: TaskRecipe) -> DebiasingMethod:
    return debiasing_method(recipe.debiasing.method, **recipe.debiasing.settings)


def _digest(parts: list) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
