"""Remedies in the training data: examples added, so that the shortcut says less about the label.

Each is a pure function: training examples and settings in, examples and facts about them out. :func:`augment` has them carry the number
of the example that each was made from, so that whoever divides the result can keep copies and counterfactuals together.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping

import numpy as np
from datasets import Dataset, Value

from evenhand.evaluation.gender_swaps import GenderSwaps, builtin_swaps
from evenhand.evaluation.grouped_data.columns import joined, numbers, table_of, texts, with_columns
from evenhand.evaluation.grouped_data.grouped import GroupedData, group_facts
from evenhand.evaluation.grouped_data.lexical_overlap import OVERLAP, as_dataset, generate
from evenhand.evaluation.grouped_data.replanting import Replanting
from evenhand.evaluation.grouped_data.subsets import stratified_subset
from evenhand.evaluation.grouped_data.text_shortcut import SHORTCUT_AT, moved_place

SOURCE = "source_example"
"""Column of augmented examples: the row of the split that each was made from; new ones that were made from none have numbers of their own."""

_NO_LETTER = re.compile(r"[\W\d_]+")


def swap_shortcut(
    rows: Dataset, data: GroupedData, *, all_values: bool = False, keep_original: bool = True, seed: int = 0
) -> tuple[Dataset, dict[str, object]]:
    """Every example's counterfactual: another value of the planted shortcut, the label kept.

    With two classes, originals and counterfactuals together have a shortcut that is independent of the label.

    Args:
        rows: n training examples of ``data``.
        data: what they belong to.
        all_values: with more than two classes: one counterfactual for every other value (independence again), instead of
            one for a value drawn from them.
        keep_original: whether the examples themselves stay, before their counterfactuals.
        seed: of the values drawn.

    Raises:
        ValueError: nothing was planted.
    """
    planted = Replanting.of(data)
    n_values, old = len(planted.values), numbers(rows, "shortcut")
    if all_values:
        steps = [np.full(len(rows), step) for step in range(1, n_values)]
    else:
        steps = [np.random.default_rng(seed).integers(1, n_values, size=len(rows))]
    added = [planted.shown(rows, (old + step) % n_values) for step in steps]
    facts = {"all_values": all_values, "keep_original": keep_original, "seed": seed}
    return joined([rows, *added] if keep_original else added), facts


def swap_words(
    rows: Dataset,
    data: GroupedData,
    *,
    keep_original: bool = True,
    counterparts: Mapping[str, str] | None = None,
) -> tuple[Dataset, dict[str, object]]:
    """The gender counterfactual of every text that has one: all gendered words exchanged for their partners, the label kept
    (counterfactual data augmentation, Zhao et al. 2018). Texts without such a word are not doubled.

    Args:
        rows: training examples, texts or pairs.
        data: what they belong to.
        keep_original: whether a text that has a counterfactual stays too (two-sided), or is replaced by it (one-sided).
        counterparts: where the group says the gender of the words: group → group of its counterfactuals, and the other way
            round. Groups that are not named keep theirs, by default all; one that has a gendered word in its name must be.

    Raises:
        ValueError: the data are not texts, a planted phrase is gendered itself, or it is not known which group a
            counterfactual is in.
    """
    if data.kind != "text":
        raise ValueError(f"{data.name}: gendered words can be exchanged in texts only, and these are images")
    swaps = builtin_swaps()
    columns = [name for name in ("text", "text_pair") if name in rows.column_names]
    before = {name: texts(rows, name) for name in columns}
    after = {name: [swaps.swap(text) for text in values] for name, values in before.items()}
    changed = np.flatnonzero([any(before[c][i] != after[c][i] for c in columns) for i in range(len(rows))])
    columns_after: dict = {name: (values, Value("string")) for name, values in after.items()}
    pairs = _both_ways(rows, data, counterparts, swaps)
    if pairs:
        names, group = rows.features["group"].names, numbers(rows, "group")
        group[changed] = np.array([names.index(pairs.get(name, name)) for name in names])[group[changed]]
        columns_after["group"] = (group, rows.features["group"])
    if SHORTCUT_AT in rows.column_names:
        planted = Replanting.of(data)
        gendered = [phrase for phrase in planted.values if swaps.words(phrase)]
        if gendered:
            raise ValueError(f"{data.name}: the planted phrase {gendered[0]!r} has a gendered word; use swap_shortcut")
        column = planted.shortcut.column_of(rows)
        places = table_of(rows).column(SHORTCUT_AT).to_pylist()
        moved = [moved_place(*example) for example in zip(before[column], after[column], places, strict=True)]
        columns_after[SHORTCUT_AT] = (moved, Value("int64"))
    swapped = with_columns(rows, columns_after)
    facts = {"keep_original": keep_original, "words_sha256": swaps.sha256, "n_with_gendered_words": len(changed)}
    facts |= {"counterparts": pairs} if pairs else {}
    if not keep_original:
        return swapped, facts
    return (joined([rows, swapped.select(changed)]) if len(changed) else rows), facts


def _both_ways(
    rows: Dataset, data: GroupedData, counterparts: Mapping[str, str] | None, swaps: GenderSwaps
) -> dict[str, str]:
    """``counterparts`` of :func:`swap_words` in both directions, checked."""
    names, pairs = rows.features["group"].names, {}
    if not isinstance(counterparts, Mapping | None):
        raise ValueError(f"{data.name}: counterparts must be a table of group → group, not {counterparts!r}")
    for given in (counterparts or {}).items():
        one, other = map(str, given)
        for group, its in ((one, other), (other, one)):
            if group not in names:
                raise ValueError(f"{data.name}: counterparts: there is no group {group!r}; they are {', '.join(names)}")
            if pairs.setdefault(group, its) != its:
                raise ValueError(f"{data.name}: counterparts: group {group!r} has two, {pairs[group]!r} and {its!r}")
    if SHORTCUT_AT in rows.column_names:  # these groups say which phrase was planted
        if pairs:
            raise ValueError(f"{data.name}: counterparts: its groups say what was planted, not gender; leave it out")
        return {}
    unsaid = [name for name in names if name not in pairs and swaps.words(_NO_LETTER.sub(" ", name))]
    if unsaid:
        raise ValueError(
            f"{data.name}: group {unsaid[0]!r} is named by gender, which swap_words exchanges; say which group its counterfactuals are in, "
            "counterparts: {group: group} (itself, where the words do not decide)"
        )
    return pairs


def balance_groups(
    rows: Dataset, data: GroupedData, *, to: str = "largest", seed: int = 0
) -> tuple[Dataset, dict[str, object]]:
    """Groups of equal size: examples of the smaller ones repeated, or of the larger ones left out.

    Groups without any example stay empty. Repeating gives each example of a group equally many copies, to within one.

    Args:
        rows: training examples.
        data: what they belong to.
        to: ``"largest"``: up to the size of the largest group; ``"smallest"``: down to that of the smallest.
        seed: of the examples that get one copy more, or stay.

    Raises:
        ValueError: another word for ``to``.
    """
    if to not in ("largest", "smallest"):
        raise ValueError(f"to must be 'largest' or 'smallest', not {to!r}")
    group = numbers(rows, "group")
    present, counts = np.unique(group, return_counts=True)
    size = int(counts.max() if to == "largest" else counts.min())
    draw = np.random.default_rng(seed)
    chosen = []
    for name in present:
        at = np.flatnonzero(group == name)
        chosen += [at] * (size // len(at)) + [draw.choice(at, size=size % len(at), replace=False)]
    order = np.sort(np.concatenate(chosen), kind="stable")
    return rows.select(order), {"to": to, "size": size, "seed": seed}


def replant(
    rows: Dataset, data: GroupedData, *, share: float = 1.0, keep_original: bool = True, seed: int = 0
) -> tuple[Dataset, dict[str, object]]:
    """New examples from the corpus's own: its inputs again, each with a value of the shortcut drawn independently of the label.

    Beside the originals it weakens the shortcut and does not remove it: with ``share`` 1 a strength s over K values becomes (s + 1/K) / 2. With
    ``keep_original=False`` nothing is left of it.

    Args:
        rows: n training examples.
        data: what they belong to.
        share: of the examples that are used again, each label in its share.
        keep_original: whether the examples themselves stay, before the new ones.
        seed: of the choice and the values.

    Raises:
        ValueError: nothing was planted, or a share out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    planted = Replanting.of(data)
    label = numbers(rows, "label")
    n = max(1, round(share * len(rows)))
    chosen = stratified_subset(label, n, seed)
    draw = np.random.default_rng([seed, 1])
    values = np.empty(len(chosen), dtype=np.int64)
    for number in np.unique(label[chosen]):  # equally often in every class, not only on average
        at = draw.permutation(np.flatnonzero(label[chosen] == number))
        values[at] = np.resize(draw.permutation(len(planted.values)), len(at))
    new = planted.shown(rows.select(chosen), values)
    facts = {"share": share, "keep_original": keep_original, "seed": seed}
    return (joined([rows, new]) if keep_original else new), facts


def generate_pairs(
    rows: Dataset, data: GroupedData, *, share: float = 1.0, strength: float = 0.5, seed: int = 0
) -> tuple[Dataset, dict[str, object]]:
    """New pairs from the lexical-overlap generator, in which overlap says nothing about the label; of the premises that are
    kept for training, and none that ``rows`` has already.

    Args:
        rows: n training examples of the generator's data.
        data: what they belong to.
        share: number of new pairs as a share of n.
        strength: share of the new ones that are bias-aligned.
        seed: of the new ones, another than that of the data's.

    Raises:
        ValueError: other data, or a setting out of its range.
    """
    planted = data.facts.get("planted")
    if not isinstance(planted, Mapping) or planted.get("shortcut") != OVERLAP:
        raise ValueError(f"{data.name}: new pairs are generated for lexical_overlap only; use replant or swap_shortcut")
    if not share > 0 or not 0 <= strength <= 1:
        raise ValueError(f"share must be positive and strength between 0 and 1, not {share} and {strength}")
    n = max(1, round(share * len(rows)))
    pairs = generate("train", n, strength, _APART + seed, exclude=set(texts(rows, "text")))
    new = as_dataset(list(pairs), planted["grouping"])
    if SOURCE in rows.column_names:  # no premise is shared, so each is a source of its own
        own = numbers(rows, SOURCE).max() + 1 + np.arange(n)
        new = with_columns(new, {SOURCE: (own, Value("int64"))})
    return joined([rows, new]), {"share": share, "strength": strength, "seed": seed}


_APART = 1_000_003
"""Keeps the generator's seeds for new examples apart from those of data sets, which are small numbers."""

AUGMENTATIONS: dict[str, Callable[..., tuple[Dataset, dict[str, object]]]] = {
    "swap_shortcut": swap_shortcut,
    "swap_words": swap_words,
    "balance_groups": balance_groups,
    "replant": replant,
    "generate_pairs": generate_pairs,
}
"""By name; each takes (rows, data) and its own settings."""


def check_augmentation(name: str, settings: dict[str, object]) -> None:
    """Raise ValueError for an unknown name or setting, with the nearest name or those that are known."""
    if name not in AUGMENTATIONS:
        near = difflib.get_close_matches(str(name), AUGMENTATIONS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"there is no augmentation {name!r}; {hint}They are {', '.join(AUGMENTATIONS)}")
    known = [p.name for p in inspect.signature(AUGMENTATIONS[name]).parameters.values() if p.kind is p.KEYWORD_ONLY]
    unknown = [setting for setting in settings if setting not in known]
    if unknown:
        raise ValueError(f"{name}: has no setting {unknown[0]!r}; its settings are {', '.join(known)}")


def augment(data: GroupedData, name: str, split: str = "train", **settings) -> tuple[Dataset, dict[str, object]]:
    """A split of the data, augmented.

    Args:
        data: data with groups.
        name: in :data:`AUGMENTATIONS`.
        split: which one.
        settings: of the function.

    Returns:
        The examples, with the column :data:`SOURCE` (of examples that have it already, as it was), and facts: the method, its settings, how
        many there were and are, by group.

    Raises:
        ValueError: an unknown name, setting or split, or data that the method cannot be used on.
    """
    check_augmentation(name, settings)
    if split not in data.splits:
        raise ValueError(f"{data.name}: has no split {split!r}; its splits are {', '.join(data.splits)}")
    before = data.splits[split]
    if SOURCE not in before.column_names:
        before = with_columns(before, {SOURCE: (np.arange(len(before)), Value("int64"))})
    after, facts = AUGMENTATIONS[name](before, data, **settings)
    counts = group_facts({"before": before, "after": after})
    return after, {"augmentation": name, **facts, "n_before": len(before), "n_after": len(after), "n_by_group": counts}
