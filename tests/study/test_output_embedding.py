"""The section on why mixing the output embedding raises SEAT: its pairs, its numbers and what it says of each explanation."""

import math

import numpy as np
import pytest
from scipy import stats
from twin_reports import ARMS, HIDDEN, INPUTS, LOGITS, PROPOSED, ROW, make_study, report, results_of

from evenhand.evaluation.arm_comparisons import Judgement
from evenhand.launch.study.page.output_embedding import output_embedding_section, printed_rise
from evenhand.launch.study.page.output_embedding_explanations import EXPLANATIONS, judge, verdict_on
from evenhand.launch.study.page.output_embedding_numbers import (
    OutputPair,
    changes,
    changes_by_seed,
    disagreement,
    numbers_of,
    output_pairs,
    together,
)
from evenhand.launch.study.results import StudyResults


def row_of(lines, title):
    (row,) = [line for line in lines if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_pairs_are_told_by_the_recipes_and_not_by_names():
    assert output_pairs(make_study()) == (OutputPair("hidden", "plain"), OutputPair("all", "proposed"))
    more = {
        **ARMS,
        "again": ARMS["all"],  # the same students under another name
        "weaker": {"mixup": {"enabled": True, "mix": [HIDDEN, LOGITS, INPUTS], "alpha": 0.1}},
        "warm": {"mixup": ARMS["hidden"]["mixup"], "objective": {"temperature": 3.0}},
        "logits": {"mixup": {"enabled": True, "mix": [LOGITS]}},
    }
    assert output_pairs(make_study(more)) == output_pairs(make_study())
    of_another_teacher = make_study(ARMS, {"plain": "debiased"})
    assert output_pairs(of_another_teacher) == (OutputPair("all", "proposed"),)
    assert output_embedding_section(StudyResults(make_study({"plain": {}, "proposed": PROPOSED}), {})) == []


def test_the_two_parts_add_up_to_the_change_of_mean_d():
    one, other = numbers_of(report(numerator=0.02, denominator=0.01)), numbers_of(report(0.03, 0.03))
    change = changes(one, other)
    assert change["mean"] == pytest.approx(2 - 1)
    # n₁ − n₀ = −.01 at the mean of 1/.01 and 1/.03; 1/s₁ − 1/s₀ at the mean of .02 and .03
    assert change["numerator"] == pytest.approx(-0.01 * (100 + 100 / 3) / 2)
    assert change["spread"] == pytest.approx((100 - 100 / 3) * 0.025)
    assert change["numerator"] + change["spread"] == pytest.approx(change["mean"])
    negative = changes(numbers_of(report(numerator=-0.02)), numbers_of(report(numerator=-0.03)))
    assert negative["numerator"] == pytest.approx(negative["mean"]) == pytest.approx(-1 / 3)


def test_names_terms_distances_and_loss_are_compared():
    change = changes(numbers_of(report(names=1.5, word=0.15, loss=4.25)), numbers_of(report()))
    assert (change["names"], change["terms"], change["mean"]) == pytest.approx((0.5, 0.0, 0.25))
    assert change["names_over_terms"] == pytest.approx(0.5) and change["loss"] == pytest.approx(0.25)
    assert change["word"] == pytest.approx(math.log(0.5)) and change["other"] == 0


def verdicts(results):
    by_seed = changes_by_seed(results, OutputPair("hidden", "plain"))
    return {one.explanation.name: one.verdict for one in judge([by_seed])}


def test_explanations_are_judged_by_what_was_put_in():
    results = results_of({"numerator": 0.025, "denominator": 0.02, "word": 0.2, "other": 0.015, "loss": 4.1}, {})
    assert verdicts(results) == {
        "nothing new in the target": "contradicted",
        "the sets move apart": "contradicted",
        "d is a ratio": "supported",
        "a narrower cone": "cannot tell",
        "gender moves to the context": "contradicted",
        "names, which nobody mixes": "cannot tell",
        "a worse student": "supported",
    }
    lines = output_embedding_section(results)
    text = "\n".join(lines)
    assert "- *d is a ratio*: **supported**." in text and "supported: *d is a ratio*, *a worse student*" in text
    assert "**Is there a rise?** Yes: mean \\|d\\| changes by +0.2" in text
    opposite = verdicts(results_of({"cosine": 0.6, "other": 0.03, "word": 0.3}, {}))
    assert opposite["a narrower cone"] == opposite["gender moves to the context"] == "supported"
    assert opposite["nothing new in the target"] == "supported"


def test_what_varies_too_much_is_not_told_and_the_detectable_change_stands_beside_it():
    printed = {"hidden": {**ROW, "C6": 1.26}, "plain": ROW}
    results = results_of({"other": 0.0201}, {}, n=3, apart=0.3, printed=printed)
    assert set(verdicts(results).values()) == {"cannot tell"}
    text = "\n".join(output_embedding_section(results))
    assert (
        "**Is there a rise?** Cannot be told" in text
        and ", more than any rise in the paper, to be found with 80 % power" in text
    )
    fallen = output_embedding_section(results_of({"numerator": 0.01}, {}))
    assert any(line.startswith("**Is there a rise?** No, a fall") for line in fallen)


def judgement(low, high, p):
    return Judgement((low + high) / 2, low, high, p_value_holm=p, standard_error=1.0, freedom=2)


@pytest.mark.parametrize(
    ("stays", "low", "high", "p", "expected"),
    [
        (False, 0.1, 0.3, 0.01, "supported"),
        (False, 0.1, 0.3, 0.06, "cannot tell"),  # not after Holm
        (False, -0.3, -0.1, 0.01, "contradicted"),
        (False, -0.1, 0.3, 0.5, "cannot tell"),
        (True, -0.02, 0.09, 0.4, "supported"),
        (True, 0.01, 0.09, 0.01, "supported"),  # a change, but within a factor of 1.1
        (True, -0.3, -0.1, 0.01, "contradicted"),
        (True, -0.3, 0.02, 0.2, "cannot tell"),
    ],
)
def test_the_rule_of_verdicts(stays, low, high, p, expected):
    (explanation,) = [one for one in EXPLANATIONS if one.quantity == ("word" if stays else "spread")]
    assert explanation.stays == stays
    assert verdict_on(explanation, judgement(low, high, p)) == expected


def test_holm_is_over_all_explanations():
    results = results_of({"numerator": 0.029}, {}, n=5)
    by_seed = changes_by_seed(results, OutputPair("hidden", "plain"))
    judged = judge([by_seed])
    p = {
        one.explanation.name: stats.ttest_1samp(
            [change[one.explanation.quantity] for change in by_seed.values()], 0
        ).pvalue
        for one in judged
    }
    ranked = sorted(p.values())
    expected = np.minimum(1, np.maximum.accumulate([value * (len(p) - rank) for rank, value in enumerate(ranked)]))
    found = sorted(one.number.p_value_holm for one in judged)
    assert found == pytest.approx(expected, rel=1e-6)


def test_tables_print_means_and_t_intervals_of_the_given_reports():
    results = results_of({"cosine": 0.53}, {}, n=4)
    lines = output_embedding_section(results)
    by_seed = changes_by_seed(results, OutputPair("hidden", "plain"))
    values = [change["cosine"] for change in by_seed.values()]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    cells = row_of(lines, "mean cosine of sentence vectors")
    assert cells[1] == f"{np.mean(values):+.4f} [{low:+.4f}, {high:+.4f}]".replace("-", "−")
    words = [change["word"] for change in by_seed.values()]
    ends = stats.t.interval(0.95, 3, np.mean(words), stats.sem(words))
    as_percent = [f"{100 * (math.exp(x) - 1):+.1f} %".replace("-", "−") for x in (np.mean(words), *ends)]
    assert row_of(lines, "distance of twins at the exchanged word")[1] == "{} [{}, {}]".format(*as_percent)
    assert row_of(lines, "paired seeds")[1] == "4"
    means = [numbers_of(one).mean for one in results.reports["plain"].values()]
    arm = row_of(lines, "the plain arm *(exploratory)*")
    assert arm[1] == "4" and arm[2] == f"{np.mean(means):.3f} ± {np.std(means, ddof=1):.3f}"
    tests = [
        one.measures["twin_distance"][0]["model"]["tests"]["sent-weat7"] for one in results.reports["hidden"].values()
    ]
    x, y = (1000 * np.mean([test["means"][side] for test in tests]) for side in "XY")
    spread = 1000 * np.mean([test["denominator"] for test in tests])
    assert row_of(lines, "C7")[3] == f"{x:+.1f} / {y:+.1f} / {spread:.1f}"
    halfway = 1 - math.sqrt(1 - 0.3 / 2)
    told = [line for line in lines if line.startswith("**How much is there to mix?**")]
    # the reference of every report is the same teacher, once
    assert row_of(lines, "teacher")[1] == "1" and len(told) == 1
    first = results.reports["plain"][0].measures["twin_distance"][0]["reference"]["scores"][0]["value"]
    assert halfway == pytest.approx(1 - math.sqrt(1 - first / 2), abs=0.02) and "50 % of the distance" in told[0]


def test_pairs_are_averaged_over_seeds_that_all_of_them_have():
    one = results_of({"cosine": 0.6}, {"cosine": 0.5}, n=4, noise=0, apart=0)
    two = results_of({"cosine": 0.55}, {"cosine": 0.5}, n=3, noise=0, apart=0, arms=("all", "proposed"))
    results = StudyResults(one.study, {**one.reports, **two.reports})
    pairs = output_pairs(results.study)
    overall = together([changes_by_seed(results, pair) for pair in pairs])
    assert list(overall) == [0, 1, 2] and overall[0]["cosine"] == pytest.approx(0.075)
    cells = row_of(output_embedding_section(results), "mean cosine of sentence vectors")
    assert [cell.split(" ")[0] for cell in cells[1:4]] == ["+0.1000", "+0.0500", "+0.0750"]


def test_watching_an_arm_while_it_trains_does_not_part_it_from_its_pair():
    watched = ARMS["hidden"] | {"watch": {"every_steps": 10, "measures": {"seat": {}}}}
    assert output_pairs(make_study(ARMS | {"hidden": watched})) == output_pairs(make_study())


def test_pairs_that_change_a_number_in_opposite_ways_get_no_common_verdict():
    plain = {"word": 0.3, "other": 0.03, "cosine": 0.5}
    one = results_of({"word": 0.2, "other": 0.02, "cosine": 0.6}, plain)
    two = results_of({"word": 0.4, "other": 0.04, "cosine": 0.6}, plain, arms=("all", "proposed"))
    results = StudyResults(one.study, {**one.reports, **two.reports})
    by_pair = [changes_by_seed(results, pair) for pair in output_pairs(results.study)]
    apart = disagreement(by_pair, "word")
    differences = [by_pair[0][seed]["word"] - by_pair[1][seed]["word"] for seed in by_pair[0]]
    assert apart.p_value == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    found = {one.explanation.quantity: one for one in judge(by_pair)}
    assert found["other"].verdict == "pairs disagree" and found["cosine"].verdict == "supported"
    assert found["word"].verdict == "contradicted", "both pairs change what is claimed to stay"
    assert [math.exp(one.difference) for one in found["word"].of_pairs] == pytest.approx([2 / 3, 4 / 3], rel=0.02)
    text = "\n".join(output_embedding_section(results))
    assert "**pairs disagree**" in text and "It depends on what else is mixed" not in text
    as_it_was = results_of({"word": 0.3}, {"word": 0.3}, arms=("all", "proposed"), apart=0.01)
    pairs = [by_pair[0], changes_by_seed(as_it_was, output_pairs(as_it_was.study)[-1])]
    (word,) = [one for one in judge(pairs) if one.explanation.quantity == "word"]
    assert word.verdict == "pairs disagree", "one pair leaves it as it was"


def test_whether_there_is_a_rise_is_said_pair_by_pair_where_they_disagree():
    one = results_of({"numerator": 0.027}, {"numerator": 0.03})
    two = results_of({"numerator": 0.033}, {"numerator": 0.03}, arms=("all", "proposed"))
    results = StudyResults(one.study, {**one.reports, **two.reports})
    text = "\n".join(output_embedding_section(results))
    assert "It depends on what else is mixed" in text and "The paper's rise does not appear" not in text


def test_what_is_missing_is_said():
    study = make_study()
    nothing = output_embedding_section(StudyResults(study, {}))
    assert nothing[-2].startswith(
        "Not run yet with a seed in common: the hidden arm against the plain arm; the all arm"
    )
    apart = {"hidden": {0: report()}, "plain": {1: report()}}
    assert "hidden arm" in output_embedding_section(StudyResults(study, apart))[-2]
    one_seed = {"hidden": {0: report(cosine=0.6)}, "plain": {0: report()}}
    text = "\n".join(output_embedding_section(StudyResults(study, one_seed)))
    assert "in one seed, which has no interval" in text and "nan" not in text and "None" not in text
    without = {
        arm: {seed: report(cosine=0.5 + seed / 100, twins=False) for seed in range(3)} for arm in ("hidden", "plain")
    }
    lines = output_embedding_section(StudyResults(study, without))
    text = "\n".join(lines)
    assert "*d is a ratio*: **not measured**" in text and "name it in `evaluation.measures`" in text
    assert row_of(lines, "distance of twins at the other words")[1] == "–" and "How much is there to mix" not in text


def test_the_paper_s_rise_is_recomputed_from_its_rows():
    rows = {
        "plain": {"C6": 1.236, "C6b": 0.499, "C7": 0.907, "C7b": 1.428, "C8": 0.534, "C8b": 1.347, "mean": 9.0},
        "hidden": {"C6": 1.215, "C6b": 0.460, "C7": 0.761, "C7b": 1.541, "C8": 0.650, "C8b": 1.420, "mean": 9.0},
    }
    results = StudyResults(make_study(printed=rows), {})
    rise = printed_rise(results, OutputPair("hidden", "plain"))
    assert rise == pytest.approx((0.016, 0.055, -0.023), abs=5e-4)
    assert printed_rise(results, OutputPair("all", "proposed")) is None
    opening = output_embedding_section(results)[2]
    assert "mean \\|d\\| +0.016 (tests on names +0.055, on terms −0.023)" in opening
