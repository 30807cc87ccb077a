"""Word pairs: where they come from, what they become under a tokenizer, and where they stand in a text."""

import json

import pytest
import torch

from evenhand.trainer import WordPairs


def test_builtin_pairs_are_the_ten_of_bolukbasi_with_the_male_word_first(ten_pairs):
    pairs = WordPairs.load("builtin")
    assert set(pairs.pairs) == set(ten_pairs) and len(pairs.pairs) == 10
    assert pairs.sides == ("male", "female")


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    (
        "king queen\nuncle   aunt\n",
        "king\tqueen\nuncle\taunt",
        "# title\n\nking, queen  # royal\nuncle ,aunt\n",
        '[["king", "queen"], [" uncle", "aunt "]]',
    ),
)
def test_json_and_two_column_text_are_read(tmp_path, text):
    file = tmp_path / "pairs.any"
    file.write_text(text)
    assert WordPairs.load(file).pairs == (("king", "queen"), ("uncle", "aunt"))
    assert WordPairs.load(file).source == "pairs.any"


@pytest.mark.parametrize(
    ("text", "message"),
    (
        ("king queen\nuncle\n", "line 2: 'uncle' does not have two columns"),
        ("king queen prince\n", "line 1"),
        ('[["king", "queen"], ["uncle"]]', "entry 1"),
        ('[["king", 3]]', "entry 0"),
        ('{"king": "queen"}', "JSON list"),
        ('[["king", "queen"]', "not valid JSON"),
        ("# nothing\n", "empty"),
        ("[]", "empty"),
        ("king king\n", "not a pair of two different words"),
        ('[["king", " "]]', "not a pair of two different words"),
        ("king queen\nqueen lady\n", "queen stands on both sides"),
    ),
)
def test_bad_files_are_refused_in_one_line_that_names_the_place(tmp_path, text, message):
    file = tmp_path / "pairs.txt"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        WordPairs.from_file(file)
    assert "\n" not in str(error.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.txt"):
        WordPairs.load(tmp_path / "nowhere.txt")


def test_hash_depends_on_words_and_order_of_columns_only(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([["king", "queen"]]))
    (tmp_path / "b.txt").write_text("king queen\n")
    assert WordPairs.load(tmp_path / "a.json").sha256 == WordPairs.load(tmp_path / "b.txt").sha256
    assert WordPairs((("queen", "king"),)).sha256 != WordPairs((("king", "queen"),)).sha256


# -- under a tokenizer -------------------------------------------------------------------------------------------------


def compiled(tokenizer, *pairs, **options):
    return WordPairs(pairs).compile(tokenizer, **options)


def spans(tokenizer, pairs, text, seen=None):
    """``[(observed tokens, twin tokens, is first side)]`` of the words found in ``text``; ``seen`` replaces its tokens."""
    ids = [tokenizer.cls_token_id, *tokenizer.encode(text, add_special_tokens=False), tokenizer.sep_token_id]
    shown = list(ids)
    for column, token in (seen or {}).items():
        shown[column] = tokenizer.convert_tokens_to_ids(token)
    grid = torch.tensor([ids])
    found = pairs.occurrences(torch.tensor([shown]), grid, torch.ones_like(grid))
    words = []
    for word in range(found.n_words):
        here = (found.word == word).nonzero().flatten().tolist()
        columns = found.positions[here].tolist()
        words.append(
            (
                " ".join(tokenizer.convert_ids_to_tokens([shown[c] for c in columns])),
                " ".join(tokenizer.convert_ids_to_tokens(found.twin_ids[here].tolist())),
                bool(found.is_first[here].all()),
            )
        )
    return words


def test_every_builtin_word_maps_to_its_twin(wordpiece, ten_pairs):
    pairs = WordPairs.builtin().compile(wordpiece)
    for male, female in ten_pairs:
        assert spans(wordpiece, pairs, f"{male} {female}") == [
            (male.lower(), female.lower(), True),
            (female.lower(), male.lower(), False),
        ]
    assert sorted(map(tuple, pairs.report()["matched"])) == sorted(ten_pairs)
    assert pairs.report()["multi_token"] == pairs.report()["skipped"] == []


def test_piece_of_another_word_is_not_the_word(wordpiece):
    pairs = WordPairs.builtin().compile(wordpiece)
    assert wordpiece.tokenize("galore") == ["gal", "##ore"]
    assert spans(wordpiece, pairs, "the galore") == []
    assert spans(wordpiece, pairs, "the gal") == [("gal", "guy", False)]


def test_piece_stays_a_piece_when_its_neighbour_is_masked(wordpiece):
    pairs = WordPairs.builtin().compile(wordpiece)
    assert spans(wordpiece, pairs, "the galore", seen={3: "[MASK]"}) == []


def test_punctuation_does_not_hide_a_word(wordpiece):
    pairs = WordPairs.builtin().compile(wordpiece)
    for text in ("he.", '"he', "(he)", "he's"):
        assert spans(wordpiece, pairs, text) == [("he", "she", True)]


def test_replacement_by_a_word_is_found_and_a_masked_word_is_not(wordpiece):
    pairs = WordPairs.builtin().compile(wordpiece)
    assert spans(wordpiece, pairs, "the town", seen={2: "she"}) == [("she", "he", False)]
    assert spans(wordpiece, pairs, "the man", seen={2: "[MASK]"}) == []
    assert spans(wordpiece, pairs, "the man", seen={2: "town"}) == []
    # inside another word a replacement is no whole word
    assert spans(wordpiece, pairs, "the galore", seen={3: "she"}) == []
    assert spans(wordpiece, pairs, "the galore", seen={2: "she"}) == []


def test_padding_holds_no_words(wordpiece):
    he = wordpiece.convert_tokens_to_ids("he")
    ids = torch.tensor([[2, he, 3, he]])
    found = WordPairs.builtin().compile(wordpiece).occurrences(ids, ids, torch.tensor([[1, 1, 1, 0]]))
    assert found.positions.tolist() == [1]


def test_rows_and_words_are_numbered(wordpiece):
    pairs = compiled(wordpiece, ("grandfather", "grandmother"), ("he", "she"))
    rows = ["he saw the grandfather", "the old town was .", "grandmother saw she ."]
    ids = torch.tensor([[2, *wordpiece.encode(row, add_special_tokens=False), 3] for row in rows])
    found = pairs.occurrences(ids, ids, torch.ones_like(ids))
    assert found.positions.tolist() == [1, 4, 5, 15, 16, 18]
    assert found.sequence.tolist() == [0, 0, 0, 2, 2, 2]
    assert found.word.tolist() == [0, 1, 1, 2, 2, 3]
    assert found.is_first.tolist() == [True, True, True, False, False, False]


def test_equal_length_spans_pair_position_by_position(wordpiece):
    pairs = compiled(wordpiece, ("grandfather", "grandmother"), ("father", "mother"))
    assert spans(wordpiece, pairs, "the grandfather") == [("grand ##father", "grand ##mother", True)]
    assert spans(wordpiece, pairs, "a father and grandmother") == [
        ("father", "mother", True),
        ("grand ##mother", "grand ##father", False),
    ]
    assert spans(wordpiece, pairs, "the grandfather", seen={2: "[MASK]"}) == []
    assert spans(wordpiece, pairs, "the grandfathers") == []
    assert pairs.report()["multi_token"] == [["grandfather", "grandmother"]]
    assert pairs.report()["matched"] == [["father", "mother"]]


@pytest.mark.parametrize(
    ("pair", "found"),
    ((("step-son", "step-daughter"), "step - son"), (("old man", "old woman"), "old man")),
)
def test_hyphenated_and_two_word_entries_are_found_as_a_whole(wordpiece, pair, found):
    pairs = compiled(wordpiece, pair, ("son", "daughter"))
    twin = found.replace("son", "daughter").replace("man", "woman")
    assert spans(wordpiece, pairs, f"the {pair[0]} saw") == [(found, twin, True)]


def test_pairs_of_unequal_length_are_refused_with_their_list(wordpiece):
    with pytest.raises(ValueError, match=r"grandfather/girl \(2 and 1 tokens\).*unequal_pairs=skip") as error:
        compiled(wordpiece, ("he", "she"), ("grandfather", "girl"))
    assert "\n" not in str(error.value) and "he/she" not in str(error.value)


def test_pairs_of_unequal_length_are_skipped_and_listed_by_option(wordpiece):
    pairs = compiled(wordpiece, ("he", "she"), ("grandfather", "girl"), unequal="skip")
    assert spans(wordpiece, pairs, "he grandfather girl") == [("he", "she", True)]
    report = pairs.report()
    assert report["skipped"] == [{"pair": ["grandfather", "girl"], "reason": "2 and 1 tokens"}]
    assert (report["n_pairs"], report["matched"]) == (2, [["he", "she"]])


def test_unknown_words_and_words_of_earlier_pairs_are_listed(wordpiece):
    pairs = compiled(wordpiece, ("he", "she"), ("qzx", "jvk"), ("he", "her"), ("HIS", "his"), unequal="skip")
    reasons = {tuple(entry["pair"]): entry["reason"] for entry in pairs.report()["skipped"]}
    assert reasons == {
        ("qzx", "jvk"): "not in the vocabulary",
        ("he", "her"): "a word stands in an earlier pair",
        ("HIS", "his"): "both sides have the same token ids",
    }


def test_list_of_which_nothing_is_left_is_refused(wordpiece):
    with pytest.raises(ValueError, match="No word pair"):
        compiled(wordpiece, ("qzx", "jvk"))


@pytest.mark.parametrize(("option", "value"), (("forms", "all"), ("unequal", "drop")))
def test_unknown_options_are_refused(wordpiece, option, value):
    with pytest.raises(ValueError, match=value):
        WordPairs.builtin().compile(wordpiece, **{option: value})


# -- byte-level BPE ----------------------------------------------------------------------------------------------------


def test_bpe_forms_each_pair_with_their_like(byte_bpe):
    pairs = WordPairs.builtin().compile(byte_bpe)
    assert spans(byte_bpe, pairs, "he he He.") == [("he", "she", True), ("Ġhe", "Ġshe", True), ("ĠHe", "ĠShe", True)]
    assert spans(byte_bpe, pairs, "She") == [("She", "He", False)]
    assert spans(byte_bpe, pairs, "Mary (son)") == [("Mary", "John", False), ("son", "daughter", True)]


def test_bpe_exact_form_is_the_word_after_a_space_only(byte_bpe):
    pairs = WordPairs.builtin().compile(byte_bpe, forms="exact")
    assert spans(byte_bpe, pairs, "he he He") == [("Ġhe", "Ġshe", True)]


def test_bpe_piece_of_another_word_is_not_the_word(byte_bpe):
    pairs = WordPairs.builtin().compile(byte_bpe)
    assert byte_bpe.tokenize(" galore")[0] == "Ġgal" and byte_bpe.tokenize("grandfather") == ["grand", "father"]
    assert spans(byte_bpe, pairs, "the galore") == []
    assert spans(byte_bpe, pairs, "the grandfather") == []
    assert spans(byte_bpe, pairs, "a galore", seen={3: "<mask>"}) == []
    assert spans(byte_bpe, pairs, "a gal.") == [("Ġgal", "Ġguy", False)]


def test_bpe_multi_token_words_pair_position_by_position(byte_bpe):
    pairs = compiled(byte_bpe, ("grandfather", "grandmother"))
    assert spans(byte_bpe, pairs, "the grandmother saw") == [("Ġgrand mother", "Ġgrand father", False)]


def test_the_long_list_holds_the_built_in_pairs_and_each_word_once():
    long, short = WordPairs.load("gendered_words"), WordPairs.builtin()
    assert long.pairs[: len(short.pairs)] == short.pairs and len(long.pairs) > 80
    words = [word.lower() for pair in long.pairs for word in pair]
    assert len(set(words)) == len(words)
    assert ("uncle", "aunt") in long.pairs and ("king", "queen") in long.pairs
    assert long.sides == short.sides and long.source == "gendered_words"
