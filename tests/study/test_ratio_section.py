"""The section that takes every arm's change of mean |d| apart."""

import numpy as np
from scipy import stats
from twin_reports import make_study, report, results_of

from evenhand.launch.study.page.measured import MeasuredStudy
from evenhand.launch.study.page.output_embedding_numbers import OutputPair, changes_by_seed
from evenhand.launch.study.page.ratio_section import ratio_lines
from evenhand.launch.study.results import StudyResults


def lines_of(results):
    return ratio_lines(MeasuredStudy(results))


def row_of(lines, label):
    (row,) = [line for line in lines if line.startswith(f"| {label}")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def percent(values):
    """Mean and ends of Student's t interval of logarithms of ratios, as percentages."""
    ends = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    return "{} [{}, {}]".format(*(f"{100 * np.expm1(x):+.1f} %".replace("-", "−") for x in (np.mean(values), *ends)))


def sums(results, arm, part):
    """By seed, the sum over the six tests of a part of d, from the reports."""
    of_seeds = results.reports[arm].values()
    return [
        sum(abs(test[part]) for test in one.measures["twin_distance"][0]["model"]["tests"].values()) for one in of_seeds
    ]


def test_sets_that_come_together_with_their_spread_are_told_although_d_stays():
    results = results_of({"numerator": 0.02, "denominator": 0.02}, {}, n=6)
    lines = lines_of(results)
    row = row_of(lines, "the hidden arm")
    shown = [
        percent(np.log(np.divide(sums(results, "hidden", part), sums(results, "plain", part))))
        for part in ("numerator", "denominator")
    ]
    assert row[1:3] == ["the plain arm", "6"] and row[4:6] == [f"**{cell}**" for cell in shown]
    (told,) = [line for line in lines if line.startswith("- the hidden arm")]
    assert "the sets come together (numerators −33." in told and "the spread shrinks with them (−33." in told
    assert told.endswith(f"of the two, mean \\|d\\| shows {row[3]}.")
    assert any("(2 tests)" in line for line in lines)


def test_numbers_stay_possible_where_the_spread_collapses():
    """A change of d by its numerators and one by its spread, each weighted by the mean of the other, can be larger than d itself."""
    results = results_of({"numerator": 0.0015, "denominator": 0.003}, {}, n=6)
    (change, *_) = changes_by_seed(results, OutputPair("hidden", "plain")).values()
    before = np.mean(
        [
            abs(test["effect_size"])
            for test in results.reports["plain"][0].measures["twin_distance"][0]["model"]["tests"].values()
        ]
    )
    assert change["numerator"] < -5 * before
    row = row_of(lines_of(results), "the hidden arm")
    assert row[4].startswith("**−95.") and row[5].startswith(("**−90.", "**−89."))


def test_an_arm_whose_numerators_alone_fall_hides_nothing():
    lines = lines_of(results_of({"numerator": 0.02}, {}, n=6))
    assert row_of(lines, "the hidden arm")[4].startswith("**−")
    assert any(line.startswith("In no arm do numerators and spread both differ from 0") for line in lines)
    apart = lines_of(results_of({"numerator": 0.04, "denominator": 0.04}, {}, n=6))
    assert any("the sets move apart" in line and "the spread grows" in line for line in apart)


def test_two_parts_that_pull_d_the_same_way_hide_nothing():
    lines = lines_of(results_of({"numerator": 0.04, "denominator": 0.02}, {}, n=6))
    row = row_of(lines, "the hidden arm")
    assert row[4].startswith("**+") and row[5].startswith("**−")
    assert not [line for line in lines if line.startswith("- ")]


def test_one_seed_and_reports_without_the_parts():
    study = make_study()
    one = StudyResults(study, {"plain": {0: report()}, "hidden": {0: report(numerator=0.02)}})
    cells = row_of(lines_of(one), "the hidden arm")
    assert cells[2] == "1" and "[" not in "".join(cells[3:]) and cells[4] == "−33.3 %"
    without = {"plain": {0: report(twins=False)}, "hidden": {0: report(numerator=0.02, twins=False)}}
    assert lines_of(StudyResults(study, without)) == []
