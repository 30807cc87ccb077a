"""A section can compare an arm with a second one; how much of the text each mixup touches."""

import copy
import dataclasses

import numpy as np
import pytest
from made_up_study import made_up_results, made_up_study, part, seat

from evenhand.launch.study.page.measured import MeasuredStudy
from evenhand.launch.study.page.mixed_positions import mixed_lines
from evenhand.launch.study.page.study_page import write_page
from evenhand.launch.study.page.summary import summary_lines


@pytest.fixture
def compared(entry, tmp_path):
    """The section on supervision, in which *mixup: inputs* is also held against the proposed arm."""
    study = made_up_study(tmp_path, "tiny", only=["table2"])
    sections = tuple(dataclasses.replace(one, also_against={"mix-input": "proposed"}) for one in study.sections)
    plain = made_up_results(study, entry)
    return plain, dataclasses.replace(plain, study=dataclasses.replace(study, sections=sections))


def test_the_second_comparison_is_a_sentence_below_the_tables_and_in_the_summary(compared, tmp_path):
    plain, results = compared
    sizes = {
        name: [of_seed["families"]["gender"]["mean_absolute_effect_size"] for of_seed in seat(results, name)][:3]
        for name in ("mix-input", "proposed")
    }
    change = np.mean(np.subtract(sizes["mix-input"], sizes["proposed"]))
    expected = f"*mixup: inputs* leaves **more** measured bias than *mixup (proposed)*: Δ mean \\|d\\| {change:+.3f} ["
    page = write_page(results, tmp_path / "page", figures=False).read_text(encoding="utf-8")
    for title in ("Supervision", "What the numbers say"):
        (line,) = [line for line in part(page, title).splitlines() if line.startswith("- *mixup: inputs* leaves")]
        assert line[2:].startswith(expected) and "3 pairs" in line and "exploratory. Held-out" in line
    without = write_page(plain, tmp_path / "without", figures=False).read_text(encoding="utf-8")
    assert "leaves **more** measured bias than" not in without


def test_the_second_comparison_counts_in_the_correction(compared):
    before, after = (MeasuredStudy(results) for results in compared)
    assert after.tests == before.tests + 1
    p_values = [
        [one.families["gender"].words_and_seeds.p_value_holm for one in measured.comparisons.values()]
        for measured in (before, after)
    ]
    assert len(p_values[1]) == len(p_values[0]) + 1


def test_two_arms_that_do_not_differ_cannot_be_told_apart(compared, tmp_path):
    _, results = compared
    exchanged = {"proposed": results.reports["mix-input"], "mix-input": results.reports["random-pairs"]}
    other = dataclasses.replace(results, reports=results.reports | exchanged)
    page = write_page(other, tmp_path / "page", figures=False).read_text(encoding="utf-8")
    assert "and *mixup (proposed)* **cannot be told apart**" in part(page, "Supervision")


def test_how_much_each_arm_mixes(results):
    assert mixed_lines(MeasuredStudy(results)) == []
    mixing = {seed: copy.deepcopy(report) for seed, report in results.reports["proposed"].items()}
    for seed, report in mixing.items():
        report.training["supervision"] = {"name": "gender_mixup", "mixed_positions": 4 + 2 * seed}
    measured = MeasuredStudy(dataclasses.replace(results, reports=results.reports | {"proposed": mixing}))
    (row,) = [line for line in mixed_lines(measured) if line.startswith("| mixup (proposed)")]
    # four seeds mix 4, 6, 8 and 10 of 400 tokens each
    assert [cell.strip() for cell in row.split("|")[2:6]] == ["4", "7", "400", "1.8 %"]
    said = [line for line in summary_lines(measured) if "of the tokens that its students were shown" in line]
    assert len(said) == 1 and "*mixup (proposed)*" in said[0] and "It mixes 1.8 % of the tokens that" in said[0]


@pytest.mark.parametrize(("positions", "said"), [(40, "It mixes 10.0 % of the tokens"), (7, None)])
def test_a_mixup_that_touches_another_share_of_the_text_at_another_setting_says_so(results, positions, said):
    """Seven of 400 tokens are 1.8 %, as the study's own setting has."""
    reports = {name: copy.deepcopy(results.reports[name]) for name in ("proposed", "proposed-521")}
    for name, mixed in (("proposed", 7), ("proposed-521", positions)):
        for report in reports[name].values():
            report.training["supervision"] = {"name": "gender_mixup", "mixed_positions": mixed}
    lines = summary_lines(MeasuredStudy(dataclasses.replace(results, reports=results.reports | reports)))
    (line,) = [line for line in lines if "*proposed, 5/2/1*, " in line]
    assert said in line if said else "It mixes" not in line
