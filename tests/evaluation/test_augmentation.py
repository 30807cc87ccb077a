"""Remedies in the training data: what is added, what stays, and that the shortcut says less afterwards."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from tiny_glue import write_glue_data

from evenhand.evaluation.grouped_data import GroupedData, augmentation, load_grouped_data
from evenhand.evaluation.grouped_data.augmentation import augment
from evenhand.evaluation.grouped_data.columns import numbers
from evenhand.evaluation.grouped_data.text_shortcut import without


@pytest.fixture(scope="module")
def texts_with_a_day(tmp_path_factory):
    glue = write_glue_data(tmp_path_factory.mktemp("glue"), n_train=150, n_dev=20)
    return load_grouped_data("rte", path=glue, place="random")


@pytest.fixture(scope="module")
def digits():
    return load_grouped_data("digits", classes=[1, 4, 7], grouping="value", max_examples={"train": 90, "test": 60})


@pytest.fixture(scope="module")
def generated():
    return load_grouped_data("lexical_overlap", n_train=200, n_validation=20, n_test=200)


def plain(rows, column="text_pair"):
    names = rows.features["shortcut"].names
    return [without(row[column], names[row["shortcut"]], row["shortcut_at"]) for row in rows]


def table(rows):
    counts = np.zeros((len(rows.features["label"].names), len(rows.features["shortcut"].names)), dtype=int)
    np.add.at(counts, (numbers(rows, "label"), numbers(rows, "shortcut")), 1)
    return counts


def test_swapped_examples_show_the_other_value_and_keep_text_and_label(texts_with_a_day):
    rows = texts_with_a_day.splits["train"]
    after, facts = augment(texts_with_a_day, "swap_shortcut")
    n = len(rows)
    assert len(after) == 2 * n == facts["n_after"]
    assert after.remove_columns("source_example").select(range(n)).to_list() == rows.to_list()
    twins = after.select(range(n, 2 * n))
    assert plain(twins) == plain(rows) and twins["label"][:] == rows["label"][:] and twins["text"][:] == rows["text"][:]
    assert (numbers(twins, "shortcut") == 1 - numbers(rows, "shortcut")).all()
    for row in twins:
        assert row["group"] == 2 * row["label"] + row["shortcut"]
    assert (table(after)[:, 0] == table(after)[:, 1]).all()  # the value says nothing about the label now


def test_with_three_classes_all_other_values_make_it_independent(digits):
    after, _ = augment(digits, "swap_shortcut", all_values=True)
    assert len(after) == 3 * 90 and (table(after) == table(after)[:, :1]).all()
    one, _ = augment(digits, "swap_shortcut", keep_original=False)
    assert len(one) == 90
    before = numbers(digits.splits["train"], "shortcut")
    assert (numbers(one, "shortcut") != before).all() and (
        numbers(one, "label") == numbers(digits.splits["train"], "label")
    ).all()


def test_a_swapped_picture_is_the_digit_in_the_other_colour(digits):
    rows, (after, _) = digits.splits["train"], augment(digits, "swap_shortcut", keep_original=False)
    for row, twin in zip(rows, after, strict=True):
        first, second = np.asarray(row["image"]), np.asarray(twin["image"])
        assert (first.max(axis=-1) == second.max(axis=-1)).all() and (first != second).any()


def test_new_examples_of_the_corpus_have_an_independent_shortcut(texts_with_a_day, digits):
    for data in (texts_with_a_day, digits):
        new, facts = augment(data, "replant", keep_original=False)
        assert np.ptp(table(new), axis=1).max() <= 1 and facts["n_after"] == len(data.splits["train"])
    rows, (new, _) = texts_with_a_day.splits["train"], augment(texts_with_a_day, "replant", share=0.5)
    assert len(new) == len(rows) + round(0.5 * len(rows))
    assert set(plain(new)) == set(plain(rows))
    with pytest.raises(ValueError, match="share must lie between 0 and 1, not 2"):
        augment(digits, "replant", share=2)


def test_new_examples_beside_the_old_ones_weaken_the_shortcut_and_do_not_remove_it(digits):
    before, after = table(digits.splits["train"]), table(augment(digits, "replant")[0])
    assert (after == before + 10).all()  # thirty of each class again, ten in each of three colours
    own = np.diag(before) / before.sum(axis=1)
    assert np.diag(after) / after.sum(axis=1) == pytest.approx((own + 1 / 3) / 2) and own.min() > 0.5


def test_groups_are_balanced_by_repeating_or_leaving_out(texts_with_a_day):
    before = texts_with_a_day.group_counts("train")
    after, facts = augment(texts_with_a_day, "balance_groups")
    assert set(facts["n_by_group"]["after"].values()) == {max(before.values())}
    copies = {}
    for row in after:
        copies[row["text"], row["text_pair"], row["group"]] = (
            copies.get((row["text"], row["text_pair"], row["group"]), 0) + 1
        )
    group_of = {}
    for key, n in copies.items():
        group_of.setdefault(key[2], []).append(n)
    originals = {(row["text"], row["text_pair"], row["group"]) for row in texts_with_a_day.splits["train"]}
    assert set(copies) == originals  # none is lost, none is new
    assert all(max(ns) - min(ns) <= 1 for ns in group_of.values())
    fewer, _ = augment(texts_with_a_day, "balance_groups", to="smallest")
    assert len(fewer) == 4 * min(before.values())
    with pytest.raises(ValueError, match="to must be 'largest' or 'smallest'"):
        augment(texts_with_a_day, "balance_groups", to="mean")


def gendered(texts, pairs=None, groups=("x", "y")):
    groups = list(groups)
    features = {"text": Value("string"), "label": ClassLabel(names=["a", "b"]), "group": ClassLabel(names=groups)}
    rows = {"text": texts, "label": [0, 1] * (len(texts) // 2), "group": [0, 1] * (len(texts) // 2)}
    if pairs:
        features["text_pair"], rows["text_pair"] = Value("string"), pairs
    data = Dataset.from_dict(rows, features=Features(features))
    return GroupedData("tiny", "text", {"train": data}, {name: number % 2 == 0 for number, name in enumerate(groups)})


def test_gendered_words_are_swapped_in_both_texts_and_only_where_there_are_any():
    data = gendered(["He saw a dog.", "A dog ran."], ["his dog barked", "the dog ran"])
    after, facts = augment(data, "swap_words")
    assert [(row["text"], row["text_pair"], row["label"]) for row in after] == [
        ("He saw a dog.", "his dog barked", 0),
        ("A dog ran.", "the dog ran", 1),
        ("She saw a dog.", "her dog barked", 0),
    ]
    assert facts["n_with_gendered_words"] == 1
    one_sided, _ = augment(data, "swap_words", keep_original=False)
    assert one_sided["text"][:] == ["She saw a dog.", "A dog ran."]
    nothing, _ = augment(gendered(["A dog ran.", "It slept."]), "swap_words")
    assert len(nothing) == 2


def test_a_counterfactual_is_in_the_group_of_the_other_gender():
    data = gendered(
        ["He ran.", "She ran.", "A dog ran.", "She slept."], groups=["a_male", "b female", "a female", "b male"]
    )
    pairs = {"a female": "a_male", "b female": "b male"}  # the other direction follows
    after, facts = augment(data, "swap_words", counterparts=pairs)
    names = after.features["group"].names
    assert [(row["text"], names[row["group"]], row["label"]) for row in after] == [
        ("He ran.", "a_male", 0),
        ("She ran.", "b female", 1),
        ("A dog ran.", "a_male", 0),
        ("She slept.", "b female", 1),
        ("She ran.", "a female", 0),
        ("He ran.", "b male", 1),
        ("He slept.", "b male", 1),
    ]
    assert facts["counterparts"] == pairs | {"a_male": "a female", "b male": "b female"}
    assert facts["n_by_group"]["after"] == {"a_male": 2, "b female": 2, "a female": 1, "b male": 2}
    one_sided, _ = augment(data, "swap_words", counterparts=pairs, keep_original=False)
    assert [names[group] for group in one_sided["group"]] == ["a female", "b male", "a_male", "b male"]


def test_groups_that_the_words_do_not_decide_are_kept_if_that_is_said():
    same = {"the male voice": "the male voice"}
    after, facts = augment(
        gendered(["He ran.", "It ran."], groups=["the male voice", "y"]), "swap_words", counterparts=same
    )
    assert after["group"][:] == [0, 1, 0] and facts["counterparts"] == same


@pytest.mark.parametrize(
    ("groups", "counterparts", "message"),
    [
        (
            ["pos male", "neg female"],
            None,
            "tiny: group 'pos male' is named by gender, .* counterparts: {group: group}",
        ),
        (["x", "neg_female"], {}, "tiny: group 'neg_female' is named by gender"),
        (["x", "y"], ["x"], r"tiny: counterparts must be a table of group → group, not \['x'\]"),
        (["x", "y"], {"x": "z"}, "tiny: counterparts: there is no group 'z'; they are x, y"),
        (["x", "y", "z"], {"x": "y", "y": "z"}, "tiny: counterparts: group 'y' has two, 'x' and 'z'"),
        (["x", "y", "z"], {"x": "z", "y": "z"}, "tiny: counterparts: group 'z' has two, 'x' and 'y'"),
    ],
)
def test_a_group_of_unknown_counterfactuals_is_one_line(groups, counterparts, message):
    with pytest.raises(ValueError, match=message) as caught:
        augment(gendered(["He ran.", "She ran."], groups=groups), "swap_words", counterparts=counterparts)
    assert "\n" not in str(caught.value)


def test_groups_of_what_was_planted_have_no_counterparts(texts_with_a_day):
    one, other = texts_with_a_day.group_names()[:2]
    with pytest.raises(ValueError, match="rte: counterparts: its groups say what was planted, not gender"):
        augment(texts_with_a_day, "swap_words", counterparts={one: other})


def test_a_planted_day_can_still_be_swapped_after_the_words(texts_with_a_day):
    """The first remedy moves the day's place: "she" is longer than "he"."""
    data = texts_with_a_day
    words, _ = augment(data, "swap_words", keep_original=False)
    swapped = GroupedData(data.name, "text", {"train": words}, data.aligned, facts=data.facts)
    both, _ = augment(swapped, "swap_shortcut", keep_original=False)
    other_order, _ = augment(data, "swap_shortcut", keep_original=False)
    other = GroupedData(data.name, "text", {"train": other_order}, data.aligned, facts=data.facts)
    assert any(row["text_pair"] != twin["text_pair"] for row, twin in zip(words, data.splits["train"], strict=True))
    assert both["text_pair"][:] == augment(other, "swap_words", keep_original=False)[0]["text_pair"][:]


def test_a_planted_phrase_that_is_gendered_is_not_swapped_as_a_word(tmp_path):
    glue = write_glue_data(tmp_path, n_train=40, n_dev=40)
    data = load_grouped_data("sst2", path=glue, phrases=["he said", "monday"])
    with pytest.raises(ValueError, match="sst2: the planted phrase 'he said' has a gendered word; use swap_shortcut"):
        augment(data, "swap_words")


def test_generated_pairs_are_new_and_balanced(generated):
    rows, (after, facts) = generated.splits["train"], augment(generated, "generate_pairs", share=0.5)
    new = after.select(range(200, 300))
    assert facts["n_after"] == 300
    assert after.remove_columns("source_example").select(range(200)).to_list() == rows.to_list()
    assert not set(new["text"]) & {text for split in generated.splits.values() for text in split["text"]}
    high = np.array([kind != "low overlap" for kind in new["heuristic"]])
    assert high[numbers(new, "label") == 0].mean() == 0.5 and high[numbers(new, "label") == 1].mean() == 0.5


def test_generated_pairs_leave_out_the_premises_that_are_there(generated, monkeypatch):
    asked = []
    make = augmentation.generate
    monkeypatch.setattr(augmentation, "generate", lambda *a, **k: asked.append((a, k)) or make(*a, **k))
    augment(generated, "generate_pairs", share=0.1)
    (split, n, strength, seed), left_out = asked[0]
    assert (split, n, strength) == ("train", 20, 0.5) and seed != generated.facts["planted"]["seed"]
    assert left_out == {"exclude": set(generated.splits["train"]["text"])}


@pytest.mark.parametrize("name", ["swap_shortcut", "balance_groups", "replant"])
def test_an_augmentation_is_a_function_of_its_seed(digits, name):
    first, again = (augment(digits, name)[0] for _ in range(2))
    other, _ = augment(digits, name, seed=5)
    assert table(first).sum() and first.with_format("arrow")[:].equals(again.with_format("arrow")[:])
    assert not first.with_format("arrow")[:].equals(other.with_format("arrow")[:])


SETTINGS = [
    ("swap_shortcut", {"all_values": True}),
    ("swap_shortcut", {"keep_original": False}),
    ("balance_groups", {}),
    ("balance_groups", {"to": "smallest"}),
    ("replant", {"share": 0.4}),
]


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_every_example_says_which_one_it_was_made_from(digits, name, settings):
    """In colour or brightness: the picture of the source is the picture itself."""
    rows, (after, _) = digits.splits["train"], augment(digits, name, **settings)
    assert len(after) == len(after["source_example"])
    for row in after:
        source = rows[row["source_example"]]
        assert (np.asarray(row["image"]).max(axis=-1) == np.asarray(source["image"]).max(axis=-1)).all()
        assert row["label"] == source["label"]


def test_a_remedy_after_another_keeps_the_first_examples_numbers(texts_with_a_day):
    rows = texts_with_a_day.splits["train"]
    words, _ = augment(texts_with_a_day, "swap_words")
    data = GroupedData("rte", "text", {"train": words}, texts_with_a_day.aligned, facts=texts_with_a_day.facts)
    both, _ = augment(data, "replant", share=0.5)
    assert len(both) > len(words) > len(rows)
    assert all(
        len(row["text"].split()) == len(rows[row["source_example"]]["text"].split())
        and row["label"] == rows[row["source_example"]]["label"]
        for row in both
    )


def test_generated_pairs_are_sources_of_their_own(generated):
    after, _ = augment(generated, "generate_pairs", share=0.5)
    assert after["source_example"][:] == list(range(300))


def test_a_remedy_that_does_not_fit_the_data_is_one_line(digits, generated, texts_with_a_day):
    for data, name, message in (
        (generated, "swap_shortcut", "lexical_overlap: has no planted shortcut that could be exchanged"),
        (generated, "replant", "lexical_overlap: has no planted shortcut"),
        (digits, "swap_words", "digits: gendered words can be exchanged in texts only, and these are images"),
        (texts_with_a_day, "generate_pairs", "rte: new pairs are generated for lexical_overlap only"),
        (digits, "swap_shortcuts", "there is no augmentation 'swap_shortcuts'; did you mean 'swap_shortcut'"),
    ):
        with pytest.raises(ValueError, match=message):
            augment(data, name)
    with pytest.raises(
        ValueError, match="replant: has no setting 'ratio'; its settings are share, keep_original, seed"
    ):
        augment(digits, "replant", ratio=1)
    with pytest.raises(ValueError, match="digits: has no split 'dev'; its splits are train, validation"):
        augment(digits, "replant", split="dev")
    with pytest.raises(ValueError, match="share must be positive and strength between 0 and 1"):
        augment(generated, "generate_pairs", strength=2)
