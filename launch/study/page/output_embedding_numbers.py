"""What adding the teacher's output embedding to a mixup changes in a student: the pairs of arms that show it, and the numbers compared."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from evenhand.evaluation import EvaluationReport
from evenhand.evaluation.arm_comparisons import Judgement, corrected_by_holm, over_seeds
from evenhand.evaluation.stimuli import GENDER_TESTS
from evenhand.launch.recipe import MixupSection, decisive_sections
from evenhand.launch.study.results import StudyResults
from evenhand.launch.study.study_file import Study, StudyArm

OUTPUT = "teacher_hidden"
"""What ``mixup.mix`` calls the output embedding: the teacher's last hidden state, the target of the cosine loss."""
NAMES = ("sent-weat6", "sent-weat7b", "sent-weat8b")
"""Tests whose gendered words are first names; those of the others are terms such as *man* and *daughter*."""
PLACES = ("word", "other", "pooled")


@dataclass(frozen=True)
class OutputPair:
    """Two arms that differ in nothing but that the one mixes the output embedding too."""

    with_output: str
    without: str


def output_pairs(study: Study) -> tuple[OutputPair, ...]:
    """All such pairs of a study, told by their recipes; an arm that mixes the output embedding alone pairs with one that mixes nothing."""
    first: dict[tuple, str] = {}
    for name, arm in study.arms.items():
        first.setdefault(_identity(arm, mixed(arm)), name)
    pairs = []
    for name, arm in study.arms.items():
        if OUTPUT in mixed(arm) and first[_identity(arm, mixed(arm))] == name:
            partner = first.get(_identity(arm, mixed(arm) - {OUTPUT}))
            pairs += [OutputPair(name, partner)] if partner else []
    return tuple(pairs)


def mixed(arm: StudyArm) -> frozenset[str]:
    """What the arm's mixup mixes; nothing where it has none."""
    return frozenset(arm.recipe.mixup.mix) if arm.recipe.mixup.enabled else frozenset()


def _identity(arm: StudyArm, mix: frozenset[str]) -> tuple:
    """What decides the arm's students, as if its mixup mixed ``mix``; without a mixup its options decide nothing."""
    options = replace(arm.recipe.mixup, enabled=True, mix=sorted(mix)) if mix else MixupSection()
    recipe = decisive_sections(replace(arm.recipe, mixup=options).to_dict())
    return arm.teacher, json.dumps(recipe, sort_keys=True, default=str)


@dataclass(frozen=True)
class StudentNumbers:
    """One model's numbers; ``None`` stands for what its report does not have.

    Args:
        mean: mean \\|d\\| of SEAT's six gender tests, headline pooling.
        names, terms: the same over the tests on first names (`NAMES`), and over the others.
        cosine: mean cosine of SEAT's sentence vectors.
        distances: by place (`PLACES`), cosine distance of gender twins.
        share: at the exchanged word, that distance over the one of different words.
        parts: by test, (\\|numerator\\|, denominator) of d, in cosines.
        means: by test, mean of s over X and over Y.
        loss: held-out masked-LM loss in nats per masked token.
    """

    mean: float | None
    names: float | None
    terms: float | None
    cosine: float | None
    distances: Mapping[str, float] | None
    share: float | None
    parts: Mapping[str, tuple[float, float]] | None
    means: Mapping[str, tuple[float, float]] | None
    loss: float | None


def numbers_of(report: EvaluationReport, side: str = "model") -> StudentNumbers:
    """Of a report's ``model`` or ``reference``."""
    seat = report.measures["seat"][0]
    result = seat[side] or {}
    sizes = {name: (result.get("tests") or {}).get(name, {}).get("effect_size") for name in GENDER_TESTS}
    twins = _twins(report, seat["pooling"], side)
    scores = {score["key"]: score["value"] for score in (twins or {}).get("scores", ())}
    losses = (report.training or {}).get("held_out_mlm_loss") or {}
    return StudentNumbers(
        mean=_mean_magnitude(sizes, GENDER_TESTS),
        names=_mean_magnitude(sizes, NAMES),
        terms=_mean_magnitude(sizes, [name for name in GENDER_TESTS if name not in NAMES]),
        cosine=(result.get("anisotropy") or {}).get("mean_cosine"),
        distances={place: scores[f"{place}_cosine_distance"] for place in PLACES} if scores else None,
        share=scores.get("word_share"),
        parts=twins and {name: (abs(test["numerator"]), test["denominator"]) for name, test in twins["tests"].items()},
        means=twins and {name: (test["means"]["X"], test["means"]["Y"]) for name, test in twins["tests"].items()},
        loss=losses.get("student" if side == "model" else "teacher"),
    )


def _twins(report: EvaluationReport, pooling: str, side: str) -> Mapping | None:
    """The twin distances under the headline's pooling."""
    entries = [entry for entry in report.measures.get("twin_distance", ()) if entry["pooling"] == pooling]
    return entries[0][side] if entries else None


def _mean_magnitude(sizes: Mapping[str, float | None], tests: Sequence[str]) -> float | None:
    values = [sizes[name] for name in tests]
    return None if None in values else float(np.mean(np.abs(values)))


def changes(one: StudentNumbers, other: StudentNumbers) -> dict[str, float | None]:
    r"""``one`` against ``other``: differences, of distances logarithms of their ratio.

    The change of mean \|d\| comes apart without remainder: for \|d\| = n/s, n₁/s₁ − n₀/s₀ is the change of the numerator at the mean of
    the two 1/s, ``numerator``, and the change of 1/s at the mean of the two numerators, ``spread``. Where the spread collapses each
    can be larger than d itself: ``numerators`` and ``spreads``, the logarithms of the ratios of their sums over the tests, cannot mislead so.
    """
    numerator, spread = _parts_of_change(one.parts, other.parts)
    numerators, spreads = (_log_ratio(_total(one.parts, part), _total(other.parts, part)) for part in (0, 1))
    names, terms = _minus(one.names, other.names), _minus(one.terms, other.terms)
    ratios = {
        place: _log_ratio((one.distances or {}).get(place), (other.distances or {}).get(place)) for place in PLACES
    }
    return {
        "mean": _minus(one.mean, other.mean),
        "names": names,
        "terms": terms,
        "names_over_terms": _minus(names, terms),
        **ratios,
        "numerator": numerator,
        "spread": spread,
        "numerators": numerators,
        "spreads": spreads,
        "cosine": _minus(one.cosine, other.cosine),
        "loss": _minus(one.loss, other.loss),
    }


def _parts_of_change(one: Mapping | None, other: Mapping | None) -> tuple[float | None, float | None]:
    if one is None or other is None or any(s == 0 for parts in (one, other) for _, s in parts.values()):
        return None, None
    numerators, spreads = [], []
    for name in one:
        (n1, s1), (n0, s0) = one[name], other[name]
        numerators.append((n1 - n0) * (1 / s1 + 1 / s0) / 2)
        spreads.append((1 / s1 - 1 / s0) * (n1 + n0) / 2)
    return float(np.mean(numerators)), float(np.mean(spreads))


def _total(parts: Mapping[str, tuple[float, float]] | None, which: int) -> float | None:
    return math.fsum(part[which] for part in parts.values()) if parts else None


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _log_ratio(one: float | None, other: float | None) -> float | None:
    return math.log(one / other) if one and other else None


def changes_by_seed(results: StudyResults, pair: OutputPair) -> dict[int, dict[str, float | None]]:
    """`changes` of every seed that both arms have."""
    one, other = (results.reports.get(name, {}) for name in (pair.with_output, pair.without))
    return {seed: changes(numbers_of(one[seed]), numbers_of(other[seed])) for seed in sorted(one.keys() & other.keys())}


def together(by_pair: Sequence[Mapping[int, Mapping[str, float | None]]]) -> dict[int, dict[str, float | None]]:
    """The mean over pairs, for the seeds that all pairs with any seed have: the seed is the unit, as its students share a teacher, a
    start and an order of the text."""
    found = [by_seed for by_seed in by_pair if by_seed]
    if not found:
        return {}
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in found)))
    means = {}
    for seed in seeds:
        values = {key: [by_seed[seed][key] for by_seed in found] for key in found[0][seed]}
        means[seed] = {key: None if None in of_key else float(np.mean(of_key)) for key, of_key in values.items()}
    return means


def disagreement(by_pair: Sequence[Mapping[int, Mapping[str, float | None]]], quantity: str) -> Judgement | None:
    """How far apart the pairs' changes of a quantity are: of all differences of two pairs, over the seeds that both have, the surest one,
    corrected by Holm over all of them. A mean over pairs that change it in opposite ways would say what is true of none.

    Returns:
        ``None`` for fewer than two pairs with numbers of two seeds in common.
    """
    found = {}
    for (i, one), (j, other) in combinations(enumerate(by_pair), 2):
        seeds = [
            seed
            for seed in sorted(one.keys() & other.keys())
            if None not in (one[seed][quantity], other[seed][quantity])
        ]
        if len(seeds) > 1:
            found[i, j] = over_seeds([one[seed][quantity] - other[seed][quantity] for seed in seeds], better=None)
    corrected = corrected_by_holm(found)
    return min(corrected.values(), key=lambda one: one.p_value_holm, default=None)


def judged(by_seed: Mapping[int, Mapping[str, float | None]], quantity: str) -> Judgement:
    """A quantity's mean over seeds with interval, p-value and what could have been found; without a verdict, as no side is better."""
    values = [change[quantity] for change in by_seed.values()]
    return over_seeds(values, better=None) if values else Judgement(None)
