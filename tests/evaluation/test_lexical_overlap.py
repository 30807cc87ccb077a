"""The lexical-overlap generator: labels that are right, overlap that is as asked, splits that share no premise."""

import itertools
import re

import numpy as np
import pytest

from evenhand.evaluation.grouped_data import lexical_overlap, load_grouped_data
from evenhand.evaluation.grouped_data.columns import numbers
from evenhand.evaluation.grouped_data.lexical_overlap import OverlapGrammar, builtin_grammar, generate, group_sides
from evenhand.evaluation.grouped_data.word_overlap import contained_share

BOTH = {"follows": {"b t a": "lexical_overlap"}, "does_not": {"a t b": "lexical_overlap"}}
SMALL = {"n_train": 400, "n_validation": 40, "n_test": 80}


@pytest.fixture(scope="module")
def data():
    return load_grouped_data("lexical_overlap", **SMALL)


def words(text):
    return re.findall(r"\w+", text.lower())


def test_high_overlap_means_all_words_and_low_means_no_content_word(data):
    for rows in data.splits.values():
        for row in rows:
            common = set(words(row["text"])) & set(words(row["text_pair"]))
            if row["heuristic"] == "low overlap":
                assert common <= {"the"}
            else:
                assert common == set(words(row["text_pair"]))


def test_the_heuristics_are_what_they_are_called(data):
    for rows in data.splits.values():
        for row in rows:
            premise, hypothesis = f" {' '.join(words(row['text']))} ", f" {' '.join(words(row['text_pair']))} "
            if row["heuristic"] in ("subsequence", "constituent"):
                assert hypothesis in premise
            if row["heuristic"] == "lexical overlap":
                assert hypothesis not in premise


def test_overlap_predicts_the_label_as_strongly_as_asked(data):
    for split, share in {"train": 0.9, "test": 0.9, "aligned": 1.0, "conflicting": 0.0, "neutral": 0.5}.items():
        rows = data.splits[split]
        high = np.array([kind != "low overlap" for kind in rows["heuristic"]])
        entailed = numbers(rows, "label") == 0
        assert entailed.mean() == 0.5
        assert high[entailed].mean() == share and (~high)[~entailed].mean() == share
        sides = data.side_counts(split)
        assert sides[True] == round(share * len(rows)) and sides[True] + sides[False] == len(rows)
    assert data.shift == ("conflicting", "neutral")


def test_no_premise_is_in_two_splits_or_twice_in_one(data):
    premises = {split: rows["text"][:] for split, rows in data.splits.items()}
    assert all(len(set(texts)) == len(texts) for texts in premises.values())
    for one, other in itertools.combinations(premises, 2):
        assert not set(premises[one]) & set(premises[other])


def with_few_words(monkeypatch, constructions=None):
    """The generator with three pairs of synonyms of each kind, and four of nouns."""
    whole = builtin_grammar()
    words = {kind: listed[: 4 if kind == "nouns" else 3] for kind, listed in whole.words.items()}
    few = OverlapGrammar(words, constructions or whole.constructions)
    monkeypatch.setattr(lexical_overlap, "builtin_grammar", lambda: few)


def test_no_premise_is_shared_even_by_few_words_other_seeds_and_sizes(monkeypatch):
    """With so few words hundreds of pairs would meet by chance, were the splits' premises not apart."""
    with_few_words(monkeypatch)
    train = {pair.premise for pair in generate("train", 1500, 0.9, seed=4)}
    assert len(train) == 1500
    for split in ("validation", "test", "aligned", "conflicting", "neutral"):
        assert not train & {pair.premise for pair in generate(split, 300, 0.5, seed=9)}
    assert not train & {pair.premise for pair in generate("train", 200, 0.9, seed=5, exclude=train)}
    assert train & {pair.premise for pair in generate("train", 200, 0.9, seed=5)}


def test_more_pairs_than_the_words_give_is_one_line(monkeypatch):
    with_few_words(monkeypatch, ({"premise": "the {a} was {t} by the {b}", **BOTH},))
    monkeypatch.setattr(lexical_overlap, "HEURISTICS", ("lexical_overlap",))
    with pytest.raises(ValueError, match=r"no more than about \d+ premises for 'test'; ask for fewer pairs"):
        list(generate("test", 300, 1.0, seed=0))


def test_the_same_seed_gives_the_same_pairs_and_sizes_of_other_splits_do_not_matter(data):
    again = load_grouped_data("lexical_overlap", **{**SMALL, "n_train": 100})
    assert again.splits["test"].to_list() == data.splits["test"].to_list()
    other = load_grouped_data("lexical_overlap", **SMALL, seed=1)
    assert other.splits["test"].to_list() != data.splits["test"].to_list()
    assert data.facts["sha256"] not in (again.facts["sha256"], other.facts["sha256"])


def test_no_hypothesis_alone_tells_the_overlap():
    """Every word of a hypothesis is as frequent with a high overlap as with a low one, to chance."""
    pairs = list(generate("train", 3000, 0.5, seed=0))
    counts: dict[str, list[int]] = {}
    for pair in pairs:
        for word in words(pair.hypothesis):
            counts.setdefault(word, [0, 0])[pair.heuristic is None] += 1
    z = [abs(a - b) / (a + b) ** 0.5 for a, b in counts.values()]
    assert len(z) > 150 and max(z) < 4.5 and np.mean(np.square(z)) < 1.6


def parsed(event):
    subject, verb, *objects = event.split()
    return subject, verb, objects[0] if objects else None


def test_every_construction_says_what_follows_by_its_own_words():
    """Each event's words stand in the premise; no event both follows and does not; every cell has a construction."""
    grammar = builtin_grammar()
    for construction in grammar.constructions:
        slots = set(re.findall(r"{(\w+)}", construction["premise"]))
        follows, does_not = construction.get("follows", {}), construction.get("does_not", {})
        assert not set(follows) & set(does_not)
        for event in (*follows, *does_not):
            subject, verb, thing = parsed(event)
            assert {subject, verb, *([thing] if thing else [])} <= slots
            assert (verb == "i") == (thing is None)
    for entailed in (True, False):
        for heuristic in ("lexical_overlap", "subsequence", "constituent"):
            assert len(grammar.options(entailed, heuristic)) >= 3


def test_no_word_is_in_two_pairs_of_synonyms():
    grammar = builtin_grammar()
    listed = [word for kind in ("nouns", "transitive", "intransitive") for pair in grammar.words[kind] for word in pair]
    assert len(set(listed)) == len(listed) and all(re.fullmatch("[a-z]+", word) for word in listed)


def active(sentence):
    """(subject, verb, object) of a plain clause, by hand."""
    found = words(sentence)
    assert found[0] == "the"
    return (found[1], found[2], found[4] if len(found) > 3 else None)


def test_labels_of_some_constructions_agree_with_a_reading_by_hand(data):
    """Passives, relative clauses and conditionals are read here with patterns of their own."""
    synonym = {}
    for kind in ("nouns", "transitive", "intransitive"):
        for one, other in builtin_grammar().words[kind]:
            synonym[one] = synonym[other] = one
    patterns = {
        r"^the (\w+) was (\w+) by the (\w+)$": lambda m: {(m[3], m[2], m[1])},
        r"^the (\w+) who (\w+) the (\w+) (\w+) the (\w+)$": lambda m: {(m[1], m[2], m[3]), (m[1], m[4], m[5])},
        r"^the (\w+) that the (\w+) (\w+) (\w+)$": lambda m: {(m[2], m[3], m[1]), (m[1], m[4], None)},
        r"^the (\w+) (?:near|beside|behind|opposite|next to) the (\w+) (\w+)$": lambda m: {(m[1], m[3], None)},
        r"^(?:if|unless|in case|provided) the (\w+) (\w+) the (\w+) will have (\w+) the (\w+)$": lambda m: set(),
        r"^the (\w+) (\w+) or the (\w+) (\w+) the (\w+)$": lambda m: set(),
        r"^the \w+ (?:claimed|hoped|feared|suspected|imagined|denied|assumed|dreamed) that the .*$": lambda m: set(),
        r"^the (\w+) and the (\w+) (\w+) the (\w+)$": lambda m: {(m[1], m[3], m[4]), (m[2], m[3], m[4])},
        r"^the (\w+) (\w+) the (\w+) and (\w+)$": lambda m: {(m[1], m[2], m[3]), (m[1], m[4], None)},
    }
    seen = dict.fromkeys(patterns, 0)
    for row in itertools.chain(*data.splits.values()):
        premise = " ".join(words(row["text"]))
        for pattern, facts_of in patterns.items():
            match = re.match(pattern, premise)
            if match:
                seen[pattern] += 1
                facts = {tuple(synonym.get(word, word) for word in fact) for fact in facts_of(match)}
                claim = tuple(synonym.get(word, word) for word in active(row["text_pair"]))
                assert (claim in facts) == (row["label"] == 0), (row["text"], row["text_pair"])
    assert min(seen.values()) >= 5


def test_both_groupings_name_the_same_sides():
    assert group_sides("overlap") == {
        "entailment × high overlap": True,
        "entailment × low overlap": False,
        "non-entailment × high overlap": False,
        "non-entailment × low overlap": True,
    }
    by_heuristic = load_grouped_data("lexical_overlap", **SMALL)
    by_overlap = load_grouped_data("lexical_overlap", **SMALL, grouping="overlap")
    assert by_heuristic.side_counts("test") == by_overlap.side_counts("test")
    assert len(by_heuristic.group_names()) == 8 and len(by_overlap.group_names()) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strength": 0.4}, r"strength must lie between 0\.5 \(chance\) and 1"),
        ({"grouping": "side"}, "grouping must be 'heuristic' or 'overlap'"),
        ({"n_test": 2}, "sizes must be at least 8"),
        # 4 entailed, 9 in 10 of them with a high overlap: all of them
        (
            {"n_train": 400, "n_test": 8, "grouping": "overlap"},
            "split 'test': group 'entailment × low overlap' has no examples.* Ask for a larger n_test",
        ),
        ({"seed": -3}, "the seed not negative"),
        ({"strength": "0.9"}, "strength must be a number, not '0.9'"),
        ({"n_train": 20.5}, r"n_train must be a whole number, not 20\.5"),
    ],
)
def test_a_setting_out_of_range_is_one_line(settings, message):
    with pytest.raises(ValueError, match=message):
        load_grouped_data("lexical_overlap", **settings)


def test_word_overlap_by_hand():
    assert contained_share(["The cat sat."], ["the cat, the dog"]).tolist() == [0.75]
    assert contained_share(["a"], ["..."]).tolist() == [0.0]
