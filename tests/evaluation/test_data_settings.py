"""Settings of the loaders of data with groups that are of the wrong kind: one line, before any file is read."""

import pytest

from evenhand.evaluation.grouped_data import load_grouped_data

PLANTED = [
    ({"strength": "high"}, "strength must be a number, not 'high'"),
    ({"strength": True}, "strength must be a number, not True"),
    ({"flipped_strength": None}, "flipped_strength must be a number, not None"),
    ({"seed": 0.5}, "seed must be a whole number, not 0.5"),
    (
        {"max_examples": {"flipped": 2}},
        "max_examples: 'flipped' is none of the splits that can be limited, train, validation, test",
    ),
    ({"max_examples": {"tran": 100}}, "max_examples: 'tran' is none of the splits"),
    ({"max_examples": {"train": 0}}, "max_examples must be at least 1"),
]
PHRASES = [
    ({"phrases": [True, False]}, "phrases must be a list of names; True is none, put it in quotes"),
    ({"phrases": "well"}, "phrases must be a list of names, not 'well'"),
]
PATCHES = [
    ({"patch_share": "big"}, "patch_share must be a number, not 'big'"),
    ({"colours": 5}, "colours must be a list of names, not 5"),
    ({"colours": [1, 2]}, "colours must be a list of names; 1 is none"),
]
DIGITS = [
    ({"test_share": "most"}, "test_share must be a number, not 'most'"),
    ({"classes": 5}, "classes must be at least two of the digits 0 to 9, not 5"),
    ({"classes": [0, "a"]}, "classes must be at least two of the digits 0 to 9"),
    ({"classes": [0, 1.5]}, "classes must be at least two of the digits 0 to 9"),
    ({"classes": [3, 3]}, "classes must be at least two of the digits 0 to 9"),
]
PHOTOGRAPHS = [
    ({"max_examples": {"tran": 100}}, "max_examples: 'tran' is none of the splits"),
    ({"check_images": "all"}, "check_images must be 'headers' or 'pixels', not 'all'"),
    ({"convert_images": "no"}, "convert_images must be true or false, not 'no'"),
]


@pytest.mark.parametrize(("change", "message"), [*PLANTED, *PHRASES, *PATCHES])
def test_of_what_is_planted_into_own_data(tmp_path, change, message):
    files = dict.fromkeys(("train", "validation", "test"), tmp_path / "absent.csv")
    with pytest.raises(ValueError, match=message):
        load_grouped_data("planted", **({"files": files} | change))


@pytest.mark.parametrize(("change", "message"), [*PLANTED, *PATCHES, *DIGITS])
def test_of_digits(change, message):
    with pytest.raises(ValueError, match=message):
        load_grouped_data("digits", **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [*PLANTED, *PHRASES, ({"validation_share": "tenth"}, "validation_share must be a number, not 'tenth'")],
)
def test_of_a_glue_task(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        load_grouped_data("sst2", path=tmp_path / "absent", **change)


@pytest.mark.parametrize("place", ["local", "hub"])
@pytest.mark.parametrize("name", ["celeba", "waterbirds"])
@pytest.mark.parametrize(("change", "message"), PHOTOGRAPHS)
def test_of_photographs(tmp_path, name, place, change, message):
    with pytest.raises(ValueError, match=message):
        load_grouped_data(name, path="hub" if place == "hub" else tmp_path / "absent", **change)


@pytest.mark.parametrize("names", [3, "abc", ["train"]])
def test_of_splits_on_the_hub(names):
    with pytest.raises(ValueError, match="split_names must be the names of train, validation and test, not "):
        load_grouped_data("celeba", split_names=names)
