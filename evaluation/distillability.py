"""Does a debiased teacher's robustness reach the student? Differences over paired training seeds.

f_T is the teacher, f_S the student trained without it, g the student distilled from it (Cheng, Agarwal & Amiri 2025).
**Distillability** = metric(g) − metric(f_T); **contribution** = metric(g) − metric(f_S). Seeds are the unit: the models of one seed
form a pair, and the interval of their difference is Student's t over the seeds. Where f_S and g of a seed share first weights and order of
data, and f_T has others, pairing narrows the interval of the contribution more than that of the distillability; it holds either way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import stats

from evenhand.evaluation.multiplicity import holm
from evenhand.evaluation.paired_seeds import CONFIDENCE, detectable_in_errors, t_interval
from evenhand.evaluation.verdict import verdict

DISTILLABILITY, CONTRIBUTION = "distillability", "contribution"
ROLES = (DISTILLABILITY, CONTRIBUTION)
ALL_EQUAL = "no interval: the differences of all seeds are equal"
METHOD = "Student's t over paired seeds"

BySeed = Mapping[int, float | None]
"""A metric's value by training seed."""


@dataclass(frozen=True)
class Metric:
    """What is compared.

    Args:
        key: its name, e.g. a `Score`'s ``"flipped_worst_group"``.
        better: ``"higher"``, ``"lower"``, or ``"nearer"`` 0: values are then their distances from 0, so a spurious gap of
            −30 is no better than one of 30.
        group: the group (bias type) that it is of; ``None`` for a number of a whole split.
        unit: of its differences.

    Raises:
        ValueError: another ``better``.
    """

    key: str
    better: str
    group: str | None = None
    unit: str = "percentage points"

    def __post_init__(self):
        if self.better not in ("higher", "lower", "nearer"):
            raise ValueError(f"metric {self.key}: better must be 'higher', 'lower' or 'nearer', not {self.better!r}")

    @property
    def side(self) -> str:
        """``"higher"`` or ``"lower"``: the better side of what is subtracted."""
        return "higher" if self.better == "higher" else "lower"

    def values(self, by_seed: BySeed) -> dict[int, float]:
        """What is subtracted, by seed; seeds without a value are left out."""
        given = {seed: value for seed, value in by_seed.items() if value is not None}
        return {seed: abs(value) if self.better == "nearer" else value for seed, value in given.items()}


@dataclass(frozen=True)
class Cell:
    """One cell of a study: a debiasing method, a teacher and a student, over seeds.

    Args:
        method: the debiasing method's name.
        teacher, student: names of their sizes.
        f_t, f_s, g: metric's key → seed → value of the teacher, of the student trained without it, and of the student
            distilled from it.
    """

    method: str
    teacher: str
    student: str
    f_t: Mapping[str, BySeed] = field(default_factory=dict)
    f_s: Mapping[str, BySeed] = field(default_factory=dict)
    g: Mapping[str, BySeed] = field(default_factory=dict)

    def against(self, role: str) -> Mapping[str, BySeed]:
        """What g is compared with.

        Raises:
            ValueError: an unknown role.
        """
        if role not in ROLES:
            raise ValueError(f"role must be {' or '.join(map(repr, ROLES))}, not {role!r}")
        return self.f_t if role == DISTILLABILITY else self.f_s

    def differences(self, metric: Metric, role: str) -> dict[int, float]:
        """g less what it is compared with, by seed, of the seeds that both have."""
        reference = self.against(role).get(metric.key, {})
        own, other = metric.values(self.g.get(metric.key, {})), metric.values(reference)
        return {seed: own[seed] - other[seed] for seed in sorted(own.keys() & other.keys())}


@dataclass(frozen=True)
class SeedEffect:
    """A difference over paired seeds, with what a reader needs to judge it.

    Args:
        metric: of what; its distances from 0 where better is ``"nearer"``.
        role: ``"distillability"`` or ``"contribution"``.
        difference: mean over seeds, ``None`` without a seed that both have.
        confidence_interval: (low, high) at 95 %, ``None`` for fewer than two seeds or equal differences.
        p_value: of no difference, two-sided.
        p_value_holm: corrected over a family, by `with_holm`.
        detectable: the true difference that the test would find with 80 % power, at the spread of these seeds and the
            number of tests of the family.
        model, reference: means of g and of what it is compared with, over the same seeds.
        differences: by seed.
        note: why a number is missing.
    """

    metric: Metric
    role: str
    difference: float | None
    confidence_interval: tuple[float, float] | None
    p_value: float | None
    detectable: float | None
    model: float | None
    reference: float | None
    differences: Mapping[int, float]
    p_value_holm: float | None = None
    note: str | None = None

    @property
    def n(self) -> int:
        """Seeds."""
        return len(self.differences)

    @property
    def gain(self) -> float | None:
        """The difference counted so that positive is better."""
        if self.difference is None:
            return None
        return self.difference if self.metric.side == "higher" else -self.difference

    def to_dict(self) -> dict[str, object]:
        """Plain values, with `verdict` and ``worst_case``."""
        interval = self.confidence_interval
        return {
            "metric": self.metric.key,
            "group": self.metric.group,
            "better": self.metric.better,
            "unit": self.metric.unit,
            "role": self.role,
            "difference": self.difference,
            "confidence_interval": None if interval is None else list(interval),
            "confidence_level": CONFIDENCE,
            "interval_method": None if interval is None else METHOD,
            "p_value": self.p_value,
            "p_value_holm": self.p_value_holm,
            "detectable": self.detectable,
            "n": self.n,
            "model": self.model,
            "reference": self.reference,
            "differences": {str(seed): value for seed, value in self.differences.items()},
            **verdict(interval, self.metric.side),
            "note": self.note,
        }


def seed_effect(cell: Cell, metric: Metric, role: str) -> SeedEffect:
    """One metric of one cell.

    Args:
        cell: with g and what it is compared with.
        metric: which.
        role: ``"distillability"`` or ``"contribution"``.
    """
    differences = cell.differences(metric, role)
    sides = [metric.values(side.get(metric.key, {})) for side in (cell.g, cell.against(role))]
    model, reference = (_mean([side[seed] for seed in differences]) for side in sides)
    values = list(differences.values())
    interval = p_value = detectable = None
    note = _note(values)
    if note is None:
        found = t_interval(values)
        interval, p_value, detectable = (found.low, found.high), found.p_value, _detectable(values, 1)
    mean = _mean(values)
    return SeedEffect(metric, role, mean, interval, p_value, detectable, model, reference, differences, note=note)


def cell_effects(cell: Cell, metrics: Sequence[Metric]) -> list[SeedEffect]:
    """Distillability and contribution of every metric, overall ones and those of single groups, corrected by `with_holm`
    within each role."""
    return [effect for role in ROLES for effect in with_holm([seed_effect(cell, metric, role) for metric in metrics])]


def with_holm(effects: Sequence[SeedEffect]) -> list[SeedEffect]:
    """The same effects with p-values corrected over this family (Holm), and with what the test could have found then."""
    adjusted = holm({str(place): effect.p_value for place, effect in enumerate(effects)})
    tests = sum(p_value is not None for p_value in adjusted.values())
    return [
        replace(
            effect,
            p_value_holm=adjusted[str(place)],
            detectable=None if effect.p_value is None else _detectable(list(effect.differences.values()), tests),
        )
        for place, effect in enumerate(effects)
    ]


def seed_mean(by_seed: BySeed) -> dict[str, object]:
    """A model's own number over seeds: what is carried beside its differences, such as the teacher's accuracy.

    Returns:
        ``value``, ``confidence_interval`` (Student's t, ``None`` for fewer than two seeds), ``n``, ``values`` by seed.
    """
    given = {seed: value for seed, value in sorted(by_seed.items()) if value is not None}
    values = list(given.values())
    found = t_interval(values) if _note(values) is None else None
    return {
        "value": _mean(values),
        "confidence_interval": None if found is None else [found.low, found.high],
        "confidence_level": CONFIDENCE,
        "n": len(values),
        "values": {str(seed): value for seed, value in given.items()},
    }


def cell_report(cell: Cell, metrics: Sequence[Metric]) -> dict[str, object]:
    """A cell as plain values: its effects, and the three models' own numbers over seeds."""
    sides = {"f_t": cell.f_t, "f_s": cell.f_s, "g": cell.g}
    return {
        "method": cell.method,
        "teacher": cell.teacher,
        "student": cell.student,
        "models": {
            name: {metric.key: seed_mean(side.get(metric.key, {})) for metric in metrics}
            for name, side in sides.items()
        },
        "effects": [effect.to_dict() for effect in cell_effects(cell, metrics)],
    }


def group_metrics_of(result: Mapping[str, object]) -> list[Metric]:
    """The metrics of a groups result: its scores, then the accuracy of every group that has examples.

    Args:
        result: one side of a report's entry, `GroupsResult.to_dict()`.
    """
    scores = [Metric(score["key"], score["better"]) for score in result["scores"]]
    return scores + [
        Metric(_group_key(split, group["group"]), "higher", group["group"])
        for split, held in result["splits"].items()
        for group in held["groups"]
        if group["n"]
    ]


def values_of(result: Mapping[str, object]) -> dict[str, float | None]:
    """The value of every metric of `group_metrics_of`, for one model."""
    values = {score["key"]: score["value"] for score in result["scores"]}
    for split, held in result["splits"].items():
        values |= {_group_key(split, group["group"]): group["accuracy"] for group in held["groups"] if group["n"]}
    return values


def by_metric(results: Mapping[int, Mapping[str, object]]) -> dict[str, dict[int, float | None]]:
    """Metric's key → seed → value, from one groups result for each seed: what a `Cell` takes."""
    table: dict[str, dict[int, float | None]] = {}
    for seed, result in results.items():
        for key, value in values_of(result).items():
            table.setdefault(key, {})[seed] = value
    return table


def interval_at(values: Sequence[float], level: float) -> tuple[float, float] | None:
    """Student's t interval of a mean at another level than 95 %; ``None`` for fewer than two values or equal ones."""
    if _note(values) is not None:
        return None
    data = np.asarray(values, dtype=np.float64)
    reach = float(stats.t.ppf((1 + level) / 2, len(data) - 1)) * data.std(ddof=1) / math.sqrt(len(data))
    return float(data.mean() - reach), float(data.mean() + reach)


def _group_key(split: str, group: str) -> str:
    return f"{split}_group_{group}"


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _note(values: Sequence[float]) -> str | None:
    """Why there is no interval."""
    if len(values) < 2:
        return f"no interval: {len(values)} seed{'' if len(values) == 1 else 's'} with both models, two are needed"
    # What remains of equal values after rounding is no spread.
    return ALL_EQUAL if np.ptp(values) <= 1e-9 * max(1.0, float(np.max(np.abs(values)))) else None


def _detectable(values: Sequence[float], tests: int) -> float:
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return detectable_in_errors(len(values) - 1, max(1, tests)) * error
