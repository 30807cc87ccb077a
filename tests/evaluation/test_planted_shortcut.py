"""Planted shortcuts: how often which value is shown, the flipped and the neutral test, texts and images."""

import gzip
import struct
import sys

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as Picture
from tiny_glue import write_glue_data

from evenhand.evaluation.grouped_data import load_grouped_data
from evenhand.evaluation.grouped_data.columns import numbers
from evenhand.evaluation.grouped_data.image_shortcut import COLOURS, ImageShortcut
from evenhand.evaluation.grouped_data.planted_shortcut import Planting, group_scheme, planted_values
from evenhand.evaluation.grouped_data.text_shortcut import NOTHING, TextShortcut, moved_place, with_phrase, without


@pytest.fixture(scope="module")
def glue(tmp_path_factory):
    return write_glue_data(tmp_path_factory.mktemp("glue"), n_train=120, n_dev=80)


def shown_share(data, split):
    rows = data.splits[split]
    return (numbers(rows, "label") == numbers(rows, "shortcut")).mean()


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_each_class_shows_its_own_value_exactly_as_often_as_asked(n_classes):
    labels = np.repeat(np.arange(n_classes), 100)
    values = planted_values(labels, n_classes, 0.85, np.random.default_rng(0))
    table = np.zeros((n_classes, n_classes))
    np.add.at(table, (labels, values), 1)
    assert (np.diag(table) == 85).all()
    others = table[~np.eye(n_classes, dtype=bool)]
    assert others.min() >= 15 // (n_classes - 1) and others.max() <= -(-15 // (n_classes - 1))


def test_neutral_means_that_the_value_says_nothing_about_the_label():
    labels = np.repeat([0, 1], [300, 100])
    values = planted_values(labels, 2, 0.5, np.random.default_rng(0))
    assert values[:300].mean() == values[300:].mean() == 0.5


def test_a_planted_text_task_has_train_flipped_and_neutral_shares(glue):
    data = load_grouped_data("sst2", path=glue, strength=0.8)
    n_by_class = np.bincount(numbers(data.splits["train"], "label"))
    expected = sum(round(0.8 * n) for n in n_by_class) / n_by_class.sum()
    assert shown_share(data, "train") == expected and abs(shown_share(data, "test") - 0.8) < 0.02
    assert shown_share(data, "flipped") == 0 and abs(shown_share(data, "neutral") - 0.5) < 0.02
    assert data.shift == ("flipped", "neutral") and data.side_counts("flipped")[True] == 0
    assert data.facts["planted"]["share_with_own_value"]["train"] == pytest.approx(expected, abs=1e-6)


def test_groups_are_label_times_value_and_aligned_where_they_match(glue):
    data = load_grouped_data("rte", path=glue)
    assert data.aligned == {
        "entailment × monday": True,
        "entailment × friday": False,
        "not_entailment × monday": False,
        "not_entailment × friday": True,
    }
    for row in data.splits["train"]:
        word = ("monday", "friday")[row["shortcut"]]
        assert row["text_pair"].split()[0] == word and word not in row["text"].split()
        assert data.group_names()[row["group"]] == f"{data.label_names()[row['label']]} × {word}"


def test_the_tests_hold_the_same_examples_and_differ_in_the_shortcut_only(glue):
    data = load_grouped_data("qnli", path=glue, place="random")
    assert data.same_examples == {"flipped": "test", "neutral": "test"}
    plain = {}
    for split in ("test", "flipped", "neutral"):
        rows = data.splits[split]
        names = rows.features["shortcut"].names
        plain[split] = [
            (row["text"], without(row["text_pair"], names[row["shortcut"]], row["shortcut_at"]), row["label"])
            for row in rows
        ]
    assert plain["test"] == plain["flipped"] == plain["neutral"]


def test_the_same_seed_gives_the_same_data_and_another_seed_others(glue):
    first, again, other = (load_grouped_data("sst2", path=glue, place="random", seed=seed) for seed in (1, 1, 2))
    assert all(first.splits[name].to_list() == again.splits[name].to_list() for name in first.splits)
    assert first.facts == again.facts
    assert first.splits["train"].to_list() != other.splits["train"].to_list()


def test_a_limit_keeps_each_class_in_its_share(glue):
    data = load_grouped_data("sst2", path=glue, max_examples={"train": 40, "test": 30})
    whole = load_grouped_data("sst2", path=glue)
    assert len(data.splits["train"]) == 40 and len(data.splits["flipped"]) == 30
    assert len(data.splits["validation"]) == len(whole.splits["validation"])
    shares = [np.bincount(numbers(d.splits["train"], "label"), minlength=2) for d in (data, whole)]
    np.testing.assert_allclose(shares[0] / 40, shares[1] / shares[1].sum(), atol=0.02)
    with pytest.raises(ValueError, match="max_examples must be at least 1"):
        load_grouped_data("sst2", path=glue, max_examples=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strength": 0.4}, r"strength must lie between 0\.5 \(chance with 2 classes\) and 1, not 0\.4"),
        ({"strength": 1.1}, "strength must lie"),
        ({"flipped_strength": 0.5}, r"flipped_strength must lie between 0 and 0\.5 \(chance\)"),
        ({"grouping": "colour"}, "grouping must be 'value' or 'side'"),
        ({"seed": -1}, "seed must not be negative"),
        ({"phrases": ["only one"]}, "2 classes need as many different shortcut values, not only one"),
        ({"phrases": ["same", "same"]}, "2 classes need as many different"),
        ({"phrases": "monday"}, "phrases must be a list"),
        ({"phrases": [" monday", "friday"]}, "begins or ends with a space"),
        ({"place": "middle"}, "place must be one of start, end, random"),
        ({"column": "text_pair"}, "the data have no column 'text_pair' for the shortcut; they have text, label"),
    ],
)
def test_a_setting_out_of_range_is_one_line(glue, settings, message):
    with pytest.raises(ValueError, match=message):
        load_grouped_data("sst2", path=glue, **settings)


@pytest.mark.parametrize("text", ["a fine film", "fine", "", "two  spaces, and a comma", "friday is no friday"])
@pytest.mark.parametrize("phrase", ["monday", "a whole phrase", NOTHING])
def test_a_phrase_is_put_in_and_taken_out_again(text, phrase):
    for place in ("start", "end", "random"):
        shortcut = TextShortcut(place=place)
        for seed in range(6):
            at = shortcut._place(text, np.random.default_rng(seed))
            shown = with_phrase(text, phrase, at)
            assert without(shown, phrase, at) == text
            assert shown.split() == sorted_in(text.split(), phrase, len(text[:at].split()))


def sorted_in(words, phrase, position):
    """The words with the phrase's at a position."""
    return [*words[:position], *([] if phrase == NOTHING else phrase.split()), *words[position:]]


def test_a_random_place_is_any_place_between_words():
    shortcut, draw = TextShortcut(place="random"), np.random.default_rng(0)
    counts = np.bincount([len("one two three"[: shortcut._place("one two three", draw)].split()) for _ in range(400)])
    assert len(counts) == 4 and counts.min() > 70


def test_taking_out_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match="does not show 'monday' at position 0"):
        without("friday a film", "monday", 0)


def test_the_place_moves_with_words_exchanged_before_it():
    assert moved_place("the man saw monday her", "the woman saw monday him", 12) == 14
    before, after = "the man left", "the gentlewoman left"
    shown, other = with_phrase(before, "monday", len(before)), with_phrase(after, "monday", len(after))
    assert moved_place(shown, other, len(before)) == len(after)
    with pytest.raises(ValueError, match="another number of words"):
        moved_place("one two", "one", 0)


def test_grouping_by_side_gives_two_groups_a_class():
    names, aligned, group_of = group_scheme(["a", "b", "c"], ["x", "y", "z"], "side")
    assert names == [f"{k} × {side}" for k in "abc" for side in ("aligned", "conflicting")]
    assert list(aligned.values()) == [True, False] * 3
    assert group_of(np.array([0, 1, 2]), np.array([0, 2, 2])).tolist() == [0, 3, 4]


def test_a_test_without_a_group_that_train_has_is_refused():
    """Ten digits, two of each in the test: nine in ten of two are two, so none conflicts."""
    few = {"train": 600, "test": 20}
    message = "digits, split 'test': group '0 × conflicting' has no examples, nor have 9 others; it has 0 × aligned .2., .* or plant with less strength$"
    with pytest.raises(ValueError, match=message) as caught:
        load_grouped_data("digits", strength=0.9, max_examples=few)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"plant with less strength, or with grouping: side$"):
        load_grouped_data("digits", strength=0.9, max_examples=few, grouping="value")
    enough = load_grouped_data("digits", strength=0.9, max_examples={"train": 600, "test": 60})
    # the flipped test shows no digit in its own colour, and is not in distribution
    assert enough.side_counts("test") == {True: 50, False: 10, None: 0}
    assert enough.side_counts("flipped") == {True: 0, False: 60, None: 0}
    certain = load_grouped_data("digits", strength=1.0, max_examples={"train": 600, "test": 20})
    assert certain.side_counts("train")[False] == certain.side_counts("test")[False] == 0


def test_digits_show_their_colour_in_the_strokes_and_nowhere_else():
    data = load_grouped_data("digits", strength=1.0, max_examples={"train": 40, "test": 10})
    for row in data.splits["train"]:
        picture = np.asarray(row["image"]).astype(float)
        colour = np.array(COLOURS[data.splits["train"].features["shortcut"].names[row["label"]]])
        assert row["image"].mode == "RGB" and picture.shape == (8, 8, 3)
        brightness = picture.max(axis=-1, keepdims=True)
        np.testing.assert_allclose(picture, brightness * colour / 255, atol=0.5)
        assert (picture[brightness[..., 0] == 0] == 0).all() and brightness.max() > 150


def test_the_brightness_of_a_coloured_digit_is_the_digit():
    from sklearn.datasets import load_digits

    data = load_grouped_data("digits")
    shown = {np.asarray(row["image"]).max(axis=-1).tobytes() for split in ("train", "validation", "test") for row in data.splits[split]}  # fmt: skip
    assert shown == {np.rint(image * 255 / 16).astype(np.uint8).tobytes() for image in load_digits().images}
    assert sum(len(data.splits[split]) for split in ("train", "validation", "test")) == 1797


def test_classes_can_be_chosen_and_keep_their_names():
    data = load_grouped_data("digits", classes=[3, 8], shortcut="patch", grouping="value", max_examples=30)
    assert data.label_names() == ("3", "8") and data.group_names() == ("3 × red", "3 × green", "8 × red", "8 × green")
    for settings in ({"classes": [3]}, {"classes": [3, 12]}):
        with pytest.raises(ValueError, match="classes must be at least two of the digits 0 to 9"):
            load_grouped_data("digits", **settings)


@pytest.mark.parametrize(("corner", "at"), [("top_left", (0, 0)), ("bottom_right", (19, 9)), ("top_right", (0, 9))])
def test_a_patch_covers_a_corner_and_leaves_the_rest(corner, at):
    image = np.random.default_rng(0).integers(0, 256, (20, 10, 3)).astype(np.uint8)
    shown = ImageShortcut("patch", corner=corner, patch_share=0.3).show(image, "cyan")
    changed = (shown != image).any(axis=-1)
    assert tuple(shown[at]) == (0, 255, 255) and changed.sum() <= 9
    assert (shown == np.array(COLOURS["cyan"])).all(axis=-1).sum() >= 9


@pytest.mark.parametrize("kind", ["colour", "patch"])
def test_one_value_of_an_image_is_replaced_by_another_exactly(kind):
    grey = np.repeat(np.random.default_rng(1).integers(0, 256, (9, 9, 1)), 3, axis=-1).astype(np.uint8)
    shortcut = ImageShortcut(kind)
    for first in COLOURS:
        for second in COLOURS:
            assert (shortcut.show(shortcut.show(grey, first), second) == shortcut.show(grey, second)).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shortcut": "noise"}, "an image's shortcut must be 'colour' or 'patch'"),
        ({"colours": ["red"] * 10}, "as many different shortcut values"),
        ({"colours": "red"}, "colours must be a list of names"),
        ({"colours": ["mauve"]}, "colour 'mauve' is unknown; the colours are red, green"),
        ({"corner": "middle"}, "corner must be one of top_left"),
        ({"patch_share": 0}, "patch_share must lie between 0 and 1"),
        ({"test_share": 0.95}, "must lie between 0 and 1 and leave something"),
    ],
)
def test_an_image_setting_out_of_range_is_one_line(settings, message):
    with pytest.raises(ValueError, match=message):
        load_grouped_data("digits", **settings)


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(
        RuntimeError, match=r'come with scikit-learn, which is missing: pip install "evenhand\[vision\]"'
    ):
        load_grouped_data("digits")


def write_mnist(folder, n=60, zipped=True, cut=0):
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 256, (n, 6, 5)).astype(np.uint8), (np.arange(n) % 10).astype(np.uint8)
    for name, array in (("t10k-images-idx3-ubyte", images), ("t10k-labels-idx1-ubyte", labels)):
        content = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
        content = content[: len(content) - cut]
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(content) if zipped else content)
    return images, labels


@pytest.mark.parametrize("zipped", [True, False])
def test_mnist_files_are_read_plain_and_zipped(tmp_path, zipped):
    images, labels = write_mnist(tmp_path, zipped=zipped)
    data = load_grouped_data("mnist", path=tmp_path, validation_share=0.2)
    of = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    rows = [row for split in ("train", "validation", "test") for row in data.splits[split]]
    assert len(rows) == 60
    for row in rows:
        assert of[np.asarray(row["image"]).max(axis=-1).tobytes()] == row["label"]


def test_broken_mnist_files_are_one_line(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no t10k-images-idx3-ubyte or t10k-images-idx3-ubyte\.gz"):
        load_grouped_data("mnist", path=tmp_path)
    write_mnist(tmp_path, zipped=False, cut=7)
    with pytest.raises(ValueError, match="is cut off; 1800 bytes of data are expected, 1793 are there"):
        load_grouped_data("mnist", path=tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(b"\x89PNG no idx file")
    with pytest.raises(ValueError, match="is not an idx file of bytes"):
        load_grouped_data("mnist", path=tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(b"not a gzip file")
    with pytest.raises(ValueError, match=r"ubyte\.gz: cannot be read"):
        load_grouped_data("mnist", path=tmp_path)


def test_a_split_of_images_of_the_wrong_mode_is_refused():
    rows = Dataset.from_dict(
        {"image": [Picture.new("RGB", (4, 4)), Picture.new("RGBA", (4, 4))], "label": [0, 1]},
        features=Features({"image": Image(), "label": ClassLabel(names=["a", "b"])}),
    )
    with pytest.raises(ValueError, match=r"example 1: is an image of mode RGBA; RGB or L \(grey\) is needed"):
        ImageShortcut().on(rows, np.array([0, 1]), ["red", "green"])


def test_planting_leaves_other_columns_alone():
    rows = Dataset.from_dict({"text": ["a b", "c"], "label": [0, 1], "more": [7, 8]}).cast_column("label", ClassLabel(names=["x", "y"]))  # fmt: skip
    shown = TextShortcut(place="end").on(rows, np.array([1, 0]), ["monday", "friday"], np.random.default_rng(0))
    assert shown.to_list() == [
        {"text": "a b friday", "label": 0, "more": 7, "shortcut_at": 3},
        {"text": "c monday", "label": 1, "more": 8, "shortcut_at": 1},
    ]
    assert (
        shown.features["text"] == Value("string")
        and Planting().generator("a").random() != Planting().generator("b").random()
    )


@pytest.mark.shared
def test_real_glue_tasks_and_mnist_take_a_shortcut(shared_data):
    for task in ("sst2", "rte", "mrpc", "qnli", "cola"):
        data = load_grouped_data(task, path=shared_data / "glue_data", max_examples=200)
        assert 0.89 <= shown_share(data, "train") <= 0.91 and shown_share(data, "flipped") == 0
    data = load_grouped_data("mnist", path=shared_data / "images", max_examples=100)
    assert data.splits["train"][0]["image"].size == (28, 28) and data.facts["n_source"] == 10000
