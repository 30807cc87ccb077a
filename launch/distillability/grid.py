"""A study of distillability at one scale, as it stands in its file."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

ERM = "erm"
"""Name that the file must give to the method without debiasing: what the others are compared with."""
_OF_THE_DISTILLATION = ("objective", "teacher", "ladder")
"""Sections of a recipe that say nothing to a student without a teacher."""


@dataclass(frozen=True)
class Method:
    """A debiasing method of the grid.

    Args:
        label: as tables print it; each method has its own.
        debiasing: the recipe's section of this name, without ``bias_model``; empty for ERM.
        distils: the method acts on the distillation alone (DeDiER), so there is no teacher nor a student without one that was trained with it; theirs
            are trained by ERM.
        self_distilled: settings of ``objective`` with which teachers and students alone are trained by a method that cannot do without a teacher
            (confidence regularisation): each is distilled from the model of its size and seed that ERM has trained.
    """

    label: str
    debiasing: dict = field(default_factory=dict)
    distils: bool = False
    self_distilled: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Remedy:
    """Something that is done differently in the distillation, compared with the same distillation without it.

    Args:
        label, question: as the page prints them; each remedy has a label of its own.
        changes: ``section.key=value`` for the recipe of the distilled student.
        ladder: sizes of the models between teacher and student (``teacher``, ``student``, or a size's name), for iterative distillation.
        from_teacher: the student begins with weights of its teacher, as many layers as its size has; only where it is no larger. The two sizes must differ
            in layers alone.
    """

    label: str
    question: str
    changes: list[str] = field(default_factory=list)
    ladder: list[str] = field(default_factory=list)
    from_teacher: bool = False

    @property
    def own_changes(self) -> list[str]:
        """Of the changes, those that a student without a teacher can be given too, such as other training data; by a student that has them
        and no teacher it is known what of the remedy's effect is the teacher's."""
        return [change for change in self.changes if change.split(".")[0] not in _OF_THE_DISTILLATION]


@dataclass(frozen=True)
class GridTask:
    """One task of the grid.

    Args:
        label: as the page prints it.
        question: a sentence.
        recipe: sections of a :class:`~evenhand.launch.task.recipe.TaskRecipe`, common to all its models; not those that a cell sets itself
            (``debiasing``, ``teacher``, ``ladder``, ``augmentation``, ``training.seed``, ``training.data_seed``).
        sizes: name -> ``student`` section of a model of this size, from the smallest to the largest; laid over the recipe's, value by value.
        teachers, students: names of sizes; all by default.
        methods: names of methods; all by default. ERM is always among them.
        remedies: names of remedies; none by default.
        remedied: methods for which remedies are tried; ERM alone by default.
        student_methods: how the distilled student itself is trained: ``plain`` (its own loss is cross-entropy: does the teacher's robustness survive?) and
            ``same`` (with the teacher's method: does a debiased student gain from its teacher?). Both by default.
        seeds: in the place of the scale's.
        why: settings of the ``internals`` measure for distilled students without remedy, and for those that begin with their teacher's weights: of these
            the page compares single heads too, whose numbers match only where one model began as a copy of the other. Empty: it is not taken.
        why_methods: methods for which it is.
        bias_model: section ``debiasing.bias_model`` of methods that need one.
        method_settings: method -> settings of it on this task.
    """

    label: str
    question: str
    recipe: dict
    sizes: dict[str, dict]
    teachers: list[str] = field(default_factory=list)
    students: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    remedies: list[str] = field(default_factory=list)
    remedied: list[str] = field(default_factory=lambda: [ERM])
    student_methods: list[str] = field(default_factory=lambda: ["plain", "same"])
    seeds: int | None = None
    why: dict = field(default_factory=dict)
    why_methods: list[str] = field(default_factory=lambda: [ERM])
    bias_model: dict = field(default_factory=dict)
    method_settings: dict[str, dict] = field(default_factory=dict)

    def student_of(self, size: str) -> dict:
        """``student`` section of a model of this size: the recipe's with the size's own values in it, those of ``shape`` one by one."""
        common, own = self.recipe.get("student") or {}, self.sizes[size]
        merged = common | own
        if "shape" in common and "shape" in own:
            merged["shape"] = common["shape"] | own["shape"]
        return copy.deepcopy(merged)

    def from_teacher_possible(self, teacher_size: str, size: str) -> bool:
        """Whether a student of this size can begin with its teacher's weights: it is no larger."""
        order = list(self.sizes)
        return order.index(size) <= order.index(teacher_size)


@dataclass(frozen=True)
class GridScale:
    """A size at which the study is run.

    Args:
        note: what it is, in a sentence.
        seeds: paired seeds of every cell.
        tasks: name -> task.
    """

    note: str
    tasks: dict[str, GridTask]
    seeds: int = 5


@dataclass(frozen=True)
class Grid:
    """A study of distillability at one scale, checked.

    Args:
        name, title, scale: as in the file.
        methods, remedies: by name.
        tasks: those of the scale, or of ``--task``, by name.
        settings: the scale as the file has it.
        paper: ``citation`` and what it found.
    """

    name: str
    title: str
    scale: str
    methods: Mapping[str, Method]
    remedies: Mapping[str, Remedy]
    tasks: Mapping[str, GridTask]
    settings: GridScale
    paper: Mapping[str, str] = field(default_factory=dict)

    def seeds_of(self, task: str) -> int:
        """Paired seeds of a task's cells."""
        return self.tasks[task].seeds or self.settings.seeds
