"""A simple classifier takes the planted shortcuts, and the remedies in the data take them away."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from evenhand.evaluation.grouped_data import augment, load_grouped_data
from evenhand.evaluation.grouped_data.columns import numbers


@pytest.fixture(scope="module", params=["colour", "patch"])
def digits(request):
    settings = {"classes": [1, 3, 8, 9], "strength": 0.98, "shortcut": request.param, "patch_share": 0.4}
    return load_grouped_data("digits", grouping="side", **settings)


def pixels(rows):
    return np.stack([np.asarray(image, dtype=float).ravel() / 255 for image in rows["image"]])


def accuracies(data, train):
    """Accuracy on the test like train and on the flipped one."""
    model = LogisticRegression(C=0.01, max_iter=200).fit(pixels(train), numbers(train, "label"))
    return [
        (model.predict(pixels(data.splits[split])) == numbers(data.splits[split], "label")).mean()
        for split in ("test", "flipped")
    ]


def test_the_flipped_test_costs_a_classifier_that_took_the_shortcut(digits):
    inside, flipped = accuracies(digits, digits.splits["train"])
    assert inside > 0.95 and flipped < 0.3


@pytest.mark.parametrize(
    ("name", "settings"), [("swap_shortcut", {"all_values": True}), ("replant", {"keep_original": False})]
)
def test_data_without_the_correlation_close_the_gap(digits, name, settings):
    before = accuracies(digits, digits.splits["train"])
    after = accuracies(digits, augment(digits, name, **settings)[0])
    assert after[0] - after[1] < 0.05 and after[1] > before[1] + 0.5


def test_overlap_is_a_shortcut_that_features_of_it_take():
    """How many words are shared predicts the label, and fails where overlap misleads; the hypothesis alone says nothing."""
    data = load_grouped_data("lexical_overlap", n_train=1500, n_validation=20, n_test=400)

    def shared(rows):
        pairs = zip(rows["text"], rows["text_pair"], strict=True)
        return np.array([[len(set(b.lower()[:-1].split()) - set(a.lower()[:-1].split()))] for a, b in pairs])

    train = data.splits["train"]
    model = LogisticRegression().fit(shared(train), numbers(train, "label"))
    right = {s: (model.predict(shared(r)) == numbers(r, "label")).mean() for s, r in data.splits.items()}
    assert right["aligned"] == 1 and right["conflicting"] == 0 and right["neutral"] == 0.5
    words = CountVectorizer().fit(train["text_pair"])
    of_words = LogisticRegression(max_iter=200).fit(words.transform(train["text_pair"]), numbers(train, "label"))
    test = data.splits["test"]
    assert abs((of_words.predict(words.transform(test["text_pair"])) == numbers(test, "label")).mean() - 0.5) < 0.1
