"""The contract of data with groups, and its checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from datasets import ClassLabel, Dataset

from evenhand.evaluation.grouped_data.columns import numbers
from evenhand.evaluation.grouped_data.split_hash import split_sha256

KINDS = ("text", "image")


@dataclass(frozen=True)
class GroupedData:
    """Inputs with a label and a bias group, in splits.

    A group is *bias-aligned* where the shortcut points to the right label, *bias-conflicting* where it points to a wrong
    one, and neither where it says nothing. Splits may have different groups (MNLI's and those of HANS); a group's name
    says what it is, its number belongs to its split.

    Args:
        name: of the data set, e.g. ``"waterbirds"``.
        kind: ``"text"`` (columns ``text`` and, for pairs, ``text_pair``) or ``"image"`` (column ``image``).
        splits: by name: ``"train"``, ``"validation"``, ``"test"`` (in distribution) and the out-of-distribution ones. Each
            has ``label`` and ``group``, both `datasets.ClassLabel`; other columns are facts about an example.
        aligned: group's name → True bias-aligned, False bias-conflicting, None neither; for the groups of all splits.
        shift: names of the out-of-distribution splits.
        merged_labels: split → {a model's label: the label of the split it counts as}, where a split has other labels
            than the model was trained on; labels not named stand for themselves.
        facts: plain values for reports: source, licence, hashes, what was planted, sizes.
        same_examples: split → another split that holds the same examples in the same order, and differs from it in what was
            planted only; accuracies on the two are then compared example by example. Default: no two splits share any.

    Raises:
        ValueError: a column is missing or of another type, a group is not in ``aligned``, a split is empty, all examples
            are of one group, a name is unknown, or the labels of two splits with the same examples differ.
    """

    name: str
    kind: str
    splits: Mapping[str, Dataset]
    aligned: Mapping[str, bool | None]
    shift: tuple[str, ...] = ()
    merged_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    same_examples: Mapping[str, str] = field(default_factory=dict)
    _hashes: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.name}: kind must be {' or '.join(map(repr, KINDS))}, not {self.kind!r}")
        if not self.splits:
            raise ValueError(f"{self.name}: has no splits")
        for split in self.splits:
            self._check_split(split)
        for where in (*self.shift, *self.merged_labels, *self.same_examples, *self.same_examples.values()):
            if where not in self.splits:
                raise ValueError(f"{self.name}: has no split {where!r}; its splits are {', '.join(self.splits)}")
        self._check_merged_labels()
        for split, other in self.same_examples.items():
            if not np.array_equal(self._numbers(split, "label"), self._numbers(other, "label")):
                raise ValueError(
                    f"{self.name}: splits {split!r} and {other!r} do not hold the same examples: their labels differ"
                )
        filled = sorted({group for split in self.splits for group, n in self.group_counts(split).items() if n})
        if len(filled) < 2:
            raise ValueError(
                f"{self.name}: all examples are of one group, {filled[0]!r}; nothing can be compared between groups"
            )

    def _check_split(self, split: str) -> None:
        rows, where = self.splits[split], f"{self.name}, split {split!r}"
        wanted = ("text" if self.kind == "text" else "image", "label", "group")
        absent = [column for column in wanted if column not in rows.column_names]
        if absent:
            raise ValueError(f"{where}: has no column {absent[0]!r}; it has {', '.join(rows.column_names)}")
        for column in ("label", "group"):
            feature = rows.features[column]
            if not isinstance(feature, ClassLabel):
                raise ValueError(f"{where}: column {column!r} must be a ClassLabel with names, not {feature!r}")
        if not len(rows):
            raise ValueError(f"{where}: holds no examples")
        for column in ("label", "group"):
            if self._numbers(split, column).min() < 0:
                raise ValueError(f"{where}: an example has no {column} (it is missing or -1)")
        unnamed = [group for group in rows.features["group"].names if group not in self.aligned]
        if unnamed:
            raise ValueError(f"{where}: it is not said whether group {unnamed[0]!r} is bias-aligned or conflicting")

    def _check_merged_labels(self) -> None:
        first = self.label_names(next(iter(self.splits)))
        for split in self.splits:
            merged = self.merged_labels.get(split, {})
            theirs = self.label_names(split)
            other = [label for label in merged.values() if label not in theirs]
            if other:
                raise ValueError(f"{self.name}, split {split!r}: has no label {other[0]!r}; it has {', '.join(theirs)}")
            unmatched = [label for label in first if merged.get(label, label) not in theirs]
            if unmatched:
                raise ValueError(
                    f"{self.name}, split {split!r}: label {unmatched[0]!r} has no place among {', '.join(theirs)}"
                )

    def _numbers(self, split: str, column: str) -> np.ndarray:
        return numbers(self.splits[split], column)

    def _split(self, split: str) -> Dataset:
        if split not in self.splits:
            raise ValueError(f"{self.name}: has no split {split!r}; its splits are {', '.join(self.splits)}")
        return self.splits[split]

    def label_names(self, split: str = "train") -> tuple[str, ...]:
        """Names of the labels of a split, by number."""
        return tuple(self._split(split).features["label"].names)

    def group_names(self, split: str = "train") -> tuple[str, ...]:
        """Names of the groups of a split, by number, empty ones included."""
        return tuple(self._split(split).features["group"].names)

    def group_counts(self, split: str) -> dict[str, int]:
        """Group's name → number of examples in the split, 0 for a group without any."""
        names = self.group_names(split)
        counts = np.bincount(self._numbers(split, "group"), minlength=len(names))
        return dict(zip(names, counts.tolist(), strict=True))

    def sha256(self, split: str) -> str:
        """Hash of a split's examples, their labels and groups (`split_sha256`); every image is decoded, once for all calls.

        Raises:
            ValueError: no such split, or an image that cannot be decoded. FileNotFoundError: one whose file is gone.
        """
        if split not in self._hashes:
            self._hashes[split] = split_sha256(self._split(split))
        return self._hashes[split]

    def side_counts(self, split: str) -> dict[bool | None, int]:
        """Examples in the split that are bias-aligned (True), bias-conflicting (False) and neither (None)."""
        counts: Counter = Counter({True: 0, False: 0, None: 0})
        for group, n in self.group_counts(split).items():
            counts[self.aligned[group]] += n
        return dict(counts)

    def check_groups(self, split: str, groups: tuple[str, ...] | None = None, advice: str = "") -> None:
        """Raise ValueError where one of ``groups`` (all of the split's for None) has no example in ``split``; ``advice`` ends the message."""
        counts = self.group_counts(split)
        missing = [group for group in (counts if groups is None else groups) if not counts.get(group)]
        if missing:
            raise ValueError(
                f"{self.name}, split {split!r}: group {missing[0]!r} has no examples"
                f"{f', nor have {len(missing) - 1} others' if len(missing) > 1 else ''}; it has "
                f"{', '.join(f'{name} ({n})' for name, n in counts.items() if n)[:300]}{f'. {advice}' if advice else ''}"
            )

    def check_both_sides(self, split: str) -> None:
        """Raise ValueError where ``split`` has no bias-aligned or no bias-conflicting example: it has no spurious gap."""
        counts = self.side_counts(split)
        for side, word in ((True, "bias-aligned"), (False, "bias-conflicting")):
            if not counts[side]:
                raise ValueError(f"{self.name}, split {split!r}: holds no {word} examples, so it has no spurious gap")


def group_facts(data_splits: Mapping[str, Dataset]) -> dict[str, dict[str, int]]:
    """Split → group's name → number of examples, for the facts of a `GroupedData`."""
    table = {}
    for split, rows in data_splits.items():
        names = rows.features["group"].names
        counts = np.bincount(numbers(rows, "group"), minlength=len(names))
        table[split] = dict(zip(names, counts.tolist(), strict=True))
    return table
