"""What each task says of each of the paper's findings: supports, contradicts, no difference, or cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from scipy import stats

from evenhand.evaluation.distillability import CONTRIBUTION, DISTILLABILITY, BySeed, Cell, Metric
from evenhand.evaluation.distillability_findings import (
    MARGIN,
    Finding,
    contribution_not_positive,
    larger_teacher_not_always_better,
    remedy_helps,
    same_scale_best,
    stable_while_groups_move,
    teacher_adds,
    undermined_overall,
)
from evenhand.evaluation.distillability_rule import CANNOT_TELL
from evenhand.evaluation.paired_seeds import CONFIDENCE, detectable_in_errors
from evenhand.launch.distillability.page.inside import CKA, CONTROLS, MEASURES, Inside, deciding, depth_finding
from evenhand.launch.distillability.page.measured_task import PLAIN, SAME, MeasuredTask, Pair, Trained
from evenhand.launch.page_text import listed

PERCENTAGE_POINTS = "points"
MATTERS = f"{MARGIN:g} point or more"
"""The smallest change that matters, in words."""
DEEPER = "middle_and_late_layers"
_CLAIMS = {
    "undermined_plain": "Distillation undermines debiasing: a plain student is less robust than the debiased teacher that it is distilled from",
    "undermined_same": "It does so even where the student is debiased too: it is less robust than its debiased teacher",
    "nothing_gained_same": f"A debiased student gains nothing from its teacher: its contribution is no gain of {MATTERS}",
    "nothing_gained_plain": f"A plain student gains nothing from a debiased teacher either: no gain of {MATTERS}",
    "stable_while_groups_move": f"Robustness stays stable overall, with no change of {MATTERS}, while single groups (bias types) move",
    "same_scale_best": "Pairs of the same scale transfer best",
    "larger_teacher_not_always_better": f"A larger teacher is not always better: with some method and student it brings no gain of {MATTERS}",
    DEEPER: "Teacher and student diverge in middle and late layers",
}
_OF_SINGLE_METHODS = ("undermined_plain", "undermined_same", "nothing_gained_same", "nothing_gained_plain")
"""Findings whose number is told of each method too."""


@dataclass(frozen=True)
class TaskFinding:
    """One finding on one task.

    Args:
        key: of the finding.
        claim: in words.
        judged: what it was judged on -> the verdict with its numbers; the first decides.
        used, wanted: how many cells it was judged on, and how many the plan has for it.
        unit: of gains.
        note: which of the planned ones it rests on, where it is not all of them by design.
        by_method: label -> the number that decides, of that method's cells alone; where the finding takes several together, which may hide that
            they go opposite ways. Uncorrected.
    """

    key: str
    claim: str
    judged: Mapping[str, Finding]
    used: int
    wanted: int
    unit: str = PERCENTAGE_POINTS
    note: str = ""
    by_method: Mapping[str, Finding] = field(default_factory=dict)

    @property
    def decides(self) -> Finding | None:
        """The verdict that counts, ``None`` where nothing could be judged."""
        return next(iter(self.judged.values()), None)

    @property
    def word(self) -> str:
        """Supports, contradicts, no difference or cannot tell."""
        return self.decides.verdict if self.decides else CANNOT_TELL

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        judged = {on: {**one.to_dict(), "detectable": detectable(one)} for on, one in self.judged.items()}
        return {
            "finding": self.key,
            "claim": self.claim,
            "verdict": self.word,
            "decided_by": next(iter(self.judged), None),
            "judged_on": judged,
            "cells": self.used,
            "cells_planned": self.wanted,
            "unit": self.unit,
            "note": self.note,
            "by_method": {label: one.to_dict() for label, one in self.by_method.items()},
        }


def detectable(finding: Finding) -> float | None:
    """The true gain that its test would find with 80 % power at 5 %, from the length of the interval; ``None`` without one."""
    if finding.confidence_interval is None or finding.n < 2:
        return None
    low, high = finding.confidence_interval
    error = (high - low) / 2 / float(stats.t.ppf((1 + CONFIDENCE) / 2, finding.n - 1))
    return detectable_in_errors(finding.n - 1) * error


def task_findings(task: MeasuredTask, insides: Sequence[Inside]) -> list[TaskFinding]:
    """Every finding that the task's plan can say something of, in the paper's order.

    Those on debiasing are judged on the methods that debias teachers: neither ERM nor methods of the distillation alone; those on remedies on
    the methods for which remedies are tried, under debiased teachers and under ERM's apart. Methods that turned out not to lower the teacher's gap are not left out: to choose by what was
    found in f_T would bend g − f_T.

    Args:
        task: its numbers; at least one report.
        insides: of `insides_of`.
    """
    return [finding for finding in _findings(task, insides) if finding.wanted]


def _findings(task: MeasuredTask, insides: Sequence[Inside]) -> Iterator[TaskFinding]:
    debiased = [pair for pair in task.pairs if task.is_debiased(pair.method)]
    variants = {variant: [pair for pair in debiased if pair.variant == variant] for variant in (PLAIN, SAME)}
    for variant, pairs in variants.items():
        yield _on_metrics(task, f"undermined_{variant}", pairs, DISTILLABILITY, undermined_overall)
    for variant in (SAME, PLAIN):
        yield _on_metrics(task, f"nothing_gained_{variant}", variants[variant], CONTRIBUTION, contribution_not_positive)
    yield _groups_finding(task, debiased)
    # a comparison between sizes needs two of them
    matched = {(pair.method, pair.student, pair.variant) for pair in debiased if pair.teacher == pair.student}
    others = {(pair.method, pair.student, pair.variant) for pair in debiased if pair.teacher != pair.student}
    several = [pair for pair in debiased if (pair.method, pair.student, pair.variant) in matched & others]
    yield _on_metrics(task, "same_scale_best", several, DISTILLABILITY, same_scale_best)
    sizes = list(task.settings.sizes)
    several = debiased if len(task.settings.teachers) > 1 else []
    yield _on_metrics(
        task, "larger_teacher_not_always_better", several, DISTILLABILITY,
        lambda cells, metric: larger_teacher_not_always_better(cells, metric, sizes),
    )  # fmt: skip
    looked = sum(pair.method in task.settings.why_methods for pair in task.pairs) if task.settings.why else 0
    looked = max(looked, len(insides))
    yield _depth_finding(task, insides, looked)
    for remedy in task.settings.remedies:
        yield from _remedy_findings(task, remedy)


def judged_on(task: MeasuredTask) -> list[Metric]:
    """What findings are judged on: the worst group decides; beside it the spurious gap and accuracy on the shifted splits."""
    keys = [*task.robust_keys, *(f"{name}_accuracy" for name in task.shifted)]
    return [task.metrics[key] for key in keys if key in task.metrics]


def _on_metrics(
    task: MeasuredTask, key: str, pairs: Sequence[Pair], role: str, judge: Callable[[list[Cell], Metric], Finding]
) -> TaskFinding:
    judged, used = {}, 0
    for metric in judged_on(task):
        cells = [cell for pair in pairs if (cell := task.cell(pair)).differences(metric, role)]
        used = max(used, len(cells))
        judged[task.titles[metric.key]] = judge(cells, metric)
    by_method = {}
    if key in _OF_SINGLE_METHODS and len({pair.method for pair in pairs}) > 1:
        for method in dict.fromkeys(pair.method for pair in pairs):
            cells = [task.cell(pair) for pair in pairs if pair.method == method]
            cells = [cell for cell in cells if cell.differences(task.worst_group, role)]
            by_method[task.results.grid.methods[method].label] = judge(cells, task.worst_group)
    return TaskFinding(key, _CLAIMS[key], judged, used, len(pairs), by_method=by_method)


def _groups_finding(task: MeasuredTask, pairs: Sequence[Pair]) -> TaskFinding:
    """On the split with the most groups, of equal ones a shifted one: bias types are told apart there."""
    splits = [name for name in (*task.shifted, task.judged_split) if len(task.groups_of_split(name)) > 1]
    judged, used = {}, 0
    if splits:
        split = max(splits, key=lambda name: len(task.groups_of_split(name)))
        overall = task.metrics[f"{split}_accuracy"]
        cells = [cell for pair in pairs if (cell := task.cell(pair)).differences(overall, DISTILLABILITY)]
        used = len(cells)
        found = stable_while_groups_move(cells, overall, task.groups_of_split(split))
        judged[f"{task.titles[overall.key]}, and its groups"] = found
    return TaskFinding(
        "stable_while_groups_move", _CLAIMS["stable_while_groups_move"], judged, used, len(pairs) if splits else 0
    )


def _depth_finding(task: MeasuredTask, insides: Sequence[Inside], looked: int) -> TaskFinding:
    judged = {}
    for measure, title in MEASURES.items():
        judged[title] = depth_finding(insides, measure)
        if judged[title].n:
            judged |= {f"{title}, {words}": depth_finding(insides, measure, on) for on, words in CONTROLS.items()}
    there = [inside.pair for inside, _ in deciding(insides, CKA)]
    notes = []
    if there and len(there) < len(insides):
        sizes = dict.fromkeys(f"{pair.teacher} → {pair.student}" for pair in there)
        notes.append(
            f"those of {listed(list(sizes))}; the others have fewer than three mapped layers, so no early third"
        )
    if there:
        labels = dict.fromkeys(task.results.grid.methods[pair.method].label for pair in there)
        notes.append(f"methods: {listed(list(labels))}")
    return TaskFinding(DEEPER, _CLAIMS[DEEPER], judged, len(there), looked, "of the measure", "; ".join(notes))


def _remedy_findings(task: MeasuredTask, remedy: str) -> Iterator[TaskFinding]:
    """Under debiased teachers, then under ERM's: whether the student is more robust with it, and whether the teacher adds to it."""
    chosen = task.results.grid.remedies[remedy]
    pairs, note = [pair for pair in task.remedied if pair.remedy == remedy], ""
    if chosen.from_teacher:
        # of equal sizes the student is its teacher, trained further: no distillation is needed for that
        pairs, note = [pair for pair in pairs if pair.teacher != pair.student], "pairs of equal sizes left out"
    for debiased in (True, False):
        of_teachers = [pair for pair in pairs if task.is_debiased(pair.method) == debiased]
        key, under = (
            (f"remedy_{remedy}", "debiased teachers")
            if debiased
            else (f"remedy_{remedy}_erm", "teachers trained by ERM")
        )
        claim = f"The student is more robust with the remedy “{chosen.label}”, under {under}"
        yield _between(task, key, claim, [(pair, pair.without) for pair in of_teachers], remedy_helps, remedy, note)
        controls = [(pair, alone) for pair in of_teachers if (alone := task.alone_with(pair))]
        claim = f"The teacher adds to the remedy “{chosen.label}”, under {under}: more than a student alone has of it"
        yield _between(task, f"{key}_teacher_adds", claim, controls, teacher_adds, remedy, note)


def _between(
    task: MeasuredTask, key: str, claim: str, places: Sequence[tuple[Pair, Pair | Trained]],
    judge: Callable[[str, list[BySeed], list[BySeed], Metric], Finding], remedy: str, note: str,
) -> TaskFinding:  # fmt: skip
    """Of distilled students with a remedy, each less the model beside it."""
    judged, used = {}, 0
    for metric in judged_on(task):
        both = [tuple(task.table(place).get(metric.key, {}) for place in two) for two in places]
        both = [(own, other) for own, other in both if own.keys() & other.keys()]
        used = max(used, len(both))
        judged[task.titles[metric.key]] = judge(remedy, [own for own, _ in both], [other for _, other in both], metric)
    return TaskFinding(key, claim, judged, used, len(places), note=note)
