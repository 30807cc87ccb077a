"""From lines to sequences: what is wrapped, cut and dropped."""

from collections import Counter

import pytest

from evenhand.trainer import sequences
from evenhand.trainer.sequences import SequenceRules

TEN_WORDS = "the old teacher was happy and he saw the town"


def run(wordpiece, text, max_length=32):
    fates = Counter()
    found = list(SequenceRules(max_length).sequences(text, wordpiece, fates))
    return [wordpiece.convert_ids_to_tokens(ids) for ids in found], fates


def test_each_line_becomes_one_wrapped_sequence(wordpiece):
    found, fates = run(wordpiece, f"{TEN_WORDS}\n\n  {TEN_WORDS} .  \n")
    assert found == [
        ["[CLS]", *TEN_WORDS.split(), "[SEP]"],
        ["[CLS]", *TEN_WORDS.split(), ".", "[SEP]"],
    ]
    assert fates == {"sequences": 2, "tokens": 25, "cut": 0}


def test_eleven_tokens_or_fewer_are_dropped_specials_included(wordpiece):
    nine = " ".join(TEN_WORDS.split()[:9])
    found, fates = run(wordpiece, f"{nine}\n{TEN_WORDS}")
    assert [len(sequence) for sequence in found] == [12]
    assert fates["dropped_short"] == 1


def test_half_unknown_is_dropped_and_less_is_kept(wordpiece):
    words = TEN_WORDS.split()
    half = " ".join(["qzx"] * 6 + words[:4])  # 6 of 12 tokens
    less = " ".join(["qzx"] * 5 + words[:5])
    found, fates = run(wordpiece, f"{half}\n{less}")
    assert len(found) == 1 and found[0].count("[UNK]") == 5
    assert fates["dropped_unknown"] == 1


def test_long_lines_are_cut_and_every_piece_is_wrapped(wordpiece):
    words = (TEN_WORDS.split() * 4)[:38]  # room for 14: 14 + 14 + 10
    found, fates = run(wordpiece, " ".join(words), max_length=16)
    assert [sequence[1:-1] for sequence in found] == [words[:14], words[14:28], words[28:]]
    assert all(sequence[0] == "[CLS]" and sequence[-1] == "[SEP]" for sequence in found)
    assert fates == {"cut": 1, "sequences": 3, "tokens": 44}


def test_short_rest_of_a_cut_line_is_dropped(wordpiece):
    words = (TEN_WORDS.split() * 2)[:18]
    found, fates = run(wordpiece, " ".join(words), max_length=16)
    assert len(found) == 1 and fates["dropped_short"] == 1


def test_line_that_just_fits_is_not_cut(wordpiece):
    found, fates = run(wordpiece, " ".join((TEN_WORDS.split() * 2)[:14]), max_length=16)
    assert len(found) == 1 and len(found[0]) == 16 and fates["cut"] == 0


def test_blank_text_gives_nothing(wordpiece):
    assert run(wordpiece, " \n\n") == ([], Counter())


def test_room_for_fewer_than_twelve_tokens_is_refused():
    with pytest.raises(ValueError, match=r"corpus\.max_length must be at least 12, not 11"):
        SequenceRules(11)


def test_documents_tokenised_together_give_what_each_gives_alone(wordpiece, byte_bpe, monkeypatch):
    monkeypatch.setattr(sequences, "CHARACTERS_AT_ONCE", 100)  # several calls, and borders within documents
    texts = [
        f"{TEN_WORDS}\n{TEN_WORDS} . he\n",
        "",
        "he",
        f"{TEN_WORDS} qzx John's mother\n\n" * 3,
        "galaxy [MASK] " * 12,
    ]
    for tokenizer in (wordpiece, byte_bpe):
        rules, together = SequenceRules(24), [Counter() for _ in texts]
        found = [list(one) for one in rules.of_documents(texts, tokenizer, together)]
        for text, of_document, fates in zip(texts, found, together, strict=True):
            alone = Counter()
            assert of_document == list(rules.sequences(text, tokenizer, alone)) and fates == alone
        ids = [tokenizer(line, add_special_tokens=False)["input_ids"] for line in texts[0].splitlines()]
        start, stop = tokenizer.cls_token_id, tokenizer.sep_token_id
        pieces = [line[i : i + 22] for line in ids for i in range(0, len(line), 22)]
        assert found[0] == [[start, *piece, stop] for piece in pieces if len(piece) >= 10]


def test_truncation_and_padding_left_over_in_a_tokenizer_change_nothing(wordpiece):
    expected = run(wordpiece, f"{TEN_WORDS} {TEN_WORDS}")
    wordpiece([TEN_WORDS], truncation=True, max_length=6, padding="max_length")
    assert run(wordpiece, f"{TEN_WORDS} {TEN_WORDS}") == expected
