"""A study at one scale, as it stands in its file: arms, the sections of its page, and the scale's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evenhand.launch.planted_teacher import PlantedTeacher
from evenhand.launch.recipe import Recipe

ORIGINAL = "original"
"""Name of the teacher that the scale's recipe itself makes."""


@dataclass(frozen=True)
class StudyArm:
    """One student recipe of the study, trained once for each seed.

    Args:
        name: can be that of a folder, e.g. ``depth-3``.
        label: as tables print it.
        recipe: of this scale, complete but for the seed, the teacher's path and (planted) the corpus.
        teacher: ``original``, or the name of another teacher of the scale.
        seeds: number of students, of seeds 0 to ``seeds`` − 1.
        core: whether conclusions rest on it; the others are exploratory.
        value: of the sweep that made it, e.g. 3 layers.
    """

    name: str
    label: str
    recipe: Recipe
    teacher: str = ORIGINAL
    seeds: int = 1
    core: bool = False
    value: float | str | None = None


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Args:
        name: e.g. ``table1``; what ``--only`` takes.
        title, question: a plain sentence each.
        kind: ``arms`` (a table of arms), ``sweep`` (arms along their value, with a plot) or ``glue`` (scores on GLUE tasks).
        arms: names, in the order of the table.
        x_label: what a sweep's value is.
        printed: arm -> number's name (``C6``, ``mean``, ``glue``, ``MNLI``, …) -> the number as the paper prints it.
        notes: sentences below the table.
        also_against: arm -> a second arm that it is compared with, beside the one that every arm is: where the question is which of two does more.
        left_out: label of an arm that the file names here and the scale does not have -> the reason.
    """

    name: str
    title: str
    question: str
    kind: str = "arms"
    arms: tuple[str, ...] = ()
    x_label: str | None = None
    printed: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    also_against: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seeds:
    """Students of a core arm, and of any other."""

    core: int = 8
    other: int = 3


@dataclass(frozen=True)
class PlantedScale:
    """A scale whose corpus and teacher are made anew for each seed, with known associations.

    Args:
        associations: contrast -> strength, see :class:`evenhand.launch.planted_corpus.PlantedCorpus`.
        n_documents: of each corpus.
        teacher: size and training of each teacher.
    """

    associations: dict[str, float] = field(default_factory=dict)
    n_documents: int = 40_000
    teacher: PlantedTeacher = field(default_factory=PlantedTeacher)


@dataclass(frozen=True)
class GlueScale:
    """GLUE at this scale: settings of :class:`evenhand.evaluation.Glue`, and for how many seeds of an arm it is measured."""

    settings: dict
    seeds: int = 3
    arms: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scale:
    """A size at which a study is run.

    Args:
        note: what it is, in a sentence.
        recipe: sections of a recipe, common to all arms.
        seeds: students an arm.
        lists: values of the sweeps by name, e.g. ``depths``; an entry ``{value: 0.1, changes: [training.max_steps=60]}`` has changes of the
            recipe for this value alone, after the arm's own.
        cohort_size: arms that are trained together at most: memory grows with it, the teacher's work is shared by so many.
        vocabulary: cut the teacher's vocabulary to so many word pieces, those that the corpus uses most (None: as it is).
        teachers: further teachers, name -> changes of the recipe for ``evenhand debias-teacher``.
        exploratory: changes of the recipe of every arm that is not core, before its own, e.g. no ``watch``.
        changes: arm (before a sweep's values are filled in) -> changes of its recipe at this scale alone.
        glue: where GLUE is measured.
        planted: for a planted scale.
        without: section or arm (by name, or before a sweep's values are filled in) -> the reason why this scale does not have it.
        accelerate: config of accelerate that each training runs with (None: one process).
    """

    note: str
    recipe: dict
    seeds: Seeds = field(default_factory=Seeds)
    lists: dict[str, list] = field(default_factory=dict)
    cohort_size: int = 8
    vocabulary: int | None = None
    teachers: dict[str, dict] = field(default_factory=dict)
    exploratory: list[str] = field(default_factory=list)
    changes: dict[str, list[str]] = field(default_factory=dict)
    glue: GlueScale | None = None
    planted: PlantedScale | None = None
    without: dict[str, str] = field(default_factory=dict)
    accelerate: str | None = None

    def __post_init__(self) -> None:
        if self.cohort_size < 1:
            raise ValueError(f"cohort_size must be at least 1, not {self.cohort_size}.")
        if min(self.seeds.core, self.seeds.other) < 1:
            raise ValueError("seeds.core and seeds.other must be at least 1.")
        if ORIGINAL in self.teachers:
            raise ValueError(f"teachers.{ORIGINAL}: this is the name of the recipe's own teacher; choose another.")
        if self.planted is not None and self.vocabulary is not None:
            raise ValueError("vocabulary cuts a published teacher's; a planted one is made with its own. Leave it out.")


@dataclass(frozen=True)
class Study:
    """A study at one scale, every arm's recipe resolved and checked.

    Args:
        baseline: name of the arm that all others are compared with.
        arms: those of the sections and the baseline, by name, in the order in which sections name them first.
        settings: the scale as the file has it.
        paper: ``citation`` and further facts on what is reproduced.
        all_arms: every arm of the scale, those of other sections too: which students are one does not depend on what part of a study is run.
        titles: of every section of the file, and of the arms that the scale is without, by the names that ``settings.without`` has.
    """

    name: str
    title: str
    scale: str
    baseline: str
    arms: Mapping[str, StudyArm]
    sections: tuple[Section, ...]
    settings: Scale
    paper: Mapping[str, str] = field(default_factory=dict)
    all_arms: Mapping[str, StudyArm] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    memo: dict = field(default_factory=dict, init=False, repr=False, compare=False)
    """Hashes that were computed of this very study, see `cells`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "all_arms", {**self.all_arms, **self.arms})

    @property
    def scale_note(self) -> str:
        """What the scale is, in a sentence."""
        return self.settings.note
