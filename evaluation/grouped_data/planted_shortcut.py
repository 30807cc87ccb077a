"""A shortcut of known strength, planted into real data: which value each example shows, and the groups that follow."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from datasets import ClassLabel, Dataset

from evenhand.evaluation.grouped_data.columns import numbers, with_columns
from evenhand.evaluation.grouped_data.grouped import GroupedData, group_facts
from evenhand.evaluation.grouped_data.subsets import check_numbers

SHORTCUT = "shortcut"
"""Column with the planted value, a ClassLabel; value k is class k's own."""

GROUPINGS = ("value", "side")


@dataclass(frozen=True)
class Planting:
    """How often an example shows its class's own value.

    With K classes and K values, the example shows its class's own value with probability ``strength`` and else one of the
    other K − 1, all equally often: 1/K is no shortcut at all. The shares are met exactly in every class (to the rounding
    of one example), not drawn.

    Args:
        strength: P(own value | label) in train, validation and the in-distribution test; between 1/K and 1.
        flipped_strength: the same in the test split ``"flipped"``, where the shortcut points away from the label; below 1/K.
        seed: of the choice of examples.
        grouping: ``"value"``: groups are label × value (K² of them); ``"side"``: label × aligned or conflicting (2K). With
            two classes they are the same partition.

    Raises:
        ValueError: a strength or seed that is no number.
    """

    strength: float = 0.9
    flipped_strength: float = 0.0
    seed: int = 0
    grouping: str = "value"

    def __post_init__(self) -> None:
        check_numbers(strength=self.strength, flipped_strength=self.flipped_strength, seed=self.seed)

    def check(self, n_classes: int) -> None:
        """Raise ValueError for a setting out of its range."""
        chance = 1 / n_classes
        if not chance <= self.strength <= 1:
            raise ValueError(
                f"strength must lie between {chance:.3g} (chance with {n_classes} classes) and 1, not {self.strength}"
            )
        if not 0 <= self.flipped_strength < chance:
            raise ValueError(
                f"flipped_strength must lie between 0 and {chance:.3g} (chance), not {self.flipped_strength}"
            )
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")
        if self.grouping not in GROUPINGS:
            raise ValueError(f"grouping must be {' or '.join(map(repr, GROUPINGS))}, not {self.grouping!r}")

    def generator(self, split: str) -> np.random.Generator:
        """Random numbers of one split: those of another do not depend on it."""
        return np.random.default_rng([self.seed, zlib.crc32(split.encode())])


def planted_values(labels: np.ndarray, n_classes: int, own_share: float, draw: np.random.Generator) -> np.ndarray:
    """The value that each example shows.

    Args:
        labels: (N,) class numbers.
        n_classes: K, also the number of values.
        own_share: share of each class that shows its own value; the others are divided equally.
        draw: which examples.

    Returns:
        (N,) numbers from 0 to K − 1.
    """
    values = np.empty(len(labels), dtype=np.int64)
    for label in range(n_classes):
        positions = draw.permutation(np.flatnonzero(labels == label))
        n_own = round(own_share * len(positions))
        others = draw.permutation([value for value in range(n_classes) if value != label])
        values[positions[:n_own]] = label
        values[positions[n_own:]] = np.resize(others, len(positions) - n_own)
    return values


def group_scheme(
    label_names: Sequence[str], value_names: Sequence[str], grouping: str
) -> tuple[list[str], dict[str, bool | None], Callable[[np.ndarray, np.ndarray], np.ndarray]]:
    """Names of the groups, which are aligned, and the group's number from label and value."""
    if grouping == "value":
        pairs = [(k, v) for k in range(len(label_names)) for v in range(len(value_names))]
        names = [f"{label_names[k]} × {value_names[v]}" for k, v in pairs]
        aligned = {name: k == v for name, (k, v) in zip(names, pairs, strict=True)}
        return names, aligned, lambda label, value: label * len(value_names) + value
    names = [f"{label} × {side}" for label in label_names for side in ("aligned", "conflicting")]
    return (
        names,
        {name: name.endswith("× aligned") for name in names},
        lambda label, value: 2 * label + (label != value),
    )


def plant(
    name: str,
    kind: str,
    examples: Mapping[str, Dataset],
    apply: Callable[[Dataset, np.ndarray, np.random.Generator], Dataset],
    value_names: Sequence[str],
    planting: Planting,
    facts: Mapping[str, object],
) -> GroupedData:
    """Data with a planted shortcut, with the tests ``"flipped"`` and ``"neutral"`` (shortcut independent of the label).

    The three tests hold the same examples and differ in the shortcut only.

    Args:
        name: of the data set.
        kind: ``"text"`` or ``"image"``.
        examples: ``"train"``, ``"validation"`` and ``"test"``, with inputs and ``label``.
        apply: (split, (n,) values, random numbers) → the split with the values shown in its inputs.
        value_names: of the values, one for each class.
        planting: how often.
        facts: of the examples; what was planted is added.

    Raises:
        ValueError: settings out of range, not as many values as classes, or a test with so few examples of a label that one of
            the groups which train has of it has none.
    """
    labels = examples["train"].features["label"].names
    planting.check(len(labels))
    if len(value_names) != len(labels) or len(set(value_names)) != len(value_names):
        raise ValueError(
            f"{name}: {len(labels)} classes need as many different shortcut values, not {', '.join(value_names)}"
        )
    names, aligned, group_of = group_scheme(labels, value_names, planting.grouping)
    own = dict.fromkeys(examples, planting.strength)
    own |= {"flipped": planting.flipped_strength, "neutral": 1 / len(labels)}
    splits, achieved = {}, {}
    for split, share in own.items():
        rows = examples["test" if split in ("flipped", "neutral") else split]
        draw, label = planting.generator(split), numbers(rows, "label")
        values = planted_values(label, len(labels), share, draw)
        planted_columns = {
            SHORTCUT: (values, ClassLabel(names=list(value_names))),
            "group": (group_of(label, values), ClassLabel(names=names)),
        }
        splits[split] = with_columns(apply(rows, values, draw), planted_columns)
        achieved[split] = round(float((label == values).mean()), 6)
    planted = {
        "strength": planting.strength,
        "flipped_strength": planting.flipped_strength,
        "seed": planting.seed,
        "grouping": planting.grouping,
        "values": list(value_names),
        "share_with_own_value": achieved,
    }
    facts = {**facts, "planted": {**planted, **dict(facts.get("planted", {}))}, "n_by_group": group_facts(splits)}
    shared = {"flipped": "test", "neutral": "test"}
    data = GroupedData(name, kind, splits, aligned, shift=tuple(shared), facts=facts, same_examples=shared)
    _check_test(data, planting)
    return data


def _check_test(data: GroupedData, planting: Planting) -> None:
    """Raise ValueError where the test shows a label, but not in each group of it that train has."""
    label, group = (numbers(data.splits["train"], column) for column in ("label", "group"))
    there = np.isin(label, numbers(data.splits["test"], "label"))  # a label may be missing as a whole
    coarser = ", or with grouping: side" if planting.grouping != "side" else ""
    known = tuple(data.group_names()[number] for number in np.unique(group[there]))
    data.check_groups("test", known, f"Give it more examples, or plant with less strength{coarser}")
