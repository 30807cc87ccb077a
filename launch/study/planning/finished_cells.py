"""Trainings that a study has finished on this machine, as rates for those that it has still to do."""

from __future__ import annotations

import json
from collections.abc import Mapping

from evenhand.launch.recipe import recipe_from_dict
from evenhand.launch.run_directory import RunDirectory
from evenhand.launch.study.directory import StudyDirectory
from evenhand.launch.study.planning.rates import Finished
from evenhand.launch.study.planning.workload import Workload

_OF_ONE_SPEED = ("device", "name", "processor", "cpu_cores", "threads")


def finished_cells(directory: StudyDirectory, workload: Workload, machine: Mapping[str, object]) -> list[Finished]:
    """Of all cells whose arms are trained, those that ran where ``machine`` is and whose time was measured.

    Args:
        machine: of :func:`evenhand.evaluation.hardware.hardware`.
    """
    found = []
    for file in sorted(directory.cells.glob("*/cell.json")):
        arms = json.loads(file.read_text(encoding="utf-8"))["students"]
        runs = {arm: RunDirectory(directory.cohorts / file.parent.name / arm) for arm in arms}
        if not runs or not all(run.training_file.is_file() for run in runs.values()):
            continue
        facts = {arm: run.training() for arm, run in runs.items()}
        some = next(iter(facts.values()))
        there = some.get("hardware", {})
        if not some.get("seconds") or any(there.get(name) != machine.get(name) for name in _OF_ONE_SPEED):
            continue
        recipes = {arm: recipe_from_dict(of_arm["recipe"]) for arm, of_arm in facts.items()}
        found.append(Finished(workload.kind(recipes), some["seconds"], some["tokens_seen"]))
    return found
