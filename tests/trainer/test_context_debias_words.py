"""Which words and sentences context-debias sees."""

import json
from importlib import resources

import datasets
import numpy as np
import pytest

from evenhand.trainer.context_debias_sentences import choose_sentences
from evenhand.trainer.context_debias_words import STEREOTYPES, CompiledWords, DebiasWords

LISTS = DebiasWords(
    ("he", "man", "grandfather", "John"), ("she", "woman", "Mary", "gal"), ("teacher", "galaxy", "law", "he", "nurse")
)


@pytest.fixture(scope="module")
def compiled(wordpiece):
    return CompiledWords(LISTS, wordpiece)


def ids(tokenizer, text: str) -> np.ndarray:
    return np.array(tokenizer.encode(text), dtype=np.int32)


def chosen(dataset, words, max_sentences=100, dev_fraction=0.2, seed=0):
    return choose_sentences(dataset, words, max_sentences=max_sentences, dev_fraction=dev_fraction, seed=seed)


# -- words -------------------------------------------------------------------------------------------------------------


def test_whole_words_are_found_and_pieces_of_other_words_are_not(compiled, wordpiece):
    """gal is female, galore is not; galaxy is one stereotype of two pieces."""
    found = compiled.find(ids(wordpiece, "He saw the galore , a gal and the Galaxy of John"))
    #        [CLS] he saw the gal ##ore , a gal and the gal ##axy of john [SEP]
    assert found == [(1, 2, 0), (8, 9, 1), (11, 13, STEREOTYPES), (14, 15, 0)]
    assert compiled.find(ids(wordpiece, "the old town")) == []


def test_leading_spaces_and_capitals_are_forms_of_a_word_of_a_byte_level_vocabulary(byte_bpe):
    words = CompiledWords(DebiasWords(("man",), ("woman",), ("teacher",)), byte_bpe)
    text = "Man saw the man , woman and TEACHER teacher"
    kinds = [kind for *_, kind in words.find(ids(byte_bpe, text))]
    assert kinds[:3] == [0, 0, 1] and kinds[-1] == STEREOTYPES


def test_the_report_names_what_is_unknown_and_what_is_also_of_a_side(compiled):
    assert compiled.report["stereotypes"]["also_of_a_side"] == ["he"]
    assert compiled.report["stereotypes"]["unknown"] == ["nurse"]
    assert compiled.report["stereotypes"]["n_used"] == 3 and compiled.report["male"]["n_used"] == 4


def test_builtin_lists_are_aligned_distinct_and_hold_no_word_that_seat_measures_as_a_target():
    words = DebiasWords.load()
    assert len(words.male) == len(words.female) == len({*words.male, *words.female}) / 2
    assert not {*words.stereotypes} & {*words.male, *words.female}
    targets = (
        "executive management professional corporation salary office business career home parents children family cousins marriage wedding "
        "relatives math algebra geometry calculus equations computation numbers addition science technology physics chemistry einstein nasa "
        "experiment astronomy poetry art shakespeare dance literature novel symphony drama sculpture"
    )
    assert not {*words.stereotypes} & {*targets.split()}
    data = json.loads(resources.files("evenhand.trainer").joinpath("context_debias_words.json").read_text("utf-8"))
    assert len(data["stereotypes"]) == len({*data["stereotypes"]})


def test_files_with_one_word_a_line_are_read_as_published(tmp_path):
    """With repeated words, blank lines and comments."""
    file = tmp_path / "male.txt"
    file.write_text("countryman\n\nwizards # plural\ncountryman\n", encoding="utf-8")
    words = DebiasWords.load(str(file), ["witch"], "builtin")
    assert words.male == ("countryman", "wizards") and words.female == ("witch",)
    assert words.sources == ("male.txt", "the recipe", "builtin")
    assert words.sha256 != DebiasWords.load(["countryman"], ["witch"], "builtin").sha256


@pytest.mark.parametrize(
    ("male", "female", "text", "match"),
    [
        ("missing.txt", "builtin", None, "male words, .*missing.txt, does not exist"),
        ("list.txt", "builtin", "\n\n", r"list of male words \(list.txt\) is empty"),
        ("list.txt", "builtin", "he she\n", "holds 'he she'; it must have one word a line"),
        (["he", "you"], ["she", "you"], None, "you stands in the male and in the female list"),
    ],
)
def test_lists_that_cannot_be_used_are_refused_in_one_line(tmp_path, male, female, text, match):
    if isinstance(male, str):
        male = str(tmp_path / male)
        if text is not None:
            (tmp_path / "list.txt").write_text(text, encoding="utf-8")
    with pytest.raises((ValueError, FileNotFoundError), match=match) as error:
        DebiasWords.load(male, female)
    assert "\n" not in str(error.value)


def test_words_that_the_tokenizer_cannot_tell_apart_or_does_not_know_are_refused(wordpiece):
    with pytest.raises(ValueError, match="'He' has the token ids of a male word"):
        CompiledWords(DebiasWords(("he",), ("He",), ("law",)), wordpiece)
    with pytest.raises(ValueError, match=r"knows none of the stereotypes words \(given\)"):
        CompiledWords(DebiasWords(("he",), ("she",), ("nurse",)), wordpiece)


# -- sentences ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows(wordpiece):
    """40 male, 30 female and 20 stereotype sentences, 5 with both sides, 5 with nothing; each is different."""
    fillers = ("the", "a", "old", "happy", "town", "saw")
    tails = [f"{a} {b} {c}" for a in fillers for b in fillers for c in fillers]
    kinds = [
        ("he saw the law", 40),
        ("Mary saw", 30),
        ("the teacher saw the galaxy", 20),
        ("he saw the woman", 5),
        ("the town", 5),
    ]
    texts = [f"{text} {tail}" for text, n in kinds for tail in tails[:n]]
    order = np.random.default_rng(0).permutation(len(texts))
    return [wordpiece.encode(texts[i]) for i in order]


@pytest.mark.parametrize("stored", [True, False], ids=["arrow", "list"])
def test_sentences_of_one_side_or_of_stereotypes_alone_in_equal_numbers(compiled, wordpiece, rows, stored):
    dataset = datasets.Dataset.from_dict({"input_ids": rows}) if stored else [{"input_ids": row} for row in rows]
    found = chosen(dataset, compiled)
    assert found.report["found"] == {"male": 40, "female": 30, "stereotypes": 20}
    assert found.report["with_both_sides"] == 5 and found.report["kept_of_each_kind"] == 20
    counts = [[sum(s.kind == kind for s in part) for kind in range(3)] for part in (found.train, found.dev)]
    assert counts == [[16] * 3, [4] * 3]
    assert not {tuple(s.ids) for s in found.train} & {tuple(s.ids) for s in found.dev}
    for sentence in (*found.train, *found.dev):
        words = [wordpiece.decode(sentence.ids[start:stop]) for start, stop in sentence.spans]
        # "law" of a male sentence is a stereotype in a sentence with an attribute word: nothing is asked of it
        assert words == {0: ["he"], 1: ["mary"], 2: ["teacher", "galaxy"]}[sentence.kind]
    assert found.report["words_in_train"] == {"male": 16, "female": 16, "stereotypes": 32}


def test_the_choice_depends_on_the_seed_alone(compiled, rows):
    dataset = datasets.Dataset.from_dict({"input_ids": rows})
    one, again, other = (chosen(dataset, compiled, seed=seed) for seed in (0, 0, 1))
    listed = [[s.ids.tolist() for s in part.train] for part in (one, again, other)]
    assert listed[0] == listed[1] != listed[2]


def test_the_search_ends_when_there_is_enough_of_each_kind(compiled, rows):
    dataset = datasets.Dataset.from_dict({"input_ids": rows * 30})
    found = chosen(dataset, compiled, max_sentences=10)
    assert found.report["found"] == {"male": 10, "female": 10, "stereotypes": 10}
    assert found.report["looked_at"] == 1000 and found.report["of_sequences"] == 3000


def test_too_few_sentences_of_a_kind_are_refused(compiled, wordpiece):
    dataset = [
        {"input_ids": wordpiece.encode(text)} for text in ("he saw", "he was", "she was", "she saw", "the teacher saw")
    ]
    with pytest.raises(
        ValueError, match=r"too few sentences to debias with \(2 male, 2 female, 1 stereotypes; at least 2"
    ):
        chosen(dataset, compiled)
