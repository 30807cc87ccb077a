"""What an arm is compared with, and what it answers, told from its recipe; the packaged study with its printed numbers."""

import pytest
import yaml

from evenhand.launch.study.page.printed import (
    best_mean,
    glue_mean,
    mismatches,
    printed_correlation,
    printed_difference,
    seat_mean,
)
from evenhand.launch.study.page.roles import Roles
from evenhand.launch.study.study_file import load_study


@pytest.fixture(scope="module")
def study():
    return load_study("ahn2022", "small")


@pytest.fixture(scope="module")
def roles(study):
    return Roles(study)


def test_treated_arms_are_compared_with_the_plain_arm_of_their_setting(roles):
    expected = {
        "original": None, "mlm-cos": "original", "proposed": "original", "debiased-teacher": "original", "cda-two-sided": "original",
        "counterfactual-max": "original", "original-521": "original", "mlm-cos-521": "original-521", "proposed-521": "original-521",
        "proposed-fraction-0.1": "fraction-0.1", "fraction-0.1": "original", "longer-proposed": "longer-original",
        "capacity-proposed": "depth-6", "dense-proposed": "dense-original", "dense-original": "original", "depth-1": "original",
        "temperature-4": "original",
    }  # fmt: skip
    assert {name: roles.reference_of(name) for name in expected} == expected


def test_terms_and_mixtures_are_told_from_recipes(roles):
    assert roles.only_terms_changed("mlm-cos") == ("ce",) == roles.only_terms_changed("mlm-cos-521")
    assert roles.only_terms_changed("mlm-ce") == ("cos",) and roles.only_terms_changed("no-mlm") == ("mlm",)
    assert roles.only_terms_changed("proposed") == () == roles.only_terms_changed("original")
    assert roles.only_mixing("mix-output") == {"teacher_hidden"} and roles.only_mixing("mlm-cos") == frozenset()
    assert roles.only_mixing("proposed-521") == {"student_inputs", "teacher_logits"}
    # these mix in another manner, or other words
    assert not any(roles.only_mixing(name) for name in ("alpha-4", "lambda-batch", "vocabulary-view", "random-pairs"))


def test_the_proposed_arm_its_control_and_their_roles_in_pictures(roles):
    draws = ["random-pairs", "random-pairs-1", "random-pairs-2"]
    assert roles.proposed == "proposed" and roles.controls == draws and roles.control == roles.pool == "+".join(draws)
    pairs = roles.pairs(["original", "proposed", *draws])
    against_baseline = [(name, "original") for name in ["proposed", *draws, roles.pool]]
    assert pairs == [*against_baseline, ("proposed", roles.pool)]
    shown = {name: roles.in_pictures(name) for name in ("original", "proposed", "mix-input", "mlm-ce")}
    assert shown == {"original": "baseline", "proposed": "proposed", "mix-input": "core", "mlm-ce": "exploratory"}


def test_a_single_draw_of_the_control_stands_for_itself():
    alone = Roles(load_study("ahn2022", "planted"))
    assert alone.pool is None and alone.control == "random-pairs"
    assert ("proposed", "random-pairs") in alone.pairs(["original", "proposed", "random-pairs"])


def test_exactly_two_printed_averages_do_not_match_their_rows(study):
    found = {mean.arm: (mean.printed, round(mean.recomputed, 3)) for mean in mismatches(study.sections)}
    assert found == {"mlm-cos": (0.670, 0.697), "mix-input": (0.830, 0.826)}


def test_printed_numbers_stand_with_the_sections_that_repeat_them(study):
    sections = {section.name: section for section in study.sections}
    assert printed_difference(sections["table1"], "mlm-cos", "original") == pytest.approx(4.182 / 6 - 5.951 / 6)
    assert printed_difference(sections["table1"], "no-mlm", "original") is None
    assert printed_correlation(sections["figure1"]) == -0.82
    row = sections["table3"].printed["proposed"]
    assert glue_mean("proposed", row).matches and glue_mean("proposed", row).printed == 76.7
    few = glue_mean("proposed", row, ["SST-2", "RTE"])
    assert few.recomputed == pytest.approx((90.7 + 62.1) / 2) and few.printed is None


def test_a_row_that_is_not_complete_has_its_mean_as_printed():
    assert seat_mean("x", {"C6": 1.0, "mean": 0.5}).matches and best_mean({"C6": 1.0, "mean": 0.5}) == 0.5


def test_every_section_that_the_paper_has_is_printed():
    from evenhand.launch.study import study_file

    file = study_file.Path(study_file.__file__).parents[1] / "studies" / "ahn2022.printed.yaml"
    printed = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert {name: len(rows) for name, rows in printed.items()} == {"table1": 3, "table2": 7, "table3": 2, "figure1": 1}
