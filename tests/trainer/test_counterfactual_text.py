"""Counterfactual data augmentation: which words are exchanged, what becomes of lines, and that held-out text is never touched."""

from collections import Counter

import pytest

from evenhand.trainer.corpus import CorpusSettings, prepare_corpus, stream_corpus
from evenhand.trainer.corpus_layout import cache_bytes_needed
from evenhand.trainer.corpus_sources import CorpusSource
from evenhand.trainer.counterfactual_text import COUNTED, CounterfactualText

WITH = [
    f"the old {word} saw the town in the old law and was happy{stop} ."
    for word in ("man", "girl", "son")
    for stop in ("", " and old", " with")
]
WITHOUT = [
    f"the teacher {word} the old town in a law and the happy step" for word in ("saw", "was", "and", "with", "of", "in")
]
SWAPPED = {"man": "woman", "girl": "boy", "son": "daughter"}


def counterfactual_of(line: str) -> str:
    return " ".join(SWAPPED.get(word, word) for word in line.split())


def text_of(mode: str, pairs: str = "builtin") -> CounterfactualText:
    return CounterfactualText.of(CorpusSettings(cda=mode, cda_pairs=pairs))


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("He told his mother that MARY is a guy.", "She told her father that JOHN is a gal."),
        ("'he's' (she) he, woman-made man_made", "'she's' (he) she, man-made man_made"),
        ("galore human shepherd theme Johnson son-in-law", "galore human shepherd theme Johnson daughter-in-law"),
        ("Himself, HERSELF; female/male", "Herself, HIMSELF; male/female"),
        ("HeLa mEn hE", "HeLa mEn hE"),
    ],
)
def test_whole_words_are_exchanged_at_once_in_their_own_case(line, other):
    assert text_of("one_sided").of_line(line) == other
    assert text_of("one_sided").of_line(other) == line


def test_one_sided_replaces_a_line_and_two_sided_keeps_it_beside_its_counterfactual():
    text, fates = "he saw\n\nthe town\nold man", Counter()
    assert text_of("one_sided").augmented(text, fates) == "she saw\n\nthe town\nold woman"
    assert fates == {COUNTED: 2}
    assert text_of("two_sided").augmented(text, fates).splitlines() == [
        "he saw", "she saw", "", "the town", "old man", "old woman",
    ]  # fmt: skip
    assert CounterfactualText.of(CorpusSettings()) is None


def test_a_word_keeps_its_first_partner_and_the_other_pair_is_reported(tmp_path):
    file = tmp_path / "pairs.txt"
    file.write_text("his her\nhim her\nking queen\n")
    made = text_of("one_sided", str(file))
    assert made.of_line("his her him King") == "her his him Queen"
    assert made.report() == {"cda_source": "pairs.txt", "cda_pairs_n": 2, "cda_skipped": [["him", "her"]]}


# -- in a corpus -------------------------------------------------------------------------------------------------------


@pytest.fixture
def prepare(tmp_path, wordpiece):
    def make(mode="none", *, stream=False, weight=1.0, **settings):
        path = tmp_path / "corpus.txt"
        path.write_text("\n".join(WITH + WITHOUT) + "\n")
        source = [CorpusSource(path=str(path), weight=weight)]
        settings = CorpusSettings(cda=mode, **{"held_out": 0.3} | settings)
        if stream:
            return stream_corpus(source, wordpiece, settings)
        return prepare_corpus(source, wordpiece, settings, tmp_path / "cache", workers=1)

    return make


def lines_of(wordpiece, dataset) -> Counter:
    return Counter(wordpiece.decode(row["input_ids"], skip_special_tokens=True) for row in dataset)


def test_training_lines_are_augmented_and_held_out_lines_are_those_of_the_plain_corpus(prepare, wordpiece):
    plain, one, two = (prepare(mode) for mode in ("none", "one_sided", "two_sided"))
    lines = lines_of(wordpiece, plain.train)
    touched = [line for line in lines if counterfactual_of(line) != line]
    assert 2 <= len(touched) < len(WITH) and len(lines) - len(touched) >= 2
    assert any(counterfactual_of(line) != line for line in lines_of(wordpiece, plain.held_out))
    expected = Counter({counterfactual_of(line): n for line, n in lines.items()})
    assert lines_of(wordpiece, one.train) == expected
    assert lines_of(wordpiece, two.train) == lines + Counter(counterfactual_of(line) for line in touched)
    for other in (one, two):
        assert lines_of(wordpiece, other.held_out) == lines_of(wordpiece, plain.held_out)
        assert other.report[COUNTED] == len(touched) and other.report["documents"] == plain.report["documents"]
        assert other.report["sequences"] == len(other.train)
        assert other.token_counts.sum() == other.report["tokens"]


def test_a_stream_is_augmented_as_the_prepared_corpus_is(prepare, wordpiece):
    for mode in ("one_sided", "two_sided"):
        prepared, streamed = prepare(mode, weight=2.0), prepare(mode, stream=True, weight=2.0)
        for split in ("train", "held_out"):
            assert lines_of(wordpiece, getattr(streamed, split)) == lines_of(wordpiece, getattr(prepared, split))
        assert streamed.report["cda"] == mode and streamed.report[COUNTED] is None


def test_each_kind_and_each_list_of_pairs_has_shards_of_its_own_and_a_plain_corpus_those_it_always_had(
    prepare, tmp_path
):
    file = tmp_path / "pairs.txt"
    file.write_text("man woman\n")
    plain = prepare().report
    assert not {"cda", "cda_pairs", COUNTED} & plain.keys()
    assert prepare("none", cda_pairs=str(file)).report == plain  # without augmentation the pairs decide nothing
    keys = [prepare(mode).report["content_sha256"] for mode in ("none", "one_sided", "two_sided")]
    keys.append(prepare("two_sided", cda_pairs=str(file)).report["content_sha256"])
    assert len(set(keys)) == 4
    file.write_text("girl boy\n")
    assert prepare("two_sided", cda_pairs=str(file)).report["content_sha256"] not in keys


def test_two_sided_text_may_take_twice_the_disk(prepare, tmp_path, wordpiece):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(WITH) + "\n")
    opened = [CorpusSource(path=str(path)).open()]
    needed = {
        mode: cache_bytes_needed(opened, wordpiece, CorpusSettings(cda=mode), tmp_path / "none")
        for mode in ("none", "one_sided", "two_sided")
    }
    assert needed["none"] == needed["one_sided"] > 0 and abs(needed["two_sided"] - 2 * needed["none"]) <= 1


def test_an_unknown_kind_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"corpus\.cda must be one of none, one_sided, two_sided, not 'both'"):
        CorpusSettings(cda="both")
    with pytest.raises(FileNotFoundError, match=r"absent\.txt does not exist"):
        text_of("one_sided", str(tmp_path / "absent.txt"))
