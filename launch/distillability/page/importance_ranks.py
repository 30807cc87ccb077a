"""Whether a student ranks its components as its teacher does, and more so than as teachers of its kind that did not teach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evenhand.evaluation.distillability import BySeed
from evenhand.evaluation.internals.component_overlap import HEADS, SUBLAYERS, importance_correlation
from evenhand.launch.distillability.page.measured_task import mean
from evenhand.launch.distillability.page.own_numbers import CORRELATION, CORRELATION_DIFFERENCE, own_mean
from evenhand.launch.distillability.page.points import points
from evenhand.launch.page_text import listed, plural

SIDES = ("aligned", "conflicting")
FEWEST = 3
"""Components. Of two the rank correlation is 1 or −1."""


@dataclass(frozen=True)
class Agreement:
    """Rank correlations of the importances of the components that a student shares with teachers.

    Args:
        shared: N, how many components.
        own: by seed, with the student's own teacher.
        others: by seed, the mean over the teachers of the other seeds: of the same design and data, which did not teach this student.
    """

    shared: int
    own: BySeed
    others: BySeed

    @property
    def difference(self) -> dict[int, float]:
        """Own − others, of the seeds that have both."""
        pairs = {seed: (self.own[seed], self.others.get(seed)) for seed in self.own}
        return {seed: own - other for seed, (own, other) in pairs.items() if own is not None and other is not None}

    def to_dict(self) -> dict[str, object]:
        """Plain values: N, and means over seeds with intervals."""
        return {
            "shared": self.shared,
            "own_teacher": own_mean(self.own, CORRELATION),
            "teachers_of_other_seeds": own_mean(self.others, CORRELATION),
            "difference": own_mean(self.difference, CORRELATION_DIFFERENCE),
        }


def agreements_of(entries: Mapping[int, Mapping[str, Any]]) -> dict[str, dict[str, Agreement]]:
    """Unit -> side -> agreement of one pair of sizes; empty where no components were taken out.

    Single heads only of students that began as a copy of their teacher's layers: of any others their numbers say nothing.

    Args:
        entries: seed -> the report's entry of the measure ``internals``; examples are the same in all.
    """
    taken_out = {
        seed: entry for seed, entry in entries.items() if all(_ablation(entry, of) for of in ("model", "reference"))
    }
    units = [SUBLAYERS, *([HEADS] if all(map(began_as_copy, taken_out.values())) else [])]
    found: dict[str, dict[str, Agreement]] = {}
    for unit in units if taken_out else ():
        sides = {side: _agreement(taken_out, side, unit) for side in SIDES}
        if all(agreement.shared > 1 for agreement in sides.values()):
            found[unit] = sides
    return found


def began_as_copy(entry: Mapping[str, Any]) -> bool:
    """Whether the student of an entry was made of its teacher's layers, so that the numbers of its heads are theirs."""
    return bool(entry.get("copied_layers"))


def _ablation(entry: Mapping[str, Any], of: str) -> Mapping[str, Any] | None:
    return (entry.get(of) or {}).get("ablation")


def _agreement(entries: Mapping[int, Mapping[str, Any]], side: str, unit: str) -> Agreement:
    def correlation(seed: int, teachers: int) -> tuple[float | None, int]:
        own = entries[seed]
        models = _ablation(entries[teachers], "reference"), _ablation(own, "model")
        return importance_correlation(*models, own["comparison"]["layer_map"], side, unit)

    own = {seed: correlation(seed, seed) for seed in entries}
    others = {seed: mean(correlation(seed, other)[0] for other in entries if other != seed) for seed in entries}
    return Agreement(max(n for _, n in own.values()), {seed: value for seed, (value, _) in own.items()}, others)


def rank_sentence(agreements: Sequence[Agreement]) -> str:
    """What the pairs of a task say together of one side, without a full stop; empty where none has enough components.

    The mean over pairs, seed by seed: of those with `FEWEST` components or more, and of these the ones that have been measured in the most
    seeds, since pairs that one seed has and another lacks would differ for that alone.

    Args:
        agreements: of the pairs, on one side.
    """
    enough = [one for one in agreements if one.shared >= FEWEST]
    most = max((len(one.own) for one in enough), default=0)
    chosen = [one for one in enough if len(one.own) == most]
    if not chosen:
        return ""
    own, others, difference = (
        own_mean(_over_pairs([getattr(one, name) for one in chosen]), bounds)
        for name, bounds in (("own", CORRELATION), ("others", CORRELATION), ("difference", CORRELATION_DIFFERENCE))
    )
    ends = difference["confidence_interval"]
    if ends is None:
        why = (
            "one seed has no interval"
            if most == 1
            else "the difference is the same in all seeds, so it has no interval"
        )
        said = f"**cannot tell**: {why}"
    elif ends[0] > 0:
        said = "the order is **nearer to that of the own teacher** than to that of the others"
    elif ends[1] < 0:
        said = "the order is **further from that of the own teacher** than from that of the others"
    else:
        said = "**cannot tell** whether the student has the order from its teacher: teachers that did not teach it agree with it as much, as far as can be told"
    numbers = [
        f"own teacher {points(own['value'], own['confidence_interval'], True, digits=2)}",
        f"others {points(others['value'], others['confidence_interval'], True, digits=2)}",
        f"difference {points(difference['value'], ends, True, digits=2)}",
    ]
    n_components = listed([str(n) for n in sorted({one.shared for one in chosen})])
    over = f"N = {n_components}, {len(chosen)} of {plural(len(agreements), 'pair')}, {plural(most, 'seed')}"
    return f"{said} ({'; '.join(numbers)}; {over})"


def _over_pairs(values: Sequence[BySeed]) -> dict[int, float | None]:
    """Mean by seed, of the seeds that all have."""
    seeds = set.intersection(*({seed for seed, value in one.items() if value is not None} for one in values))
    return {seed: mean(one[seed] for one in values) for seed in sorted(seeds)}
