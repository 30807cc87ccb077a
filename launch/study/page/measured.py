"""Every number of a study's page, computed once from the reports: means with intervals, comparisons, sweeps, trade-offs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from evenhand.evaluation.arm_comparisons import (
    ArmComparison,
    Judgement,
    compare_arms,
    corrected_by_holm,
    over_words_and_seeds,
    pooled_losses,
)
from evenhand.evaluation.families import mean_magnitude
from evenhand.evaluation.over_seeds import aggregate_differences, aggregate_results
from evenhand.evaluation.paired_seeds import Interval, Ratio, ratio_of_means, t_interval
from evenhand.evaluation.report import EvaluationReport
from evenhand.evaluation.sweeps import Sweep, along_sweep
from evenhand.launch.page_environments import environments
from evenhand.launch.study.page.roles import Roles
from evenhand.launch.study.results import StudyResults
from evenhand.launch.study.study_file import Section, Study, StudyArm

GENDER, EXTENDED = "gender", "gender-extended"
CEILING = 1.5
"""Above this a teacher's \\|d\\| leaves a student little room for more: d ends at 2."""


@dataclass(frozen=True)
class MeasuredArm:
    """One arm with what is known of it.

    Args:
        arm: as the study file has it.
        reports: by seed.
        failed: seed → name of its log.
        same_as: the arm whose students these are as well (recipes may come out equal), or ``None``.
        core: whether conclusions may rest on its students, for they are a core arm's.
    """

    arm: StudyArm
    reports: Mapping[int, EvaluationReport]
    failed: Mapping[int, str]
    same_as: str | None
    core: bool

    @property
    def missing(self) -> tuple[int, ...]:
        """Seeds that have neither a report nor failed."""
        return tuple(seed for seed in range(self.arm.seeds) if seed not in self.reports and seed not in self.failed)

    def seat(self, which: int = 0) -> dict[int, Mapping]:
        """`SeatResult.to_dict()` by seed, of the report's entry of that number."""
        return {
            seed: report.measures["seat"][which]["model"]
            for seed, report in self.reports.items()
            if len(report.measures.get("seat", ())) > which
        }

    def teachers(self, which: int = 0) -> dict[int, Mapping]:
        """The teacher's, by seed."""
        entries = {seed: report.measures["seat"][which] for seed, report in self.reports.items()}
        return {seed: entry["reference"] for seed, entry in entries.items() if entry["reference"] is not None}

    @cached_property
    def mean(self) -> dict[str, object] | None:
        """The headline's means over seeds with intervals over words and seeds, see `over_seeds.aggregate_results`."""
        results = list(self.seat().values())
        return aggregate_results(results) if results else None

    def mean_over(self, seeds: Collection[int]) -> dict[str, object] | None:
        """The same over some seeds alone; empty for all."""
        results = self.seat()
        kept = [result for seed, result in results.items() if not seeds or seed in seeds]
        if len(kept) == len(results):
            return self.mean
        return aggregate_results(kept) if kept else None

    @cached_property
    def against_teacher(self) -> dict[str, object] | None:
        """The headline against the teacher that each seed had, see `over_seeds.aggregate_differences`."""
        sides = self._beside_teachers
        return aggregate_differences(*sides) if sides[0] else None

    @cached_property
    def from_teacher(self) -> Judgement | None:
        """Δ mean \\|d\\| from the teachers over words and seeds, with its p-value and what could have been found; ``None`` without both."""
        if self.against_teacher is None or GENDER not in self.against_teacher["families"]:
            return None
        sides = [
            mean_magnitude([[one["tests"][name] for name in one["families"][GENDER]["tests"]] for one in side])
            for side in self._beside_teachers
        ]
        return over_words_and_seeds(self.against_teacher["families"][GENDER], *sides)

    @cached_property
    def _beside_teachers(self) -> tuple[list[Mapping], list[Mapping]]:
        """Students and the teacher of each, for the seeds that have both."""
        results, teachers = self.seat(), self.teachers()
        seeds = [seed for seed in results if seed in teachers]
        return [results[seed] for seed in seeds], [teachers[seed] for seed in seeds]

    def mean_magnitudes(self, family: str = GENDER) -> dict[int, float]:
        """Mean \\|d\\| of each seed that has one."""
        values = {
            seed: result["families"].get(family, {}).get("mean_absolute_effect_size")
            for seed, result in self.seat().items()
        }
        return {seed: value for seed, value in values.items() if value is not None}

    def losses(self) -> dict[int, float]:
        """Held-out masked-LM loss by seed, in nats per masked token."""
        records = {seed: (report.training or {}).get("held_out_mlm_loss") for seed, report in self.reports.items()}
        return {seed: record["student"] for seed, record in records.items() if record}

    @cached_property
    def loss(self) -> Interval | None:
        """Their mean with its interval; ``None`` for fewer than two seeds."""
        losses = list(self.losses().values())
        return t_interval(losses) if len(losses) > 1 else None


class MeasuredStudy:
    """A study's results with everything that its page and its results.json say.

    Args:
        results: of one scale.

    Raises:
        ValueError: no student was measured with SEAT, or reports that cannot be compared.
    """

    def __init__(self, results: StudyResults) -> None:
        self.results = results
        self.study: Study = results.study
        self.roles = Roles(results.study)
        self.arms = _measured_arms(results)
        if not any(arm.seat() for arm in self.arms.values()):
            raise ValueError(
                f"study {self.study.name}, scale {self.study.scale}: no student has been measured with SEAT yet; run the study first"
            )
        self._compared: dict[int, dict[tuple[str, str], ArmComparison]] = {}
        self.comparisons = self.other_entry(0)

    @cached_property
    def first(self) -> EvaluationReport:
        """A report of the baseline, or of the first arm that has one."""
        arms = [self.arms[self.study.baseline], *self.arms.values()]
        return next(report for arm in arms for report in arm.reports.values())

    @cached_property
    def environments(self) -> list[dict[str, Any]]:
        """What the reports were made with, see `page_environments.environments`; students that several arms share count once."""
        own = [arm for arm in self.arms.values() if arm.same_as is None]
        return environments(report for arm in own for report in arm.reports.values())

    @cached_property
    def entries(self) -> list[Mapping]:
        """The SEAT entries of a report: pooling and stimuli of each, the headline first."""
        return self.first.measures["seat"]

    def name_of(self, arm: str) -> str:
        """The arm itself, or the one that has the very same students; a pool of draws has its own name."""
        return arm if arm == self.roles.pool else self.arms[arm].same_as or arm

    def reference_of(self, arm: str) -> str | None:
        """The arm that it is compared with, ``None`` where that is itself; of a pool of draws the baseline."""
        if arm == self.roles.pool:
            return self.study.baseline
        reference = self.roles.reference_of(arm)
        if reference is None or self.name_of(reference) == self.name_of(arm):
            return None
        return reference

    def comparison(self, arm: str, against: str | None = None) -> ArmComparison | None:
        """An arm against its reference, or against another that it was compared with; ``None`` where a seed in common is missing."""
        against = against or self.reference_of(arm)
        return None if against is None else self.comparisons.get((self.name_of(arm), self.name_of(against)))

    @property
    def tests(self) -> int:
        """How many comparisons Holm's correction is over, those that are still to be made among them."""
        made = sum(
            one.families[GENDER].words_and_seeds.p_value is not None
            for one in self.comparisons.values()
            if GENDER in one.families
        )
        return made + self.tests_to_come

    @property
    def tests_to_come(self) -> int:
        """Comparisons of arms that have no seed in common yet."""
        return len(self._pairs) - len(self.comparisons)

    @cached_property
    def from_teachers(self) -> dict[str, Judgement]:
        """Every arm against its teachers, corrected over all of them: a family of their own, beside that of the comparisons of arms."""
        own = {name: arm.from_teacher for name, arm in self.arms.items() if arm.same_as is None}
        to_come = sum(not self.arms[name].reports for name in own)
        found = corrected_by_holm({name: judged for name, judged in own.items() if judged is not None}, to_come)
        shared = {name: self.name_of(name) for name in self.arms}
        return {name: found[holder] for name, holder in shared.items() if holder in found}

    def per_nat(self, arm: str, against: str | None = None) -> Ratio | None:
        """Δ mean \\|d\\| per nat of Δ masked-LM loss over the seeds that both arms have; ``None`` without both numbers."""
        against = against or self.reference_of(arm)
        comparison = self.comparison(arm, against)
        if comparison is None:
            return None
        one, other = (self.losses.get(name, {}) for name in (comparison.arm, comparison.against))
        changes = dict(zip(comparison.seeds, comparison.families[GENDER].of_seeds, strict=True))
        seeds = [
            seed
            for seed, change in changes.items()
            if change is not None
            and seed in one
            and seed in other
            and self.same_text(comparison.arm, comparison.against, seed)
        ]
        if not seeds or comparison.mlm_loss is None:
            return None
        return ratio_of_means([changes[seed] for seed in seeds], [one[seed] - other[seed] for seed in seeds])

    def sweep(self, section: Section) -> Sweep | None:
        """Mean \\|d\\| along a sweep of numbers; ``None`` for fewer than three of them, or for names."""
        arms = [self.arms[name] for name in section.arms]
        values = {arm.arm.value: arm.mean_magnitudes() for arm in arms if isinstance(arm.arm.value, (int, float))}
        return along_sweep({float(value): of_seeds for value, of_seeds in values.items()})

    def other_entry(self, which: int) -> dict[tuple[str, str], ArmComparison]:
        """The comparisons under another pooling or on other stimuli, corrected among themselves."""
        if which not in self._compared:
            self._compared[which] = self._compare(which)
        return self._compared[which]

    @property
    def counts(self) -> dict[str, int]:
        """Students wanted, measured, failed and not yet run; students that several arms share count once."""
        own = [arm for arm in self.arms.values() if arm.same_as is None]
        return {
            "wanted": sum(max(arm.arm.seeds, len(arm.reports)) for arm in own),
            "measured": sum(len(arm.reports) for arm in own),
            "failed": sum(len(arm.failed) for arm in own),
            "missing": sum(len(arm.missing) for arm in own),
        }

    @cached_property
    def _pairs(self) -> list[tuple[str, str]]:
        """What is compared with what: each pair of other students once."""
        pairs = [(self.name_of(one), self.name_of(other)) for one, other in self.roles.pairs(self.arms)]
        return [pair for pair in dict.fromkeys(pairs) if pair[0] != pair[1]]

    def _compare(self, which: int) -> dict[tuple[str, str], ArmComparison]:
        results = {name: arm.seat(which) for name, arm in self.arms.items()}
        pools = {self.roles.pool: self.roles.controls} if self.roles.pool else {}
        return compare_arms(results, self._pairs, self.losses, pools, self.same_text)

    @cached_property
    def losses(self) -> dict[str, dict[int, float]]:
        """Held-out masked-LM loss by arm, or pool of draws, and seed."""
        losses = {name: arm.losses() for name, arm in self.arms.items()}
        pools = {self.roles.pool: pooled_losses(losses, self.roles.controls)} if self.roles.pool else {}
        return losses | pools

    def same_text(self, one: str, other: str, seed: int) -> bool:
        """Whether the losses of two arms, or pools, were taken on the same masked tokens, so that their difference says something."""
        reports = [
            self.arms[name].reports.get(seed)
            for arm in (one, other)
            for name in (self.roles.controls if arm == self.roles.pool else [arm])
        ]
        there = [report for report in reports if report is not None]
        return all(same_targets(there[0], report) for report in there[1:])


def mean_teacher(measured: MeasuredStudy, which: int = 0) -> dict[str, object] | None:
    """The baseline's teachers, each once, with intervals; ``None`` where the reports have none."""
    distinct = distinct_teachers(measured, which)
    return aggregate_results(distinct) if distinct else None


def distinct_teachers(measured: MeasuredStudy, which: int = 0) -> list[Mapping]:
    """What was measured of the baseline's teachers, each once; of the first arm that has any where the baseline has none."""
    arms = [measured.arms[measured.study.baseline], *measured.arms.values()]
    teachers = next((found for arm in arms if (found := list(arm.teachers(which).values()))), [])
    return [result for index, result in enumerate(teachers) if result not in teachers[:index]]


def teacher_loss(measured: MeasuredStudy) -> float | None:
    """Mean held-out loss of the baseline's teachers."""
    reports = measured.arms[measured.study.baseline].reports.values()
    losses = [(report.training or {}).get("held_out_mlm_loss") for report in reports]
    known = [record["teacher"] for record in losses if record and record.get("teacher") is not None]
    return float(np.mean(known)) if known else None


def unigram_loss(measured: MeasuredStudy) -> float | None:
    """Mean over seeds of the loss of guessing by frequency on the held-out targets of the baseline's students, as the reports of any arm
    with the same targets have it; ``None`` where none has."""
    base = measured.arms[measured.study.baseline].reports
    known: dict[int, list[float]] = {}
    for arm in measured.arms.values():
        for seed, report in arm.reports.items():
            found = ((report.training or {}).get("held_out_mlm_loss") or {}).get("unigram")
            if found is not None and seed in base and same_targets(report, base[seed]):
                known.setdefault(seed, []).append(found)
    return float(np.mean([np.mean(losses) for losses in known.values()])) if known else None


def uniform_loss(measured: MeasuredStudy) -> float | None:
    """Loss of giving every token of the vocabulary the same probability, in nats; ``None`` where its size is not known.

    Where rare tokens are masked more often than they occur, guessing by frequency can lose more than this.
    """
    size = measured.first.data["model"].get("vocab_size")
    return math.log(size) if size else None


def common_seeds(arms: Iterable[MeasuredArm]) -> set[int]:
    """Seeds that every arm has that has any; empty where none is common."""
    measured = [set(arm.mean_magnitudes()) for arm in arms if arm.mean_magnitudes()]
    return set.intersection(*measured) if measured else set()


def teacher_weights(report: EvaluationReport) -> str | None:
    """Hash of the weights that the student was distilled from, ``None`` where that is not known."""
    return ((report.training or {}).get("teacher") or {}).get("weights_sha256")


def same_targets(one: EvaluationReport, other: EvaluationReport) -> bool:
    """Whether two students' held-out losses were taken on the same masked tokens.

    Equal counts do not tell: which tokens of a held-out text are masked goes by how often each occurs in the training text, which counterfactual
    augmentation changes. One teacher's loss does, where both had it.
    """
    if not same_held_out_counts(one, other):
        return False
    teachers = [teacher_weights(report) for report in (one, other)]
    losses = [((report.training or {}).get("held_out_mlm_loss") or {}).get("teacher") for report in (one, other)]
    if teachers[0] != teachers[1] or None in losses:
        return True
    return math.isclose(losses[0], losses[1], rel_tol=1e-5)


def same_held_out_counts(one: EvaluationReport, other: EvaluationReport) -> bool:
    """Whether two students' held-out losses were taken on as many sequences and as many masked tokens."""
    counts = [
        (
            training.get("corpus", {}).get("held_out_sequences"),
            (training.get("held_out_mlm_loss") or {}).get("n_targets"),
        )
        for training in (report.training or {} for report in (one, other))
    ]
    return counts[0] == counts[1]


def _measured_arms(results: StudyResults) -> dict[str, MeasuredArm]:
    reports = {name: dict(sorted(results.reports.get(name, {}).items())) for name in results.study.arms}
    students = {name: {(seed, report.sha256) for seed, report in of_arm.items()} for name, of_arm in reports.items()}
    order = sorted(students, key=lambda name: -len(students[name]))  # stable: of equally many, the earlier arm
    arms = {}
    for name, arm in results.study.arms.items():
        holder = next((other for other in order if students[name] and students[name] <= students[other]), name)
        failed = {seed: log for (of, seed), log in sorted(results.failed.items()) if of == name}
        failed = {seed: log for seed, log in failed.items() if seed not in reports[holder]}
        core = arm.core or results.study.arms[holder].core
        arms[name] = MeasuredArm(arm, reports[holder], failed, None if holder == name else holder, core)
    return arms
