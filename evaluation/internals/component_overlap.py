"""Whether the components that a student hangs on are those that its teacher hangs on, and what chance alone would give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

from evenhand.evaluation.internals.anatomy import Layer
from evenhand.evaluation.internals.component_ablation import Ablation

SUBLAYERS, HEADS = "sublayers", "heads"
UNITS = (SUBLAYERS, HEADS)
"""``sublayers``: attention and MLP sublayers, or residual blocks. ``heads``: single heads, matched by their number, which means something only where the
student began as a copy of its teacher's layers."""
RANKED_BY = "fall of ln p(true class)"


@dataclass(frozen=True)
class Overlap:
    """The most important components of two models, on one group of examples.

    Args:
        unit: of `UNITS`.
        shared: N, how many components the models share under the layer map.
        top: k, how many of them count as the most important of each.
        common: how many are among both.
        jaccard: common / (2k − common).
        jaccard_by_chance: its mean where the student's k are drawn at random.
        common_by_chance: k²/N, the mean of a hypergeometric variable.
        p_value: that chance alone gives as many in common or more (hypergeometric, one-sided).
        teacher, student: names of the k components of each, the most important first.
    """

    unit: str
    shared: int
    top: int
    common: int
    jaccard: float
    jaccard_by_chance: float
    common_by_chance: float
    p_value: float
    teacher: tuple[str, ...]
    student: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """As it stands in report.json."""
        plain = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


def overlap(
    teacher: Ablation,
    student: Ablation,
    pairs: Sequence[tuple[Layer, Layer]],
    group: str,
    unit: str = "sublayers",
    top_share: float = 0.25,
) -> Overlap | None:
    """Top-k overlap of two models whose depths may differ, in the components of mapped layers.

    Args:
        teacher, student: from `ablate`.
        pairs: from `map_layers`: the teacher's and the student's layer.
        group: the examples whose falls rank the components.
        unit: of `UNITS`.
        top_share: k is this share of the shared components, rounded, and at least 1.

    Returns:
        ``None`` where the models share fewer than two components of the unit: other kinds of parts, or other numbers of heads.

    Raises:
        ValueError: ``top_share`` is not between 0 and 1.
    """
    check_top_share(top_share)
    shared = shared_components(teacher, student, pairs, unit)
    if len(shared) < 2:
        return None
    count = len(shared)
    top = min(max(1, round(top_share * count)), count)
    ranked = [
        # stable, so that of components with equal falls the earlier one comes first, in both models alike
        np.argsort([-of.falls[group].values[place[index], 0] for place in shared], kind="stable")[:top]
        for index, of in enumerate((teacher, student))
    ]
    common = len(set(ranked[0].tolist()) & set(ranked[1].tolist()))
    chance = stats.hypergeom(count, top, top)
    possible = np.arange(top + 1)
    names = [
        tuple(of.components[shared[rank][index]].name for rank in ranked[index])
        for index, of in enumerate((teacher, student))
    ]
    return Overlap(
        *(unit, count, top, common, common / (2 * top - common)),
        jaccard_by_chance=float((chance.pmf(possible) * possible / (2 * top - possible)).sum()),
        common_by_chance=top * top / count,
        p_value=float(chance.sf(common - 1)),
        teacher=names[0],
        student=names[1],
    )


def check_top_share(top_share: float) -> None:
    """Raises ValueError where it is no share."""
    if not 0 < top_share < 1:
        raise ValueError(f"top_share must lie between 0 and 1, not {top_share}")


def shared_components(
    teacher: Ablation, student: Ablation, pairs: Sequence[tuple[Layer, Layer]], unit: str
) -> list[tuple[int, int]]:
    """Places of the components that stand for each other: of one kind in mapped layers, and of heads the same number of as many.

    Returns:
        (place in the teacher's, place in the student's components).
    """
    both = ([(one.layer, one.kind, one.head, one.part.heads) for one in of.components] for of in (teacher, student))
    return _shared(*both, [(above.name, below.name) for above, below in pairs], unit)


def importance_correlation(
    teacher: Mapping, student: Mapping, layer_map: Sequence[Sequence[str]], side: str, unit: str = SUBLAYERS
) -> tuple[float | None, int]:
    """Whether two models rank their components alike: Spearman's rank correlation of the falls of ln p(true class), over all components of mapped layers.

    Unlike the overlap of the top k, it uses the whole order, of which a few components leave little: of N = 2 it is 1 or −1. Of random orders its mean is
    0, but models of one design need not be taught by each other to agree: compare with the number of a teacher and a student that had nothing to do
    with each other.

    Args:
        teacher, student: ``ablation`` of their entries in report.json.
        layer_map: names of mapped layers, the teacher's and the student's, as in the report's ``comparison``.
        side: ``"aligned"`` or ``"conflicting"``.
        unit: of `UNITS`.

    Returns:
        (correlation from −1 to 1, N); ``None`` for fewer than two components, or where all of one model fall equally.

    Raises:
        ValueError: an unknown unit.
    """
    found = [_reported(of["components"]) for of in (teacher, student)]
    places = _shared(*found, layer_map, unit)
    falls = [
        [of["components"][place[index]][side]["log_probability"]["value"] for place in places]
        for index, of in enumerate((teacher, student))
    ]
    if len(places) < 2 or any(len(set(values)) < 2 for values in falls):
        return None, len(places)
    return float(stats.spearmanr(*falls).statistic), len(places)


_Named = tuple[str, str, int | None, int]
"""Layer, kind, number of the head (``None`` of the whole of a part) and how many heads the part has."""


def _reported(components: Sequence[Mapping]) -> list[_Named]:
    heads = Counter((one["layer"], one["kind"]) for one in components if one["head"] is not None)
    return [(one["layer"], one["kind"], one["head"], heads[one["layer"], one["kind"]]) for one in components]


def _shared(
    teacher: Sequence[_Named], student: Sequence[_Named], pairs: Sequence[Sequence[str]], unit: str
) -> list[tuple[int, int]]:
    """Places of components that stand for each other; ``pairs``: names of mapped layers."""
    if unit not in UNITS:
        raise ValueError(f"unit {unit!r} is unknown; use one of {', '.join(UNITS)}")

    def places(of: Sequence[_Named]) -> dict[_Named, int]:
        return {
            (layer, kind, head, heads if unit == HEADS else 0): index
            for index, (layer, kind, head, heads) in enumerate(of)
            if (head is not None) == (unit == HEADS)
        }

    ours, theirs = places(student), places(teacher)
    return [
        (place, ours[(below, *rest)])
        for above, below in pairs
        for (layer, *rest), place in theirs.items()
        if layer == above and (below, *rest) in ours
    ]
