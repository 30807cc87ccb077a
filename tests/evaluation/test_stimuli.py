"""The built-in sentences: grammatical, balanced, our own."""

import json
import re
from collections import Counter

import pytest

from evenhand.evaluation.stimuli import GENDER_TESTS, builtin_stimuli
from evenhand.evaluation.templates import fill, frames_by_class

TESTS = builtin_stimuli().tests


def test_the_six_gender_tests_under_the_names_of_sent_bias():
    assert tuple(t.name for t in TESTS) == GENDER_TESTS
    assert [t.label for t in TESTS] == ["C6", "C6b", "C7", "C7b", "C8", "C8b"]
    assert {t.family for t in TESTS} == {"gender"}


@pytest.mark.parametrize("test", TESTS, ids=lambda t: t.label)
def test_every_word_of_a_test_has_the_same_number_of_sentences(test):
    counts = Counter((role, word) for role, s in test.sets.items() for word in s.words)
    assert len(counts) == 32
    assert set(counts.values()) == {8}


def test_a_sentence_is_its_template_with_its_word_and_all_are_distinct_within_a_set():
    for test in TESTS:
        for s in test.sets.values():
            assert len(set(s.sentences)) == len(s.sentences)
            for stimulus in s.stimuli:
                assert stimulus.sentence == fill(stimulus.template, stimulus.word)
                assert re.search(rf"\b{stimulus.word}\b", stimulus.sentence, re.IGNORECASE)


def test_grammar_articles_number_and_case():
    sentences = builtin_stimuli().distinct_sentences
    for article, word in re.findall(r"\b(an?) (\w+)", " ".join(sentences), re.IGNORECASE):
        assert (article.lower() == "an") == (word.lower()[0] in "aeiou"), f"{article} {word}"
    text = " ".join(sentences)
    assert "An executive was mentioned earlier." in sentences
    assert "Equations were mentioned earlier." in sentences
    assert "Everyone knows about physics." in sentences
    assert "Someone mentioned him earlier." in sentences
    assert "The next one is hers." in sentences
    for wrong in ("about he ", "the him", "a parents", "a math", "the NASA", "something executive", "Children was"):
        assert wrong not in text
    assert all(s[0].isupper() and s.endswith(".") and "  " not in s and "{" not in s for s in sentences)


def test_male_and_female_sets_have_the_same_frames():
    c6b = TESTS[1]
    assert Counter(s.template for s in c6b.X.stimuli) == Counter(s.template for s in c6b.Y.stimuli)


def test_at_least_six_parallel_frames_a_class():
    assert {len(frames) for frames in frames_by_class().values()} == {8}


def test_hash_changes_with_content_and_with_the_choice_of_tests():
    everything, one = builtin_stimuli(), builtin_stimuli().select(["C6"])
    assert [t.name for t in one.tests] == ["sent-weat6"]
    assert one.sha256 != everything.sha256
    assert one.sha256 == builtin_stimuli().select(["sent-weat6"]).sha256


@pytest.mark.parametrize("names", [["C9"], []])
def test_unknown_tests_are_refused(names):
    with pytest.raises(ValueError, match="sent-weat6"):
        builtin_stimuli().select(names)


@pytest.mark.shared
def test_no_sentence_and_every_word_is_that_of_sent_bias(shared_data):
    for test in TESTS:
        theirs = json.loads((shared_data / "seat" / f"{test.name}.jsonl").read_text())
        listed = json.loads((shared_data / "seat" / f"{test.name.removeprefix('sent-')}.jsonl").read_text())
        for role, key in zip("XYAB", ("targ1", "targ2", "attr1", "attr2"), strict=True):
            assert not set(test.sets[role].sentences) & set(theirs[key]["examples"])
            assert set(test.sets[role].words) == set(listed[key]["examples"])
