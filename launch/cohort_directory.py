"""Where a cohort lies: a run directory for each arm, and beside them what the arms share."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from accelerate import PartialState

from evenhand.launch.recipe import EvaluationSection, MixupSection, PublishSection, Recipe, StudentSection
from evenhand.launch.run_directory import RUN_FILE, RunDirectory
from evenhand.launch.supervision_sections import CounterfactualSection, EqualisationSection
from evenhand.trainer import DistillationObjective
from evenhand.trainer.cohort import check_arm_names
from evenhand.trainer.run_split import RunSplit

SHARED = "cohort"
"""Folder of what the arms share: checkpoints, the tokenised corpus, a teacher's masked-LM head. No arm can have this name."""

OWN_SECTIONS = {
    "student": StudentSection,
    "objective": DistillationObjective,
    "mixup": MixupSection,
    "equalisation": EqualisationSection,
    "counterfactual": CounterfactualSection,
    "evaluation": EvaluationSection,
    "publish": PublishSection,
}
"""Sections of a recipe in which arms may differ."""


class CohortDirectory(RunDirectory):
    """``PATH/cohort``, used as a run directory by the training that the arms share, and their own, ``PATH/NAME``, in ``arms``.

    Args:
        path: of the cohort.
        names: of the arms.

    Raises:
        ValueError: a name that cannot be an arm's.
    """

    def __init__(self, path: str | Path, names: Iterable[str]) -> None:
        names = list(names)
        check_arm_names(names)
        if SHARED in map(str.casefold, names):
            raise ValueError(f"No arm can be called {SHARED}: that folder holds what all arms share.")
        super().__init__(Path(path) / SHARED)
        self.root = Path(path)
        self.arms = {name: RunDirectory(self.root / name) for name in names}

    @property
    def finished(self) -> bool:
        """Whether every arm has its student and its facts."""
        return all(run.training_file.is_file() and run.student.is_dir() for run in self.arms.values())

    def claim_all(self, recipes: Mapping[str, Recipe], inputs: Mapping[str, dict], split: RunSplit) -> None:
        """Claim the shared folder and every arm's (see :meth:`RunDirectory.claim`).

        Raises:
            ValueError: what is there is no cohort, or one of other arms, or a claim is refused.
        """
        if (self.root / RUN_FILE).is_file():
            raise ValueError(f"Output directory {self.root} holds the run of one student; choose another --output-dir.")
        marker, names = self.path / RUN_FILE, sorted(self.arms)
        if marker.is_file():
            held = json.loads(marker.read_text(encoding="utf-8"))["inputs"]["arms"]
            if held != names:
                raise ValueError(
                    f"Output directory {self.root} holds a cohort of the arms {', '.join(held)}, not {', '.join(names)}; choose another "
                    "--output-dir."
                )
        elif taken := [run.path for run in self.arms.values() if run.path.exists()]:
            raise ValueError(f"{taken[0]} is there already and is no arm of this cohort; choose another --output-dir.")
        some = next(iter(recipes))
        self.claim(common_recipe(recipes[some]), {**inputs[some], "pairs": None, "arms": names}, split)
        for name, run in self.arms.items():
            run.claim(recipes[name], inputs[name], split)

    def release(self) -> None:
        """Undo :meth:`claim_all` for recipes that turned out unusable before training; all processes call it, the main one does it."""
        state = PartialState()
        if state.is_main_process:
            if not self.checkpoints.exists():
                for run in self.arms.values():
                    run.release()
                    if run.path.is_dir() and not any(run.path.iterdir()):
                        run.path.rmdir()
            super().release()
        state.wait_for_everyone()


def common_recipe(recipe: Recipe) -> Recipe:
    """The recipe without what is an arm's own."""
    return dataclasses.replace(recipe, **{name: section() for name, section in OWN_SECTIONS.items()})


def check_common(recipes: Mapping[str, Recipe]) -> None:
    """Refuse recipes that cannot be trained together.

    Raises:
        ValueError: two of them differ elsewhere than in :data:`OWN_SECTIONS` (the keys are named), or a watch chooses the student.
    """
    first, *others = recipes
    for other in others:
        one, two = (_flat(common_recipe(recipes[name]).to_dict()) for name in (first, other))
        differing = [key for key in {**one, **two} if one.get(key) != two.get(key)]
        if differing:
            raise ValueError(
                f"Arms may differ in {', '.join(OWN_SECTIONS)} only, but {first} and {other} differ in {', '.join(differing)}; train such "
                "students in runs of their own."
            )
    if recipes[first].watch.chooses:
        raise ValueError(
            "watch.keep_best and watch.patience choose each student by its own numbers, but a cohort trains all arms to the same end; leave "
            "them out."
        )


def _flat(data: dict, prefix: str = "") -> dict:
    flat: dict = {}
    for key, value in data.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def copy_folder(source: Path, target: Path) -> None:
    """``source`` once more, whole or not at all; its files are linked where the file system can."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        try:
            shutil.copytree(source, temporary, copy_function=os.link)
        except (shutil.Error, OSError):
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(source, temporary)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
