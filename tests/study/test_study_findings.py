"""The sentence on one comparison: which interval it rests on is the one that stands in it."""

import dataclasses

import pytest
from made_up_study import made_up_results, made_up_study, measured_seat

from evenhand.launch.study.page.findings import answer, evidence, of_family, paper_text
from evenhand.launch.study.page.limits import limits_lines
from evenhand.launch.study.page.measured import MeasuredStudy


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    study = made_up_study(tmp_path_factory.mktemp("tiny"), only=["table2"])
    return made_up_results(study, measured_seat())


def test_what_holds_over_seeds_alone_shows_their_interval(results, monkeypatch):
    """An interval over words and seeds that leaves out 0 is not enough where the correction takes it back."""
    measured = MeasuredStudy(results)
    comparison = measured.comparison("proposed")
    family = comparison.families["gender"]
    both = dataclasses.replace(family.words_and_seeds, low=-0.3, high=-0.1, verdict="better", p_value_holm=1.0)
    alone = dataclasses.replace(family.seeds_alone, low=-0.25, high=-0.15, verdict="better", p_value_holm=0.01)

    def found(both):
        judged = dataclasses.replace(family, words_and_seeds=both, seeds_alone=alone)
        changed = dataclasses.replace(comparison, families={"gender": judged})
        monkeypatch.setattr(MeasuredStudy, "comparison", lambda self, arm, against=None: changed)
        return answer(measured, "proposed"), evidence(measured, "proposed")

    said, numbers = found(both)
    assert said == "less here"
    assert "over seeds alone, with these very words, [−0.250, −0.150], which leaves out 0 (and after Holm)" in numbers
    said, numbers = found(dataclasses.replace(both, p_value_holm=0.01))
    assert said == "less" and "over seeds alone" not in numbers


def test_one_pair_of_students_says_nothing_of_other_seeds(results):
    pair = {name: {0: of_arm[0]} for name, of_arm in results.reports.items() if name in ("original", "proposed")}
    said = evidence(MeasuredStudy(dataclasses.replace(results, reports=pair)), "proposed")
    assert "1 pair" in said and said.endswith("one training of each, so other seeds could say otherwise")
    assert "other seeds" not in evidence(MeasuredStudy(results), "proposed")


@pytest.mark.parametrize(
    ("detectable", "with_holm", "words", "limit"),
    [
        (0.2, 0.25, "in four of five such studies or more.", "1 is larger: *mlm + cos* (−0.300)"),
        (0.2, 0.35, "or more before Holm's correction, in fewer after it.", "1 is larger: *mlm + cos* (−0.300)"),
        (0.4, 0.5, "in fewer than four of five such studies.", "(−0.300, though here it lies outside the interval)"),
    ],
)
def test_what_could_have_been_found_of_the_papers_difference(
    detectable, with_holm, words, limit, tmp_path, monkeypatch
):
    measured = MeasuredStudy(made_up_results(made_up_study(tmp_path, only=["table1", "table2"]), measured_seat()))
    comparison = measured.comparison("mlm-cos")
    family = comparison.families["gender"]
    judged = dataclasses.replace(
        family.words_and_seeds, low=-0.2, high=0.1, detectable=detectable, detectable_holm=with_holm
    )
    families = {"gender": dataclasses.replace(family, words_and_seeds=judged)}
    changed = dataclasses.replace(comparison, families=families)
    monkeypatch.setattr(
        MeasuredStudy, "comparison", lambda self, arm, against=None: changed if arm == "mlm-cos" else None
    )
    assert of_family(measured, "mlm-cos").detectable == detectable
    said = paper_text(measured, "mlm-cos", "original")
    assert "differ by −0.300, which lies outside the interval" in said and said.endswith(words)
    assert limit in limits_lines(measured)[0]
