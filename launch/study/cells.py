"""What a study trains: cells, each one training of one or several arms of one seed, and the hashes that tell them apart.

An arm's student is known by the hash of all that decides it (recipe, seed, how its teacher was made), its report by that and how it is
measured. So a changed study file makes anew what it touches and nothing else, and arms of equal recipes are trained once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from evenhand.launch.cohort_directory import common_recipe
from evenhand.launch.recipe import EvaluationSection, Recipe, build_section, decisive_sections
from evenhand.launch.study.study_file import ORIGINAL, Study, StudyArm

_SHOWN = 12
"""Digits of a hash in a folder's name."""


@dataclass(frozen=True)
class Cell:
    """One training of one or several arms of one seed.

    Args:
        name: folder below ``cohorts`` in the study's directory.
        seed: of the students, and on a planted scale of their corpus and teacher.
        recipes: arm -> its recipe, complete: seed, teacher's path and corpus filled in.
        keys: arm -> key of its report, see `report_key`.
    """

    name: str
    seed: int
    recipes: Mapping[str, Recipe]
    keys: Mapping[str, str]


def teacher_key(study: Study, name: str, seed: int) -> str:
    """Hash of what decides a teacher of the study; of the seed only on a planted scale, where each has its own."""
    scale = study.settings
    base = {key: scale.recipe.get(key) for key in ("teacher", "corpus")}
    decisive = {"recipe": base, "vocabulary": scale.vocabulary}
    if scale.planted is not None:
        decisive |= {"planted": dataclasses.asdict(scale.planted), "seed": seed}
    if name != ORIGINAL:
        decisive |= {"changes": scale.teachers[name]}
    return _digest(decisive)


def student_key(study: Study, arm: StudyArm, seed: int) -> str:
    """Hash of what decides a student: its recipe, its seed, its teacher."""
    recipe = decisive_sections(arm.recipe.to_dict())
    # where the teacher lies says nothing; how it was made does
    recipe["teacher"] = None
    return _digest({"recipe": recipe, "seed": seed, "teacher": teacher_key(study, arm.teacher, seed)})


def report_key(study: Study, arm: StudyArm, seed: int) -> str:
    """Hash of what decides a report: the student, and how it is measured."""
    return _digest({"student": student_key(study, arm, seed), "evaluation": evaluation_of(study, arm, seed)})


def evaluation_of(study: Study, arm: StudyArm, seed: int) -> dict:
    """The evaluation section of a student, as plain values; with GLUE where the scale wants it for this arm and seed."""
    section = dataclasses.asdict(arm.recipe.evaluation)
    if has_glue(study, arm, seed):
        section["measures"] = section["measures"] | {"glue": study.settings.glue.settings}
    return section


def has_glue(study: Study, arm: StudyArm, seed: int) -> bool:
    """Whether GLUE is measured for this student: arms of equal recipes are one student, and measured in one way."""
    glue = study.settings.glue
    if glue is None or seed >= glue.seeds:
        return False
    own = student_key(study, arm, seed)
    return any(student_key(study, study.arms[name], seed) == own for name in glue.arms if name in study.arms)


def wanted_students(study: Study) -> dict[tuple[str, int], str]:
    """(arm, seed) -> key of its report, of all arms and seeds."""
    return {(arm.name, seed): report_key(study, arm, seed) for arm in study.arms.values() for seed in range(arm.seeds)}


def group_arms(study: Study, students: Iterable[tuple[str, int]]) -> list[tuple[int, list[str]]]:
    """Students that are to be trained, as (seed, arms) of one training each.

    Together are arms of one seed that share a teacher's pass: that differ only where a cohort's arms may. Arms of equal recipes are named
    once, by the first. What is core comes first, so that a study that is cut off has what its conclusions rest on; within that, seed by
    seed, so that all arms of a seed are paired.
    """
    order = list(study.arms)
    groups: dict[tuple, list[str]] = {}
    seen: set[str] = set()
    for name, seed in sorted(students, key=lambda s: (not study.arms[s[0]].core, s[1], order.index(s[0]))):
        arm = study.arms[name]
        key = student_key(study, arm, seed)
        if key not in seen:
            seen.add(key)
            common = json.dumps(common_recipe(arm.recipe).to_dict(), sort_keys=True)
            groups.setdefault((not arm.core, seed, arm.teacher, common), []).append(name)
    size = study.settings.cohort_size
    found = []
    for (_, seed, *_), names in groups.items():
        n_cells = -(-len(names) // size)
        # as equal as can be: nine arms are five and four, not eight and one
        found += [(seed, names[index::n_cells]) for index in range(n_cells)]
    return found


def cell_name(study: Study, seed: int, arms: Iterable[str]) -> str:
    """Folder of a cell: the seed and a hash of its students, so that a resumed study finds its unfinished trainings."""
    return f"seed{seed}-{_digest(sorted(student_key(study, study.arms[arm], seed) for arm in arms))[:_SHOWN]}"


def make_cell(
    study: Study, seed: int, arms: Iterable[str], paths: Mapping[str, str], corpus: Path | None, cache: Path
) -> Cell:
    """A cell with its recipes filled in.

    Args:
        arms: names.
        paths: teacher's name -> folder or Hub id.
        corpus: the planted corpus of this seed, None where the recipe names its sources.
        cache: where tokenised corpora go.
    """
    arms = list(arms)
    recipes = {name: _complete(study.arms[name], seed, paths, corpus, cache, study) for name in arms}
    keys = {name: report_key(study, study.arms[name], seed) for name in arms}
    return Cell(cell_name(study, seed, arms), seed, recipes, keys)


def _complete(
    arm: StudyArm, seed: int, paths: Mapping[str, str], corpus: Path | None, cache: Path, study: Study
) -> Recipe:
    recipe = arm.recipe
    section = recipe.corpus
    if corpus is not None:
        source = dataclasses.replace(section.sources[0], path=str(corpus))
        section = dataclasses.replace(section, sources=[source])
    if section.cache_dir is None and not section.streaming:
        section = dataclasses.replace(section, cache_dir=str(cache))
    return dataclasses.replace(
        recipe,
        teacher=dataclasses.replace(recipe.teacher, path=paths[arm.teacher], mlm_steps=0),
        corpus=section,
        training=recipe.training | {"seed": seed},
        evaluation=build_section(EvaluationSection, evaluation_of(study, arm, seed), "evaluation."),
    )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
