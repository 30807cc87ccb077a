"""Choosing a part of a split: the same examples for every model and seed, each group in its share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from evenhand.evaluation.grouped_data.grouped import GroupedData

SUBSET_SEED = 0
_MORE = "Give it examples of every group of train, or a larger max_examples"


def check_max_examples(max_examples: int | Mapping[str, int] | None, splits: Sequence[str]) -> None:
    """Raise ValueError unless it is None, a positive number, or split → a positive number.

    Args:
        max_examples: the setting.
        splits: those that can be limited; another name is refused.
    """
    unknown = [s for s in max_examples if s not in splits] if isinstance(max_examples, Mapping) else []
    if unknown:
        raise ValueError(f"max_examples: {unknown[0]!r} is none of the splits that can be limited, {', '.join(splits)}")
    numbers = max_examples.values() if isinstance(max_examples, Mapping) else (max_examples,)
    for n in numbers:
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise ValueError(f"max_examples must be at least 1 (or a number for each split), not {n!r}")


def limit_of(max_examples: int | Mapping[str, int] | None, split: str) -> int | None:
    """The limit that applies to a split; None for none."""
    return max_examples.get(split) if isinstance(max_examples, Mapping) else max_examples


def check_numbers(**settings: object) -> None:
    """Raise ValueError for a setting that is no number; ``seed`` and ``n_…`` must be whole ones.

    A recipe can hold anything, and comparing a text with a number ends in a TypeError.
    """
    for name, value in settings.items():
        whole = name == "seed" or name.startswith("n_")
        if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
            raise ValueError(f"{name} must be a {'whole ' if whole else ''}number, not {value!r}")


def check_names(**settings: object) -> None:
    """Raise ValueError for a setting that is neither None nor a list of texts (YAML reads yes and no as true and false)."""
    for name, value in settings.items():
        if value is None:
            continue
        if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
            raise ValueError(f"{name} must be a list of names, not {value!r}")
        other = [entry for entry in value if not isinstance(entry, str)]
        if other:
            raise ValueError(f"{name} must be a list of names; {other[0]!r} is none, put it in quotes")


def check_groups_of_train(data: GroupedData, splits: Sequence[str] | None = None, advice: str = _MORE) -> None:
    """Raise ValueError where a group that ``train`` has is missing in another split that is in distribution.

    Without it, the worst group and the spurious gap of that split would be those of the groups that happen to be there.
    Out-of-distribution splits may have other groups. Data without ``train`` are not checked.

    Args:
        data: with groups.
        splits: which are looked at; by default all but ``train`` and those in ``data.shift``.
        advice: ends the message.
    """
    if "train" not in data.splits:
        return
    known = tuple(group for group, n in data.group_counts("train").items() if n)
    if splits is None:
        splits = [split for split in data.splits if split != "train" and split not in data.shift]
    for split in splits:
        data.check_groups(split, known, advice)


def stratified_subset(strata: np.ndarray, n: int | None, seed: int = SUBSET_SEED) -> np.ndarray:
    """Positions of ``n`` examples, each stratum in its share of the whole (largest remainders; at least one of each
    stratum where n allows it), in the split's order; all of them where n is None or larger.

    Args:
        strata: (N,) a number for each example: its group, or its label.
        n: how many.
        seed: of the choice within a stratum.
    """
    strata = np.asarray(strata)
    if n is None or n >= len(strata):
        return np.arange(len(strata))
    names, counts = np.unique(strata, return_counts=True)
    exact = counts * (n / len(strata))
    quotas = np.floor(exact).astype(int)
    if n >= len(names):
        quotas = np.maximum(quotas, 1)
    by_remainder = np.argsort(quotas - exact, kind="stable")
    for index in by_remainder[: max(0, n - quotas.sum())]:
        quotas[index] += 1
    while quotas.sum() > n:  # the ones that were raised to 1 are paid for by the largest
        quotas[np.argmax(quotas)] -= 1
    draw = np.random.default_rng(seed)
    chosen = [
        draw.choice(np.flatnonzero(strata == name), size=quota, replace=False)
        for name, quota in zip(names, quotas, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def stratified_parts(labels: np.ndarray, shares: Mapping[str, float], rest: str, seed: int) -> dict[str, np.ndarray]:
    """Positions by part: each class is divided at random in the given shares, what is left goes to ``rest``.

    Args:
        labels: (N,) class of each example.
        shares: part → share in (0, 1); together less than 1. Every class gives at least one example to each part.
        rest: the part that takes the others (the training split).
        seed: of the division.

    Raises:
        ValueError: shares that leave nothing, or a class with too few examples.
    """
    if not all(0 < share < 1 for share in shares.values()) or sum(shares.values()) >= 1:
        raise ValueError(f"the shares {dict(shares)} must lie between 0 and 1 and leave something for {rest!r}")
    labels = np.asarray(labels)
    draw = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (*shares, rest)}
    for label in np.unique(labels):
        positions = draw.permutation(np.flatnonzero(labels == label))
        if len(positions) <= len(shares):
            raise ValueError(f"class {label} has {len(positions)} examples, too few for {len(shares) + 1} splits")
        start = 0
        for name, share in shares.items():
            size = max(1, round(share * len(positions)))
            parts[name].append(positions[start : start + size])
            start += size
        if start >= len(positions):
            raise ValueError(f"class {label} has too few examples ({len(positions)}) to leave any for {rest!r}")
        parts[rest].append(positions[start:])
    return {name: np.sort(np.concatenate(chosen)) for name, chosen in parts.items()}
