"""Every comparison of a task's page over paired seeds, with p-values corrected over the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from evenhand.evaluation.distillability import (
    CONTRIBUTION,
    DISTILLABILITY,
    Cell,
    Metric,
    SeedEffect,
    seed_effect,
    with_holm,
)
from evenhand.evaluation.distillability_findings import pooled_gains
from evenhand.evaluation.paired_seeds import CONFIDENCE
from evenhand.evaluation.verdict import verdict
from evenhand.launch.distillability.grid import ERM
from evenhand.launch.distillability.page.measured_task import MeasuredTask, Pair, Trained

REMEDY, TEACHER_ADDS, DEBIASED = "remedy", "teacher_adds", "debiased"
KINDS = {
    DISTILLABILITY: "g − f_T",
    CONTRIBUTION: "g − f_S",
    REMEDY: "g with the remedy − g without",
    TEACHER_ADDS: "g with the remedy − f_S with it",
    DEBIASED: "with the method − by ERM",
}
"""What is subtracted from what."""


class Comparison(NamedTuple):
    """One difference.

    Args:
        kind: of `KINDS`.
        place: the model whose number it is that something is subtracted from.
    """

    kind: str
    place: Trained | Pair


@dataclass(frozen=True)
class Judged:
    """A difference over paired seeds.

    Args:
        effect: with Holm's p-value over the page's comparisons of this metric.
        alone: the difference that the test would find with 80 % power without the correction.
    """

    effect: SeedEffect
    alone: float | None

    @property
    def verdict(self) -> str | None:
        """By `evenhand.evaluation.verdict`; ``None`` where there is no difference."""
        return None if self.effect.difference is None else self._verdict["verdict"]

    @property
    def worst_case(self) -> float | None:
        """The largest change for the worse that the interval does not exclude."""
        return self._verdict["worst_case"]

    @property
    def holds(self) -> bool | None:
        """Whether Holm's correction leaves it; ``None`` without a p-value."""
        p_value = self.effect.p_value_holm
        return None if p_value is None else p_value < 1 - CONFIDENCE

    @property
    def _verdict(self) -> Mapping:
        return verdict(self.effect.confidence_interval, self.effect.metric.side)


class Comparisons:
    """All comparisons of one task.

    Corrected by Holm for each metric apart, over all comparisons of the task's page; of groups' accuracies, that are tested on the mean over
    the pairs of sizes, over the methods and groups of a split.

    Args:
        task: its numbers.
    """

    def __init__(self, task: MeasuredTask) -> None:
        self.task = task
        self._judged: dict[str, dict[Comparison, Judged]] = {}

    @cached_property
    def cells(self) -> dict[Comparison, tuple[Cell, str]]:
        """What is subtracted from what: a cell and its role."""
        return dict(self._cells())

    def _cells(self) -> Iterator[tuple[Comparison, tuple[Cell, str]]]:
        task = self.task
        for pair in task.pairs:
            cell = task.cell(pair)
            for role in (DISTILLABILITY, CONTRIBUTION):
                yield Comparison(role, pair), (cell, role)
        for pair in task.remedied:
            cell = task.cell(pair)
            yield Comparison(DISTILLABILITY, pair), (cell, DISTILLABILITY)
            without = Cell(cell.method, pair.teacher, pair.student, f_s=task.table(pair.without), g=cell.g)
            yield Comparison(REMEDY, pair), (without, CONTRIBUTION)
            if alone := task.alone_with(pair):
                with_it = Cell(cell.method, pair.teacher, pair.student, f_s=task.table(alone), g=cell.g)
                yield Comparison(TEACHER_ADDS, pair), (with_it, CONTRIBUTION)
        for place in task.trained:
            if place.method != ERM:
                plain = task.table(place._replace(method=ERM))
                yield (
                    Comparison(DEBIASED, place),
                    (Cell(place.method, place.size, place.size, f_t=plain, g=task.table(place)), DISTILLABILITY),
                )
        for pair in task.pairs:
            # a method of the distillation alone has no debiased teacher: its control is the same distillation without it
            if task.acts_on_distillation(pair.method):
                plain, own = task.table(task.plain_of(pair)), task.table(pair)
                cell = Cell(task.cell_name(pair), pair.teacher, pair.student, f_t=plain, g=own)
                yield Comparison(DEBIASED, pair), (cell, DISTILLABILITY)

    def of(self, metric: Metric) -> dict[Comparison, Judged]:
        """Every comparison of one metric."""
        if metric.key not in self._judged:
            raw = [seed_effect(cell, metric, role) for cell, role in self.cells.values()]
            corrected = zip(with_holm(raw), raw, strict=True)
            found = [Judged(effect, before.detectable) for effect, before in corrected]
            self._judged[metric.key] = dict(zip(self.cells, found, strict=True))
        return self._judged[metric.key]

    def get(self, kind: str, place: Trained | Pair, metric: Metric) -> Judged | None:
        """One comparison, ``None`` where there is none."""
        return self.of(metric).get(Comparison(kind, place))

    def tests(self, metric: Metric) -> int:
        """How many comparisons of this metric p-values are corrected over."""
        return sum(judged.effect.p_value is not None for judged in self.of(metric).values())

    def of_groups(self, kind: str, split: str) -> dict[tuple[str, str], dict[str, Judged]]:
        """Change of every group's accuracy, the mean over pairs of sizes: (method, variant) -> group -> difference.

        Args:
            kind: distillability or contribution.
            split: whose groups.
        """
        metrics, rows = self.task.groups_of_split(split), {}
        for pair in self.task.pairs:
            rows.setdefault((pair.method, pair.variant), []).append(self.task.cell(pair))
        places = [(row, metric) for row in rows for metric in metrics]
        raw = [pooled_effect(rows[row], metric, kind) for row, metric in places]
        found: dict[tuple[str, str], dict[str, Judged]] = {row: {} for row in rows}
        for (row, metric), effect, before in zip(places, with_holm(raw), raw, strict=True):
            found[row][metric.group] = Judged(effect, before.detectable)
        return found


def pooled_effect(cells: Sequence[Cell], metric: Metric, role: str) -> SeedEffect:
    """The mean gain over cells, seed by seed, as an effect: positive is better.

    Args:
        cells: all weighing the same; seeds that one of them lacks are left out.
        metric: of which the gain is.
        role: distillability or contribution.
    """
    gains = pooled_gains([cell for cell in cells if cell.differences(metric, role)], metric, role)
    of_gain = Metric(metric.key, "higher", metric.group, metric.unit)
    nothing = {metric.key: dict.fromkeys(gains, 0.0)}
    return seed_effect(Cell("", "", "", nothing, nothing, {metric.key: gains}), of_gain, role)
