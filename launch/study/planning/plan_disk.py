"""The bytes that a study will write."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from evenhand.launch.recipe import Recipe
from evenhand.launch.study.planning.ground import Ground
from evenhand.launch.study.planning.plan_teachers import TeacherPlan
from evenhand.launch.study.planning.workload import ADAM_BYTES, CHECKPOINTS, WEIGHT_BYTES, CellWork

SHORT_IDS = 2**16
"""Vocabularies up to this size are stored in two bytes an id."""
BYTES_A_SEQUENCE = 4


@dataclass(frozen=True)
class DiskPlan:
    """Bytes, of what is missing.

    Args:
        students: that stay.
        checkpoints: while the largest trainings at a time are at work; they are deleted once their reports are there.
        teachers: with the checkpoints of their trainings.
        cache: of the tokenised text, less what is there; None where the size of the text is not known.
        used: by the study's directory now.
        free: on its disk.
    """

    students: int
    checkpoints: int
    teachers: int
    cache: int | None
    used: int
    free: int

    @property
    def needed(self) -> int:
        """At the worst moment."""
        return self.students + self.checkpoints + self.teachers + (self.cache or 0)


def disk_plan(
    works: Sequence[CellWork],
    recipes: Iterable[Recipe],
    teachers: Sequence[TeacherPlan],
    ground: Ground,
    folder: Path,
    cache: Path,
    at_a_time: int,
) -> DiskPlan:
    """Of the trainings that are missing.

    Args:
        works: of every cell. recipes: of all of their arms. teachers: that are missing.
        ground: of the scale.
        folder: of the study. cache: where its tokenised text goes.
        at_a_time: trainings that run beside each other.
    """
    largest = sorted((work.checkpoint_bytes for work in works), reverse=True)[:at_a_time]
    of_teachers = sum((WEIGHT_BYTES + (CHECKPOINTS * ADAM_BYTES if t.tokens else 0)) * t.parameters for t in teachers)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    tokens = _cached_bytes(list(recipes), ground)
    return DiskPlan(
        sum(work.student_bytes for work in works),
        sum(largest),
        of_teachers,
        None if tokens is None else max(0, tokens - size_of(cache)),
        size_of(folder),
        shutil.disk_usage(existing).free,
    )


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, hard links counted once; 0 where it is not there."""
    sizes = {}
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.lstat(os.path.join(root, name))
            except FileNotFoundError:  # deleted a moment ago by a training
                continue
            sizes[found.st_dev, found.st_ino] = found.st_size
    return sum(sizes.values())


def _cached_bytes(recipes: Sequence[Recipe], ground: Ground) -> int | None:
    """Of every different tokenised corpus; streamed text is not kept."""
    corpora = {
        json.dumps([[asdict(source) for source in recipe.corpus.sources], recipe.corpus.choices()]): recipe
        for recipe in recipes
        if not recipe.corpus.streaming
    }
    if not corpora:
        return 0
    if ground.whole_tokens is None:
        return None
    a_sequence = ground.mean_length * (2 if len(ground.tokenizer) <= SHORT_IDS else 4) + BYTES_A_SEQUENCE
    return int(sum(a_sequence * ground.sequences_of(recipe.corpus) for recipe in corpora.values()))
