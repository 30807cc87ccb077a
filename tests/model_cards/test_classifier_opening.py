"""How a classifier's card opens: which gap and worst group stand first, who taught it, and what debiased it."""

import json

import pytest
from classifier_report import LEANING, ROBUST, classifier_report, entry, result

from evenhand.evaluation.groups_result import GroupsResult
from evenhand.model_cards import CardFacts, build_card
from evenhand.model_cards.figures.pictures import draw_pictures
from evenhand.model_cards.lint.card_checks import lint_card

FACTS = CardFacts(licence="apache-2.0", author="Someone", repo_id="someone/tiny", base_model="someone/teacher")
FIGURES = ["figures/groups.png"]


def planted_report():
    """Student and teacher on a planted data set: in `flipped` the shortcut misleads everywhere."""
    found = []
    for seed, accuracies in enumerate((LEANING, ROBUST)):
        inside, outside = result(accuracies, seed=seed), result(accuracies, sizes=(0, 0, 80, 80), seed=seed)
        found.append(GroupsResult(inside.settings, inside.splits | {"flipped": outside.splits["flipped"]}))
    report = classifier_report()
    report["measures"]["groups"] = [entry(*found)]
    return json.loads(json.dumps(report))


def opening(report):
    return build_card(report, FACTS).split("## ")[0]


def test_the_headline_has_the_gap_of_a_split_where_there_is_one(tmp_path):
    """On a planted data set's `flipped` every shortcut misleads: no gap there, by construction."""
    report = planted_report()
    text = opening(report)
    assert text.count("**Spurious gap**") == 1 and "not defined" not in text
    assert "**Spurious gap** (digits, test; 240 examples where a shortcut points to the right label, 160 where" in text
    assert text.index("**Spurious gap** (digits, test") < text.index("**Worst group** (flipped; n = 80)")
    assert "**Worst group** (test" not in text
    draw_pictures(report, tmp_path / "figures")
    facts = CardFacts(**{**FACTS.__dict__, "accepted_amplification": "A test."})
    assert lint_card(build_card(report, facts, FIGURES), report, facts, tmp_path) == []
    assert opening(classifier_report()).count("**Spurious gap**") == 1


TEACHERS = [
    {"name": "first", "model_type": "resnet", "layers": 4, "parameters": 1000},
    {"name": "second", "model_type": "vit", "layers": 2, "parameters": 2000},
    {"name": "third", "model_type": "vit", "layers": 1, "parameters": 3000, "debiasing": {"name": "jtt"}},
]


def trained(training, **more):
    report = classifier_report(**more)
    report["training"] = {"steps": 4, "epochs": 1.0, "batch_size": 8, "seed": 0, **training}
    return report


def test_all_teachers_and_their_average_are_named():
    report = trained(
        {
            "teacher": TEACHERS[0],
            "teachers": TEACHERS,
            "average": "logits",
            "debiasing": {"name": "dedier"},
        }
    )
    text = opening(report)
    assert (
        "is a student distilled from 3 teachers, whose logits were averaged: first (resnet, 4 layers, 1,000 parameters), "
        "second (vit, 2 layers, 2,000 parameters) and third (vit, 1 layer, 3,000 parameters, itself debiased with `jtt`), "
        'and the student was debiased with `dedier`. "Its teacher" below is teacher alone, which was measured beside it.'
    ) in text


@pytest.mark.parametrize("teacher", ["with a teacher", None])
def test_erm_is_no_debiasing_and_a_method_is_named_with_and_without_a_teacher(teacher):
    more = {} if teacher else {"teacher": None}
    of_teacher = {"teacher": TEACHERS[0] if teacher else None}
    plain = trained(of_teacher | {"debiasing": {"name": "erm"}}, **more)
    assert "debiased" not in opening(plain) and "Debiasing of the student" not in build_card(plain, FACTS)
    text = opening(trained(of_teacher | {"debiasing": {"name": "group_dro"}}, **more))
    said = " and debiased with `group_dro`." if teacher else "was debiased with `group_dro` and measured alone"
    assert said in text


def test_a_model_that_was_trained_alone_is_no_student_of_what_it_is_compared_with():
    text = opening(trained({"teacher": None, "debiasing": {"name": "jtt"}}))
    assert "was trained without a teacher and debiased with `jtt`." in text and "distilled from" not in text
    assert '"Its teacher" below is the model that it was measured beside: teacher (resnet' in text


def test_the_teacher_of_a_student_is_the_recorded_one_whatever_it_is_compared_with():
    text = opening(trained({"teacher": TEACHERS[2]}))
    assert "is a student distilled from third (vit, 1 layer, 3,000 parameters, itself debiased with `jtt`)." in text
    assert '"Its teacher" below is teacher alone, which was measured beside it.' in text
