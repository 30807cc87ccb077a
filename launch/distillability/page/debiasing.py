"""Does a method debias at all? Two numbers decide: the spurious gap falls, and the accuracy on bias-conflicting examples rises.

A gap closes as well where a model only gets worse on bias-aligned examples, and chance has no gap at all. Where no split has aligned and
conflicting examples, the worst group decides alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evenhand.evaluation.distillability import DISTILLABILITY, Metric, with_holm
from evenhand.evaluation.distillability_findings import MARGIN
from evenhand.launch.distillability.models import TEACHER
from evenhand.launch.distillability.page.comparisons import DEBIASED, Comparison, Comparisons, Judged, pooled_effect
from evenhand.launch.distillability.page.measured_grid import TaskPage
from evenhand.launch.distillability.page.measured_task import MeasuredTask, Pair, Trained
from evenhand.launch.distillability.page.own_numbers import PERCENT_DIFFERENCE, own_mean

GAP, CONFLICTING, WORST_GROUP = "gap", "conflicting", "worst group"
ALIGNED, ORDINARY = "aligned", "ordinary"
BETTER, CANNOT_TELL, WORSE = "better", "not distinguishable", "worse"
NOT_MEASURED, TOO_FEW = "not measured", "too few seeds to tell"
LOWERS_AND_RAISES = "lowers the spurious gap and raises the accuracy on conflicting examples"
BY_LOSING = "lowers the spurious gap by losing accuracy: it falls on aligned examples, and does not rise on conflicting ones, as far as can be told"
_OF_TWO = {
    (BETTER, BETTER): LOWERS_AND_RAISES,
    (BETTER, CANNOT_TELL): "lowers the spurious gap, but does not raise the accuracy on conflicting examples, as far as can be told",
    (BETTER, WORSE): "lowers the spurious gap by losing accuracy, which falls on conflicting examples too",
    (CANNOT_TELL, BETTER): "raises the accuracy on conflicting examples, but does not lower the spurious gap, as far as can be told",
    (CANNOT_TELL, CANNOT_TELL): "neither lowers the spurious gap nor raises the accuracy on conflicting examples, as far as can be told",
    (CANNOT_TELL, WORSE): "lowers the accuracy on conflicting examples, and does not lower the spurious gap, as far as can be told",
    (WORSE, BETTER): "raises the spurious gap, though it raises the accuracy on conflicting examples too",
    (WORSE, CANNOT_TELL): "raises the spurious gap",
    (WORSE, WORSE): "raises the spurious gap and lowers the accuracy on conflicting examples",
}  # fmt: skip
_OF_ONE = {
    BETTER: "raises the accuracy of the worst group",
    CANNOT_TELL: "does not raise the accuracy of the worst group, as far as can be told",
    WORSE: "lowers the accuracy of the worst group",
}
CASES = (*_OF_TWO.values(), BY_LOSING, *_OF_ONE.values(), TOO_FEW, NOT_MEASURED)
"""What a method may do, in the order in which a summary tells it."""
WORKS = (LOWERS_AND_RAISES, _OF_ONE[BETTER])


@dataclass(frozen=True)
class Debiasing:
    """What a method changes, against ERM.

    Args:
        judged: `GAP` and `CONFLICTING`, or `WORST_GROUP`; then, beside what decides, `ALIGNED` and `ORDINARY`, where there are such examples.
        models: the models with the method and those by ERM that they are compared with.
        paired: whether some seed has both in some size.
        left: the spurious gap that the models with the method have, with its sign, by seed, the mean over them; empty without a gap.
    """

    judged: dict[str, Judged]
    models: Sequence[tuple[Trained | Pair, Trained | Pair]]
    paired: bool
    left: Mapping[int, float] = field(default_factory=dict)

    @property
    def decides(self) -> dict[str, Judged]:
        """The numbers that the verdict rests on."""
        return {name: self.judged[name] for name in (GAP, CONFLICTING, WORST_GROUP) if name in self.judged}

    @property
    def n(self) -> int:
        """Seeds that have all models."""
        return min(one.effect.n for one in self.decides.values())

    @property
    def seeds(self) -> set[int]:
        """Those seeds."""
        return set.intersection(*(set(one.effect.differences) for one in self.decides.values()))

    @property
    def case(self) -> str:
        """Of `CASES`, by whether each interval leaves out 0."""
        if not self.paired:
            return NOT_MEASURED
        if self.n < 2:
            return TOO_FEW
        if GAP not in self.judged:
            return _OF_ONE[self.judged[WORST_GROUP].verdict]
        told = self.judged[GAP].verdict, self.judged[CONFLICTING].verdict
        if told == (BETTER, CANNOT_TELL) and self.judged[ALIGNED].verdict == WORSE:
            return BY_LOSING
        return _OF_TWO[told]

    @property
    def corrects_too_far(self) -> bool:
        """Whether the models are better on conflicting than on aligned examples: the interval of the gap that is left lies below 0, its mean is
        −`MARGIN` or less."""
        found = own_mean(self.left, PERCENT_DIFFERENCE)
        ends = found["confidence_interval"]
        return ends is not None and ends[1] < 0 and found["value"] <= -MARGIN

    @property
    def taken_back(self) -> bool:
        """Whether Holm's correction takes back a number that the verdict rests on."""
        told = [one for one in self.decides.values() if one.verdict in (BETTER, WORSE)]
        return any(one.holds is False for one in told)


def debiasing_metrics(task: MeasuredTask) -> dict[str, Metric]:
    """What is looked at, by the names of `Debiasing.judged`."""
    found = {GAP: task.gap, CONFLICTING: task.sides[False]} if task.gap else {WORST_GROUP: task.worst_group}
    beside = {ALIGNED: task.sides.get(True), ORDINARY: task.ordinary}
    return found | {name: metric for name, metric in beside.items() if metric is not None}


def debiasing_places(task: MeasuredTask, role: str | None = None) -> list[Trained | Pair]:
    """Models that a method may have debiased: teachers and students alone, then distilled students of methods of the distillation alone.

    Args:
        task: its models.
        role: only those of this role among the ones trained without distillation.
    """
    places = [place for place in task.trained if task.is_debiased(place.method) and role in (None, place.role)]
    return [*places, *(pair for pair in task.pairs if task.acts_on_distillation(pair.method))]


def debiasing_of(comparisons: Comparisons, place: Trained | Pair) -> Debiasing:
    """Of one model over seeds, corrected over the task's page."""
    metrics = debiasing_metrics(comparisons.task)
    judged = {name: comparisons.get(DEBIASED, place, metric) for name, metric in metrics.items()}
    paired = any(one.effect.n for one in judged.values())
    left = _gap_left(comparisons.task, [place])
    return Debiasing(judged, [(place, comparisons.task.by_erm(place))], paired, left)


def pooled_debiasing(page: TaskPage) -> dict[str, Debiasing]:
    """By method: of its teachers, or of the students distilled by it, the mean over sizes, seed by seed.

    Gains, so positive is better. The numbers that decide are corrected by Holm together, over the methods of the task; those beside them are not.
    """
    task, metrics = page.task, debiasing_metrics(page.task)
    places: dict[str, list[Trained | Pair]] = {}
    for place in debiasing_places(task, TEACHER):
        places.setdefault(place.method, []).append(place)
    cells = {
        method: [page.comparisons.cells[Comparison(DEBIASED, place)][0] for place in own]
        for method, own in places.items()
    }
    raw = {
        (method, name): pooled_effect(cells[method], metric, DISTILLABILITY)
        for method in places
        for name, metric in metrics.items()
    }
    family = [key for key in raw if key[1] in (GAP, CONFLICTING, WORST_GROUP)]
    corrected = raw | dict(zip(family, with_holm([raw[key] for key in family]), strict=True))
    return {
        method: Debiasing(
            {name: Judged(corrected[method, name], raw[method, name].detectable) for name in metrics},
            [(place, task.by_erm(place)) for place in own],
            any(cell.differences(metric, DISTILLABILITY) for cell in cells[method] for metric in metrics.values()),
            _gap_left(task, own),
        )
        for method, own in places.items()
    }


def _gap_left(task: MeasuredTask, places: Sequence[Trained | Pair]) -> dict[int, float]:
    """By seed, of those that all of the models were measured with."""
    if task.gap is None:
        return {}
    gaps = [task.table(place).get(task.gap.key, {}) for place in places]
    of_all = set.intersection(*({seed for seed, value in one.items() if value is not None} for one in gaps))
    return {seed: math.fsum(one[seed] for one in gaps) / len(gaps) for seed in sorted(of_all)}
