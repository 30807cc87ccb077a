"""A shortcut planted into a user's own data: files with columns for the input and the label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image, Value

from evenhand.evaluation.grouped_data.grouped import GroupedData
from evenhand.evaluation.grouped_data.image_files import naming_broken_images, reads_pixels
from evenhand.evaluation.grouped_data.image_shortcut import ImageShortcut
from evenhand.evaluation.grouped_data.own_table import (
    check_own_images,
    files_sha256,
    labels_of,
    named_columns,
    read_own,
)
from evenhand.evaluation.grouped_data.planted_shortcut import Planting, plant
from evenhand.evaluation.grouped_data.subsets import (
    check_max_examples,
    limit_of,
    stratified_subset,
)
from evenhand.evaluation.grouped_data.text_shortcut import TextShortcut

_SPLITS = ("train", "validation", "test")


def load_planted_table(
    files: Mapping[str, str | Path],
    *,
    called: str = "planted",
    kind: str = "text",
    columns: Mapping[str, str] | None = None,
    strength: float = 0.9,
    flipped_strength: float = 0.0,
    grouping: str = "value",
    phrases: Sequence[str] | None = None,
    place: str = "start",
    column: str | None = None,
    shortcut: str = "patch",
    colours: Sequence[str] | None = None,
    corner: str = "top_left",
    patch_share: float = 0.2,
    licence: str = "not stated",
    max_examples: int | Mapping[str, int] | None = None,
    check_images: str = "headers",
    seed: int = 0,
) -> GroupedData:
    """Own data with a planted shortcut. Images are kept in memory, as PNG.

    The labels are those of ``train``, in alphabetical order; the other splits may lack some of them and have no others.

    Args:
        files: ``"train"``, ``"validation"`` and ``"test"`` → .csv, .tsv, .json(l) or .parquet file.
        called: name of the data set.
        kind: ``"text"``: columns ``text`` and perhaps ``text_pair``; ``"image"``: column ``image``, paths relative to the file.
        columns: our name of a column (the inputs', ``label``) → that of the files, where they differ.
        strength, flipped_strength, grouping, seed: of :class:`Planting`.
        phrases, place, column: of :class:`TextShortcut`.
        shortcut, colours, corner, patch_share: of :class:`ImageShortcut`; ``"colour"`` takes all other colour from a photograph.
        licence: of the data, for reports.
        max_examples: at most so many in each split, or by split; every class in its share.
        check_images: before anything is planted: ``"headers"``: each image taken must be there, begin as one of mode RGB, and be
            complete; ``"pixels"``: each is decoded too.

    Raises:
        FileNotFoundError: a file or an image that is not there.
        ValueError: a file or image that cannot be read, a label that ``train`` has not, or a setting out of its range.
    """
    theirs = named_columns(kind, files, columns, ("label",))
    check_max_examples(max_examples, _SPLITS)
    planting = Planting(strength, flipped_strength, seed, grouping)
    phrase, mark = TextShortcut(phrases, place, column), ImageShortcut(shortcut, colours, corner, patch_share)
    decode = reads_pixels(check_images)
    if set(files) != set(_SPLITS):
        raise ValueError(f"files must name {', '.join(_SPLITS)}, not {', '.join(map(str, files))}")
    tables = {split: read_own(files[split], split, theirs, kind) for split in _SPLITS}
    labels = labels_of(tables)
    if len(labels) < 2:
        raise ValueError(f"{files['train']}: all examples have the label {labels[0]!r}; at least two are needed")
    planting.check(len(labels))
    examples = {s: _examples(table, kind, labels, limit_of(max_examples, s)) for s, table in tables.items()}
    facts = {"source": "own files", "licence": licence, "sha256_of": "the tables' files", "sha256": files_sha256(files)}
    if kind == "text":
        values = phrase.values(len(labels))
        facts["planted"] = phrase.facts(examples["train"], values)
        return plant(called, kind, examples, lambda rows, v, d: phrase.on(rows, v, values, d), values, planting, facts)
    values = mark.values(len(labels))
    facts["planted"] = mark.facts()
    check_own_images(examples, decode)

    def shown(rows: Dataset, v: np.ndarray, _: np.random.Generator) -> Dataset:
        with naming_broken_images(rows):
            return mark.on(rows, v, values)

    return plant(called, kind, examples, shown, values, planting, facts)


def _examples(table: Mapping[str, list], kind: str, labels: Sequence[str], limit: int | None) -> Dataset:
    numbers = np.array([labels.index(str(label)) for label in table["label"]])
    chosen = stratified_subset(numbers, limit)
    inputs = [column for column in table if column != "label"]
    features = {column: Value("string") if kind == "text" else Image() for column in inputs}
    columns = {column: [table[column][i] for i in chosen] for column in inputs} | {"label": numbers[chosen]}
    return Dataset.from_dict(columns, features=Features(features | {"label": ClassLabel(names=list(labels))}))
