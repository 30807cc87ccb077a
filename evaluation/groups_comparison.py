"""Two classifiers on the same data with groups: every score's difference, paired by example, and that of every group."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evenhand.evaluation.group_intervals import (
    FLIPPED,
    PAIRED,
    PAIRED_DROPS,
    TOO_FEW,
    accuracy_difference_interval,
    drop_difference_interval,
    drop_difference_p_value,
    gap_difference_interval,
    gap_difference_p_value,
    worst_group_difference_interval,
)
from evenhand.evaluation.group_metrics import GroupMetrics, check_same_examples, macro_f1
from evenhand.evaluation.groups_result import BOOTSTRAP, INSIDE, GroupsResult, split_seed
from evenhand.evaluation.mcnemar import MCNEMAR, mcnemar_p_value
from evenhand.evaluation.multiplicity import holm
from evenhand.evaluation.paired_predictions import bootstrap_scores
from evenhand.evaluation.resampling import percentile_interval
from evenhand.evaluation.scores import Difference, Score
from evenhand.evaluation.verdict import verdict

HOLM = "p_value_holm: Holm over the groups of a split"


def compare_groups(result: GroupsResult, reference: GroupsResult) -> dict[str, object]:
    """Differences ``result`` − ``reference``, paired by example, on the splits that both have.

    Differences of spurious gaps and of ID − OOD are of their distances from 0, since a gap of −30 is no better than one of
    30; the p-value beside them is of the signed change. Where a split holds the examples of ``test``, an example's two
    outcomes stay together.

    Returns:
        ``{"scores": […], "splits": {split: {"groups": […]}}, "multiplicity", "note"}``.

    Raises:
        ValueError: a split has other examples in the two.
    """
    shared = [name for name in result.splits if name in reference.splits]
    if not shared:
        raise ValueError("groups: the two results have no split in common and cannot be compared")
    for name in shared:
        one, other = result.splits[name], reference.splits[name]
        check_same_examples(one.metrics, other.metrics, name)
        if one.sha256 != other.sha256 or one.label_names != other.label_names:
            raise ValueError(f"groups, {name}: the two results are of different examples and cannot be compared")
    scores = {score.key: score for score in result.scores}
    pairs = {name: _Pair(name, result, reference, scores) for name in shared}
    differences = [difference for pair in pairs.values() for difference in pair.differences()]
    differences += _drops(result, reference, scores, shared)
    only = sorted({*result.splits} ^ {*reference.splits})
    return {
        "scores": [difference.to_dict() for difference in differences],
        "splits": {name: {"groups": pair.groups()} for name, pair in pairs.items()},
        "multiplicity": HOLM,
        "note": f"measured for one of the two only, not compared: {', '.join(only)}" if only else None,
    }


class _Pair:
    """One split of two models.

    Args:
        name: of the split.
        result, reference: of the two.
        scores: of ``result``, by key.
    """

    def __init__(self, name: str, result: GroupsResult, reference: GroupsResult, scores: dict[str, Score]):
        self.name, self.scores, self.level = name, scores, result.confidence_level
        self.one: GroupMetrics = result.splits[name].metrics
        self.other: GroupMetrics = reference.splits[name].metrics
        self.seeds = split_seed(result.seed, name)
        self.seed = int(np.random.SeedSequence(self.seeds).generate_state(1)[0])

    def differences(self) -> Iterator[Difference]:
        one, other, level = self.one, self.other, self.level
        interval = accuracy_difference_interval(one.right, other.right, self.seeds, level)
        p_value = mcnemar_p_value(one.right, other.right)
        change = one.accuracy - other.accuracy
        yield _difference(self.scores[f"{self.name}_accuracy"], change, one.n, interval, PAIRED, (p_value, MCNEMAR))
        yield self._macro_f1()
        groups = self._rights()
        interval = worst_group_difference_interval(list(groups.values()), self.seed, level)
        change = one.worst_group.accuracy - other.worst_group.accuracy
        yield _difference(self.scores[f"{self.name}_worst_group"], change, one.n, interval, PAIRED)
        score = self.scores[f"{self.name}_spurious_gap"]
        if one.spurious_gap is None:
            yield _difference(score, None, 0, None, PAIRED, note=one.gap_note)
        else:
            sides = [(one.side(aligned), other.side(aligned)) for aligned in (True, False)]
            yield _gap(score, one.spurious_gap, other.spurious_gap, sides, self.seed, level)

    def _macro_f1(self) -> Difference:
        predictions = [self.one.predictions, self.other.predictions]
        draws = bootstrap_scores(macro_f1, self.one.labels, predictions, seed=self.seeds, strata=self.one.groups)
        interval = percentile_interval(draws[:, 0] - draws[:, 1], self.one.n, self.level)
        change = self.one.macro_f1 - self.other.macro_f1
        note = None if interval else "no interval: too few examples, or no resample differs"
        score = self.scores[f"{self.name}_macro_f1"]
        return _difference(score, change, self.one.n, interval, f"paired {BOOTSTRAP}", note=note)

    def _rights(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By group with examples: which of them the one and which the other got right."""
        found = {}
        for index, group in enumerate(self.one.table):
            if group.n:
                rows = self.one.groups == index
                found[group.group] = self.one.right[rows], self.other.right[rows]
        return found

    def groups(self) -> list[dict[str, object]]:
        """The difference in accuracy of every group with examples."""
        pairs = self._rights()
        p_values = {name: mcnemar_p_value(*pair) for name, pair in pairs.items()}
        adjusted = holm(p_values)
        found = []
        for index, (name, (one, other)) in enumerate(pairs.items()):
            interval = accuracy_difference_interval(one, other, [*self.seeds, 4, index], self.level)
            found.append(
                {
                    "group": name,
                    "aligned": self.one.aligned.get(name),
                    "n": len(one),
                    "difference": 100 * float(one.mean() - other.mean()),
                    "unit": "percentage points",
                    "confidence_interval": None if interval is None else list(interval),
                    "confidence_level": self.level,
                    "interval_method": None if interval is None else PAIRED,
                    "p_value": p_values[name],
                    "p_value_method": MCNEMAR,
                    "p_value_holm": adjusted[name],
                    **verdict(interval, "higher"),
                    "note": None if interval else TOO_FEW,
                }
            )
        return found


def _drops(
    result: GroupsResult, reference: GroupsResult, scores: dict[str, Score], shared: list[str]
) -> Iterator[Difference]:
    for name in shared:
        score = scores.get(f"{INSIDE}_minus_{name}")
        if score is None or INSIDE not in shared:
            continue
        sides = [(r.splits[INSIDE].metrics.right, r.splits[name].metrics.right) for r in (result, reference)]
        drops = [100 * float(inside.mean() - outside.mean()) for inside, outside in sides]
        # a fact of the data, whose hashes agree: it holds for both results, also if the older of them does not say so
        paired = INSIDE in (r.splits[name].same_examples_as for r in (result, reference))
        seed = int(np.random.SeedSequence([5, *split_seed(result.seed, name)]).generate_state(1)[0])
        level = result.confidence_level
        if paired:
            interval, p_value = drop_difference_interval(*sides, seed, level), drop_difference_p_value(*sides, seed)
            change = abs(drops[0]) - abs(drops[1])
            yield _difference(score, change, score.n, interval, PAIRED_DROPS, (p_value, FLIPPED))
        else:
            yield _gap(score, *drops, list(zip(*sides, strict=True)), seed, level)


def _gap(score: Score, gap: float, other: float, sides: list, seed: int, level: float) -> Difference:
    """Of two distances from 0, with the p-value of the signed change."""
    interval = gap_difference_interval(sides, seed, level)
    p_value = gap_difference_p_value(sides, seed)
    return _difference(score, abs(gap) - abs(other), score.n, interval, PAIRED, (p_value, FLIPPED))


def _difference(
    score: Score,
    change: float | None,
    n: int,
    interval: tuple[float, float] | None,
    method: str,
    p_value: tuple[float, str] | tuple[None, None] = (None, None),
    note: str | None = None,
) -> Difference:
    return Difference(
        *(score.key, score.name, change, "percentage points", n, interval, score.confidence_level),
        interval_method=method if interval else None,
        p_value=p_value[0],
        p_value_method=p_value[1],
        better=score.better,
        note=note or (None if interval else TOO_FEW),
    )
