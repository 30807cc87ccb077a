"""What stands beside a number in the tables and results of a card belongs to that number: n, p-value, sign."""

import re

import pytest
from full_report import complete, pairs_entry
from test_card_opening import opening
from test_card_sections import section
from test_model_index import results

from evenhand.model_cards import CardFacts, build_card
from evenhand.model_cards.verification.seat_comparison import compare_seat


def headline(report):
    return report["measures"]["seat"][0]


def rows_of(text, start):
    """Cells by column, of each table row that begins so."""
    lines = text.splitlines()
    head = next(line for line in lines if line.startswith("| score |"))
    return [
        dict(zip(head.strip("| ").split(" | "), line.strip("| ").split(" | "), strict=True))
        for line in lines
        if line.startswith(f"| {start}")
    ]


def test_n_beside_the_mean_is_that_of_its_own_family(report):
    for family, n in (("gender", 632), ("control", 1200)):
        headline(report)["model"]["families"][family]["n_sentences"] = n
    card = build_card(report, CardFacts())
    assert "stimuli `builtin`; 60 words, 632 sentences): the student's mean |d| over 6 tests is" in opening(card)
    assert "Gender: 6 tests, 60 words, 632 sentences |" in card
    assert "6 tests, 60 words, 632 sentences" in section(card, "Uses and recommendations")
    assert "1,234 distinct sentences" in card  # all that passed through the model, under the table
    assert results(report)["seat", "mean-mean-builtin"].metric_args["n_sentences"] == 632


def test_an_older_report_names_the_words_alone(report):
    assert "stimuli `builtin`; 60 words): the student's" in opening(build_card(report, CardFacts()))
    headline(report)["comparison"] = None
    headline(report)["model"]["tests"]["sent-weat6"]["without_word"]["X"] = {"John": 0.1, "Paul": 0.2}
    assert "stimuli `builtin`; 3 words): the student's" in opening(build_card(report, CardFacts()))


def test_the_number_of_sentences_of_a_family_is_verified_and_an_older_report_has_none(report):
    older, measured = headline(report)["model"], headline(report)["reference"]
    measured = {
        **older,
        "families": {name: {**family, "n_sentences": 632} for name, family in older["families"].items()},
    }
    wrong = {
        **measured,
        "families": {**measured["families"], "gender": {**measured["families"]["gender"], "n_sentences": 633}},
    }
    assert all(row.passed for claimed in (older, measured) for row in compare_seat("SEAT", claimed, measured))
    failed = [row for row in compare_seat("SEAT", wrong, measured) if not row.passed]
    assert len(failed) == 1 and failed[0].note == "differs: families.gender.n_sentences"


def test_a_p_value_of_the_signed_change_is_not_printed_as_one_of_the_distances(report):
    entry = pairs_entry()
    entry["comparison"]["scores"][0] |= {"p_value": 0.0446, "p_value_method": "exact McNemar"}
    report["measures"]["crows_pairs"] = [entry]
    text = section(build_card(report, CardFacts()), "CrowS-Pairs")
    (row,) = rows_of(text, "CrowS-Pairs, gender")
    assert row["p, signed change"] == "0.0446" and "p" not in row
    assert '\np: exact McNemar. "p, signed change" asks whether the score itself moved' in text
    args = results(report)["crows_pairs", "gender"].metric_args
    assert args["signed_change_p_value"] == 0.0446 and "difference_p_value" not in args


def test_scores_with_and_without_an_ideal_share_a_table(report):
    entry = pairs_entry()
    for part in ("model", "reference", "comparison"):
        first = entry[part]["scores"][0]
        entry[part]["scores"].append({**first, "key": "lm", "name": "LM score", "ideal": None, "better": "higher"})
    entry["comparison"]["scores"][1] |= {"p_value": 0.25, "p_value_method": "bootstrap"}
    report["measures"]["stereoset"] = [entry]
    text = section(build_card(report, CardFacts()), "StereoSet, intrasentence")
    distance, other = *rows_of(text, "CrowS-Pairs, gender"), *rows_of(text, "LM score")
    assert (distance["p"], distance["p, signed change"]) == ("–", "0.1600")
    assert (other["p"], other["p, signed change"]) == ("0.2500", "–")


def test_how_p_was_found_stands_under_the_table(report):
    glue = complete(report)["measures"]["glue"][0]["comparison"]
    for change, method in zip(glue["scores"], ("bootstrap", "exact McNemar"), strict=True):
        change["p_value_method"] = method
    glue["mean_of_tasks_run"]["p_value_method"] = "bootstrap"
    text = section(build_card(report, CardFacts()), "GLUE")
    assert "\np: bootstrap; exact McNemar.\n" in text and "signed change" not in text


def test_the_verdict_of_a_seat_test_stands_beside_the_difference_that_it_is_on(report):
    change = headline(report)["comparison"]["tests"]["sent-weat6"]
    change |= {
        "difference": -0.9,
        "difference_absolute": 0.3,
        "confidence_interval_absolute": [0.1, 0.5],
        "verdict": "worse",
    }
    args = results(report)["seat", "sent-weat6-mean-builtin"].metric_args
    assert args["verdict"] == "worse" and args["verdict_on"] == "difference_absolute"
    assert args["difference_absolute"] == 0.3 and args["difference_absolute_confidence_interval"] == [0.1, 0.5]
    assert args["difference_from_teacher"] == -0.9
    mean = results(report)["seat", "mean-mean-builtin"].metric_args
    assert "verdict_on" not in mean  # a mean of |d| has one difference alone


def test_numbers_with_equal_weights_for_words_stand_in_a_table_of_their_own(report):
    for side, shift in (("model", 0.1), ("reference", 0.2)):
        test = headline(report)[side]["tests"]["sent-weat6b"]
        test |= {"effect_size_word_balanced": test["effect_size"] + shift, "p_value_word_balanced": shift}
    table = section(build_card(report, CardFacts()), "Gender association (SEAT)").split("Every word weighing the same")[
        1
    ]
    assert "| test | d teacher | p teacher | d student | p student |" in table
    assert "| C6b | +0.699 | 0.2000 | +0.162 | 0.1000 |" in table.split("</details>")[0]


@pytest.mark.parametrize(("side", "name"), [("model", "student"), ("reference", "teacher")])
def test_a_disagreement_in_sign_is_noted_under_the_table(report, side, name):
    assert "signs disagree" not in build_card(report, CardFacts())
    test = headline(report)[side]["tests"]["sent-weat6b"]
    test |= {"effect_size_word_balanced": -0.05, "sign_disagreement": True}
    (line,) = [line for line in build_card(report, CardFacts()).splitlines() if "signs disagree" in line]
    assert (
        line.startswith("C6b: ")
        and f"the {name}'s d is {test['effect_size']:+.3f} as sentences weigh and -0.050" in line
    )


def p_values(value):
    """Of the JSON text, so that nothing depends on how the card walks it."""
    found = re.findall(r"'(p_value\w*)': (\d[^,}\]]*)", str(value))
    return sum(not name.endswith(("_holm", "_permutations", "_flips")) for name, _ in found)


def test_every_uncorrected_p_value_of_the_report_is_counted(report):
    complete(report)
    text = section(build_card(report, CardFacts()), "Limits of the measurement")
    counts = {cells[0]: cells[2] for line in text.splitlines() if len(cells := line.strip("| ").split(" | ")) == 4}
    measures = report["measures"]
    for row, entry in (
        ("SEAT, mean, builtin", measures["seat"][0]),
        ("SEAT, cls, sent-bias", measures["seat"][1]),
        ("GLUE", measures["glue"][0]),
        ("CrowS-Pairs", measures["crows_pairs"][0]),
    ):
        assert int(counts[row]) == p_values(entry) > 0, row


def test_a_mean_over_tests_that_are_called_another_family_has_a_card(report):
    result = headline(report)["model"]
    for test in result["tests"].values():
        test["family"] = "custom"
    result["families"] = {"custom": result["families"]["gender"]}
    assert "stimuli `builtin`; numbers of words and sentences not recorded): the" in opening(
        build_card(report, CardFacts())
    )
