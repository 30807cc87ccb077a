"""The first lines answer one question a sentence, each with its verdict, or say that it was not asked."""

import pytest
from full_report import complete, glue_entry, pairs_entry

from evenhand.model_cards import CardFacts, build_card


def opening(card):
    return card.split("\n---\n", 1)[1].split("\n## ")[0]


def test_a_speed_measured_on_a_busy_machine_says_so_where_it_is_stated(report):
    idle = complete(report)
    assert "busy with other work" not in opening(build_card(idle, CardFacts()))
    idle["measures"]["speed"][0]["model"]["scores"][0]["note"] = "repeats; this machine was busy: load"
    assert "2 threads, busy with other work)" in opening(build_card(idle, CardFacts()))


def test_every_question_has_a_sentence_with_intervals_and_verdict(report):
    text = opening(build_card(complete(report), CardFacts()))
    assert f"revision `{'a' * 40}`" in text
    assert (
        "passes 2.00 [1.90, 2.10] times as many sentences per second as its teacher (95 % interval, n = 25 repeats; "
        in text
    )
    assert "**Quality** (GLUE; mean over 2 tasks: CoLA, SST-2; 1,915 examples, 2 fine-tuning seeds)" in text
    assert (
        "**60.00 [57.00, 63.00]** points, its teacher's **63.00 [60.00, 66.00]**; difference -3.00 [-4.00, -2.00]"
        in text
    )
    assert (
        "95 % intervals: **worse**. This is not an average of GLUE as published ones are (no average; not run: RTE)"
        in text
    )
    assert (
        "**Second measure** (CrowS-Pairs, gender; n = 262): the student scores **58.5 [52.4, 64.4]** %, where 50 is ideal"
        in text
    )
    assert "its teacher 55.3 [49.2, 61.2]; difference of the distances from the ideal +3.2 [-1.1, +7.5]" in text
    assert "**not distinguishable** (at most 7.5 worse)" in text


def test_what_was_not_asked_is_said(report):
    text = opening(build_card(report, CardFacts()))
    for sentence in ("Speed-up over its teacher: not measured.", "**Quality** (GLUE): not measured.", "none was taken"):
        assert sentence in text


def test_a_whole_average_is_called_by_its_name(report):
    report["measures"]["glue"] = [glue_entry()]
    average = report["measures"]["glue"][0]["model"]["averages"][0]
    average |= {"value": 60.0, "confidence_interval": [57.0, 63.0], "note": None}
    text = opening(build_card(report, CardFacts()))
    assert "It is the average over eight tasks without WNLI." in text and "not an average of GLUE" not in text


def test_scores_without_a_teacher_compare_nothing(report):
    complete(report)
    for name in ("glue", "crows_pairs", "speed"):
        report["measures"][name][0] |= {"reference": None, "comparison": None}
    text = opening(build_card(report, CardFacts()))
    assert "passes 400.0 [390.0, 410.0] sentences/s" in text and "its teacher's speed was not measured" in text
    assert "points; the report holds no interval of a difference from its teacher, so none is claimed" in text
    assert "where 50 is ideal; no interval of a difference from its teacher" in text


def test_the_second_measure_is_the_first_one_taken_and_the_others_are_named(report):
    pairs = pairs_entry()
    report["measures"] |= {"aul": [pairs_entry()], "crows_pairs": [pairs]}
    text = opening(build_card(report, CardFacts()))
    assert "Further measures of bias below: All Unmasked Likelihood." in text
    pairs["model"]["scores"] = []
    assert "Further measures" not in opening(build_card(report, CardFacts()))


@pytest.mark.parametrize(("shift", "found"), [(0.3, True), (0.0, False)])
def test_an_accepted_amplification_stands_at_the_top_with_what_the_gate_found(report, shift, found):
    change = report["measures"]["seat"][0]["comparison"]["families"]["gender"]
    change |= {"difference": shift, "confidence_interval": [shift - 0.1, shift + 0.1]}
    card = build_card(report, CardFacts(accepted_amplification="it serves | a comparison"))
    quoted = next(line for line in card.splitlines() if line.startswith("> "))
    assert "The reason that was given: it serves &#124; a comparison" in quoted
    assert ("mean &#124;d&#124; of the gender tests is reliably worse" in quoted) is found
    assert card.index(quoted) < card.index("**Gender association**")
    assert "\n> " not in build_card(report, CardFacts())
