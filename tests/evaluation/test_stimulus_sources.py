"""One word decides where stimuli come from; and which of them run by default."""

import json

import pytest

from evenhand.evaluation.seat import Seat
from evenhand.evaluation.stimuli import (
    CONTROL_TESTS,
    DEFAULT_FAMILIES,
    EXTENDED_TESTS,
    FAMILIES,
    GENDER_TESTS,
    builtin_stimuli,
)
from evenhand.evaluation.stimulus_sources import load_stimuli

YAML = """
sets:
  a: {class: noun, words: [man, boy]}
  b: {class: noun, words: [woman, girl]}
  c: {class: noun, words: [office, salary]}
  d: {class: noun, words: [home, wedding]}
tests:
  one: {label: First, X: a, Y: b, A: c, B: d}
  two: {X: a, Y: b, A: d, B: c, family: other}
"""


def write_words(path):
    words = (["John", "Paul"], ["Amy", "Lisa"], ["office", "salary"], ["home", "wedding"])
    keys = ("targ1", "targ2", "attr1", "attr2")
    path.write_text(json.dumps({k: {"category": k, "examples": w} for k, w in zip(keys, words, strict=True)}))
    return path


@pytest.fixture
def own_file(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(YAML)
    return path


def test_each_source_goes_to_its_reader(tmp_path, own_file):
    assert load_stimuli("builtin") is builtin_stimuli()
    assert (load_stimuli(own_file).source, load_stimuli(own_file).name) == ("yaml", "own.yaml")
    file = write_words(tmp_path / "mine.json")
    assert (load_stimuli(str(file)).source, load_stimuli(file).name) == ("sent-bias", "mine.json")
    assert (load_stimuli(tmp_path).source, load_stimuli(tmp_path).name) == ("sent-bias", tmp_path.name)


def test_sources_that_are_none(tmp_path):
    (tmp_path / "words.csv").write_text("man,woman")
    with pytest.raises(ValueError, match=r"words\.csv is neither a \.jsonl or \.json file in sent-bias's format nor"):
        load_stimuli(tmp_path / "words.csv")
    with pytest.raises(FileNotFoundError, match="is not a directory and not a file"):
        load_stimuli(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*gone\.yaml"):
        load_stimuli(tmp_path / "gone.yaml")


def test_a_directory_may_be_called_like_a_file(tmp_path):
    (tmp_path / "odd.yaml").mkdir()
    write_words(tmp_path / "odd.yaml" / "mine.json")
    assert [t.name for t in load_stimuli(tmp_path / "odd.yaml").tests] == ["mine"]


def test_default_families_of_the_built_in_tests():
    chosen = load_stimuli("builtin").of_families(None)
    assert chosen.families == DEFAULT_FAMILIES == ("gender", "gender-extended", "control")
    assert tuple(t.name for t in chosen.tests) == (*GENDER_TESTS, *EXTENDED_TESTS, *CONTROL_TESTS)
    assert chosen.select(None) is chosen


def test_default_of_other_sources_is_everything(own_file):
    assert [t.name for t in load_stimuli(own_file).of_families(None).select(None).tests] == ["one", "two"]


def test_chosen_families_in_the_order_of_reports(own_file):
    chosen = load_stimuli("builtin").of_families(["age", "control"])
    assert [t.label for t in chosen.tests] == ["C1", "C2", "C10"]
    assert [t.name for t in load_stimuli(own_file).of_families(["other"]).tests] == ["two"]


def test_a_test_named_outright_is_found_outside_the_default_families():
    chosen = load_stimuli("builtin").of_families(None).select(["C5", "sent-weat6"])
    assert [t.label for t in chosen.tests] == ["C6", "C5"]
    assert chosen.sha256 == load_stimuli("builtin").select(["C6", "C5"]).sha256
    assert chosen.set_aside == ()


def test_families_chosen_outright_leave_the_others_out():
    with pytest.raises(
        ValueError, match=r"tests: 'C6' is not in evenhand built-in sentences; use: sent-weat3, sent-weat4"
    ):
        load_stimuli("builtin").of_families(["race"]).select(["C6"])


def test_what_is_set_aside_does_not_change_the_hash():
    chosen = load_stimuli("builtin").of_families(None)
    assert chosen.set_aside
    assert chosen.sha256 == load_stimuli("builtin").of_families(DEFAULT_FAMILIES).sha256


@pytest.mark.parametrize(
    ("families", "fault"),
    [
        (["gendre"], "families: 'gendre' is not in evenhand built-in sentences; use: " + ", ".join(FAMILIES)),
        ([], "families: an empty list is not in"),
        ("gender", "families must be a list of names, not 'gender'"),
    ],
)
def test_unknown_families_are_refused_in_one_line(families, fault):
    with pytest.raises(ValueError) as error:
        load_stimuli("builtin").of_families(families)
    assert fault in str(error.value) and "\n" not in str(error.value)


def test_a_family_that_this_source_lacks_is_refused(own_file):
    with pytest.raises(ValueError, match=r"families: 'gender' is not in own\.yaml; use: custom, other"):
        load_stimuli(own_file).of_families(["gender"])


def test_stimuli_that_are_made_already_are_what_is_run():
    made = builtin_stimuli().select(["C6"])
    assert load_stimuli(made) is made and Seat(stimuli=made).loaded_stimuli.tests == made.tests
