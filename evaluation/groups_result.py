"""The result of the groups evaluator: per split scores, a table by group, and every prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evenhand.evaluation.group_intervals import (
    NEWCOMBE,
    SAME_EXAMPLES,
    WILSON,
    WORST,
    accuracy_difference_interval,
    difference_of_shares,
    worst_group_interval,
)
from evenhand.evaluation.group_metrics import GroupAccuracy, GroupMetrics, macro_f1, named_aligned, shift_drop
from evenhand.evaluation.packed_classes import pack, unpack
from evenhand.evaluation.paired_predictions import RESAMPLES, bootstrap_scores
from evenhand.evaluation.percentages import wilson_interval
from evenhand.evaluation.resampling import FEWEST_ITEMS, percentile_interval
from evenhand.evaluation.scores import Score

BOOTSTRAP = f"percentile bootstrap over examples within groups, {RESAMPLES:,} resamples"
SUMMED = "probabilities of the model's labels that count as one label of the split are summed; the largest sum decides"
INSIDE = "test"
"""The split that is like the training data."""


@dataclass(frozen=True)
class SplitOutcome:
    """One split, as one model classified it.

    Args:
        metrics: labels, predictions and groups.
        label_names: of the split, by number.
        shift: whether the split is out of distribution.
        merged: model's label → label of the split that it counts as, where they differ.
        sha256: of the examples with their labels and groups.
        same_examples_as: the split that holds the same examples in the same order, with another shortcut; ``None``: none does.
    """

    metrics: GroupMetrics
    label_names: tuple[str, ...]
    shift: bool
    merged: Mapping[str, str]
    sha256: str
    same_examples_as: str | None = None

    def to_dict(self, level: float) -> dict[str, object]:
        """As it stands in report.json; `from_dict` reads it."""
        metrics, sizes = self.metrics, (len(self.label_names), len(self.metrics.group_names))
        return {
            "shift": self.shift,
            "n": metrics.n,
            "n_aligned": len(metrics.side(True)),
            "n_conflicting": len(metrics.side(False)),
            "sha256": self.sha256,
            "same_examples_as": self.same_examples_as,
            "labels": list(self.label_names),
            "merged_labels": dict(self.merged) or None,
            "merging": SUMMED if self.merged else None,
            "worst_group": metrics.worst_group.group,
            "groups": [_group_dict(group, level) for group in metrics.table],
            "predictions": {
                "labels": pack(metrics.labels, sizes[0]),
                "predicted": pack(metrics.predictions, sizes[0]),
                "groups": pack(metrics.groups, sizes[1]),
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> SplitOutcome:
        """The inverse of `to_dict`.

        Raises:
            ValueError, KeyError: something else.
        """
        names, aligned = tuple(data["labels"]), {group["group"]: group["aligned"] for group in data["groups"]}
        packed = data["predictions"]
        metrics = GroupMetrics(
            unpack(packed["labels"], len(names)),
            unpack(packed["predicted"], len(names)),
            unpack(packed["groups"], len(aligned)),
            tuple(aligned),
            aligned,
        )
        # a report of before says nothing of it
        same = data.get("same_examples_as")
        return cls(metrics, names, data["shift"], data["merged_labels"] or {}, data["sha256"], same)


def _group_dict(group: GroupAccuracy, level: float) -> dict[str, object]:
    interval = group.interval(level)
    return {
        "group": group.group,
        "aligned": group.aligned,
        "n": group.n,
        "right": group.right,
        "accuracy": group.accuracy,
        "confidence_interval": None if interval is None else list(interval),
        "interval_method": None if interval is None else WILSON,
        "note": None if group.n else "no example of this group in the split",
    }


@dataclass(frozen=True)
class GroupsResult:
    """One classifier on the splits of data with groups.

    Args:
        settings: of the evaluator, as they stand in the report.
        splits: by name, in the order of the report.
        confidence_level, seed: of intervals and resamples.
    """

    settings: Mapping[str, object]
    splits: Mapping[str, SplitOutcome]
    confidence_level: float = 0.95
    seed: int = 0

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> GroupsResult:
        """A result from one side of a report's entry, so that results of two reports can be compared.

        Raises:
            ValueError, KeyError: it is no result of this measure.
        """
        held = ("measure", "splits", "scores", "seed", "confidence_level", "note")
        return cls(
            {key: value for key, value in data.items() if key not in held},
            # a report's file has its keys sorted; the order of the splits stands in the settings
            {name: SplitOutcome.from_dict(data["splits"][name]) for name in data["split_names"]},
            data["confidence_level"],
            data["seed"],
        )

    @property
    def shifted(self) -> list[str]:
        """Names of the out-of-distribution splits."""
        return [name for name, split in self.splits.items() if split.shift]

    @cached_property
    def scores(self) -> tuple[Score, ...]:
        """Accuracy, macro-F1, worst group and spurious gap of every split, then ID − OOD of every shifted one."""
        found = [score for name in self.splits for score in self._of_split(name)]
        return (*found, *self._drops())

    def _of_split(self, name: str) -> Iterator[Score]:
        metrics, level = self.splits[name].metrics, self.confidence_level
        low, high = wilson_interval(int(metrics.right.sum()), metrics.n, level)
        yield Score(
            *(f"{name}_accuracy", f"accuracy, {name}", metrics.accuracy, "%", metrics.n),
            *((100 * low, 100 * high), level, WILSON, None, "higher"),
        )
        yield self._macro_f1(name)
        worst, groups = metrics.worst_group, sum(group.n > 0 for group in metrics.table)
        yield Score(
            *(f"{name}_worst_group", f"worst-group accuracy, {name}", worst.accuracy, "%", worst.n),
            *(worst_group_interval(metrics.table, level), level, WORST, None, "higher"),
            note=f"the worst of {groups} groups is {worst.group}" if groups > 1 else "the split has one group only",
        )
        gap = metrics.spurious_gap
        sides = metrics.side(True), metrics.side(False)
        interval = None if gap is None else difference_of_shares(*sides, level)
        yield Score(
            *(f"{name}_spurious_gap", f"spurious gap, {name}", gap, "percentage points", sum(map(len, sides))),
            *(interval, level, NEWCOMBE if interval else None, 0.0, "nearer", metrics.gap_note),
        )

    def _macro_f1(self, name: str) -> Score:
        metrics, level = self.splits[name].metrics, self.confidence_level
        draws = bootstrap_scores(
            *(macro_f1, metrics.labels, [metrics.predictions]),
            seed=split_seed(self.seed, name),
            strata=metrics.groups,
        )[:, 0]
        interval = percentile_interval(draws, metrics.n, level)
        note = None
        if interval is None:
            few = metrics.n < FEWEST_ITEMS
            note = "no interval: too few examples" if few else "no interval: no resample differs"
        return Score(
            *(f"{name}_macro_f1", f"macro-F1, {name}", metrics.macro_f1, "%", metrics.n, interval, level),
            *(BOOTSTRAP if interval else None, None, "higher", note),
        )

    def _drops(self) -> Iterator[Score]:
        inside = self.splits.get(INSIDE)
        for name in self.shifted if inside is not None and not inside.shift else ():
            outside, level = self.splits[name], self.confidence_level
            sides = inside.metrics.right, outside.metrics.right
            if outside.same_examples_as == INSIDE:
                seed, n, method = [6, *split_seed(self.seed, name)], outside.metrics.n, SAME_EXAMPLES
                interval = accuracy_difference_interval(*sides, seed, level)
            else:
                n, method, interval = sum(map(len, sides)), NEWCOMBE, difference_of_shares(*sides, level)
            notes = [] if interval else [f"no interval: fewer than {FEWEST_ITEMS} examples"]
            if dict(inside.merged) != dict(outside.merged):
                notes.append("the two splits have other labels, so chance is not the same in both")
            yield Score(
                *(f"{INSIDE}_minus_{name}", f"ID − OOD accuracy, {INSIDE} − {name}"),
                *(shift_drop(inside.metrics, outside.metrics), "percentage points", n),
                *(interval, level, method if interval else None, 0.0, "nearer"),
                note="; ".join(notes) or None,
            )

    def to_dict(self) -> dict[str, object]:
        """As it stands in report.json."""
        return {
            "measure": "groups",
            **self.settings,
            "seed": self.seed,
            "confidence_level": self.confidence_level,
            "splits": {name: split.to_dict(self.confidence_level) for name, split in self.splits.items()},
            "scores": [score.to_dict() for score in self.scores],
            "note": None,
        }


def split_seed(seed: int, name: str) -> list[int]:
    """Another seed for each split, so that their draws are independent."""
    return [seed, *name.encode()]


def split_outcome(
    labels: np.ndarray,
    predictions: np.ndarray,
    groups: np.ndarray,
    *,
    label_names: tuple[str, ...],
    group_names: tuple[str, ...],
    aligned: Mapping[str, bool | None],
    shift: bool,
    merged: Mapping[str, str],
    sha256: str,
    same_examples_as: str | None = None,
) -> SplitOutcome:
    """A `SplitOutcome` from arrays; of ``aligned`` the groups of the split are kept."""
    metrics = GroupMetrics(labels, predictions, groups, group_names, named_aligned(group_names, aligned))
    return SplitOutcome(metrics, tuple(label_names), shift, merged, sha256, same_examples_as)
