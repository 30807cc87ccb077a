"""A teacher that was made again on another machine is another teacher: the page says which pairs it parts."""

import copy
import dataclasses

import pytest

from evenhand.evaluation import EvaluationReport
from evenhand.launch.study.page.measured import MeasuredStudy
from evenhand.launch.study.page.opening import reading_lines
from evenhand.launch.study.page.teacher_makings import teacher_makings_lines


def with_makings(results, of):
    """Every report with the weights of its teacher: ``of(arm, seed)``, and that making's associations by its number."""
    reports = {}
    for arm, of_arm in results.reports.items():
        for seed, report in of_arm.items():
            data = copy.deepcopy(report.to_dict())
            data["training"]["teacher"]["weights_sha256"] = of(arm, seed)
            if of(arm, seed) == "second":
                data["measures"]["seat"][0]["reference"]["families"]["gender"]["mean_absolute_effect_size"] = 0.4321
            reports.setdefault(arm, {})[seed] = EvaluationReport(data)
    return MeasuredStudy(dataclasses.replace(results, reports=reports))


@pytest.mark.parametrize("of", [lambda arm, seed: "first", lambda arm, seed: f"of seed {seed}", lambda arm, seed: None])
def test_pairs_with_one_teacher_or_an_unknown_one_are_not_spoken_of(results, of):
    assert teacher_makings_lines(with_makings(results, of)) == []


def test_pairs_with_two_makings_are_counted_and_named(results):
    """The baseline has 4 seeds and mlm-cos too; of both the first two are of the second making, of mix-input none of its 3."""
    measured = with_makings(results, lambda arm, seed: "second" if arm != "mix-input" and seed < 2 else "first")
    (line,) = teacher_makings_lines(measured)
    assert line in reading_lines(measured)
    assert " 2 had two makings of it (*mixup: inputs*)" in line and "0.432" in line
    (line,) = teacher_makings_lines(with_makings(results, lambda arm, seed: "second" if arm == "mlm-cos" else "first"))
    assert " 4 had two makings of it (*mlm + cos*)" in line


def test_another_teacher_by_design_is_none_made_again(results):
    arms = dict(results.study.arms)
    arms["mlm-cos"] = dataclasses.replace(arms["mlm-cos"], teacher="debiased")
    changed = dataclasses.replace(results, study=dataclasses.replace(results.study, arms=arms))
    assert (
        teacher_makings_lines(with_makings(changed, lambda arm, seed: "second" if arm == "mlm-cos" else "first")) == []
    )
