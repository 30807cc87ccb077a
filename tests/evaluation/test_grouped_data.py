"""Data with groups: the contract and what it refuses, the names, and the choice of a part."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value

from evenhand.evaluation.grouped_data import GroupedData, grouped_data_names, load_grouped_data
from evenhand.evaluation.grouped_data import grouped as grouped_module
from evenhand.evaluation.grouped_data.columns import joined, numbers, of_table, table_of, with_columns
from evenhand.evaluation.grouped_data.grouped import group_facts
from evenhand.evaluation.grouped_data.registry import loaded_once
from evenhand.evaluation.grouped_data.subsets import stratified_parts, stratified_subset

GROUPS = ["yes × own", "yes × other", "no × own", "no × other"]
SIDES = {"yes × own": True, "yes × other": False, "no × own": True, "no × other": False}


def split(labels=(0, 0, 1, 1), groups=(0, 1, 2, 3), label_names=("yes", "no"), group_names=GROUPS, **features):
    n = len(labels)
    of = {
        "text": Value("string"),
        "label": ClassLabel(names=list(label_names)),
        "group": ClassLabel(names=list(group_names)),
    } | features
    rows = {"text": [f"text {i}" for i in range(n)], "label": list(labels), "group": list(groups)}
    return Dataset.from_dict(rows, features=Features(of))


def grouped(splits, **changes):
    return GroupedData(**{"name": "tiny", "kind": "text", "splits": splits, "aligned": SIDES} | changes)


def test_counts_by_group_and_by_side_include_the_empty_ones():
    data = grouped({"train": split(), "flipped": split((0, 0, 1), (1, 1, 3))}, shift=("flipped",))
    assert data.group_counts("flipped") == {"yes × own": 0, "yes × other": 2, "no × own": 0, "no × other": 1}
    assert data.side_counts("flipped") == {True: 0, False: 3, None: 0}
    assert data.side_counts("train") == {True: 2, False: 2, None: 0}
    assert data.label_names() == ("yes", "no") and data.group_names("flipped") == tuple(GROUPS)
    assert group_facts(data.splits)["train"] == dict.fromkeys(GROUPS, 1)


def test_splits_of_the_same_examples_have_the_same_labels():
    other = {"same_examples": {"flipped": "test"}}
    assert grouped({"test": split(), "flipped": split()}, **other).same_examples == {"flipped": "test"}
    with pytest.raises(ValueError, match="tiny: splits 'flipped' and 'test' do not hold the same examples"):
        grouped({"test": split(), "flipped": split((0, 0, 1), (1, 1, 3))}, **other)
    with pytest.raises(ValueError, match="has no split 'test'"):
        grouped({"train": split(), "flipped": split()}, **other)


def test_a_group_without_a_side_counts_as_neither():
    data = grouped({"train": split()}, aligned={**SIDES, "no × own": None})
    assert data.side_counts("train") == {True: 1, False: 2, None: 1}


def test_a_group_that_a_split_lacks_is_one_line():
    data = grouped({"train": split(), "test": split((0, 0), (1, 1))})
    data.check_groups("train")
    with pytest.raises(
        ValueError, match=r"tiny, split 'test': group 'yes × own' has no examples, nor have 2 others; it"
    ):
        data.check_groups("test")
    data.check_groups("test", ("yes × other",))
    with pytest.raises(ValueError, match="group 'unheard of' has no examples; it has"):
        data.check_groups("train", ("unheard of",))


def test_a_split_of_one_side_has_no_gap():
    data = grouped({"train": split(), "flipped": split((0, 1), (1, 3)), "easy": split((0, 1), (0, 2))})
    data.check_both_sides("train")
    with pytest.raises(ValueError, match="split 'flipped': holds no bias-aligned examples, so it has no spurious gap"):
        data.check_both_sides("flipped")
    with pytest.raises(ValueError, match="split 'easy': holds no bias-conflicting examples"):
        data.check_both_sides("easy")


def test_one_group_in_all_splits_is_refused():
    with pytest.raises(ValueError, match="all examples are of one group, 'yes × own'; nothing can be compared"):
        grouped({"train": split((0, 0), (0, 0)), "test": split((0,), (0,))})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (split(label=Value("int64")), "column 'label' must be a ClassLabel"),
        (split(group=Value("int64")), "column 'group' must be a ClassLabel"),
        (split().remove_columns("text"), "has no column 'text'; it has label, group"),
        (split().remove_columns("group"), "has no column 'group'"),
        (split((), ()), "holds no examples"),
        (split((0, 1), (0, -1)), "an example has no group"),
        (split((0, None), (0, 1)), "an example has no label"),
        (split(group_names=["a", "b", "c", "d"]), "it is not said whether group 'a' is bias-aligned or conflicting"),
    ],
)
def test_a_split_that_breaks_the_contract_is_one_line(rows, message):
    with pytest.raises(ValueError, match=message) as refused:
        grouped({"train": rows})
    assert "tiny, split 'train'" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "sound"}, "kind must be 'text' or 'image', not 'sound'"),
        ({"shift": ("hans",)}, "has no split 'hans'; its splits are train"),
        ({"merged_labels": {"train": {"no": "perhaps"}}}, "has no label 'perhaps'; it has yes, no"),
        ({"kind": "image"}, "has no column 'image'"),
    ],
)
def test_a_wrong_name_is_one_line(changes, message):
    with pytest.raises(ValueError, match=message):
        grouped({"train": split()}, **changes)


def test_labels_of_another_split_must_be_reached_by_merging():
    splits = {"train": split(label_names=("yes", "no")), "other": split(label_names=("yes", "not yes"))}
    with pytest.raises(ValueError, match="split 'other': label 'no' has no place among yes, not yes"):
        grouped(splits)
    data = grouped(splits, merged_labels={"other": {"no": "not yes"}})
    assert data.label_names("other") == ("yes", "not yes")


def test_an_unknown_name_or_setting_is_one_line():
    with pytest.raises(ValueError, match="no data with groups named 'waterbird'; did you mean 'waterbirds'"):
        load_grouped_data("waterbird")
    with pytest.raises(ValueError, match="digits: has no setting 'strenght'; its settings are shortcut, strength"):
        load_grouped_data("digits", strenght=0.9)
    with pytest.raises(ValueError, match="sst2: has no setting 'task'"):
        load_grouped_data("sst2", task="rte")
    with pytest.raises(ValueError, match="mnist: needs the setting 'path'"):
        load_grouped_data("mnist")


def test_every_name_has_a_loader_with_settings():
    for name in grouped_data_names():
        with pytest.raises(ValueError, match=f"^{name}: has no setting 'no_such_setting'"):
            load_grouped_data(name, no_such_setting=1)


def test_data_are_loaded_and_hashed_once_where_that_is_asked_for(monkeypatch):
    settings = {"name": "lexical_overlap", "n_train": 8, "n_validation": 8, "n_test": 8, "strength": 0.5}
    settings |= {"grouping": "overlap"}
    hashed, plain = [], grouped_module.split_sha256
    monkeypatch.setattr(grouped_module, "split_sha256", lambda rows: hashed.append(len(rows)) or plain(rows))
    with loaded_once():
        first = load_grouped_data(**settings)
        assert load_grouped_data(**settings) is first
        assert first.sha256("train") == first.sha256("train") == plain(first.splits["train"]) and hashed == [8]
        other = load_grouped_data(**settings, seed=1)
        assert other is not first and other.sha256("train") != first.sha256("train")
        assert load_grouped_data(**settings) is not first  # the last is kept, not all
    assert load_grouped_data(**settings) is not load_grouped_data(**settings)


def test_a_part_holds_each_stratum_in_its_share_and_in_order():
    strata = np.array([0] * 60 + [1] * 30 + [2] * 10)
    chosen = stratified_subset(strata, 20)
    assert np.bincount(strata[chosen]).tolist() == [12, 6, 2]
    assert (np.diff(chosen) > 0).all() and (chosen == stratified_subset(strata, 20)).all()
    assert (chosen != stratified_subset(strata, 20, seed=1)).any()
    assert stratified_subset(strata, None).tolist() == list(range(100)) == stratified_subset(strata, 500).tolist()


def test_a_rare_stratum_is_not_lost_in_a_part():
    strata = np.array([0] * 995 + [1] * 3 + [2] * 2)
    assert np.bincount(strata[stratified_subset(strata, 10)]).tolist() == [8, 1, 1]
    assert len(stratified_subset(strata, 2)) == 2
    for n in range(1, 30):
        assert len(stratified_subset(strata, n)) == n


def test_parts_divide_each_class_and_share_nothing():
    labels = np.array([0] * 40 + [1] * 20)
    parts = stratified_parts(labels, {"test": 0.25, "validation": 0.1}, "train", seed=3)
    assert {name: np.bincount(labels[at]).tolist() for name, at in parts.items()} == {
        "test": [10, 5],
        "validation": [4, 2],
        "train": [26, 13],
    }
    assert sorted(np.concatenate(list(parts.values()))) == list(range(60))
    with pytest.raises(ValueError, match="class 1 has 2 examples, too few for 3 splits"):
        stratified_parts(np.array([0, 0, 0, 0, 1, 1]), {"a": 0.2, "b": 0.2}, "rest", 0)
    with pytest.raises(ValueError, match="must lie between 0 and 1 and leave something for 'rest'"):
        stratified_parts(labels, {"a": 0.6, "b": 0.4}, "rest", 0)


def test_columns_are_replaced_in_place_and_rows_joined():
    rows = split().select([3, 1])
    changed = with_columns(rows, {"text": (["x", "y"], Value("string")), "more": ([1, 2], Value("int64"))})
    assert changed.column_names == ["text", "label", "group", "more"]
    assert changed["text"][:] == ["x", "y"] and numbers(changed, "label").tolist() == [1, 0]
    both = joined([rows, split()])
    assert numbers(both, "group").tolist() == [3, 1, 0, 1, 2, 3] and both.features == rows.features
    assert of_table(table_of(rows), rows.features)[0] == rows[0]


def test_images_are_not_decoded_to_count_groups(tmp_path):
    rows = Dataset.from_dict(
        {"image": [str(tmp_path / "absent.png")] * 2, "label": [0, 1], "group": [0, 3]},
        features=Features(
            {"image": Image(), "label": ClassLabel(names=["yes", "no"]), "group": ClassLabel(names=GROUPS)}
        ),
    )
    assert grouped({"train": rows}, kind="image").side_counts("train") == {True: 1, False: 1, None: 0}
