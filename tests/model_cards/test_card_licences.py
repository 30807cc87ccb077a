"""Licences: what names none counts as none, and the table lists the data that were measured on, no more and no less."""

import pytest
from full_report import complete, pairs_entry, scored_entry, stated
from test_card_sections import section

from evenhand.evaluation.scores import Score
from evenhand.model_cards import CardFacts, build_card
from evenhand.model_cards.licence import Licence, known_licence
from evenhand.model_cards.sections.card_source import CardSource
from evenhand.model_cards.sections.citations import cited_keys

NONE = Licence(None, None)
CARD = "the card of org/teacher"


@pytest.mark.parametrize(
    ("declared", "read", "known"),
    [
        (None, stated("unknown", CARD), NONE),
        (None, stated("other", CARD), NONE),
        (None, stated("other", CARD, name=" "), NONE),
        (None, stated("other", CARD, link="https://x.example"), Licence("other", CARD, None, "https://x.example")),
        ("unknown", stated("mit", CARD), NONE),
        ("other", stated("mit", CARD), NONE),
        ("other", stated("other", CARD, name="n"), Licence("other", CARD, "n", None)),
        ("other", None, NONE),
        ("mit", stated("unknown", CARD), Licence("mit", "declared by whoever publishes this model")),
    ],
)
def test_an_identifier_that_names_no_licence_is_none(report, declared, read, known):
    report["training"]["teacher"]["licence"] = read
    facts = CardFacts(licence=declared)
    assert known_licence(report, facts) == known
    card = build_card(report, facts)
    assert ("\nlicense: " in card) is (known.licence is not None)
    assert f"- Licence: {known.licence or 'not declared'}" in card


def measured_rows(report, **facts):
    """(name, licence) of the data that the card calls measured on."""
    lines = section(build_card(report, CardFacts(**facts)), "Licences").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if " | measurement | " in line]
    return [(row[0], row[2]) for row in rows]


def entry_of(measure, **data):
    score = Score("key", measure, 1.0, "nats", 10, (0.5, 1.5), better="lower")
    return {**scored_entry(measure, [score], [score], []), **data}


def test_data_that_are_no_known_benchmark_have_a_row_under_their_own_name(report):
    complete(report)
    report["measures"]["pseudo_perplexity"] = [
        entry_of("pseudo_perplexity", data={"name": "film.txt", "sha256": "1" * 64})
    ]
    report["measures"]["my_measure"] = [entry_of("my_measure", data={"name": "org/own", "sha256": "2" * 64})]
    rows = measured_rows(report, data_licences={"film.txt": "cc0-1.0"})
    assert ("film.txt", "cc0-1.0") in rows and ("org/own", "not recorded") in rows


def test_a_declared_licence_holds_for_training_and_measurement_alike(report):
    report["training"]["corpus"]["sources"][0]["path"] = "film.txt"
    report["measures"]["pseudo_perplexity"] = [
        entry_of("pseudo_perplexity", data={"name": "film.txt", "sha256": "1" * 64})
    ]
    text = section(build_card(report, CardFacts(data_licences={"film.txt": "cc0-1.0"})), "Licences")
    assert "| film.txt | training | cc0-1.0 |" in text and "| film.txt | measurement | cc0-1.0 |" in text
    assert text.count("film.txt") == 2


@pytest.mark.parametrize(
    ("splits", "occupations", "names"),
    [
        ([], 60, ["Winogender"]),
        (["test"], 0, ["WinoBias"]),
        (["dev", "test"], 60, ["Winogender", "WinoBias"]),
    ],
)
def test_of_the_two_sets_of_the_pronoun_gap_only_those_are_listed_and_cited_that_were_there(
    report, splits, occupations, names
):
    entry = entry_of("pronoun_gap", data={"name": "folder", "sha256": "1" * 64}, winobias_splits=splits)
    entry["model"] |= {"winobias_splits": splits, "n_occupations": occupations}
    report["measures"]["pronoun_gap"] = [entry]
    assert [name for name, _ in measured_rows(report) if name.startswith("Wino")] == names
    cited = cited_keys(CardSource(report, CardFacts(), "title"))
    keys = {"Winogender": "rudinger-etal-2018-gender", "WinoBias": "zhao-etal-2018-gender"}
    assert [key for key in cited if key in keys.values()] == [keys[name] for name in names]


def test_data_of_a_measure_that_did_not_apply_are_not_listed(report):
    entry = pairs_entry() | {"model": None, "reference": None, "comparison": None}
    report["measures"]["crows_pairs"] = [entry | {"not_applicable": {"model": "no head", "reference": "no head"}}]
    assert "CrowS-Pairs" not in dict(measured_rows(report))
