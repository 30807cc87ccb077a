"""A study file, checked and filled in before anything starts."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evenhand.launch.recipe_reading import apply_override, build_section, read_packaged_yaml
from evenhand.launch.study.base_recipe import TO_BE_FILLED_IN
from evenhand.launch.study.study_arms import LeftOut, expand_arms, filled, names_of
from evenhand.launch.study.study_checks import check_scale, check_types
from evenhand.launch.study.study_parts import ORIGINAL, GlueScale, PlantedScale, Scale, Section, Seeds, Study, StudyArm
from evenhand.launch.unique_keys import read_unique

__all__ = [
    "ORIGINAL", "TO_BE_FILLED_IN", "GlueScale", "PlantedScale", "Scale", "Section", "Seeds", "Study", "StudyArm", "load_study",
]  # fmt: skip

PACKAGED = Path(__file__).resolve().parents[1] / "studies"
SECTION_KINDS = ("arms", "sweep", "glue")
OF_THE_SWEEP = "sweep"
"""Among printed numbers: those of a whole sweep, such as its correlation."""


@dataclass(frozen=True)
class _SectionEntry:
    title: str
    question: str
    kind: str = "arms"
    arms: list[str] = field(default_factory=list)
    x_label: str | None = None
    notes: list[str] = field(default_factory=list)
    also_against: dict[str, str] = field(default_factory=dict)


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
        FileNotFoundError: no such file. ValueError: an unknown key, scale, section or arm, a name or key that comes twice, a change that would be
            ignored, or a recipe that cannot be; the place is named.
    """
    data = read_packaged_yaml(path, "studies", "Study")
    name = Path(path).stem
    try:
        entry: _StudyEntry = build_section(_StudyEntry, data, "")
        settings = _scale(entry, scale, overrides)
        wanted = _wanted_sections(entry, settings, only)
        arms, left_out = expand_arms(entry.arms, settings, _teachers(entry), seeds)
        if entry.baseline in settings.without:
            raise ValueError(
                f"scales.{scale}.without names the baseline {entry.baseline}, which no scale can be without."
            )
        if entry.baseline not in arms:
            raise ValueError(f"baseline {entry.baseline} is no arm; the arms are {', '.join(arms)}.")
        printed = _printed(entry, Path(path))
        sections = [_section(key, entry, arms, left_out, printed.get(key) or {}) for key in wanted]
        sections = _with_arms(sections, only)
    except ValueError as error:
        raise ValueError(f"Study {path}: {error}") from None
    named = dict.fromkeys([entry.baseline, *(arm for section in sections for arm in section.arms)])
    kept = {arm: arms[arm] for arm in named}
    titles = {key: section["title"] for key, section in entry.sections.items() if "title" in section}
    titles |= {one.name: one.label for one in left_out}
    return Study(name, entry.title, scale, entry.baseline, kept, tuple(sections), settings, entry.paper, arms, titles)


def _scale(entry: _StudyEntry, scale: str, overrides: Sequence[str]) -> Scale:
    if scale not in entry.scales:
        raise ValueError(f"there is no scale {scale}; it has {', '.join(map(str, entry.scales))}.")
    settings = build_section(Scale, copy.deepcopy(entry.scales[scale]), f"scales.{scale}.")
    try:
        check_types(settings)
        for override in overrides:
            apply_override(settings.recipe, override)
        names = {name for pattern in entry.arms for name in (pattern, *names_of(pattern, entry.arms, settings))}
        unknown = [name for name in settings.changes if name not in entry.arms]
        unknown += [name for name in settings.without if name not in entry.sections and name not in names]
        if unknown:
            raise ValueError(f"it speaks of {unknown[0]}, which is neither an arm nor a section.")
        twofold = [name for name in settings.without if name in entry.sections and name in names]
        if twofold:
            raise ValueError(f"without.{twofold[0]} is both a section and an arm; rename one.")
        check_scale(settings, names)
    except ValueError as error:
        raise ValueError(f"scales.{scale}: {error}") from None
    return settings


def _teachers(entry: _StudyEntry) -> list[str]:
    """Names of the further teachers of all scales."""
    found = [scale["teachers"] for scale in entry.scales.values() if isinstance(scale, dict) and scale.get("teachers")]
    return list(dict.fromkeys(name for teachers in found if isinstance(teachers, dict) for name in teachers))


def _wanted_sections(entry: _StudyEntry, settings: Scale, only: Iterable[str] | None) -> list[str]:
    names = list(entry.sections) if only is None else list(dict.fromkeys(only))
    for name in names:
        if name not in entry.sections:
            raise ValueError(f"there is no section {name}; it has {', '.join(entry.sections)}.")
        if only is not None and name in settings.without:
            raise ValueError(f"section {name} is not for this scale: {settings.without[name]}")
    return [name for name in names if name not in settings.without]


def _section(
    name: str, entry: _StudyEntry, arms: Mapping[str, StudyArm], left_out: Sequence[LeftOut], printed: object
) -> Section:
    spec: _SectionEntry = build_section(_SectionEntry, entry.sections[name], f"sections.{name}.")
    if spec.kind not in SECTION_KINDS:
        raise ValueError(f"sections.{name}.kind must be one of {', '.join(SECTION_KINDS)}, not {spec.kind!r}.")
    named = []
    for pattern in spec.arms:
        if pattern not in entry.arms:
            raise ValueError(f"sections.{name} names the arm {pattern}, which is not among arms.")
        prefix = filled(pattern, "\0").split("\0")
        named += [arm for arm in arms if arm == pattern or (len(prefix) == 2 and _is_made_of(arm, prefix, arms))]
    if not isinstance(printed, dict) or not all(isinstance(numbers, dict) for numbers in printed.values()):
        raise ValueError(f"the printed numbers of {name} must be arms, each with its numbers by name.")
    known = (*entry.arms, *arms, *(one.name for one in left_out), OF_THE_SWEEP)
    strange = [arm for arm in printed if arm not in known]
    if strange:
        raise ValueError(f"the printed numbers of {name} name the arm {strange[0]}, which is not among arms.")
    facts = {key: value for key, value in dataclasses.asdict(spec).items() if key not in ("arms", "notes")}
    facts["also_against"] = _also_against(name, spec, arms)
    missing = {one.label: one.reason for pattern in spec.arms for one in left_out if one.pattern == pattern}
    return Section(name, **facts, arms=tuple(named), printed=printed, notes=tuple(spec.notes), left_out=missing)


def _also_against(name: str, spec: _SectionEntry, arms: Mapping[str, StudyArm]) -> dict[str, str]:
    """The pairs of which this scale has both arms."""
    for pair in spec.also_against.items():
        strange = [arm for arm in pair if arm not in spec.arms]
        if strange:
            raise ValueError(f"sections.{name}.also_against names {strange[0]}, which is not among the section's arms.")
        if pair[0] == pair[1]:
            raise ValueError(f"sections.{name}.also_against compares {pair[0]} with itself.")
    return {one: other for one, other in spec.also_against.items() if one in arms and other in arms}


def _is_made_of(arm: str, prefix: list[str], arms: Mapping[str, StudyArm]) -> bool:
    """Whether ``arm`` is one of a sweep's, whose name is ``prefix`` with its value between."""
    return arms[arm].value is not None and arm == f"{prefix[0]}{arms[arm].value}{prefix[1]}"


def _with_arms(sections: Sequence[Section], only: Iterable[str] | None) -> list[Section]:
    """The sections but those whose every arm the scale is without."""
    empty = [section for section in sections if section.left_out and not section.arms]
    if empty and only is not None:
        reason = next(iter(empty[0].left_out.values()))
        raise ValueError(f"section {empty[0].name} is not for this scale, which has none of its arms: {reason}")
    return [section for section in sections if section not in empty]


def _printed(entry: _StudyEntry, path: Path) -> dict:
    """The paper's numbers by section, from the file that the study names: one beside it, or a packaged one."""
    if entry.printed is None:
        return {}
    folders = [path.parent] if path.is_file() else []
    found = [folder / entry.printed for folder in (*folders, PACKAGED) if (folder / entry.printed).is_file()]
    if not found:
        raise ValueError(f"printed: there is no file {entry.printed} beside the study or among the packaged ones.")
    data = read_unique(found[0], "printed:")
    if not isinstance(data, dict):
        raise ValueError(f"printed: {found[0]} must hold keys and values, not a {type(data).__name__}.")
    return data
