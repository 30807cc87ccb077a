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


def test_sets_that_come_together_with_their_spread_are_told_although_d_stays():
    results = results_of({"numerator": 0.02, "denominator": 0.02}, {}, n=6)
    lines = lines_of(results)
    by_seed = changes_by_seed(results, OutputPair("hidden", "plain"))
    values = [change["numerator"] for change in by_seed.values()]
    low, high = stats.t.interval(0.95, 5, np.mean(values), stats.sem(values))
    row = row_of(lines, "the hidden arm")
    shown = f"{np.mean(values):+.3f} [{low:+.3f}, {high:+.3f}]".replace("-", "−")
    assert row[1:3] == ["the plain arm", "6"] and row[4] == f"**{shown}**" and row[5].startswith("**+")
    (told,) = [line for line in lines if line.startswith("- the hidden arm")]
    undone = 100 * abs(np.mean([change["spread"] for change in by_seed.values()]) / np.mean(values))
    assert "the sets come together" in told and told.endswith(f"takes back {undone:.0f} % of it.")
    assert any("(2 tests)" in line for line in lines)


def test_an_arm_whose_numerators_alone_fall_hides_nothing():
    lines = lines_of(results_of({"numerator": 0.02}, {}, n=6))
    assert row_of(lines, "the hidden arm")[4].startswith("**−")
    assert "In no arm do both parts differ from 0 and pull in opposite directions." in lines
    apart = lines_of(results_of({"numerator": 0.04, "denominator": 0.04}, {}, n=6))
    assert any("the sets move apart" in line and "the spread grows" in line for line in apart)


def test_two_parts_that_pull_the_same_way_hide_nothing():
    lines = lines_of(results_of({"numerator": 0.04, "denominator": 0.02}, {}, n=6))
    row = row_of(lines, "the hidden arm")
    assert row[4].startswith("**+") and row[5].startswith("**+")
    assert not [line for line in lines if line.startswith("- ")]


def test_one_seed_and_reports_without_the_parts():
    study = make_study()
    one = StudyResults(study, {"plain": {0: report()}, "hidden": {0: report(numerator=0.02)}})
    cells = row_of(lines_of(one), "the hidden arm")
    assert cells[2] == "1" and "[" not in "".join(cells[3:]) and cells[4] == "−0.333"
    without = {"plain": {0: report(twins=False)}, "hidden": {0: report(numerator=0.02, twins=False)}}
    assert lines_of(StudyResults(study, without)) == []
