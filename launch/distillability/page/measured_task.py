"""The numbers of one task of a grid: f_T, f_S and g by method and size, over seeds, from the reports."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from evenhand.evaluation import EvaluationReport
from evenhand.evaluation.distillability import Cell, Metric, by_metric, group_metrics_of
from evenhand.evaluation.groups_result import INSIDE
from evenhand.evaluation.packed_classes import unpack
from evenhand.launch.distillability.grid import ERM, GridTask
from evenhand.launch.distillability.models import ALONE, DISTILLED, NO_REMEDY, TEACHER, GridModel
from evenhand.launch.distillability.results import GridResults

PLAIN, SAME = "plain", "same"
"""How the distilled student itself is trained."""
ROLES = {TEACHER: "f_T", ALONE: "f_S"}
FEWEST_OF_A_GROUP = 30
"""Examples. A worst group is a minimum: over groups of a few examples each it says more of chance than of the model."""
NEAR_CHANCE = 0.25
"""A model is near chance whose accuracy has gone less than this share of the way from chance to 100 %, on every split."""
MARK = "†"
"""Of such a model."""
SIDES = {True: "aligned", False: "conflicting"}
"""Of a group: whether the shortcut points to the right label in it."""


class Trained(NamedTuple):
    """A model that is trained without distillation, over seeds.

    Args:
        role: ``teacher`` or ``alone``.
        method: that debiases it.
        size: a name of the task's sizes.
        remedy: of a student alone, one that changes its own training; or ``none``.
    """

    role: str
    method: str
    size: str
    remedy: str = NO_REMEDY


class Pair(NamedTuple):
    """A distilled student, over seeds.

    Args:
        method: of the teacher (of one that acts on the distillation alone: of that).
        teacher, student: sizes.
        variant: ``plain`` or ``same``.
        remedy: its name, or ``none``.
    """

    method: str
    teacher: str
    student: str
    variant: str
    remedy: str = NO_REMEDY

    @property
    def without(self) -> Pair:
        """The same without its remedy."""
        return self._replace(remedy=NO_REMEDY)


class MeasuredTask:
    """One task.

    Args:
        results: of the whole grid.
        name: of the task.
        models: those of the task.

    Raises:
        ValueError: a report of its models has no group metrics, or they were taken on other data than the others.
    """

    def __init__(self, results: GridResults, name: str, models: Iterable[GridModel]) -> None:
        self.results, self.name = results, name
        self.settings: GridTask = results.grid.tasks[name]
        self.n_seeds = results.grid.seeds_of(name)
        self.models: dict[str, GridModel] = {}
        self.places: dict[Trained | Pair, dict[int, str]] = {}
        for model in models:
            self.models[model.key] = model
            self.places.setdefault(place_of(model), {})[model.seed] = model.key
        self._check_data()

    def _check_data(self) -> None:
        first: tuple[str, Mapping] | None = None
        for key, report in self.reports.items():
            entry = next(iter(report.measures.get("groups", [])), None)
            if entry is None or entry["model"] is None:
                raise ValueError(f"task {self.name}: the report of {self._called(key)} has no group metrics.")
            if first is None:
                first = key, entry["data"]["sha256"]
            elif entry["data"]["sha256"] != first[1]:
                names = f"{self._called(first[0])} and {self._called(key)}"
                raise ValueError(f"task {self.name}: {names} were measured on other data and cannot be compared.")

    def _called(self, key: str) -> str:
        model = self.models[key]
        return f"{model.name} ({model.method}, seed {model.seed})"

    @cached_property
    def reports(self) -> dict[str, EvaluationReport]:
        """Those of the task that are there, by key, in the order of the grid."""
        return {key: self.results.reports[key] for key in self.models if key in self.results.reports}

    @cached_property
    def missing(self) -> list[GridModel]:
        """Models without a report that are not known to have failed."""
        return [
            model for key, model in self.models.items() if key not in self.reports and key not in self.results.failed
        ]

    @cached_property
    def failed(self) -> dict[str, Mapping[str, str]]:
        """Key -> reason and log of a model that has no report."""
        failed = self.results.failed
        return {key: failed[key] for key in self.models if key in failed and key not in self.reports}

    @cached_property
    def example(self) -> Mapping[str, Any] | None:
        """The first report's entry of group metrics, ``None`` before there is one."""
        return next((_groups(report) for report in self.reports.values()), None)

    @cached_property
    def splits(self) -> dict[str, Mapping[str, Any]]:
        """The splits of the first report in the order in which they were measured: keys of a report that was saved are sorted."""
        if self.example is None:
            return {}
        return {name: self.example["model"]["splits"][name] for name in self.example["split_names"]}

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Everything that is compared, by key: the scores of the splits, the accuracy of each group, and those of `sides`."""
        if self.example is None:
            return {}
        found = group_metrics_of({**self.example["model"], "splits": self.splits})
        return {metric.key: metric for metric in (*found, *self.sides.values())}

    @cached_property
    def titles(self) -> dict[str, str]:
        """What each overall metric is called."""
        if self.example is None:
            return {}
        titles = {score["key"]: score["name"] for score in self.example["model"]["scores"]}
        of_sides = {
            metric.key: f"accuracy on {SIDES[side]} examples, {self.gap_split}" for side, metric in self.sides.items()
        }
        return titles | of_sides

    @cached_property
    def sides(self) -> dict[bool, Metric]:
        """The two accuracies that the spurious gap is the difference of: on aligned (True) and on conflicting examples (False); empty where
        there is no gap."""
        if len(self.robust_keys) < 2:
            return {}
        return {side: Metric(f"{self.gap_split}_{word}_accuracy", "higher") for side, word in SIDES.items()}

    @property
    def ordinary(self) -> Metric | None:
        """In-distribution accuracy, ``None`` where no split is like the training data."""
        return self.metrics.get(f"{INSIDE}_accuracy")

    @cached_property
    def shifted(self) -> list[str]:
        """Names of the out-of-distribution splits."""
        return [name for name, split in self.splits.items() if split["shift"]]

    @cached_property
    def gap_split(self) -> str | None:
        """Whose spurious gap is looked at: ``test``, where it has aligned and conflicting examples, else the first split that has; where none
        has, ``test``."""
        both = [name for name, split in self.splits.items() if split["n_aligned"] and split["n_conflicting"]]
        return INSIDE if INSIDE in (both or self.splits) else next(iter(both or self.splits), None)

    @cached_property
    def judged_split(self) -> str | None:
        """Whose worst group is looked at: `gap_split`, where each of its groups has 30 examples; else the first split of which this is so, one
        with conflicting examples before others; where there is none, `gap_split` all the same."""
        conflicting = [name for name, split in self.splits.items() if split["n_conflicting"]]
        order = dict.fromkeys([self.gap_split, *conflicting, *self.splits]) if self.splits else {}
        return next((name for name in order if self.smallest_group(name) >= FEWEST_OF_A_GROUP), self.gap_split)

    def smallest_group(self, split: str) -> int:
        """Examples of a split's smallest group, of those that have any; 0 where none has."""
        return min((group["n"] for group in self.splits[split]["groups"] if group["n"]), default=0)

    @cached_property
    def shown(self) -> list[Metric]:
        """In the tables: in-distribution accuracy and macro-F1, worst group and spurious gap, accuracy of each shifted split."""
        keys = [
            f"{INSIDE}_accuracy",
            f"{INSIDE}_macro_f1",
            *self.robust_keys,
            *(f"{name}_accuracy" for name in self.shifted),
        ]
        return [self.metrics[key] for key in dict.fromkeys(keys) if key in self.metrics]

    @cached_property
    def robust_keys(self) -> list[str]:
        """Keys of worst group and spurious gap, which may be of different splits; of the gap only where it is defined."""
        if self.example is None:
            return []
        split = self.splits[self.gap_split]
        gap = [f"{self.gap_split}_spurious_gap"] if split["n_aligned"] and split["n_conflicting"] else []
        return [f"{self.judged_split}_worst_group", *gap]

    @property
    def worst_group(self) -> Metric:
        """What findings are judged on."""
        return self.metrics[self.robust_keys[0]]

    @property
    def gap(self) -> Metric | None:
        """The spurious gap, ``None`` where no split has aligned and conflicting examples."""
        return self.metrics[self.robust_keys[1]] if len(self.robust_keys) > 1 else None

    @cached_property
    def drops(self) -> list[Metric]:
        """ID − OOD of each shifted split."""
        keys = [f"{INSIDE}_minus_{name}" for name in self.shifted]
        return [self.metrics[key] for key in keys if key in self.metrics]

    @cached_property
    def group_metrics(self) -> list[Metric]:
        """Accuracy of every group of every split."""
        return [metric for metric in self.metrics.values() if metric.group is not None]

    def groups_of_split(self, split: str) -> list[Metric]:
        """Accuracy of every group of one split."""
        return [metric for metric in self.group_metrics if metric.key.startswith(f"{split}_group_")]

    @property
    def methods(self) -> list[str]:
        return self.settings.methods

    @cached_property
    def trained(self) -> list[Trained]:
        """Teachers, then students alone, in the order of the file; those with a remedy are not among them."""
        own = [place for place in self.places if isinstance(place, Trained) and place.remedy == NO_REMEDY]
        return [place for role in ROLES for method in self.methods for place in own if place[:2] == (role, method)]

    @cached_property
    def pairs(self) -> list[Pair]:
        """Distilled students without remedy, method by method."""
        own = [place for place in self.places if isinstance(place, Pair) and place.remedy == NO_REMEDY]
        return [place for method in self.methods for place in own if place.method == method]

    @cached_property
    def remedied(self) -> list[Pair]:
        """Distilled students with a remedy, remedy by remedy."""
        own = [place for place in self.places if isinstance(place, Pair)]
        return [place for remedy in self.settings.remedies for place in own if place.remedy == remedy]

    def is_debiased(self, method: str) -> bool:
        """Whether teachers and students alone are debiased by it: not ERM, and no method of the distillation alone."""
        return method != ERM and not self.acts_on_distillation(method)

    def teacher_of(self, pair: Pair) -> Trained:
        """f_T of a distilled student."""
        return Trained(TEACHER, pair.method if self.is_debiased(pair.method) else ERM, pair.teacher)

    def alone_of(self, pair: Pair) -> Trained:
        """f_S of a distilled student: the same student, trained the same way (plain ones by ERM), without the teacher."""
        method = pair.method if pair.variant == SAME and self.is_debiased(pair.method) else ERM
        return Trained(ALONE, method, pair.student)

    def alone_with(self, pair: Pair) -> Trained | None:
        """f_S with the remedy of a distilled student: the same without the teacher. ``None`` where the remedy is one of the distillation alone."""
        place = self.alone_of(pair)._replace(remedy=pair.remedy)
        return place if pair.remedy != NO_REMEDY and place in self.places else None

    def plain_of(self, pair: Pair) -> Pair:
        """The student of ERM's teacher of the same sizes: the same distillation without any debiasing."""
        return Pair(ERM, pair.teacher, pair.student, PLAIN)

    def by_erm(self, place: Trained | Pair) -> Trained | Pair:
        """The same model without any debiasing, of a distilled student `plain_of`."""
        return self.plain_of(place) if isinstance(place, Pair) else place._replace(method=ERM)

    def acts_on_distillation(self, method: str) -> bool:
        """Whether a method acts on the distillation alone, so that it has the teachers and students alone of ERM."""
        return self.results.grid.methods[method].distils

    def table(self, place: Trained | Pair) -> dict[str, dict[int, float | None]]:
        """Metric's key -> seed -> value, of what has been measured."""
        if place not in self._tables:
            keys = self.places.get(place, {})
            results = {seed: _groups(self.reports[key])["model"] for seed, key in keys.items() if key in self.reports}
            found = by_metric(results)
            for side, metric in self.sides.items():
                splits = {seed: one["splits"][self.gap_split] for seed, one in results.items()}
                found[metric.key] = {seed: _accuracy_of_side(split["groups"], side) for seed, split in splits.items()}
            self._tables[place] = found
        return self._tables[place]

    @cached_property
    def _tables(self) -> dict:
        return {}

    def cell(self, pair: Pair) -> Cell:
        """g with its f_T and f_S."""
        sides = (self.table(place) for place in (self.teacher_of(pair), self.alone_of(pair), pair))
        return Cell(self.cell_name(pair), pair.teacher, pair.student, *sides)

    def cell_name(self, pair: Pair) -> str:
        """The method's label, and how the student is trained where it is trained the same way."""
        label = self.results.grid.methods[pair.method].label
        return f"{label}, {VARIANTS[pair.variant]}" if self.is_debiased(pair.method) else label

    @cached_property
    def chance(self) -> dict[str, float]:
        """Split -> accuracy in percent of giving its most frequent label always; empty where no split is like the training data."""
        found = {}
        for name, split in self.splits.items() if INSIDE in self.splits else ():
            counts = np.bincount(unpack(split["predictions"]["labels"], len(split["labels"])))
            found[name] = 100 * float(counts.max() / counts.sum())
        return found

    @cached_property
    def least_accuracy(self) -> dict[str, float]:
        """Split -> percent: a model below it on every split is near chance."""
        return {name: chance + NEAR_CHANCE * (100 - chance) for name, chance in self.chance.items()}

    def near_chance(self, place: Trained | Pair) -> dict[int, float]:
        """In-distribution accuracy by seed of the models that hardly do their task, on whichever split: a difference from one of them says more of
        its failure than of what it is compared with. One that is right on neutral or on conflicting examples has learned the task, though a
        debiasing that corrects too far may leave it little of the test split, where the shortcut helps."""
        if self.ordinary is None:
            return {}
        found = self.table(place)
        near = [
            {seed for seed, value in metric.values(found.get(metric.key, {})).items() if value < least}
            for name, least in self.least_accuracy.items()
            for metric in [self.metrics[f"{name}_accuracy"]]
        ]
        ordinary = self.ordinary.values(found.get(self.ordinary.key, {}))
        return {seed: value for seed, value in ordinary.items() if all(seed in of_split for of_split in near)}

    def seeds_text(self, place: Trained | Pair) -> str:
        """How many, and what is missing or near chance: ``5``, ``3 of 5 (1 failed, 1 not run yet)``, ``5 (1 near chance †)``."""
        keys = self.places.get(place, {}).values()
        there, failed = sum(key in self.reports for key in keys), sum(key in self.failed for key in keys)
        parts = [f"{failed} failed"] if failed else []
        parts += [f"{len(keys) - there - failed} not run yet"] if len(keys) > there + failed else []
        number = f"{there} of {len(keys)}" if parts else str(there)
        parts += [f"{len(near)} near chance {MARK}"] if (near := self.near_chance(place)) else []
        return f"{number} ({', '.join(parts)})" if parts else number

    def looked_inside(self) -> Iterator[tuple[Pair, dict[int, Mapping[str, Any]]]]:
        """Distilled students with the entries of the measure ``internals`` by seed, those that compare layers with the teacher's; last those that begin
        with their teacher's weights."""
        for pair in (*self.pairs, *self.remedied):
            there = {seed: key for seed, key in self.places[pair].items() if key in self.reports}
            found = {seed: entry for seed, key in there.items() if (entry := _inside(self.reports[key])) is not None}
            if found:
                yield pair, found


VARIANTS = {PLAIN: "plain student", SAME: "student debiased too"}
"""How a distilled student itself is trained, in words."""


def place_of(model: GridModel) -> Trained | Pair:
    """Where a model stands, whatever its seed."""
    if model.role != DISTILLED:
        return Trained(model.role, model.method, model.size, model.remedy)
    return Pair(model.method, model.teacher_size, model.size, model.student_method, model.remedy)


def _groups(report: EvaluationReport) -> Mapping[str, Any]:
    return report.measures["groups"][0]


def _accuracy_of_side(groups: Iterable[Mapping[str, Any]], aligned: bool) -> float:
    """Percent right of all examples of one side of a split that has both."""
    chosen = [group for group in groups if group["aligned"] is aligned and group["n"]]
    return math.fsum(group["n"] * group["accuracy"] for group in chosen) / sum(group["n"] for group in chosen)


def _inside(report: EvaluationReport) -> Mapping[str, Any] | None:
    """The look inside with its comparison with the teacher, where one was made."""
    entry = next(iter(report.measures.get("internals", [])), None)
    return entry if entry and (entry.get("comparison") or {}).get("similarity") else None


def mean(values) -> float | None:
    """Of what is there; ``None`` for nothing."""
    given = [value for value in values if value is not None]
    return math.fsum(given) / len(given) if given else None
