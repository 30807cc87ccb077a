"""Advice follows from the results by the rules that the card prints with it."""

import pytest
from full_report import complete, glue_entry, grid_entry, pairs_entry

from evenhand.evaluation.verdict import verdict
from evenhand.model_cards import CardFacts, build_card
from evenhand.model_cards.card import CardSource
from evenhand.model_cards.published_report import published_report
from evenhand.model_cards.sections.recommendation_rules import RULES


def advice(report, facts=None):
    """Rule -> advice."""
    source = CardSource(published_report(report), facts or CardFacts(), "title")
    return {str(given.rule): str(given.text) for rule in RULES if (given := rule(source)) is not None}


def set_change(report, table, interval):
    middle = sum(interval) / 2
    family = report["measures"]["seat"][table]["comparison"]["families"]["gender"]
    family |= {"difference": middle, "confidence_interval": list(interval), **verdict(interval, "lower")}


@pytest.mark.parametrize(
    ("interval", "rule", "text"),
    [
        (
            (0.1, 0.5),
            "the verdict on mean |d| is worse",
            "higher (difference +0.300 [+0.10, +0.50]; 6 tests, 60 words)",
        ),
        ((-0.5, -0.1), "the verdict on mean |d| is better", "no clearance: a mean |d| of 0.737 [0.50, 0.90] is left"),
        ((-0.1, 0.5), "the verdict on mean |d| is not distinguishable", "a rise of up to 0.500 is not excluded"),
    ],
)
def test_the_verdict_on_the_mean_decides(report, interval, rule, text):
    set_change(report, 0, interval)
    assert text in advice(report)[rule]
    assert f"*Rule: {rule}.*" in build_card(report, CardFacts())


def test_without_a_comparison_one_is_asked_for(report):
    report["measures"]["seat"][0]["comparison"] = None
    assert "Measure its gender association" in advice(report)["no comparison of mean |d|"]


def test_associations_that_stand_out_are_named_with_interval_and_n(report):
    rule = "Holm-corrected word-level p below 0.05 in the headline's gender tests"
    assert rule not in advice(report)
    report["measures"]["seat"][0]["model"]["tests"]["sent-weat7"]["p_value_holm"] = 0.049
    text = advice(report)[rule]
    assert (
        "C7 (math / arts with male terms / female terms; d +0.447 [+0.05, +0.75], 32 words)" in text
        and "C6" not in text
    )


def test_a_risen_test_counts_by_the_thresholds_of_the_gate(report):
    change = report["measures"]["seat"][0]["comparison"]["tests"]["sent-weat8"]
    change |= {"difference_absolute": 0.4, "confidence_interval_absolute": [0.2, 0.6], "p_value_holm": 0.03}
    rule = "interval of Δ|d| above 0 and Holm-corrected p of the difference below 0.05"
    assert "C8 (Δ|d| +0.400 [+0.20, +0.60], 32 words)" in advice(report)[rule]
    for gate in ({"test_margin": 0.25}, {"alpha": 0.02}):
        assert not any("interval of Δ|d|" in rule for rule in advice(report, CardFacts(gate=gate)))


def test_verdicts_that_disagree_are_told(report):
    rule = "the SEAT tables disagree on the verdict"
    assert rule not in advice(report)
    set_change(report, 1, (-0.1, 0.2))
    assert "better with mean on builtin; not distinguishable with cls on sent-bias" in advice(report)[rule]


def test_a_lost_control_warns_of_lost_knowledge(report):
    rule = "a control's interval is above zero for the teacher and not for the student"
    assert rule not in advice(report)
    report["measures"]["seat"][0]["model"]["tests"]["sent-weat1"]["confidence_interval"] = [-0.1, 0.9]
    assert "C1 (flowers / insects" in advice(report)[rule]


def test_signs_that_flip_are_told(report):
    rule = "the sign differs from the headline's in a cell of the sensitivity grid"
    report["measures"]["seat_sensitivity"] = [grid_entry(flipped=0)]
    assert rule not in advice(report)
    report["measures"]["seat_sensitivity"] = [grid_entry(flipped=3)]
    assert "C6 (3 of 4 cells)" in advice(report)[rule]


@pytest.mark.parametrize(
    ("change", "half", "word", "text"),
    [
        (
            -3.0,
            1.0,
            "worse",
            "Expect less quality than its teacher's after fine-tuning (difference -3.00 [-4.00, -2.00]",
        ),
        (3.0, 1.0, "better", "It scored above its teacher (difference +3.00 [+2.00, +4.00]"),
        (-0.5, 1.0, "not distinguishable", "one of up to 1.50 points is not excluded"),
    ],
)
def test_the_verdict_on_glue_decides_on_quality(report, change, half, word, text):
    report["measures"]["glue"] = [glue_entry(change, half)]
    given = advice(report)[f"the verdict on the mean of the GLUE tasks run is {word}"]
    assert text in given and "2 tasks, 1,915 examples" in given


def test_without_glue_a_test_of_ones_own_is_asked_for(report):
    assert "GLUE was not measured" in advice(report)["no GLUE score"]


def test_other_measures_that_got_worse_are_named(report):
    rule = "a further measure's verdict is worse"
    report["measures"]["crows_pairs"] = [pairs_entry()]
    assert rule not in advice(report)
    report["measures"]["crows_pairs"] = [pairs_entry(5.0, (1.0, 9.0))]
    assert "CrowS-Pairs, gender (difference +5.0 [+1.0, +9.0], n = 262)" in advice(report)[rule]


def test_an_anisotropic_space_and_a_trained_head_are_warned_of(report):
    assert "the mean cosine is above the measure's threshold" not in advice(report)
    report["measures"]["seat"][0]["model"]["anisotropy"]["warning"] = "all alike"
    assert "a cosine of 0.310 on average" in advice(report)["the mean cosine is above the measure's threshold"]
    assert "for 400 steps" in advice(report)["the teacher had no masked-LM head of its own"]
    report["training"]["teacher"]["mlm_head"] = None
    assert "the teacher had no masked-LM head of its own" not in advice(report)


def test_thresholds_of_the_gate_and_what_it_found_stand_in_the_card(report):
    facts = CardFacts(gate={"mean_margin": 0.07, "test_margin": 0.09, "alpha": 0.01})
    text = next(line for line in build_card(report, facts).splitlines() if line.startswith("Before publishing"))
    assert (
        "lies above 0.07" in text
        and "lies above 0.09" in text
        and "below 0.01" in text
        and "Nothing was found here." in text
    )
    set_change(report, 0, (0.1, 0.5))
    assert "Found here: mean &#124;d&#124; of the gender tests" in build_card(report, facts)


def test_hostile_names_stay_escaped_in_advice(report):
    test = complete(report)["measures"]["seat"][0]["model"]["tests"]["sent-weat6"]
    test |= {"label": "<b>{x}|", "targets": ["*a*", "[b](c)"], "p_value_holm": 0.001}
    card = build_card(report, CardFacts())
    line = next(line for line in card.splitlines() if "Do not let its vectors" in line)
    assert "&#60;b&#62;{x}&#124; (&#42;a&#42; / &#91;b&#93;(c) with" in line
