"""The arms of a study against one of them, paired by seed: the bias that each adds or takes away, and how sure that is.

Each comparison is made twice. Over *words and seeds* it asks whether the difference would hold for other words and other
trainings; the verdict is on this one, by the rule of `verdict`. Over *seeds alone* it asks whether it would hold for other
trainings measured with these very words. Beside each stands the difference that it could have found.

Several arms that are draws of one thing can stand together: a *pool* has, for each seed, the mean over its arms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from scipy import stats

from evenhand.evaluation.families import CONTROL, mean_magnitude
from evenhand.evaluation.intervals import ROUNDING, MeanEffect, degrees_of_freedom, difference_interval
from evenhand.evaluation.multiplicity import holm
from evenhand.evaluation.over_seeds import aggregate_differences
from evenhand.evaluation.paired_difference import check_comparable
from evenhand.evaluation.paired_seeds import CONFIDENCE, detectable_in_errors, t_interval
from evenhand.evaluation.verdict import verdict

Result = Mapping[str, object]
Key = TypeVar("Key", bound=Hashable)
SMALLEST_P = 1e-9
"""Below this a p-value from an interval is not searched for."""


@dataclass(frozen=True)
class Judgement:
    r"""A difference with all that must stand beside it; ``None`` stands for what one seed, or a missing d, does not give.

    Args:
        difference: arm − baseline, mean over seeds.
        low, high: of its 95 % interval.
        verdict: ``"better"``, ``"worse"`` or ``"not distinguishable"``, see `verdict.RULE`.
        worst_case: the largest change for the worse within the interval.
        p_value: of no difference, two-sided.
        p_value_holm: corrected for all arms that stand on one page.
        standard_error: of the difference; over words and seeds, the longer side of the interval over Student's t.
        freedom: degrees of freedom of that t.
        detectable: the true difference that is found with 80 % power at the level of 5 %.
        detectable_holm: the same at the first step of Holm's correction.
    """

    difference: float | None
    low: float | None = None
    high: float | None = None
    verdict: str | None = None
    worst_case: float | None = None
    p_value: float | None = None
    p_value_holm: float | None = None
    standard_error: float | None = None
    freedom: int | None = None
    detectable: float | None = None
    detectable_holm: float | None = None

    def leaves_out(self, value: float) -> bool:
        """Whether there is an interval, and ``value`` lies outside it."""
        return self.low is not None and not self.low <= value <= self.high

    @property
    def holds(self) -> bool | None:
        """Whether the verdict is still one after Holm's correction; ``None`` where there is none to hold."""
        if self.verdict not in ("better", "worse") or self.p_value_holm is None:
            return None
        return self.p_value_holm <= 1 - CONFIDENCE


@dataclass(frozen=True)
class FamilyDifference:
    """Δ mean \\|d\\| of one family of tests: over words and seeds, over seeds alone, and of each seed."""

    words_and_seeds: Judgement
    seeds_alone: Judgement
    of_seeds: tuple[float | None, ...]


@dataclass(frozen=True)
class ArmComparison:
    """One arm against its baseline over the seeds that both have.

    Args:
        arm, against: their names.
        seeds: that both have, in order.
        families: Δ mean \\|d\\| by family, controls left out.
        tests: by the stimuli's name, as `over_seeds.aggregate_differences` has them (Δd, Δ\\|d\\|, intervals, p over words),
            with ``over_seeds``, a `Judgement` of Δd over seeds alone as a dict (without a verdict: d has no better side).
        mlm_loss: Δ of the held-out masked-LM loss over seeds, or ``None``.
    """

    arm: str
    against: str
    seeds: tuple[int, ...]
    families: Mapping[str, FamilyDifference]
    tests: Mapping[str, Mapping[str, object]]
    mlm_loss: Judgement | None = None

    def to_dict(self) -> dict[str, object]:
        """Plain values, for results.json."""
        return asdict(self)


def compare_arms(
    results: Mapping[str, Mapping[int, Result]],
    pairs: Sequence[tuple[str, str]],
    mlm_losses: Mapping[str, Mapping[int, float]] | None = None,
    pools: Mapping[str, Sequence[str]] | None = None,
    same_text: Callable[[str, str, int], bool] = lambda arm, against, seed: True,
) -> dict[tuple[str, str], ArmComparison]:
    """Every pair of arms that have a seed in common, corrected by Holm's method over all of them.

    The correction is within a family of tests, and apart for the two kinds of p-value and for the loss. Pairs that have not been measured
    yet count in it, so that what holds now still holds when they are.

    Args:
        results: arm → seed → `SeatResult.to_dict()`.
        pairs: (arm, baseline), each once, of arms or pools; a pair without a common seed is left out.
        mlm_losses: arm → seed → held-out masked-LM loss, in nats per masked token.
        pools: name → arms whose mean it is, seed by seed, over those that have the seed. Its comparisons have no single tests.
        same_text: whether two arms' losses of a seed were taken on the same masked tokens; a pair of which they were not has no change of loss.

    Returns:
        By (arm, baseline).

    Raises:
        ValueError: results of different stimuli, pooling or confidence level.
    """
    pools, compared = pools or {}, {}
    losses = dict(mlm_losses or {}) | {name: pooled_losses(mlm_losses or {}, of) for name, of in pools.items()}
    for arm, against in pairs:
        draws = [_draws(results, pools.get(name, [name])) for name in (arm, against)]
        seeds = sorted(draws[0].keys() & draws[1].keys())
        if seeds:
            sides = [[of_arm[seed] for seed in seeds] for of_arm in draws]
            pooled = arm in pools or against in pools
            of_seat = _pooled(*sides) if pooled else _of_arms(*([draw[0] for draw in side] for side in sides))
            alike = [seed for seed in seeds if same_text(arm, against, seed)]
            loss = _loss_change(losses.get(arm, {}), losses.get(against, {}), alike)
            compared[arm, against] = ArmComparison(arm, against, tuple(seeds), *of_seat, loss)
    return _corrected(compared, len(set(pairs)) - len(compared))


def pooled_losses(losses: Mapping[str, Mapping[int, float]], arms: Sequence[str]) -> dict[int, float]:
    """The mean over a pool's arms by seed, over those that have the seed."""
    seeds = sorted({seed for arm in arms for seed in losses.get(arm, {})})
    of_seeds = {seed: [losses[arm][seed] for arm in arms if seed in losses.get(arm, {})] for seed in seeds}
    return {seed: math.fsum(values) / len(values) for seed, values in of_seeds.items()}


def _draws(results: Mapping[str, Mapping[int, Result]], arms: Sequence[str]) -> dict[int, list[Result]]:
    """By seed, the results of the arms that have it."""
    found: dict[int, list[Result]] = {}
    for arm in arms:
        for seed, result in results.get(arm, {}).items():
            found.setdefault(seed, []).append(result)
    return found


def _loss_change(one: Mapping[int, float], other: Mapping[int, float], seeds: Sequence[int]) -> Judgement | None:
    known = [one[seed] - other[seed] for seed in seeds if seed in one and seed in other]
    return over_seeds(known) if known else None


def _pooled(models: Sequence[Sequence[Result]], references: Sequence[Sequence[Result]]):
    r"""Families where a seed has several results on a side: its mean \|d\| is over the tests of all of them, and a word is left out of all
    of them at once, so that draws add no words and no seeds."""
    check_comparable([result for side in (models, references) for of_seed in side for result in of_seed])
    families = {}
    for family, of_family in models[0][0]["families"].items():
        if family == CONTROL:
            continue
        runs = [
            [[result["tests"][name] for result in of_seed for name in of_family["tests"]] for of_seed in side]
            for side in (models, references)
        ]
        one, other = ([_mean_size(tests) for tests in side] for side in runs)
        differences = [None if None in pair else pair[0] - pair[1] for pair in zip(one, other, strict=True)]
        sides = [mean_magnitude(side) for side in runs]
        ends = None if None in sides else list(difference_interval(*sides, models[0][0]["confidence_level"]))
        mean = None if None in differences else math.fsum(differences) / len(differences)
        change = {"difference": mean, "confidence_interval": ends, **verdict(ends, "lower")}
        judged = over_words_and_seeds(change, *sides)
        families[family] = FamilyDifference(judged, over_seeds(differences), tuple(differences))
    return families, {}


def _mean_size(tests: Sequence[Mapping[str, object]]) -> float | None:
    sizes = [test["effect_size"] for test in tests]
    return None if None in sizes else math.fsum(map(abs, sizes)) / len(sizes)


def _of_arms(models: Sequence[Result], references: Sequence[Result]):
    """Families and tests of two arms, a result a seed."""
    changes = aggregate_differences(models, references)
    families = {}
    for family, change in changes["families"].items():
        names = models[0]["families"][family]["tests"]
        sides = [
            mean_magnitude([[result["tests"][name] for name in names] for result in side])
            for side in (models, references)
        ]
        families[family] = FamilyDifference(
            over_words_and_seeds(change, *sides), over_seeds(change["differences"]), tuple(change["differences"])
        )
    tests = {
        name: {**change, "over_seeds": asdict(over_seeds(change["differences"], better=None))}
        for name, change in changes["tests"].items()
    }
    return families, tests


def over_words_and_seeds(
    change: Mapping[str, object], model: MeanEffect | None, reference: MeanEffect | None
) -> Judgement:
    r"""A family's difference, as `aggregate_differences` has it, with its p-value and what could have been found.

    The p-value is 1 less the level of the widest interval that leaves out 0. What could be found comes from the longer side of the
    interval at 95 %, taken as so many standard errors of Student's t: noise in \|d\| makes the side towards 0 the longer one.

    Args:
        change: ``difference``, ``confidence_interval``, ``verdict``, ``worst_case``.
        model, reference: the two means that it is the difference of; ``None`` where words could not be left out.
    """
    judged = Judgement(change["difference"], verdict=change["verdict"], worst_case=change["worst_case"])
    if change["confidence_interval"] is None or model is None or reference is None:
        return judged
    low, high = change["confidence_interval"]
    freedom = degrees_of_freedom(model, max(len(model.of_runs), len(reference.of_runs)))
    reach = max(high - change["difference"], change["difference"] - low) - ROUNDING
    error = max(0.0, reach) / float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))
    judged = replace(judged, low=low, high=high, p_value=interval_p_value(model, reference))
    return _with_error(judged, error, freedom)


def _with_error(judged: Judgement, error: float, freedom: int) -> Judgement:
    return replace(judged, standard_error=error, freedom=freedom, detectable=error * detectable_in_errors(freedom))


def interval_p_value(model: MeanEffect, reference: MeanEffect) -> float:
    """1 − the largest confidence level at which the interval of the difference leaves out 0 (found to .1 %); 1 where none does."""

    def leaves_out_zero(p: float) -> bool:
        low, high = difference_interval(model, reference, 1 - p)
        return low > 0 or high < 0

    if leaves_out_zero(SMALLEST_P):
        return SMALLEST_P
    if not leaves_out_zero(1 - SMALLEST_P):
        return 1.0
    outside, inside = 1 - SMALLEST_P, SMALLEST_P
    while outside / inside > 1.001:
        middle = math.sqrt(outside * inside)
        outside, inside = (middle, inside) if leaves_out_zero(middle) else (outside, middle)
    return outside


def over_seeds(differences: Sequence[float | None], better: str | None = "lower") -> Judgement:
    """Paired differences of seeds by Student's t.

    Args:
        differences: of each seed.
        better: the side of an improvement, or ``None`` for no verdict.
    """
    if None in differences:
        return Judgement(None)
    if len(differences) < 2:
        return Judgement(differences[0], **(verdict(None, better) if better else {}))
    found = t_interval(differences)
    judged = verdict((found.low, found.high), better) if better else {}
    error = (found.high - found.low) / 2 / float(stats.t.ppf((1 + CONFIDENCE) / 2, found.n - 1))
    return _with_error(
        Judgement(found.mean, found.low, found.high, **judged, p_value=found.p_value), error, found.n - 1
    )


def _corrected(compared: dict[tuple[str, str], ArmComparison], absent: int) -> dict[tuple[str, str], ArmComparison]:
    """With Holm's p-values over all comparisons and those still ``absent``, and what could have been found under the correction."""
    families = {family for one in compared.values() for family in one.families} - {CONTROL}
    for family in sorted(families):
        for kind in ("words_and_seeds", "seeds_alone"):
            having = {key: one.families[family] for key, one in compared.items() if family in one.families}
            for key, judged in corrected_by_holm(
                {key: getattr(one, kind) for key, one in having.items()}, absent
            ).items():
                of_family = replace(having[key], **{kind: judged})
                compared[key] = replace(compared[key], families={**compared[key].families, family: of_family})
    losses = {key: one.mlm_loss for key, one in compared.items() if one.mlm_loss is not None}
    for key, judged in corrected_by_holm(losses, absent).items():
        compared[key] = replace(compared[key], mlm_loss=judged)
    return compared


def corrected_by_holm(judged: Mapping[Key, Judgement], absent: int = 0) -> dict[Key, Judgement]:
    """Judgements of one family of tests with Holm's p-values over all of them, and what could have been found under the correction.

    Args:
        judged: by whatever they are known by.
        absent: tests of the family that have not been made yet, see :func:`evenhand.evaluation.multiplicity.holm`.
    """
    adjusted = holm({key: one.p_value for key, one in judged.items()}, absent)
    tests = sum(p is not None for p in adjusted.values()) + absent
    return {
        key: one
        if one.freedom is None
        else replace(
            one,
            p_value_holm=adjusted[key],
            detectable_holm=one.standard_error * detectable_in_errors(one.freedom, tests),
        )
        for key, one in judged.items()
    }
