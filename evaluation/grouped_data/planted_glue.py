"""GLUE tasks with a planted shortcut: real sentences, and a phrase that gives the label away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from datasets import ClassLabel, Dataset, Features, Value

from evenhand.evaluation.glue_data import HUB_NAME, HUB_REVISION, GlueSplit, load_task
from evenhand.evaluation.glue_tasks import TASKS
from evenhand.evaluation.grouped_data.grouped import GroupedData
from evenhand.evaluation.grouped_data.planted_shortcut import Planting, plant
from evenhand.evaluation.grouped_data.subsets import (
    check_max_examples,
    check_numbers,
    limit_of,
    stratified_parts,
    stratified_subset,
)
from evenhand.evaluation.grouped_data.text_shortcut import TextShortcut

LABEL_NAMES = {
    "cola": ("unacceptable", "acceptable"),
    "sst2": ("negative", "positive"),
    "mrpc": ("not_equivalent", "equivalent"),
    "qqp": ("not_duplicate", "duplicate"),
    "mnli": ("entailment", "neutral", "contradiction"),
    "qnli": ("entailment", "not_entailment"),
    "rte": ("entailment", "not_entailment"),
    "wnli": ("not_entailment", "entailment"),
}
"""Of the tasks with classes, by number, as the Hub's nyu-mll/glue names them."""
_SPLITS = ("train", "validation", "test")


def load_planted_glue(
    task: str,
    path: str | Path = "hub",
    *,
    strength: float = 0.9,
    flipped_strength: float = 0.0,
    grouping: str = "value",
    phrases: Sequence[str] | None = None,
    place: str = "start",
    column: str | None = None,
    validation_share: float = 0.1,
    max_examples: int | Mapping[str, int] | None = None,
    seed: int = 0,
) -> GroupedData:
    """A GLUE task with a planted shortcut; the official dev file (MNLI: the matched one) is the test.

    Args:
        task: its key, e.g. ``"sst2"``.
        path: ``"hub"``, or a directory in the layout of the GLUE download.
        strength, flipped_strength, grouping, seed: of :class:`Planting`; the seed also divides train and validation.
        phrases, place, column: of :class:`TextShortcut`.
        validation_share: of the training file, by class, for validation.
        max_examples: at most so many in each split, or by split; every class in its share.

    Raises:
        FileNotFoundError: the data are not there.
        ValueError: a file that cannot be read, or a setting out of its range.
    """
    check_max_examples(max_examples, _SPLITS)
    check_numbers(validation_share=validation_share)
    shortcut, planting = TextShortcut(phrases, place, column), Planting(strength, flipped_strength, seed, grouping)
    names = LABEL_NAMES[task]
    values = shortcut.values(len(names))
    planting.check(len(names))
    data = load_task(path, TASKS[task])
    parts = stratified_parts(np.asarray(data.train.labels), {"validation": validation_share}, "train", seed)
    examples = {
        name: _dataset(data.train, positions, names, limit_of(max_examples, name)) for name, positions in parts.items()
    }
    dev = data.dev[TASKS[task].main_split]
    examples["test"] = _dataset(dev, np.arange(len(dev)), names, limit_of(max_examples, "test"))
    facts = {
        "source": f"{HUB_NAME}, {task}, revision {HUB_REVISION}"
        if path == "hub"
        else f"GLUE, {TASKS[task].name}, local files",
        "licence": "that of the task's source; see GLUE",
        "sha256": data.sha256,
        "skipped_rows": data.skipped_rows,
        "planted": shortcut.facts(examples["train"], values),
    }
    order = {name: examples[name] for name in _SPLITS}
    return plant(task, "text", order, lambda rows, v, draw: shortcut.on(rows, v, values, draw), values, planting, facts)


def _dataset(split: GlueSplit, positions: np.ndarray, names: Sequence[str], limit: int | None) -> Dataset:
    labels = np.asarray(split.labels)[positions]
    positions = positions[stratified_subset(labels, limit)]
    chosen = [[text.strip() for text in split.texts[i]] for i in positions]
    columns = ("text", "text_pair")[: len(split.texts[0])]
    rows = {column: [texts[i] for texts in chosen] for i, column in enumerate(columns)}
    rows["label"] = [split.labels[i] for i in positions]
    features = {column: Value("string") for column in columns} | {"label": ClassLabel(names=list(names))}
    return Dataset.from_dict(rows, features=Features(features))
