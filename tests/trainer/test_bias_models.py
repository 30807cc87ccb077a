"""Bias-only models: cross-fitting, calibration, what each kind sees, and one clear line for data that do not fit."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as Picture
from scipy import sparse

from evenhand.evaluation.grouped_data import GroupedData
from evenhand.evaluation.grouped_data.augmentation import AUGMENTATIONS, SOURCE, augment
from evenhand.evaluation.grouped_data.planted_shortcut import Planting, plant
from evenhand.evaluation.grouped_data.text_shortcut import TextShortcut
from evenhand.trainer.bias_models import BIAS_MODELS, bias_model, with_bias_log_probs
from evenhand.trainer.bias_models.bias_only import calibrating_temperature, stratified_folds
from evenhand.trainer.bias_models.overlap import overlap_features
from evenhand.trainer.debiasing import TrainingFacts

LABELS = ClassLabel(names=["no", "yes"])
GROUPS = ClassLabel(names=["aligned", "conflicting"])
ALIGNED = {"aligned": True, "conflicting": False}


def pairs(n: int = 200, strength: float = 0.9, column: str = "text_pair") -> Dataset:
    """``zork`` stands in ``column`` of label yes with probability ``strength`` and of no with 1 − strength; the rest is noise."""
    generator = np.random.default_rng(0)
    labels = np.arange(n) % 2
    aligned = generator.random(n) < strength
    shown = np.where(aligned, labels, 1 - labels)
    rows = {"text": [], "text_pair": [], "label": labels, "group": 1 - aligned.astype(int)}
    for value in shown:
        for name in ("text", "text_pair"):
            words = [f"w{index}" for index in generator.integers(30, size=5)]
            rows[name].append(" ".join([*words, "Zork!"] if name == column and value == 1 else words))
    features = {"text": Value("string"), "text_pair": Value("string"), "label": LABELS, "group": GROUPS}
    return Dataset.from_dict(rows, features=Features(features))


def coloured(n: int = 60) -> Dataset:
    """Label yes is red in 9 of 10 images and no is green; where the ink is is noise."""
    generator, images = np.random.default_rng(1), []
    labels = np.arange(n) % 2
    aligned = generator.random(n) < 0.9
    for label, fits in zip(labels, aligned, strict=True):
        pixels = np.zeros((8, 8, 3), dtype=np.uint8)
        ink = generator.random((8, 8)) < generator.uniform(0.2, 0.7)
        pixels[ink, 0 if (label == 1) == fits else 1] = 200
        images.append(Picture.fromarray(pixels))
    features = {"image": Image(), "label": LABELS, "group": GROUPS}
    rows = {"image": images, "label": labels, "group": 1 - aligned.astype(int)}
    return Dataset.from_dict(rows, features=Features(features))


@pytest.mark.parametrize(
    ("kind", "settings", "matrix"),
    [
        # a (3 examples); then in 2: b and c of text, a of text_pair; once: d of text, b and ! of text_pair
        ("bag_of_words", {}, [[1, 1, 0, 1], [1, 0, 1, 0], [1, 1, 1, 1]]),
        ("bag_of_words", {"max_words": 2}, [[1, 1], [1, 0], [1, 1]]),
        ("bag_of_words", {"min_examples": 1}, [[1, 1, 0, 1, 0, 0, 0], [1, 0, 1, 0, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0]]),
        ("hypothesis_only", {"min_examples": 1}, [[1, 0, 0], [0, 1, 1], [1, 0, 0]]),
    ],
)
def test_words_are_columns_by_frequency_and_then_by_the_alphabet(kind, settings, matrix):
    data = Dataset.from_dict({"text": ["B a a", "c a d", "a b C"], "text_pair": ["a", "b !", "a A"]})
    found = bias_model(kind, **settings).features(data)
    assert found.toarray().tolist() == matrix
    # the arrays too: the columns of a row in order, and ones
    expected = sparse.csr_matrix(np.array(matrix, dtype=np.float64))
    for name in ("data", "indices", "indptr"):
        own, other = getattr(found, name), getattr(expected, name)
        assert own.dtype == other.dtype and own.tobytes() == other.tobytes()


@pytest.mark.parametrize("kind", ["hypothesis_only", "bag_of_words"])
def test_a_planted_word_is_found_and_aligned_examples_are_told_from_conflicting_ones(kind):
    rows, facts = with_bias_log_probs(pairs(), bias_model(kind), aligned=ALIGNED)
    assert facts["accuracy_aligned"] > 0.95 and facts["accuracy_conflicting"] < 0.1
    assert facts["mean_label_probability_aligned"] > 0.75 > 0.3 > facts["mean_label_probability_conflicting"]
    TrainingFacts.of(rows, 2).require_bias_log_probs("product_of_experts")  # rows are log-probabilities
    assert facts["kind"] == kind and facts["folds"] == 5 and facts["n"] == 200


def test_the_hypothesis_only_model_does_not_see_the_premise():
    _, blind = with_bias_log_probs(pairs(column="text"), bias_model("hypothesis_only"))
    _, seeing = with_bias_log_probs(pairs(column="text"), bias_model("bag_of_words"))
    assert blind["accuracy"] < 0.65 < 0.8 < seeing["accuracy"]


@pytest.mark.parametrize("kind", ["mean_colours", "thumbnail"])
def test_a_colour_is_found(kind):
    _, facts = with_bias_log_probs(coloured(), bias_model(kind, folds=3), aligned=ALIGNED)
    assert facts["accuracy_aligned"] > 0.95 and facts["accuracy_conflicting"] < 0.35


def test_arrays_and_pil_images_give_the_same_features():
    rows = coloured(6)
    arrays = [np.asarray(image).tolist() for image in rows["image"]]
    plain = Dataset.from_dict({"image": arrays, "label": rows["label"]})
    for kind in ("mean_colours", "thumbnail"):
        model = bias_model(kind)
        np.testing.assert_allclose(model.features(plain), model.features(rows))


def test_a_prediction_does_not_come_from_a_model_that_saw_the_example():
    """Labels without any pattern and a word for every example: a model would remember its own examples, and knows nothing of others."""
    labels = np.random.default_rng(3).integers(2, size=60)
    texts = [f"unique{index} common" for index in range(60)]
    features = Features({"text": Value("string"), "label": LABELS})
    rows = Dataset.from_dict({"text": texts, "label": labels}, features=features)
    model = bias_model("bag_of_words", min_examples=1, strengths=[100], calibrate=False)
    out, _ = with_bias_log_probs(rows, model)
    of_fold = stratified_folds(labels, ["no", "yes"], 5, 0)
    for fold in range(5):  # unseen words have no weight: one prediction for the whole fold
        inside = np.array(out["bias_log_probs"])[of_fold == fold]
        assert np.ptp(inside[:, 0]) < 1e-5


def without_pattern(n: int = 200) -> GroupedData:
    """Texts and labels drawn at random, with a planted day that says nothing and a group that is not of the label: nothing to be learned."""
    generator = np.random.default_rng(11)
    texts = [" ".join(["he", *(f"w{word}" for word in generator.integers(400, size=8))]) for _ in range(n)]
    labels = generator.permutation(np.arange(n) % 2)
    rows = Dataset.from_dict(
        {"text": texts, "label": labels}, features=Features({"text": Value("string"), "label": LABELS})
    )
    day = TextShortcut()
    values = day.values(2)
    return plant(
        "random",
        "text",
        dict.fromkeys(("train", "validation", "test"), rows),
        lambda part, drawn, draw: day.on(part, drawn, values, draw),
        values,
        Planting(strength=0.5),
        {"planted": {"shortcut": "phrase", "place": "start", "column": "text"}},
    )


def unbalanced(data: GroupedData) -> GroupedData:
    """Every tenth example is of the one group, the others of the other: balancing them makes nine copies."""
    rows = data.splits["train"].remove_columns("group")
    rows = rows.add_column("group", [int(index % 10 == 0) for index in range(len(rows))]).cast_column("group", GROUPS)
    return GroupedData("random", "text", {"train": rows}, ALIGNED)


REMEDIES = [
    ("swap_shortcut", {}),
    ("swap_words", {}),
    ("balance_groups", {}),
    ("replant", {}),
    ("replant", {"share": 0.5}),
]


@pytest.mark.parametrize(("remedy", "settings"), REMEDIES)
def test_copies_of_an_example_do_not_give_its_label_away(remedy, settings):
    """Labels without any pattern: only a model that saw a copy of an example is right about it more often than by chance."""
    assert {name for name, _ in REMEDIES} == {*AUGMENTATIONS} - {"generate_pairs"}  # whose pairs are no copies
    data = unbalanced(without_pattern()) if remedy == "balance_groups" else without_pattern()
    rows, _ = augment(data, remedy, **settings)
    model = bias_model("bag_of_words", strengths=[10], min_examples=1)
    sources = np.array(rows[SOURCE])
    _, apart = with_bias_log_probs(rows, model, sources=sources)
    _, leaking = with_bias_log_probs(rows, model)
    # 200 sources: the standard error of their share is .035
    assert 0.38 < apart["accuracy"] < 0.62 < 0.7 < leaking["accuracy"]
    assert apart["n"] == len(rows) > apart["n_sources"] == 200 and "n_sources" not in leaking


def test_rows_of_one_source_share_a_fold_and_folds_stay_even():
    generator = np.random.default_rng(2)
    copies = generator.choice([1, 2, 9], size=120)
    sources = generator.permutation(np.repeat(np.arange(120) + 1000, copies))
    labels = sources % 3 // 2  # a third of the sources has label 1
    folds = stratified_folds(labels, ["a", "b"], 4, 0, sources)
    assert all(len(set(folds[sources == source])) == 1 for source in set(sources))
    for label in (0, 1):
        assert np.ptp(np.bincount(folds[labels == label], minlength=4)) <= 1  # enough single ones to even out


def test_without_copies_the_folds_are_the_same_whether_sources_are_given_or_not():
    labels = np.random.default_rng(1).integers(2, size=83)
    plain = stratified_folds(labels, ["a", "b"], 5, 3)
    assert plain.tolist() == stratified_folds(labels, ["a", "b"], 5, 3, np.arange(83) * 7).tolist()
    expected, generator = np.empty(83, dtype=int), np.random.default_rng(3)
    for label in (0, 1):  # dealt like cards
        members = generator.permutation(np.flatnonzero(labels == label))
        expected[members] = np.arange(len(members)) % 5
    assert plain.tolist() == expected.tolist()


def test_folds_are_refused_where_a_label_has_too_few_sources_or_a_source_two_labels():
    labels = np.array([0] * 12 + [1] * 12)
    with pytest.raises(ValueError, match="Label b has 3 training examples, fewer than the 5 folds"):
        stratified_folds(labels, ["a", "b"], 5, 0, np.r_[np.arange(12), 12 + np.arange(12) % 3])
    with pytest.raises(ValueError, match="made from one example have different labels"):
        stratified_folds(labels, ["a", "b"], 5, 0, np.arange(24) % 12)


def test_the_same_seed_gives_the_same_column_and_another_one_another():
    columns = [
        with_bias_log_probs(pairs(), bias_model("bag_of_words"), seed=seed)[0]["bias_log_probs"] for seed in (4, 4, 5)
    ]
    assert columns[0] == columns[1] != columns[2]


def test_calibration_finds_the_temperature_that_was_hidden():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(20_000, 3)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (probabilities.cumsum(1) < generator.random((20_000, 1))).sum(1)
    sure = logits * 2.5  # over-confident by 2.5
    sure -= np.log(np.exp(sure).sum(1, keepdims=True))
    assert calibrating_temperature(sure, labels) == pytest.approx(2.5, rel=0.05)


def test_calibration_does_not_raise_the_cross_entropy_and_can_be_left_out():
    _, facts = with_bias_log_probs(pairs(80), bias_model("bag_of_words", strengths=[100]))
    assert facts["cross_entropy"] <= facts["cross_entropy_uncalibrated"] and facts["temperature"] != 1
    _, plain = with_bias_log_probs(pairs(80), bias_model("bag_of_words", strengths=[100], calibrate=False))
    assert plain["temperature"] == 1 and plain["cross_entropy"] == plain["cross_entropy_uncalibrated"]


def test_the_strength_with_the_least_cross_fitted_cross_entropy_is_taken():
    entropies = {
        strength: with_bias_log_probs(pairs(80), bias_model("bag_of_words", strengths=[strength]))[1][
            "cross_entropy_uncalibrated"
        ]
        for strength in (0.01, 0.1, 100)
    }
    _, facts = with_bias_log_probs(pairs(80), bias_model("bag_of_words", strengths=[100, 0.1, 0.01]))
    assert facts["strength"] == min(entropies, key=entropies.get) != 100
    assert facts["cross_entropy_uncalibrated"] == min(entropies.values())


def test_folds_share_out_every_label_evenly():
    labels = np.array([0] * 23 + [1] * 7)
    folds = stratified_folds(labels, ["a", "b"], 5, seed=1)
    assert np.bincount(folds[labels == 0]).tolist() == [5, 5, 5, 4, 4]
    assert np.bincount(folds[labels == 1]).tolist() == [2, 2, 1, 1, 1]


def test_overlap_features_by_hand():
    first, second = "The doctor saw the actor.", "The actor saw the doctor."
    assert overlap_features(first, second) == pytest.approx([1, 1, 1, 0, 1, 1, 0])
    # the second is the end of the first; 2 of its 2 words, 2 of 5 tokens covered plus "the" once more
    found = overlap_features("the man saw the dog", "the dog")
    assert found == pytest.approx([1.0, 3 / 5, 1, 1, 0, 2 / 4, np.log(3 / 6)])
    assert overlap_features("a b", "c d") == pytest.approx([0, 0, 0, 0, 0, 0, 0])
    assert np.isfinite(overlap_features("", "")).all()


def test_overlap_predicts_a_label_that_overlap_gives_away():
    generator, rows = np.random.default_rng(2), {"text": [], "text_pair": [], "label": []}
    for index in range(100):
        words = [f"w{number}" for number in generator.integers(50, size=8)]
        others = [f"v{number}" for number in generator.integers(50, size=4)]
        rows["text"].append(" ".join(words))
        rows["text_pair"].append(" ".join(words[2:6] if index % 2 else others))
        rows["label"].append(index % 2)
    data = Dataset.from_dict(
        rows, features=Features({"text": Value("string"), "text_pair": Value("string"), "label": LABELS})
    )
    assert with_bias_log_probs(data, bias_model("overlap"))[1]["accuracy"] == 1


def test_few_sample_models_see_few_examples_and_never_their_own():
    seen = []

    def fit(data, epochs, seed):
        seen.append((set(data["text"]), len(data), epochs, seed))
        known = set(data["text"])

        def predict(rows):
            assert not known & set(rows["text"])
            return np.log(np.full((len(rows), 2), 0.5))

        return predict

    data = pairs(90).map(lambda row, number: {"text": f"{number} {row['text']}"}, with_indices=True)
    rows, facts = with_bias_log_probs(data, bias_model("few_sample", n_examples=20, epochs=2.0, folds=3), fit, seed=7)
    assert [found[1:] for found in seen] == [(20, 2.0, 7), (20, 2.0, 8), (20, 2.0, 9)]
    assert len(rows["bias_log_probs"]) == 90 and facts["n_examples"] == 20


def test_a_column_from_before_is_replaced():
    once, _ = with_bias_log_probs(pairs(60), bias_model("bag_of_words"))
    twice, _ = with_bias_log_probs(once, bias_model("bag_of_words"))
    assert twice["bias_log_probs"] == once["bias_log_probs"] and twice.column_names == once.column_names


@pytest.mark.parametrize(
    ("kind", "settings", "data", "said"),
    [
        ("hypothesis_only", {}, pairs(20).remove_columns("text_pair"), "hypothesis_only needs the column text_pair"),
        ("mean_colours", {}, pairs(20), "mean_colours needs the column image"),
        ("bag_of_words", {}, pairs(20).cast_column("label", Value("int64")), "named classes"),
        ("bag_of_words", {"folds": 11}, pairs(20), "Label no has 10 training examples, fewer than the 11 folds"),
        ("bag_of_words", {"min_examples": 99}, pairs(20), "no word occurs in 99 examples"),
        ("few_sample", {}, pairs(20), "needs `fit`"),
    ],
)
def test_data_that_do_not_fit_are_refused_in_one_line(kind, settings, data, said):
    with pytest.raises(ValueError) as caught:
        with_bias_log_probs(data, bias_model(kind, **settings))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_few_sample_model_needs_that_many_examples():
    with pytest.raises(ValueError, match="n_examples is 500, but there are 10 training examples"):
        with_bias_log_probs(pairs(20), bias_model("few_sample"), fit=lambda *_: None)


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("hypothesis", {}, r"did you mean 'hypothesis_only'\?"),
        ("thumbnail", {"sise": 3}, r"did you mean 'size'\?"),
        ("thumbnail", {"size": 0}, "size is 0"),
        ("overlap", {"folds": 1}, "folds is 1"),
        ("overlap", {"strengths": [1, 0]}, "strengths must be one or more numbers above 0"),
        ("few_sample", {"epochs": 0}, "epochs is 0"),
        ("few_sample", {"n_examples": 0}, "n_examples is 0"),
    ],
)
def test_unknown_kinds_and_bad_settings_are_refused_in_one_line(kind, settings, said):
    with pytest.raises(ValueError, match=said):
        bias_model(kind, **settings)


def test_every_kind_reports_its_settings():
    assert {kind: bias_model(kind).report()["kind"] for kind in BIAS_MODELS} == {kind: kind for kind in BIAS_MODELS}
