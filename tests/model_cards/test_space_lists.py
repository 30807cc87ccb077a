"""The app's boxes: the tests that they make, the built-in ones among them, and one clear line for what makes none."""

from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.evaluation.stimuli import Stimuli, builtin_stimuli
from evenhand.evaluation.stimulus_sources import load_stimuli
from evenhand.model_cards.space.own_test import (
    Box,
    built_in_boxes,
    sentences_test,
    sentences_text,
    word_list_text,
    words_test,
)

BOXES = {
    "X": Box("men", "man\nboy, brother", "noun"),
    "Y": Box("women", "woman; girl\nsister", "noun"),
    "A": Box("", "office\nsalary: mass_noun\n\n MBA: noun an ", "noun"),
    "B": Box("  home ", "home\nfamily\nwedding", "noun"),
}
SENTENCES = {
    "X": Box("men", "This is a man.\nThat is a man.\nThis is a boy.\nThat is a boy."),
    "Y": Box("women", "This is a woman.\nThat is a woman.\nThis is a girl.\nThat is a girl."),
    "A": Box("work", "This is a job.\nThat is a job.\nThis is an office.\nThat is an office."),
    "B": Box("home", "This is a home.\nThat is a home.\nThis is a family.\nThat is a family."),
}


def without_names(test):
    sets = {role: replace(of_set, name="") for role, of_set in test.sets.items()}
    return replace(test, name="", label="", family="", **sets)


def test_the_boxes_of_every_built_in_test_give_its_sentences_again():
    made = [words_test(boxes).tests[0] for boxes in built_in_boxes().values()]
    assert [without_names(test) for test in made] == [without_names(test) for test in builtin_stimuli().tests]
    first = built_in_boxes()["C6: male names / female names, career / family"]
    assert first["X"].word_class == "name" and "management: mass_noun" in first["A"].text


def test_words_classes_articles_and_names_are_read_from_a_box():
    test = words_test(BOXES).tests[0]
    words = {role: list(dict.fromkeys(of_set.words)) for role, of_set in test.sets.items()}
    assert words == {
        "X": ["man", "boy", "brother"],
        "Y": ["woman", "girl", "sister"],
        "A": ["office", "salary", "MBA"],
        "B": ["home", "family", "wedding"],
    }
    assert (test.X.name, test.A.name, test.B.name) == ("men", "A", "home")
    assert "An MBA was mentioned earlier." in test.A.sentences and "Everyone knows about salary." in test.A.sentences


def test_frames_of_ones_own_take_the_place_of_every_class():
    test = words_test(BOXES, "This is {word}.\n{A_word} again?").tests[0]
    assert test.A.sentences == (
        *("This is office.", "An office again?", "This is salary.", "A salary again?"),
        *("This is MBA.", "An MBA again?"),
    )


def test_the_files_give_the_same_tests_to_the_evaluation(tmp_path):
    (tmp_path / "own.yaml").write_text(word_list_text(BOXES, "This is {word}."), encoding="utf-8")
    (tmp_path / "own.jsonl").write_text(sentences_text(SENTENCES), encoding="utf-8")
    assert load_stimuli(tmp_path / "own.yaml").tests == words_test(BOXES, "This is {word}.").tests
    of_file, of_boxes = load_stimuli(tmp_path / "own.jsonl").tests[0], sentences_test(SENTENCES).tests[0]
    assert without_names(of_file) == without_names(of_boxes)
    assert list(dict.fromkeys(of_boxes.A.words)) == ["job", "office"]


@pytest.mark.parametrize(
    ("change", "frames", "fault"),
    [
        ({"X": Box("men", " \n , ")}, "", "X has no words; write some"),
        ({"X": Box("men", "man, boy, man")}, "", "X holds 'man' twice"),
        ({"X": Box("men", "man, boy")}, "", "give both the same number"),
        ({"X": Box("men", "man, boy, girl")}, "", "'girl' is in both X and Y"),
        ({"X": Box("men", "man, boy, brother", "nuon")}, "", "the nearest known one is 'noun'"),
        ({"X": Box("men", "man: , boy, brother")}, "", "write 'word', 'word: class'"),
        ({"X": Box("men", "man: noun the, boy, brother")}, "", "write 'word', 'word: class'"),
        ({"X": Box("men", "\n".join(f"w{i}" for i in range(101)))}, "", "101 words in X; 100 are the most"),
        ({"X": Box("men", "m" * 301)}, "", "has 301 characters; 300 are the most"),
        ({}, "This is it.", "must hold exactly one of {word}"),
        ({}, "This is {word}.\nThis is {word}.", "stands there twice"),
        ({}, "\n".join(f"{i} {{word}}" for i in range(21)), "21 frames; 20 are the most"),
    ],
)
def test_what_makes_no_test_is_one_line(change, frames, fault):
    with pytest.raises(ValueError, match=r"^your lists") as refused:
        words_test({**BOXES, **change}, frames)
    assert fault in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "X has no sentences"),
        ("Nothing else looks like it.", "no other sentence is like it; put each word into the same sentences"),
        ("\n".join("This is a man." for _ in range(801)), "801 sentences in X; 800 are the most"),
    ],
)
def test_sentences_that_make_no_test_are_one_line(text, fault):
    with pytest.raises(ValueError, match=r"^your lists") as refused:
        sentences_test({**SENTENCES, "X": Box("men", text)})
    assert fault in str(refused.value) and "\n" not in str(refused.value)


hostile = st.text(max_size=40) | st.sampled_from(
    [
        "no, yes",
        "a: b: c",
        "{{ x }}",
        "<b>x</b>|y",
        "&a *b",
        "'\"\\",
        "- x\n- y",
        "%TAG",
        "\ud800",
        "on: 7",
        "x: noun an",
    ]
)


@settings(max_examples=150, deadline=None)
@given(texts=st.tuples(hostile, hostile, hostile, hostile), name=hostile, frames=st.just("") | hostile)
def test_any_text_is_a_test_of_just_these_words_or_one_line(texts, name, frames):
    boxes = {role: Box(name, text, "noun") for role, text in zip("XYAB", texts, strict=True)}
    for make in (lambda: words_test(boxes, frames), lambda: sentences_test(boxes)):
        try:
            made = make()
        except ValueError as error:
            assert len(str(error).splitlines()) == 1
        else:
            assert isinstance(made, Stimuli)
    try:
        file = yaml.safe_load(word_list_text(boxes, frames))
    except ValueError:
        return
    # text stays text: YAML would read no, on and 7 as something else
    assert all(isinstance(word, str) for of_set in file["sets"].values() for word in of_set["words"])
