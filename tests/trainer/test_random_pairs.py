"""Pairs of unrelated words for the mixup's control: as frequent as the gender pairs, whole words, none of those excluded."""

import random

import pytest
import torch
from transformers import BertTokenizer

from evenhand.trainer import WordPairs
from evenhand.trainer.function_words import function_word_share, function_words
from evenhand.trainer.random_pairs import RandomPairMixup, RandomPairs, draw_number, random_pairs
from evenhand.trainer.token_counts import count_whole_words
from evenhand.trainer.word_boundaries import WordBoundaries

GENDER = [word.lower() for pair in WordPairs.builtin().pairs for word in pair]
COUNTS = [2900, 800, 600, 670, 19_500, 6000, 750, 700, 560, 420, 690, 33, 180, 210, 17_800, 7700, 1300, 300, 1250, 240]
"""Of the twenty words, in their order: about those of four million tokens of English."""

STARTS, MIDDLES, ENDS = (
    ["nor", "mal", "ker", "dos", "ti", "pel", "ran", "zu"],
    ["ba", "den", "gi", "lo"],
    ["ster", "vel", "mon", "rick", "la", "te"],
)
OTHERS = [f"{a}{b}{c}" for a in STARTS for b in MIDDLES for c in ENDS]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="module")
def tokenizer():
    return BertTokenizer(vocab={t: i for i, t in enumerate([*SPECIAL, *GENDER, *OTHERS, "##ore", ".", "7", "x"])})


@pytest.fixture(scope="module")
def counts(tokenizer):
    """The other words between 20 and 25,000, evenly on a logarithmic scale; pieces, stops, digits and letters the most frequent."""
    numbers = torch.full((len(tokenizer),), 50_000)
    numbers[tokenizer.convert_tokens_to_ids(GENDER)] = torch.tensor(COUNTS)
    steps = [round(20 * (25_000 / 20) ** (i / (len(OTHERS) - 1))) for i in range(len(OTHERS))]
    numbers[tokenizer.convert_tokens_to_ids(OTHERS)] = torch.tensor(random.Random(0).sample(steps, len(steps)))
    return numbers


def drawn_words(drawn) -> list[str]:
    return [word for pair in drawn.pairs.pairs for word in pair]


@pytest.mark.parametrize("draw", range(4))
def test_each_word_and_all_together_are_as_frequent_as_the_gender_words(tokenizer, counts, draw):
    drawn = random_pairs(tokenizer, counts, draw=draw)
    words = drawn_words(drawn)
    assert len(words) == len(set(words)) == 20 and set(words) <= set(OTHERS)
    n = [int(counts[tokenizer.convert_tokens_to_ids(word)]) for word in words]
    assert n == [count for pair in drawn.occurrences for count in pair]
    assert [count for pair in drawn.occurrences_matched for count in pair] == COUNTS
    assert all(1 / 1.2 < mine / other < 1.2 for mine, other in zip(n, COUNTS, strict=True))
    assert abs(sum(n) / sum(COUNTS) - 1) < 0.01


def test_a_draw_depends_on_its_number_and_the_counts_alone(tokenizer, counts):
    torch.manual_seed(1)
    random.seed(1)
    first = random_pairs(tokenizer, counts)
    torch.manual_seed(2)
    random.seed(2)
    assert random_pairs(tokenizer, counts.clone()) == first
    assert {random_pairs(tokenizer, counts, draw=k).pairs.pairs for k in range(3)} != {first.pairs.pairs}
    assert drawn_words(random_pairs(tokenizer, counts.roll(1) + 1)) != drawn_words(first)


def test_excluded_words_are_never_drawn_whatever_their_case(tokenizer, counts):
    exclude = {word.upper() for word in OTHERS[:20]}
    for draw in range(5):
        drawn = random_pairs(tokenizer, counts, exclude=exclude, draw=draw)
        assert not set(drawn_words(drawn)) & set(OTHERS[:20]) and drawn.excluded == 20


def test_pairs_that_do_not_occur_are_not_matched(tokenizer, counts):
    counts = counts.clone()
    counts[tokenizer.convert_tokens_to_ids(["guy", "gal", "woman"])] = 0
    drawn = random_pairs(tokenizer, counts)
    assert len(drawn.pairs.pairs) == 9 and ("guy", "gal") not in drawn.matched_to
    assert drawn.occurrences_matched[0] == (2900, 0)


def test_too_few_words_or_none_to_match_are_refused(tokenizer, counts):
    with pytest.raises(
        ValueError, match=r"holds 22 words that may stand in for the 20 of the pairs, fewer than the 24"
    ):
        random_pairs(tokenizer, counts, exclude=OTHERS[22:])
    without = counts.clone()
    without[tokenizer.convert_tokens_to_ids(GENDER)] = 0
    with pytest.raises(ValueError, match="holds no word of the pairs"):
        random_pairs(tokenizer, without)


def test_words_of_a_bpe_vocabulary_are_those_that_begin_after_a_space(byte_bpe):
    counts = torch.full((len(byte_bpe),), 10)
    drawn = random_pairs(byte_bpe, counts, like=WordPairs((("he", "she"),)))
    for word in drawn_words(drawn):
        assert len(byte_bpe.encode(f" {word}", add_special_tokens=False)) == 1 and word.isalpha()


def test_the_mixup_of_random_pairs_says_what_it_is_and_lists_them(tokenizer, counts):
    drawn = random_pairs(tokenizer, counts, draw=2, exclude=["nurse"])
    mixup = RandomPairMixup(tokenizer, drawn, alpha=0.7)
    report = mixup.report()
    assert (report["name"], report["alpha"]) == ("random_pair_mixup", 0.7)
    assert report["pairs"]["matched"] == [list(pair) for pair in drawn.pairs.pairs]
    assert report["pairs"]["source"] == "random words as frequent as those of bolukbasi2016"
    listed = report["random_pairs"]
    assert (listed["draw"], listed["excluded_words"], listed["occurrences_matched"]) == (2, 1, sum(COUNTS))
    assert listed["pairs"][0]["in_place_of"] == ["man", "woman"] and listed["pairs"][0]["occurrences_of_those"] == [
        2900,
        800,
    ]
    ids = torch.tensor([[2, *tokenizer.convert_tokens_to_ids([*drawn.pairs.pairs[0], "he"]), 3]])
    found = mixup.compiled.occurrences(ids, ids, torch.ones_like(ids))
    assert found.positions.tolist() == [1, 2] and found.twin_ids.tolist() == ids[0, [2, 1]].tolist()


def test_the_report_says_which_drawn_words_are_of_grammar_and_their_share_of_the_occurrences(tokenizer):
    like = WordPairs((("he", "she"),))
    drawn = RandomPairs(WordPairs((("The", "kerbamon"),)), like.pairs, ((30, 10),), ((31, 9),), 0, 0)
    report = drawn.report()
    assert report["function_words"] == ["The"] and report["function_word_share"] == 0.75
    assert function_word_share({}) is None and function_word_share({"nurse": 2}) == 0
    assert {"of", "which", "not"} <= function_words() and not {"nurse", "house", "run"} & function_words()


def test_whole_words_are_counted_and_pieces_of_others_are_not(wordpiece):
    lines = ["galore gal saw gal", "gals gal , step grandfather", "galore"]
    rows = [{"input_ids": ids} for ids in wordpiece(lines)["input_ids"]]
    counts = count_whole_words(rows, WordBoundaries(wordpiece))
    found = {
        word: int(counts[wordpiece.convert_tokens_to_ids(word)])
        for word in ("gal", "saw", "step", "grand", ",", "##ore")
    }
    assert found == {"gal": 3, "saw": 1, "step": 1, "grand": 0, ",": 1, "##ore": 0}


def test_which_draw_a_recipe_asks_for():
    assert [draw_number(name) for name in ("random", "random:3", "builtin", "random.txt", "random:")] == [
        0,
        3,
        None,
        None,
        None,
    ]
