"""Text with many words of pairs: which lines are kept, and that held-out text is never chosen."""

from collections import Counter

import pytest

from evenhand.trainer.corpus import CorpusSettings, prepare_corpus, stream_corpus
from evenhand.trainer.corpus_sources import CorpusSource
from evenhand.trainer.counterfactual_text import COUNTED
from evenhand.trainer.pair_dense_text import LEFT_OUT, PairDenseText

PLAIN = [f"the teacher {word} the old town in a law and the happy step" for word in ("saw", "was", "and", "with", "of")]
ONE = [f"the old {word} saw the town in the old law and was happy" for word in ("man", "girl", "son", "boy", "woman")]
TWO = [
    f"{first} the {word} saw the old town in a law of the town"
    for first in ("he", "she")
    for word in ("man", "girl", "son")
]


@pytest.fixture
def prepare(tmp_path, wordpiece):
    def make(stream=False, documents=None, **settings):
        path = tmp_path / "corpus.txt"
        path.write_text("\n".join(documents or PLAIN + ONE + TWO) + "\n")
        settings = CorpusSettings(**{"held_out": 0.3} | settings)
        if stream:
            return stream_corpus([CorpusSource(path=str(path))], wordpiece, settings)
        return prepare_corpus([CorpusSource(path=str(path))], wordpiece, settings, tmp_path / "cache", workers=1)

    return make


def lines_of(wordpiece, dataset) -> Counter:
    return Counter(wordpiece.decode(row["input_ids"], skip_special_tokens=True) for row in dataset)


@pytest.mark.parametrize(
    ("line", "share"),
    [
        ("He told HIS mother: it rained all of the long day.", 3 / 11),
        ("Johnson and shepherd theme", 0),
        ("she's here", 1 / 3),  # she, s, here
        ("— …", 0),
    ],
)
def test_a_line_is_kept_from_the_share_of_its_words_that_are_of_a_pair(line, share):
    def keeps(least):
        return PairDenseText.of(CorpusSettings(pair_share=least)).keeps(line)

    if share:
        assert keeps(share - 1e-9) and not keeps(share + 1e-9)
    else:
        assert not keeps(1e-9)


def test_lines_of_a_document_are_chosen_one_by_one_and_all_text_is_used_by_default():
    fates = Counter()
    text = "he saw\n\nthe long town\n  \nold man"
    assert PairDenseText.of(CorpusSettings(pair_share=0.5)).kept(text, fates) == "he saw\nold man"
    assert fates == {LEFT_OUT: 1}
    assert PairDenseText.of(CorpusSettings()) is None


def test_training_text_is_chosen_and_held_out_text_is_that_of_the_whole_corpus(prepare, wordpiece):
    plain = prepare()
    train = lines_of(wordpiece, plain.train)
    assert all(any(line in train for line in lines) for lines in (PLAIN, ONE, TWO))  # else nothing is seen below
    for least, kept in ((0.05, ONE + TWO), (0.1, TWO)):  # 1 and 2 of 12 and 13 words
        dense = prepare(pair_share=least)
        expected = Counter({line: n for line, n in train.items() if line in kept})
        assert lines_of(wordpiece, dense.train) == expected
        assert lines_of(wordpiece, dense.held_out) == lines_of(wordpiece, plain.held_out)
        assert dense.report[LEFT_OUT] == train.total() - expected.total()
        assert dense.report["sequences"] == expected.total() and dense.token_counts.sum() == dense.report["tokens"]
        streamed = prepare(stream=True, pair_share=least)
        assert lines_of(wordpiece, streamed.train) == expected and streamed.report[LEFT_OUT] is None
        assert lines_of(wordpiece, streamed.held_out) == lines_of(wordpiece, plain.held_out)


def test_what_is_chosen_is_augmented_after_that(prepare, wordpiece):
    dense, both = prepare(pair_share=0.1), prepare(pair_share=0.1, cda="two_sided")
    assert len(both.train) == 2 * len(dense.train) and both.report[COUNTED] == len(dense.train)
    assert both.report[LEFT_OUT] == dense.report[LEFT_OUT]


def test_each_choice_has_shards_of_its_own_and_a_corpus_without_one_those_it_always_had(prepare, tmp_path):
    file = tmp_path / "pairs.txt"
    file.write_text("town law\n")
    plain = prepare().report
    assert not {"pair_share", "pair_share_pairs", LEFT_OUT} & plain.keys()
    assert prepare(pair_share_pairs=str(file)).report == plain  # without a share the pairs decide nothing
    reports = [prepare(pair_share=share).report for share in (0.05, 0.1)]
    reports.append(prepare(pair_share=0.1, pair_share_pairs=str(file)).report)
    assert len({report["content_sha256"] for report in [plain, *reports]}) == 4
    assert reports[-1]["pair_share_source"] == "pairs.txt" and reports[-1]["sequences"] != reports[1]["sequences"]


def test_a_share_outside_its_range_and_text_without_such_lines_are_refused(prepare):
    for share in (-0.1, 1.1):
        with pytest.raises(ValueError, match=rf"corpus\.pair_share must be at least 0 and at most 1, not {share}"):
            CorpusSettings(pair_share=share)
    with pytest.raises(ValueError, match=r"no training sequence: .* 5 lines left out by corpus\.pair_share"):
        prepare(documents=PLAIN, pair_share=0.1, held_out=0)
    with pytest.raises(ValueError, match=r"no training sequence; check .* corpus\.pair_share"):
        prepare(documents=PLAIN, pair_share=0.1, held_out=0, stream=True)
