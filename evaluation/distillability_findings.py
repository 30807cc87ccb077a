"""What a study says of each finding of Cheng, Agarwal & Amiri 2025: supports, contradicts, no difference, or cannot tell.

Every function is pure: cells and a metric in, a `Finding` out. Gains are averaged over the cells of a seed and judged by the rule of
`evenhand.evaluation.distillability_rule`. Few or noisy seeds give wide intervals, and those cannot tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evenhand.evaluation.distillability import (
    CONTRIBUTION,
    DISTILLABILITY,
    BySeed,
    Cell,
    Metric,
    SeedEffect,
    interval_at,
    with_holm,
)
from evenhand.evaluation.distillability_rule import (
    CANNOT_TELL,
    CONTRADICTS,
    GAIN,
    LOSS,
    NO_GAIN,
    SUPPORTS,
    judge,
    level_above,
    level_below,
)
from evenhand.evaluation.paired_seeds import CONFIDENCE, t_interval

MARGIN = 1.0
"""The smallest change that matters, in percentage points, where no other is given."""


@dataclass(frozen=True)
class Finding:
    """A verdict on one finding.

    Args:
        finding: its key.
        claim: in words.
        verdict: ``"supports"``, ``"contradicts"``, ``"no difference"`` (of the margin or more) or ``"cannot tell"``.
        reason: the numbers that decided, in words.
        metric: key of the metric it was judged on.
        gain: mean gain over seeds, positive better; ``None`` where there is no one number.
        confidence_interval: of it.
        n: seeds.
        margin: the smallest change that matters.
        p_value: the level below which the verdict would no longer be reached, of `Judgement`; ``None`` where nothing can be told.
        within_margin: whether the whole interval lies within ± margin, whatever is claimed.
        cells: how many cells, or pairs of models, it rests on.
    """

    finding: str
    claim: str
    verdict: str
    reason: str
    metric: str
    gain: float | None
    confidence_interval: tuple[float, float] | None
    n: int
    margin: float
    p_value: float | None = None
    within_margin: bool = False
    cells: int = 0

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        interval = self.confidence_interval
        return {**self.__dict__, "confidence_interval": None if interval is None else list(interval)}


def undermined_overall(cells: Sequence[Cell], metric: Metric, margin: float = MARGIN) -> Finding:
    """Distillation undermines debiasing overall: g is less robust than its teacher.

    Args:
        cells: those that the finding is about, all weighing the same.
        metric: a measure of robustness, such as worst-group accuracy on a shifted split.
        margin: the smallest loss that matters.
    """
    gains = pooled_gains(cells, metric, DISTILLABILITY)
    claim = "distillation undermines debiasing: the distilled student is less robust than its teacher"
    return _on_gains("undermined_overall", claim, gains, metric, margin, LOSS, len(cells))


def contribution_not_positive(cells: Sequence[Cell], metric: Metric, margin: float = MARGIN) -> Finding:
    """The teacher gives a student nothing that matters: g is not more robust than f_S by the margin or more.

    Args:
        cells, metric: as for `undermined_overall`.
        margin: the smallest gain that matters.
    """
    gains = pooled_gains(cells, metric, CONTRIBUTION)
    claim = f"a debiased student gains nothing from the teacher: contribution is not {margin:g} or more"
    return _on_gains("contribution_not_positive", claim, gains, metric, margin, NO_GAIN, len(cells))


def stable_while_groups_move(
    cells: Sequence[Cell], overall: Metric, groups: Sequence[Metric], margin: float = MARGIN
) -> Finding:
    """Robustness may stay stable overall while single groups (bias types) move.

    Stable: the interval of the overall gain lies within ± margin. A group moves: its p, Holm-corrected over the groups, is below
    .05 and its mean gain is at least the margin, up or down. Contradicted: overall moves beyond the margin, or all groups are stable too
    (intervals Bonferroni-corrected over them).

    Args:
        cells: as for `undermined_overall`.
        overall: a metric of a whole split.
        groups: metrics of its groups.
        margin: the smallest change that matters.

    Raises:
        ValueError: no groups.
    """
    if not groups:
        raise ValueError("stable_while_groups_move needs the metrics of at least one group")
    claim = f"overall robustness stays stable, within {margin:g}, while single groups move"
    gains = pooled_gains(cells, overall, DISTILLABILITY)
    values = list(gains.values())
    interval, level = interval_at(values, CONFIDENCE), 1 - (1 - CONFIDENCE) / len(groups)
    of_groups = {metric.group or metric.key: pooled_gains(cells, metric, DISTILLABILITY) for metric in groups}
    moved = _moved(of_groups, margin)
    ends = [interval_at(list(by_seed.values()), level) for by_seed in of_groups.values()]
    still = all(pair is not None and -margin < pair[0] and pair[1] < margin for pair in ends)
    word, why = CANNOT_TELL, _interval_text(values, interval)
    p_value, within = None, interval is not None and -margin < interval[0] and interval[1] < margin
    if interval is not None and (interval[0] > margin or interval[1] < -margin):
        word, why = CONTRADICTS, f"overall moves: {why}"
        p_value = min(level_above(values, margin), level_below(values, -margin))
    elif within:
        # both parts must hold, so the larger level counts
        p_stable = _level_within(values, margin)
        if moved:
            word, why = SUPPORTS, f"overall is stable ({why}), and {_listed(moved)} move"
            p_value = max(p_stable, min(p_moved for _, p_moved in moved.values()))
        elif still:
            word, why = CONTRADICTS, f"overall is stable ({why}), and so is every group"
            of_each = [_level_within(list(by_seed.values()), margin) for by_seed in of_groups.values()]
            p_value = min(1.0, max(p_stable, len(of_each) * max(of_each)))
        else:
            why = f"overall is stable ({why}); of the groups nothing can be told"
    else:
        why = f"whether overall is stable cannot be told ({why})"
    return Finding(
        "stable_while_groups_move", claim, word, why, overall.key, _mean(values), interval, len(values), margin, p_value, within,
        len(cells),
    )  # fmt: skip


def same_scale_best(
    cells: Sequence[Cell], metric: Metric, margin: float = MARGIN, role: str = DISTILLABILITY
) -> Finding:
    """A teacher of the student's own scale transfers best.

    For each method and student the gain with the teacher of the same size is compared with the mean gain with its other
    teachers, so that methods and students weigh the same on both sides.

    Args:
        cells: sizes are the same where their names are; students without both kinds of teacher are left out.
        metric: as for `undermined_overall`.
        margin: the smallest advantage that matters.
        role: which gain.
    """
    claim = "pairs of the same scale transfer best"
    tables = []
    for group in _grouped(cells, lambda cell: (cell.method, cell.student)):
        same = [_gains(cell, metric, role) for cell in group if cell.teacher == cell.student]
        other = [_gains(cell, metric, role) for cell in group if cell.teacher != cell.student]
        if same and other:
            one, rest = _mean_by_seed(same), _mean_by_seed(other)
            tables.append({seed: one[seed] - rest[seed] for seed in one.keys() & rest.keys()})
    return _on_gains("same_scale_best", claim, _mean_by_seed(tables), metric, margin, GAIN, len(tables))


def larger_teacher_not_always_better(
    cells: Sequence[Cell], metric: Metric, sizes: Sequence[str], margin: float = MARGIN
) -> Finding:
    """A larger teacher is not always better: with some student and method g gains nothing from it.

    Every pair of teachers of one student and method is compared on g, larger − smaller, with intervals Bonferroni-corrected over the
    pairs. Supported: in one pair a gain that matters is excluded. Contradicted: in every pair the larger teacher is reliably better, the
    whole interval above 0 and the mean gain at least the margin.

    Args:
        cells: as for `undermined_overall`.
        metric: of g.
        sizes: names of the teachers' sizes, the smallest first.
        margin: the smallest gain that matters.

    Raises:
        ValueError: a cell's teacher is not among ``sizes``.
    """
    unknown = [cell.teacher for cell in cells if cell.teacher not in sizes]
    if unknown:
        raise ValueError(f"teacher size {unknown[0]!r} is not among {', '.join(sizes)}")
    claim = "a larger teacher is not always better"
    pairs: dict[str, list[float]] = {}
    for group in _grouped(cells, lambda cell: (cell.method, cell.student)):
        ranked = sorted(group, key=lambda cell: sizes.index(cell.teacher))
        for small, large in combinations(ranked, 2):
            gains = _difference_of_models(small.g.get(metric.key, {}), large.g.get(metric.key, {}), metric)
            pairs[f"{large.teacher} for {small.teacher} ({large.method}, student {large.student})"] = list(
                gains.values()
            )
    level = 1 - (1 - CONFIDENCE) / max(1, len(pairs))
    ends = {name: interval_at(values, level) for name, values in pairs.items()}
    no_gain = [name for name, pair in ends.items() if pair is not None and pair[1] < margin]
    better = [
        name for name, pair in ends.items() if pair is not None and pair[0] > 0 and np.mean(pairs[name]) >= margin
    ]
    fewest = min(map(len, pairs.values()), default=0)
    word, p_value = CANNOT_TELL, None
    why = (
        f"{len(better)} of {len(pairs)} exchanges for a larger teacher are reliably better, in none a gain is excluded"
    )
    if no_gain:
        levels = {name: level_below(pairs[name], margin) for name in no_gain}
        first = min(levels, key=levels.get)
        word, p_value = SUPPORTS, min(1.0, len(pairs) * levels[first])
        why = f"no gain of {margin:g} or more from {first}: {_interval_text(pairs[first], ends[first])}"
    elif pairs and len(better) == len(pairs):
        word, why = CONTRADICTS, f"the larger teacher is reliably better in all {len(pairs)} pairs"
        p_value = min(1.0, len(pairs) * max(level_above(values, 0.0) for values in pairs.values()))
    elif not pairs:
        why = "no student has two teachers of different size"
    return Finding(
        "larger_teacher_not_always_better", claim, word, why, metric.key, None, None, fewest, margin, p_value, cells=len(cells)
    )  # fmt: skip


def remedy_helps(
    remedy: str, with_remedy: Sequence[BySeed], without: Sequence[BySeed], metric: Metric, margin: float = MARGIN
) -> Finding:
    """A remedy (augmentation, iterative distillation, initialisation from the teacher) makes g more robust.

    What it does may have nothing to do with the teacher: one that changes the training data would help a student alone too. See
    `teacher_adds`.

    Args:
        remedy: its name.
        with_remedy, without: the metric of g by seed, one for each cell, in the same order.
        metric: as for `undermined_overall`.
        margin: the smallest gain that matters.

    Raises:
        ValueError: another number of cells with than without.
    """
    return _between(
        f"{remedy}_helps", f"the student is more robust with {remedy}", with_remedy, without, metric, margin
    )


def teacher_adds(
    remedy: str, with_remedy: Sequence[BySeed], alone: Sequence[BySeed], metric: Metric, margin: float = MARGIN
) -> Finding:
    """With a remedy, the teacher makes the student more robust: g with it against f_S trained with the same remedy and without a teacher.

    Args:
        remedy: its name.
        with_remedy, alone: the metric of g and of f_S, both with the remedy, by seed, one for each cell, in the same order.
        metric: as for `undermined_overall`.
        margin: the smallest gain that matters.

    Raises:
        ValueError: another number of cells on one side.
    """
    return _between(f"{remedy}_teacher_adds", f"the teacher adds to {remedy}", with_remedy, alone, metric, margin)


def pooled_gains(cells: Sequence[Cell], metric: Metric, role: str) -> dict[int, float]:
    """Mean gain over cells by seed, of the seeds that all cells have."""
    return _mean_by_seed([_gains(cell, metric, role) for cell in cells])


def _gains(cell: Cell, metric: Metric, role: str) -> dict[int, float]:
    sign = 1 if metric.side == "higher" else -1
    return {seed: sign * value for seed, value in cell.differences(metric, role).items()}


def _difference_of_models(reference: BySeed, own: BySeed, metric: Metric) -> dict[int, float]:
    """Gain of the one over the other by seed."""
    sign = 1 if metric.side == "higher" else -1
    a, b = metric.values(own), metric.values(reference)
    return {seed: sign * (a[seed] - b[seed]) for seed in sorted(a.keys() & b.keys())}


def _mean_by_seed(tables: Sequence[Mapping[int, float]]) -> dict[int, float]:
    if not tables:
        return {}
    shared = set.intersection(*(set(table) for table in tables))
    return {seed: float(np.mean([table[seed] for table in tables])) for seed in sorted(shared)}


def _grouped(cells: Sequence[Cell], key) -> list[list[Cell]]:
    groups: dict[object, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(key(cell), []).append(cell)
    return list(groups.values())


def _between(
    finding: str, claim: str, own: Sequence[BySeed], others: Sequence[BySeed], metric: Metric, margin: float
) -> Finding:
    if len(own) != len(others):
        raise ValueError(f"{finding}: {len(own)} cells cannot be compared with {len(others)}, one by one")
    tables = [_difference_of_models(other, one, metric) for other, one in zip(others, own, strict=True)]
    return _on_gains(finding, claim, _mean_by_seed(tables), metric, margin, GAIN, len(tables))


def _on_gains(
    finding: str, claim: str, gains: Mapping[int, float], metric: Metric, margin: float, claimed: str, cells: int
) -> Finding:
    """By the rule; ``claimed``: a gain, a loss, or no gain."""
    values = list(gains.values())
    found = judge(values, claimed, margin)
    why = _interval_text(values, found.interval)
    return Finding(
        finding, claim, found.verdict, why, metric.key, _mean(values), found.interval, len(values), margin, found.p_value,
        found.within_margin, cells,
    )  # fmt: skip


def _level_within(values: Sequence[float], margin: float) -> float:
    """The smallest level at which the interval lies within ± margin."""
    return max(level_above(values, -margin), level_below(values, margin))


def _moved(of_groups: Mapping[str, Mapping[int, float]], margin: float) -> dict[str, tuple[float, float]]:
    """Groups that move: mean gain and p-value, Holm-corrected over the groups."""
    effects = []
    for name, by_seed in of_groups.items():
        values = list(by_seed.values())
        p_value = t_interval(values).p_value if interval_at(values, CONFIDENCE) is not None else None
        metric = Metric(name, "higher", name)
        effects.append(SeedEffect(metric, DISTILLABILITY, _mean(values), None, p_value, None, None, None, by_seed))
    return {
        effect.metric.key: (effect.difference, effect.p_value_holm)
        for effect in with_holm(effects)
        if effect.p_value_holm is not None and effect.p_value_holm < 1 - CONFIDENCE and abs(effect.difference) >= margin
    }


def _listed(moved: Mapping[str, tuple[float, float]]) -> str:
    return ", ".join(f"{name} ({gain:+.1f})" for name, (gain, _) in moved.items())


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _interval_text(values: Sequence[float], interval: tuple[float, float] | None) -> str:
    if not len(values):
        return "no seed has all models"
    mean = f"mean gain {np.mean(values):+.2f} over {len(values)} seed{'' if len(values) == 1 else 's'}"
    return f"{mean}, interval [{interval[0]:+.2f}, {interval[1]:+.2f}]" if interval else f"{mean}, no interval"
