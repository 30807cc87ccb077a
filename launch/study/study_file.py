"""A study as it stands in its file: scales, arms and the sections of its page, checked and filled in before anything starts."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from evenhand.launch.arms_file import changed
from evenhand.launch.cohort_directory import SHARED
from evenhand.launch.demo import PlantedTeacher
from evenhand.launch.recipe import Recipe, apply_override, build_section, read_packaged_yaml, recipe_from_dict
from evenhand.trainer.cohort import check_arm_names

PACKAGED = Path(__file__).resolve().parents[1] / "studies"
ORIGINAL = "original"
"""Name of the teacher that the scale's recipe itself makes."""
SECTION_KINDS = ("arms", "sweep", "glue")
OF_THE_SWEEP = "sweep"
"""Among printed numbers: those of a whole sweep, such as its correlation."""
TO_BE_FILLED_IN = "filled-in-by-the-study"
"""Stands for paths that are known only once a study directory and a seed are."""


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
    """

    name: str
    title: str
    question: str
    kind: str = "arms"
    arms: tuple[str, ...] = ()
    x_label: str | None = None
    printed: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


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
        lists: values of the sweeps by name, e.g. ``depths``.
        cohort_size: arms that are trained together at most: memory grows with it, the teacher's work is shared by so many.
        vocabulary: cut the teacher's vocabulary to so many word pieces, those that the corpus uses most (None: as it is).
        teachers: further teachers, name -> changes of the recipe for ``evenhand debias-teacher``.
        exploratory: changes of the recipe of every arm that is not core, before its own, e.g. no ``watch``.
        changes: arm (before a sweep's values are filled in) -> changes of its recipe at this scale alone.
        glue: where GLUE is measured.
        planted: for a planted scale.
        without: section -> the reason why this scale does not have it.
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


@dataclass(frozen=True)
class Study:
    """A study at one scale, every arm's recipe resolved and checked.

    Args:
        baseline: name of the arm that all others are compared with.
        arms: by name, in the order in which sections name them first.
        settings: the scale as the file has it.
        paper: ``citation`` and further facts on what is reproduced.
    """

    name: str
    title: str
    scale: str
    baseline: str
    arms: Mapping[str, StudyArm]
    sections: tuple[Section, ...]
    settings: Scale
    paper: Mapping[str, str] = field(default_factory=dict)

    @property
    def scale_note(self) -> str:
        """What the scale is, in a sentence."""
        return self.settings.note


@dataclass(frozen=True)
class _ArmEntry:
    label: str
    changes: list[str] = field(default_factory=list)
    teacher: str = ORIGINAL
    core: bool = False
    sweep: str | None = None


@dataclass(frozen=True)
class _SectionEntry:
    title: str
    question: str
    kind: str = "arms"
    arms: list[str] = field(default_factory=list)
    x_label: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _StudyEntry:
    title: str
    baseline: str
    scales: dict
    arms: dict
    sections: dict
    paper: dict = field(default_factory=dict)
    printed: str | None = None


def load_study(
    path: str | Path,
    scale: str,
    *,
    only: Iterable[str] | None = None,
    seeds: int | None = None,
    overrides: Sequence[str] = (),
) -> Study:
    """Read a study file, expand its sweeps at one scale, and check every arm's recipe.

    Args:
        path: a YAML file, or the name of a packaged study (``ahn2022``).
        scale: one of the file's scales.
        only: names of sections: no arms but theirs (and the baseline), no sections but these.
        seeds: students of every arm, in the place of the scale's numbers.
        overrides: ``section.key=value`` for the recipe of all arms, before an arm's own changes.

    Raises:
        FileNotFoundError: no such file. ValueError: an unknown key, scale, section or arm, a name that comes twice, or a recipe that cannot be; the
            place is named.
    """
    data = read_packaged_yaml(path, "studies", "Study")
    name = Path(path).stem
    try:
        entry: _StudyEntry = build_section(_StudyEntry, data, "")
        settings = _scale(entry, scale, overrides)
        wanted = _wanted_sections(entry, settings, only)
        arms = _expanded(entry, settings, seeds)
        printed = _printed(entry, Path(path))
        sections = tuple(_section(key, entry, arms, printed.get(key) or {}) for key in wanted)
    except ValueError as error:
        raise ValueError(f"Study {path}: {error}") from None
    if entry.baseline not in arms:
        raise ValueError(f"Study {path}: baseline {entry.baseline} is no arm; the arms are {', '.join(arms)}.")
    named = dict.fromkeys([entry.baseline, *(arm for section in sections for arm in section.arms)])
    kept = {arm: arms[arm] for arm in named}
    return Study(name, entry.title, scale, entry.baseline, kept, sections, settings, entry.paper)


def _scale(entry: _StudyEntry, scale: str, overrides: Sequence[str]) -> Scale:
    if scale not in entry.scales:
        raise ValueError(f"there is no scale {scale}; it has {', '.join(entry.scales)}.")
    data = copy.deepcopy(entry.scales[scale])
    settings = build_section(Scale, data, f"scales.{scale}.")
    for override in overrides:
        apply_override(settings.recipe, override)
    unknown = [name for name in settings.changes if name not in entry.arms]
    unknown += [name for name in settings.without if name not in entry.sections]
    if unknown:
        raise ValueError(f"scales.{scale} speaks of {unknown[0]}, which is neither an arm nor a section.")
    return settings


def _wanted_sections(entry: _StudyEntry, settings: Scale, only: Iterable[str] | None) -> list[str]:
    names = list(entry.sections) if only is None else list(dict.fromkeys(only))
    for name in names:
        if name not in entry.sections:
            raise ValueError(f"there is no section {name}; it has {', '.join(entry.sections)}.")
        if only is not None and name in settings.without:
            raise ValueError(f"section {name} is not for this scale: {settings.without[name]}")
    return [name for name in names if name not in settings.without]


def _expanded(entry: _StudyEntry, settings: Scale, seeds: int | None) -> dict[str, StudyArm]:
    """All arms of the file at this scale; a sweep gives one for each value."""
    if seeds is not None and seeds < 1:
        raise ValueError(f"--seeds must be at least 1, not {seeds}.")
    arms: dict[str, StudyArm] = {}
    for pattern, data in entry.arms.items():
        spec: _ArmEntry = build_section(_ArmEntry, data, f"arms.{pattern}.")
        if spec.teacher != ORIGINAL and spec.teacher not in settings.teachers:
            continue  # a scale without that teacher has no such arm; a section that names it says so
        if spec.sweep is not None and spec.sweep not in settings.lists:
            raise ValueError(f"arms.{pattern}: the scale has no list {spec.sweep}.")
        for value in [None] if spec.sweep is None else settings.lists[spec.sweep]:
            name = _filled(pattern, value)
            if name in arms:
                raise ValueError(f"arms.{pattern}: the arm {name} comes twice; its name needs {{value}}.")
            arms[name] = _arm(name, spec, settings, settings.changes.get(pattern, []), value, seeds)
    check_arm_names(arms)
    if SHARED in arms:
        raise ValueError(f"No arm can be called {SHARED}: that folder holds what arms share.")
    return arms


def _arm(
    name: str, spec: _ArmEntry, settings: Scale, of_scale: list[str], value: object, seeds: int | None
) -> StudyArm:
    recipe = copy.deepcopy(settings.recipe)
    recipe.setdefault("teacher", {}).setdefault("path", TO_BE_FILLED_IN)
    if settings.planted is not None:
        recipe.setdefault("corpus", {})["sources"] = [{"path": TO_BE_FILLED_IN}]
    try:
        if "seed" in recipe.get("training", {}):
            raise ValueError("training.seed is the study's own; leave it out of the recipe.")
        of_all = [] if spec.core else settings.exploratory
        changes = [_filled(change, value) for change in (*of_all, *spec.changes, *of_scale)]
        resolved = recipe_from_dict(changed(recipe, changes))
    except ValueError as error:
        raise ValueError(f"arm {name}: {error}") from None
    usual = settings.seeds.core if spec.core else settings.seeds.other
    return StudyArm(name, _filled(spec.label, value), resolved, spec.teacher, seeds or usual, spec.core, value)


def _filled(text: str, value: object) -> str:
    return text if value is None else text.replace("{value}", str(value))


def _section(name: str, entry: _StudyEntry, arms: Mapping[str, StudyArm], printed: Mapping) -> Section:
    spec: _SectionEntry = build_section(_SectionEntry, entry.sections[name], f"sections.{name}.")
    if spec.kind not in SECTION_KINDS:
        raise ValueError(f"sections.{name}.kind must be one of {', '.join(SECTION_KINDS)}, not {spec.kind!r}.")
    named = []
    for pattern in spec.arms:
        if pattern not in entry.arms:
            raise ValueError(f"sections.{name} names the arm {pattern}, which is not among arms.")
        prefix = _filled(pattern, "\0").split("\0")
        found = [arm for arm in arms if arm == pattern or (len(prefix) == 2 and _is_made_of(arm, prefix, arms))]
        named += found
    strange = [arm for arm in printed if arm not in (*entry.arms, *arms, OF_THE_SWEEP)]
    if strange:
        raise ValueError(f"the printed numbers of {name} name the arm {strange[0]}, which is not among arms.")
    facts = {key: value for key, value in dataclasses.asdict(spec).items() if key not in ("arms", "notes")}
    return Section(name, **facts, arms=tuple(named), printed=printed, notes=tuple(spec.notes))


def _is_made_of(arm: str, prefix: list[str], arms: Mapping[str, StudyArm]) -> bool:
    """Whether ``arm`` is one of a sweep's, whose name is ``prefix`` with its value between."""
    return arms[arm].value is not None and arm == f"{prefix[0]}{arms[arm].value}{prefix[1]}"


def _printed(entry: _StudyEntry, path: Path) -> dict:
    """The paper's numbers by section, from the file that the study names: one beside it, or a packaged one."""
    if entry.printed is None:
        return {}
    folders = [path.parent] if path.is_file() else []
    found = [folder / entry.printed for folder in (*folders, PACKAGED) if (folder / entry.printed).is_file()]
    if not found:
        raise ValueError(f"printed: there is no file {entry.printed} beside the study or among the packaged ones.")
    try:
        return yaml.safe_load(found[0].read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"printed: {found[0]} is not valid YAML: {' '.join(str(error).split())}") from None
