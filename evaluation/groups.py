"""Accuracy by group: how much a classifier leans on a shortcut, split by split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from evenhand.evaluation.class_predictions import class_predictions
from evenhand.evaluation.groups_comparison import compare_groups
from evenhand.evaluation.groups_result import INSIDE, GroupsResult, SplitOutcome, split_outcome
from evenhand.evaluation.label_names import label_matrix, model_labels
from evenhand.evaluation.measure_data import check_settings

if TYPE_CHECKING:
    from evenhand.evaluation.grouped_data import GroupedData

NEVER_BY_DEFAULT = ("train", "validation")


@dataclass(frozen=True)
class Groups:
    """Group metrics as an evaluator: ``Groups(data={"name": "digits"}).run(classifier, image_processor)``.

    A classifier of text or images is run on splits whose examples have a label and a bias group. Per split: accuracy,
    macro-F1, the accuracy of every group, the lowest of them (worst group; Sagawa et al. 2020), and the spurious gap,
    accuracy on bias-aligned less that on bias-conflicting examples; for every out-of-distribution split also ID − OOD, the
    accuracy on ``test`` less that on it (paired by example where the data say that the two hold the same examples).

    Labels of model and data are matched by name; where a split has fewer (HANS has *non-entailment* for an NLI model's
    *neutral* and *contradiction*), the probabilities of labels that count as one are summed.

    Args:
        data: ``{"name": …, setting: …}`` of `evenhand.evaluation.grouped_data.load_grouped_data`, or a `GroupedData`.
        splits: names; by default ``test`` and the out-of-distribution ones (where there are none of these, all but
            ``train`` and ``validation``).
        max_length: tokens of a text at most.
        batch_size: inputs per forward; it does not change the numbers but by rounding.
        seed: of the resamples.
        confidence_level: of the intervals.
        progress: show bars.

    Raises:
        ValueError: an argument that cannot be used.
    """

    data: Mapping[str, object]
    splits: Sequence[str] | None = None
    max_length: int = 128
    batch_size: int = 64
    seed: int = 0
    confidence_level: float = 0.95
    progress: bool = False

    measure = "groups"
    takes = "classifier"

    def __post_init__(self):
        check_settings(self.confidence_level, self.seed, self.batch_size)
        if self.max_length < 3:
            raise ValueError(f"max_length must be at least 3, not {self.max_length}")
        if isinstance(self.splits, str) or (self.splits is not None and not self.splits):
            raise ValueError(f"splits must be a list of names, not {self.splits!r}")
        if isinstance(self.data, Mapping):
            if not isinstance(self.data.get("name"), str):
                raise ValueError(f"data must hold the name of data with groups, {{name: …}}, not {dict(self.data)!r}")
        elif not hasattr(self.data, "splits"):
            raise ValueError(f"data must hold the name of data with groups, {{name: …}}, not {self.data!r}")

    @cached_property
    def grouped(self) -> GroupedData:
        """The data.

        Raises:
            ValueError: they lack a split that is asked for, or have none to measure on. What `load_grouped_data` raises.
        """
        if not isinstance(self.data, Mapping):
            return self.data
        from evenhand.evaluation.grouped_data import load_grouped_data

        return load_grouped_data(**self.data)

    @cached_property
    def split_names(self) -> tuple[str, ...]:
        """The splits that are measured on, in the order of the report."""
        data = self.grouped
        if self.splits is not None:
            unknown = [name for name in self.splits if name not in data.splits]
            if unknown:
                raise ValueError(
                    f"groups: {data.name} has no split {unknown[0]!r}; its splits are {', '.join(data.splits)}"
                )
            return tuple(dict.fromkeys(self.splits))
        chosen = [name for name in data.splits if name == INSIDE or name in data.shift]
        chosen = chosen or [name for name in data.splits if name not in NEVER_BY_DEFAULT]
        if not chosen:
            raise ValueError(f"groups: {data.name} has no test split; name one, splits: [{', '.join(data.splits)}]")
        return tuple(chosen)

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of the examples of each split, with their labels and groups."""
        return {name: self.grouped.sha256(name) for name in self.split_names}

    def settings(self) -> dict[str, object]:
        """What a result of this evaluator is filed under in a report; the data are read and checked here."""
        data = self.grouped
        given = dict(self.data) if isinstance(self.data, Mapping) else {}
        loader = given.pop("name", None)
        facts = json.loads(json.dumps(dict(data.facts), default=str))
        return {
            "data": {
                "source": str(facts.pop("source", "local")),
                "name": data.name,
                "sha256": dict(self.hashes),
                "licence": facts.pop("licence", None),
                "loader": loader,
                # where files of one's own lie decides nothing: the hash says what they are
                "settings": {
                    key: None if is_local_path(key, value) else json.loads(json.dumps(value, default=str))
                    for key, value in given.items()
                },
                "facts": facts,
            },
            "kind": data.kind,
            "split_names": list(self.split_names),
            **({"max_length": self.max_length} if data.kind == "text" else {}),
        }

    def run(self, model: nn.Module, processor) -> GroupsResult:
        """Classify every example of the splits.

        Args:
            model, processor: a classifier with its tokenizer or image processor, as `load_classifier` gives them.

        Raises:
            NotApplicable: the model takes text and the data are images, or the other way round; it is no classifier.
            ValueError: labels of model and data differ or the model's have no names, a broken image, NaN.
        """
        names = model_labels(model.config)
        matrices = {
            split: label_matrix(
                names, self._labels(split), self._merged(split), f"groups, {self.grouped.name}, {split}"
            )
            for split in self.split_names
        }
        outcomes = {split: self._outcome(model, processor, split, matrix) for split, matrix in matrices.items()}
        return GroupsResult(self.settings(), outcomes, self.confidence_level, self.seed)

    def compare(self, result: GroupsResult, reference: GroupsResult) -> dict[str, object]:
        """``result`` − ``reference``, paired by example."""
        return compare_groups(result, reference)

    def _labels(self, split: str) -> list[str]:
        return list(self.grouped.splits[split].features["label"].names)

    def _merged(self, split: str) -> Mapping[str, str]:
        return self.grouped.merged_labels.get(split) or {}

    def _outcome(self, model: nn.Module, processor, split: str, matrix: np.ndarray) -> SplitOutcome:
        data = self.grouped
        rows = data.splits[split]
        predicted = class_predictions(
            *(model, processor, rows, matrix),
            what=f"groups, {data.name}, {split}",
            longest=self.max_length,
            batch_size=self.batch_size,
            progress=self.progress,
        )
        labels, groups = (np.array(rows.with_format(None)[name][:], dtype=np.int64) for name in ("label", "group"))
        return split_outcome(
            *(labels, predicted, groups),
            label_names=tuple(self._labels(split)),
            group_names=tuple(rows.features["group"].names),
            aligned=data.aligned,
            shift=split in data.shift,
            merged=self._merged(split),
            sha256=self.hashes[split],
            same_examples_as=data.same_examples.get(split),
        )


def is_local_path(setting: str, value: object) -> bool:
    """Whether a setting of data with groups says where files of one's own lie."""
    return (setting in ("path", "files") or setting.endswith("_path")) and value != "hub"
