"""Photographs with a label and an attribute that goes with it: splits and groups, from files or from the Hub."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image
from tqdm import tqdm

from evenhand.evaluation.grouped_data.grouped import GroupedData, group_facts
from evenhand.evaluation.grouped_data.hub_copy import resolved_revision
from evenhand.evaluation.grouped_data.image_files import check_image_file, reads_pixels
from evenhand.evaluation.grouped_data.subsets import (
    check_groups_of_train,
    check_max_examples,
    limit_of,
    stratified_subset,
)
from evenhand.evaluation.measure_data import hub_rows

SPLITS = ("train", "validation", "test")
_ADVICE = "convert_images=True converts all to RGB"


@dataclass(frozen=True)
class LabelledPhotographs:
    """What is known of a data set, wherever its files come from.

    Args:
        name: of the data set.
        labels, attributes: names by number, two each; label k is bias-aligned with the attribute in ``own[k]``.
        own: attribute's number for each label.
        licence: for the facts.
    """

    name: str
    labels: tuple[str, str]
    attributes: tuple[str, str]
    own: tuple[int, int]
    licence: str

    @property
    def groups(self) -> list[str]:
        """Names, by 2 · label + attribute."""
        return [f"{label} × {attribute}" for label in self.labels for attribute in self.attributes]

    @property
    def aligned(self) -> dict[str, bool]:
        """Group's name → whether it is bias-aligned."""
        return {
            f"{label} × {attribute}": self.own[k] == a
            for k, label in enumerate(self.labels)
            for a, attribute in enumerate(self.attributes)
        }

    def from_files(
        self,
        folder: Path,
        table: Sequence[tuple[str, int, int, int]],
        metadata: Sequence[Path],
        *,
        max_examples: int | Mapping[str, int] | None,
        check_images: str,
        convert_images: bool,
    ) -> GroupedData:
        """Data of a published layout.

        Args:
            folder: the images' names are relative to.
            table: per image: name, label, attribute, split (0 train, 1 validation, 2 test).
            metadata: files that the table was read from, hashed for the facts.
            max_examples: at most so many in each split, or by split; every group in its share.
            check_images: ``"headers"``: each image's file must exist, begin as an image of mode RGB and be complete;
                ``"pixels"``: each is decoded too.
            convert_images: take images of any mode, and convert them to RGB when they are read.

        Raises:
            FileNotFoundError, ValueError: an image that cannot be used; a split without images, or without one of the groups.
        """
        check_photograph_settings(max_examples, check_images, convert_images)
        splits = {}
        for number, split in enumerate(SPLITS):
            rows = [row for row in table if row[3] == number]
            if not rows:
                raise ValueError(f"{metadata[0]}: no image belongs to the split {split!r} (number {number})")
            group = np.array([2 * label + attribute for _, label, attribute, _ in rows])
            chosen = [rows[i] for i in stratified_subset(group, limit_of(max_examples, split))]
            self._check_files([folder / name for name, *_ in chosen], split, reads_pixels(check_images), convert_images)
            splits[split] = self._of_paths(folder, chosen, convert_images)
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in metadata)).hexdigest()
        facts = {"source": f"{self.name}, local files", "sha256_of": "the metadata files", "sha256": digest}
        return self._grouped(splits, facts)

    @staticmethod
    def _check_files(paths: Sequence[Path], split: str, decode: bool, convert: bool) -> None:
        modes = ("RGB", "L", "P", "RGBA", "LA", "CMYK", "1") if convert else ("RGB",)
        for path in tqdm(paths, desc=f"Checking images, {split}", disable=len(paths) < 5000, leave=False):
            check_image_file(path, str(path), modes=modes, decode=decode, advice=_ADVICE)

    def _of_paths(self, folder: Path, rows: Sequence[tuple[str, int, int, int]], convert: bool) -> Dataset:
        columns = {
            "image": [{"path": str((folder / name).absolute()), "bytes": None} for name, *_ in rows],
            "label": [row[1] for row in rows],
            "group": [2 * row[1] + row[2] for row in rows],
        }
        features = {
            "image": Image(mode="RGB" if convert else None),
            "label": ClassLabel(names=list(self.labels)),
            "group": ClassLabel(names=self.groups),
        }
        return Dataset.from_dict(columns, features=Features(features))

    def from_hub(
        self,
        repository: str,
        revision: str,
        columns: tuple[str, str, str],
        split_names: tuple[str, str, str],
        *,
        max_examples: int | Mapping[str, int] | None,
    ) -> GroupedData:
        """A copy on the Hub; its images are converted to RGB when they are read, should one be of another mode.

        Args:
            repository, revision: of the copy.
            columns: of the image, the label and the attribute; the last two hold 0 and 1, false and true, or −1 and 1.
            split_names: its names of train, validation and test.
            max_examples: at most so many in each split, or by split; every group in its share.

        Raises:
            FileNotFoundError: it cannot be had.
            ValueError: it has other columns or values, or a split without one of the groups.
        """
        splits, resolved = {}, revision
        for split, theirs in zip(SPLITS, split_names, strict=True):
            rows = hub_rows(repository, columns, split=theirs, revision=revision)
            resolved = resolved_revision(rows, revision)
            label, attribute = (binary(rows[name], f"{repository}, {theirs}, {name}") for name in columns[1:])
            group = 2 * label + attribute
            chosen = stratified_subset(group, limit_of(max_examples, split))
            rows = rows.select_columns([columns[0]]).rename_columns(
                {columns[0]: "image"} if columns[0] != "image" else {}
            )
            rows = rows.cast_column("image", Image(mode="RGB"))
            rows = rows if len(chosen) == len(rows) else rows.select(chosen)
            rows = rows.add_column("label", label[chosen], feature=ClassLabel(names=list(self.labels)))
            splits[split] = rows.add_column("group", group[chosen], feature=ClassLabel(names=self.groups))
        return self._grouped(splits, {"source": f"{repository}, revision {resolved}"})

    def _grouped(self, splits: dict[str, Dataset], facts: dict[str, object]) -> GroupedData:
        facts = {**facts, "licence": self.licence, "n_by_group": group_facts(splits)}
        data = GroupedData(self.name, "image", splits, self.aligned, facts=facts)
        check_groups_of_train(data)
        data.check_both_sides("test")
        return data


def check_photograph_settings(max_examples: object, check_images: object, convert_images: object) -> None:
    """Raise ValueError for a setting that a loader of photographs does not take; before any file is read."""
    check_max_examples(max_examples, SPLITS)
    reads_pixels(check_images)
    if not isinstance(convert_images, bool):
        raise ValueError(f"convert_images must be true or false, not {convert_images!r}")


def binary(values, where: str) -> np.ndarray:
    """A column of 0/1, false/true or −1/1 as (n,) int64 of 0 and 1.

    Raises:
        ValueError: another value.
    """
    found = np.asarray(list(values))
    numbers = found.astype(np.int64) if found.dtype.kind in "biu" else None
    if numbers is None or not (set(np.unique(numbers)) <= {0, 1} or set(np.unique(numbers)) <= {-1, 1}):
        raise ValueError(f"{where}: holds values other than 0 and 1 (or −1 and 1), such as {found.ravel()[0]!r}")
    return np.maximum(numbers, 0)
