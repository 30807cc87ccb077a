"""What lies between teacher and distilled student, averaged over seeds: similarity of layers, divergence of attention, shared components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evenhand.evaluation.distillability import BySeed, interval_at, seed_mean
from evenhand.evaluation.distillability_findings import Finding
from evenhand.evaluation.distillability_rule import CANNOT_TELL, CONTRADICTS, SUPPORTS
from evenhand.evaluation.internals.component_overlap import HEADS
from evenhand.evaluation.paired_seeds import CONFIDENCE, t_interval
from evenhand.launch.distillability.page.importance_ranks import Agreement, agreements_of, began_as_copy
from evenhand.launch.distillability.page.mean_entry import SIDES, mean_entry
from evenhand.launch.distillability.page.measured_task import MeasuredTask, Pair, mean
from evenhand.launch.distillability.page.own_numbers import (
    CKA_DISTANCE,
    CORRELATION_DIFFERENCE,
    SHARE,
    SHARE_DIFFERENCE,
    Bounds,
    own_mean,
)

DEPTHS = ("early", "middle", "late")
CKA, ATTENTION = "cka", "attention"
MEASURES = {CKA: "1 − CKA of mapped layers", ATTENTION: "divergence of attention maps, bits"}
CONFLICTING, ALIGNED, SPECIFIC = "conflicting", "aligned", "conflicting − aligned"
CONTROLS = {ALIGNED: "on aligned examples", SPECIFIC: SPECIFIC}
"""What stands beside the number on conflicting examples, in words: layers may differ more from one depth to the next whatever they are shown."""
DEPTH_BOUNDS: Mapping[str, Mapping[str, Bounds]] = {
    CKA: dict.fromkeys(SIDES, CKA_DISTANCE) | {"difference": CORRELATION_DIFFERENCE},
    ATTENTION: dict.fromkeys(SIDES, SHARE) | {"difference": SHARE_DIFFERENCE},
}
"""Measure -> side -> what no number of a depth can pass."""
_OVERLAP_BOUNDS: Mapping[str, Bounds] = {"jaccard": SHARE}


@dataclass(frozen=True)
class Inside:
    """One pair of teacher and student.

    Args:
        pair: which.
        n: seeds.
        examples: what they were looked into on: ``split``, ``examples_of_a_side`` (bias-aligned, and as many bias-conflicting), ``labels_matched`` (whether
            each label is as often on either side), and of these examples the ``ablation_examples`` of a side on which components were taken out.
        entry: of `mean_entry`.
        depths: measure -> depth -> side -> by seed.
        overlaps: unit -> side -> ``jaccard``, ``jaccard_by_chance``, ``common``, ``top`` and ``shared``, by seed; single heads, which are matched by their
            number, only of students that began as a copy of their teacher's layers.
        heads_left_out: whether the reports of another have them.
        no_attention: why attention maps were not compared, None where they were.
        agreements: unit -> side -> rank correlations of the importances of all these components.
    """

    pair: Pair
    n: int
    examples: Mapping[str, Any]
    entry: Mapping[str, Any]
    depths: Mapping[str, Mapping[str, Mapping[str, BySeed]]]
    overlaps: Mapping[str, Mapping[str, Mapping[str, BySeed]]]
    no_attention: str | None = None
    heads_left_out: bool = False
    agreements: Mapping[str, Mapping[str, Agreement]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Plain values: the examples, matrices, and means over seeds with intervals; ``by_depth`` of 1 − CKA and of the encoder's attention."""
        return {
            **self.pair._asdict(),
            "n": self.n,
            **self.examples,
            **self.entry["comparison"],
            "by_depth": {measure: _means(table, DEPTH_BOUNDS[measure]) for measure, table in self.depths.items()},
            "overlap": _means(self.overlaps, _OVERLAP_BOUNDS),
            "rank_correlation": {
                unit: {side: found.to_dict() for side, found in sides.items()}
                for unit, sides in self.agreements.items()
            },
            "no_attention": self.no_attention,
        }


def insides_of(task: MeasuredTask) -> list[Inside]:
    """Of every pair that was looked into."""
    return [_inside(pair, entries) for pair, entries in task.looked_inside()]


def _inside(pair: Pair, entries: Mapping[int, Mapping[str, Any]]) -> Inside:
    found = {seed: entry["comparison"] for seed, entry in entries.items()}
    first = next(iter(found.values()))
    depths = {CKA: _by_depth({seed: one["similarity"]["by_depth"] for seed, one in found.items()}, distance=True)}
    attention = {seed: one["attention"]["kinds"] for seed, one in found.items() if one.get("attention")}
    if attention:
        # of models with a decoder the encoder's: all families have it
        depths[ATTENTION] = _by_depth({seed: kinds["encoder"]["by_depth"] for seed, kinds in attention.items()})
    overlaps: dict = {}
    left_out = False
    for seed, one in found.items():
        for unit, sides in (one.get("overlap") or {}).items():
            if unit == HEADS and not began_as_copy(entries[seed]):
                left_out = True
                continue
            for side, numbers in sides.items():
                kept = overlaps.setdefault(unit, {}).setdefault(side, {})
                for key in ("jaccard", "jaccard_by_chance", "common", "top", "shared"):
                    kept.setdefault(key, {})[seed] = numbers[key]
    means, examples = mean_entry(list(found.values())), _examples(next(iter(entries.values())))
    numbers = means, depths, overlaps, first.get("no_attention"), left_out, agreements_of(entries)
    return Inside(pair, len(found), examples, *numbers)


def _examples(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Of any seed: data, draw and settings are the same in all."""
    facts = {key: entry[key] for key in ("split", "examples_of_a_side", "labels_matched")}
    return facts | {"ablation_examples": min(entry["ablation_examples"], entry["examples_of_a_side"])}


def _by_depth(found: Mapping[int, Mapping], distance: bool = False) -> dict[str, dict[str, dict[int, float | None]]]:
    """Depth -> side -> by seed; ``distance``: 1 − the number, of a difference its negative."""

    def number(cell: Mapping | None, side: str) -> float | None:
        value = None if cell is None else cell["value"]
        if value is None or not distance:
            return value
        return -value if side == "difference" else 1 - value

    return {
        depth: {side: {seed: number(one[depth][side], side) for seed, one in found.items()} for side in SIDES}
        for depth in ("all", *DEPTHS)
    }


def _means(table: Mapping, bounds: Mapping[str, Bounds], name: str = "") -> dict:
    """Every by-seed mapping of a nested table as mean and interval; bounds by the innermost key."""
    if table and all(isinstance(key, int) for key in table):
        return own_mean(table, bounds[name]) if name in bounds else seed_mean(table)
    return {key: _means(value, bounds, key) for key, value in table.items()}


def deciding(insides: Sequence[Inside], measure: str, side: str = CONFLICTING) -> list[tuple[Inside, dict[int, float]]]:
    """The pairs that say something of depth, those with early and with deeper mapped layers, each with its numbers.

    Args:
        insides: of one task.
        measure: of `MEASURES`.
        side: the examples, ``"conflicting"`` or ``"aligned"``; or ``"conflicting − aligned"``, the number on the ones less that on the others.

    Returns:
        With each pair, by seed: (mean of middle and late) − early. Models of fewer than three mapped layers have no early third and are left
        out.
    """
    found = []
    for inside in insides:
        depths = inside.depths.get(measure)
        differences = {} if depths is None else _deeper_less_early(depths, side)
        if differences:
            found.append((inside, differences))
    return found


def _deeper_less_early(depths: Mapping[str, Mapping[str, BySeed]], side: str) -> dict[int, float]:
    if side == SPECIFIC:
        own, other = (_deeper_less_early(depths, one) for one in (CONFLICTING, ALIGNED))
        return {seed: own[seed] - other[seed] for seed in own.keys() & other.keys()}
    found = {}
    for seed in depths["early"][side]:
        early, *rest = (depths[depth][side].get(seed) for depth in DEPTHS)
        deeper = [value for value in rest if value is not None]
        if early is not None and deeper:
            found[seed] = float(np.mean(deeper)) - early
    return found


def depth_finding(insides: Sequence[Inside], measure: str, side: str = CONFLICTING) -> Finding:
    """Middle and late layers diverge more than early ones: the mean over `deciding` pairs, seed by seed.

    Supported where the whole interval of (mean of middle and late) − early lies above 0, contradicted where it lies below. Its ``cells`` are
    the pairs that it rests on; seeds that one of them lacks are left out.

    Args:
        insides: of one task.
        measure: of `MEASURES`.
        side: as for `deciding`; by default bias-conflicting examples, which the finding is about.
    """
    pairs = [differences for _, differences in deciding(insides, measure, side)]
    seeds = sorted(set.intersection(*map(set, pairs))) if pairs else []
    values = [float(np.mean([differences[seed] for differences in pairs])) for seed in seeds]
    claim = "teacher and student diverge in middle and late layers rather than in early ones"
    word, interval, p_value = CANNOT_TELL, None, None
    if (ends := interval_at(values, CONFIDENCE)) is not None:
        interval = ends
        word = SUPPORTS if ends[0] > 0 else CONTRADICTS if ends[1] < 0 else CANNOT_TELL
        p_value = None if word == CANNOT_TELL else t_interval(values).p_value
    why = "" if values else "no seed has all models" if pairs else _why_none(insides, measure)
    return Finding(
        "middle_and_late_layers", claim, word, why, measure, mean(values), interval, len(values), 0.0, p_value, cells=len(pairs)
    )  # fmt: skip


def _why_none(insides: Sequence[Inside], measure: str) -> str:
    if not insides:
        return "no student has been looked into"
    reasons = {inside.no_attention for inside in insides if inside.no_attention}
    if measure == ATTENTION and reasons:
        return sorted(reasons)[0]
    return "the models have too few layers for an early third"
