"""A classifier that was measured by groups alone gets a complete card, passes the linter, and is held back where it is worse."""

import json
import re

import pytest
import yaml
from classifier_report import LEANING, ROBUST, classifier_report

from evenhand.evaluation.report import EvaluationReport
from evenhand.model_cards import CardFacts, build_card
from evenhand.model_cards.amplification_gate import Gate
from evenhand.model_cards.figures.pictures import draw_pictures
from evenhand.model_cards.hub.collection import student_note
from evenhand.model_cards.lint.card_checks import lint_card
from evenhand.model_cards.page.compared_students import compared_students
from evenhand.model_cards.published_report import published_report
from evenhand.model_cards.verification.consistency import consistency_row

FACTS = CardFacts(licence="apache-2.0", author="Someone", repo_id="someone/tiny", base_model="someone/teacher")
FIGURES = ["figures/groups.png"]


def front_matter(card):
    return yaml.safe_load(card.split("---")[1])


def body(card):
    return card.split("---\n", 2)[2]


def entries(card):
    return {e["dataset"]["config"]: e for e in front_matter(card)["model-index"][0]["results"]}


def test_the_report_is_a_valid_one():
    for kind in ("image", "text"):
        EvaluationReport.from_dict(classifier_report(kind=kind))


def test_the_sections_are_those_of_a_classifier():
    card = build_card(classifier_report(), FACTS, FIGURES)
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == [
        *("Reliance on a shortcut, by group", "Uses and recommendations", "How it was distilled", "How to use it"),
        *("Limits of the measurement", "Licences", "Provenance and verification", "Citations"),
    ]
    for word in ("masked", "GLUE", "word lists", "Pooling", "tokenizer", "gender"):
        assert word not in body(card), word


def test_a_model_without_a_teacher_is_not_to_be_compared_with_one():
    asked = "Compare it with its teacher by group before it takes its place"
    alone = build_card(classifier_report(teacher=None), FACTS)
    assert "- Do not use it where the shortcut of these data may mislead" in alone and asked not in alone
    # a teacher that the training names, and that was not measured
    trained = classifier_report(teacher=None) | {"training": {"teacher": {"name": "large"}}}
    assert asked in build_card(trained, FACTS)
    robust = build_card(classifier_report({"test": (0.9,) * 4, "flipped": (0.8,) * 4}, None), FACTS)
    assert "by which rule:" not in robust and "Before publishing" in robust


def test_the_opening_says_in_plain_words_what_it_is_and_how_much_it_leans():
    card = build_card(classifier_report(), FACTS)
    assert (
        "This image classifier (resnet, 4 layers of width 64, 123,456 parameters; labels zero, one) is a student distilled from teacher"
    ) in card
    # 95 % and 96 % of 240 aligned, 55 % and 40 % of 160 conflicting examples
    assert "240 examples where a shortcut points to the right label, 160 where it misleads" in card
    assert (
        "the student's is **47.5 [39.0, 55.4]** percentage points, so it is right more often where the shortcut points"
        in card
    )
    assert "the student is right on **40.0 [30.0, 53.9]** % of its worst group, red 1; its teacher's **87.5" in card
    assert "**worse**." in card


@pytest.mark.parametrize(
    ("flipped", "words"),
    [
        ((0.5, 0.5, 0.9, 0.95), "it is right more often where the shortcut misleads"),
        (
            (0.8, 0.8, 0.8, 0.8),
            "no difference was shown between examples where the shortcut helps and where it misleads",
        ),
    ],
)
def test_the_words_follow_from_the_interval_of_the_gap(flipped, words):
    assert words in build_card(classifier_report({"test": (0.9,) * 4, "flipped": flipped}), FACTS)


def test_without_a_teacher_nothing_is_compared():
    card = build_card(classifier_report(teacher=None), FACTS)
    assert (
        "was measured alone: the report names no teacher" in card
        and "The report holds no teacher to compare with" in card
    )
    assert "student − teacher" not in card and "Not published" not in card


def test_every_group_and_score_stands_in_a_table_with_interval_and_n():
    report = classifier_report()
    card = build_card(report, FACTS, FIGURES)
    assert (
        "| red 1 (student's worst) (teacher's worst) | conflicting | 80 | 87.5 [78.5, 93.1] | 40.0 [30.0, 51.0] | -47.5 ["
        in card
    )
    assert "| blue 1 | aligned | 120 |" in card and "### digits, flipped (out of distribution)" in card
    for score in report["measures"]["groups"][0]["model"]["scores"]:
        assert f"| {score['name']} (" in card
    assert "](figures/groups.png)" in card


def test_every_score_has_an_entry_of_its_own_in_the_model_index():
    report = classifier_report()
    card = build_card(report, FACTS)
    scores = report["measures"]["groups"][0]["model"]["scores"]
    found = entries(card)
    assert set(found) == {score["key"] for score in scores}
    gap = found["flipped_spurious_gap"]
    assert gap["task"] == {"type": "image-classification", "name": "Image classification"}
    assert gap["dataset"]["split"] == "flipped" and gap["dataset"]["args"] == {"data_sha256": "2" * 64}
    metric = gap["metrics"][0]
    score = next(score for score in scores if score["key"] == "flipped_spurious_gap")
    assert metric["value"] == score["value"] and metric["args"]["confidence_interval"] == score["confidence_interval"]
    assert metric["args"]["n"] == 400 and metric["args"]["verdict"] == "worse"
    assert found["flipped_worst_group"]["metrics"][0]["args"]["group"] == "red 1"


@pytest.mark.parametrize(("kind", "pipeline"), [("image", "image-classification"), ("text", "text-classification")])
def test_the_front_matter_names_the_task(kind, pipeline):
    data = front_matter(build_card(classifier_report(kind=kind), FACTS))
    assert data["pipeline_tag"] == pipeline and "masked-lm" not in data["tags"] and "seat" not in data["tags"]
    assert "knowledge-distillation" in data["tags"] and ("language" in data) == (kind == "text")


@pytest.mark.parametrize("kind", ["image", "text"])
def test_code_and_hashes_are_those_of_its_kind(kind):
    card = build_card(classifier_report(kind=kind), FACTS)
    assert f'pipeline("{kind}-classification", model="someone/tiny")' in card and "fill-mask" not in card
    assert ("| tokenizer, student |" in card) == (kind == "text")
    assert ("| image processor, student |" in card) == (kind == "image")


def test_it_passes_the_linter_once_the_reason_is_given(tmp_path):
    report = classifier_report()
    draw_pictures(report, tmp_path / "figures")
    held = build_card(report, FACTS, FIGURES)
    problems = lint_card(held, report, FACTS, tmp_path)
    assert len(problems) == 4 and all("is reliably worse than the teacher's" in problem for problem in problems)
    facts = CardFacts(
        **{**FACTS.__dict__, "accepted_amplification": "It shows what distillation without debiasing does."}
    )
    card = build_card(report, facts, FIGURES)
    assert lint_card(card, report, facts, tmp_path) == []
    assert "**Published although the check against its teacher does not pass**" in card
    changed = card.replace(
        "| 80 | 87.5 [78.5, 93.1] | 40.0 [30.0, 51.0] |", "| 80 | 87.5 [78.5, 93.1] | 44.0 [30.0, 51.0] |"
    )
    assert changed != card
    assert any("prints 44.0 where" in problem for problem in lint_card(changed, report, facts, tmp_path))


def test_a_robust_student_passes_the_gate_and_the_linter(tmp_path):
    better = {"test": (0.95, 0.95, 0.93, 0.94), "flipped": (0.95, 0.95, 0.94, 0.95)}
    report = classifier_report(better, LEANING)
    draw_pictures(report, tmp_path / "figures")
    card = build_card(report, FACTS, FIGURES)
    assert Gate().reasons(published_report(report)) == []
    assert lint_card(card, report, FACTS, tmp_path) == []
    assert "Take the gain over its teacher" in card and "Nothing was found here" in card


def test_the_gate_reads_the_shifted_splits_and_all_where_there_are_none():
    worse_inside = {"test": LEANING["test"], "flipped": ROBUST["flipped"]}
    assert Gate().reasons(published_report(classifier_report(worse_inside, ROBUST))) == []
    reasons = Gate().reasons(published_report(classifier_report(worse_inside, ROBUST, shift=())))
    assert [reason.split(" is ")[0] for reason in reasons] == [
        *("spurious gap, test", "worst-group accuracy, test"),
        *("accuracy of the group blue 0, test", "accuracy of the group red 1, test"),
    ]


def test_a_wider_margin_or_fewer_examples_ask_for_no_reason():
    report = published_report(classifier_report())
    assert Gate(mean_margin=60, test_margin=60).reasons(report) == []
    assert len(Gate(mean_margin=60).reasons(report)) == 2  # the two groups that fell
    few = published_report(classifier_report(sizes=(12, 12, 12, 12)))
    assert len(Gate().reasons(few)) < len(Gate().reasons(report))


def test_the_direction_of_a_gap_does_not_matter_to_the_gate():
    turned = {"test": ROBUST["test"], "flipped": (0.4, 0.45, 0.95, 0.95)}
    reasons = Gate().reasons(published_report(classifier_report(turned)))
    assert reasons[0].startswith("spurious gap, flipped is reliably worse than the teacher's: +")


def test_without_a_comparison_or_an_interval_the_gate_does_not_pass():
    assert Gate().reasons(published_report(classifier_report(teacher=None))) == [
        "the report compares no group of the student with its teacher's"
    ]
    tiny = published_report(classifier_report(sizes=(4, 4, 4, 4)))
    assert "has no interval" in Gate().reasons(tiny)[0]


def test_a_split_without_conflicting_examples_has_no_gap_and_says_so(tmp_path):
    report = classifier_report(sizes=(100, 100, 0, 0))
    card = build_card(report, FACTS)
    assert "not defined on any split (no spurious gap: no bias-conflicting example)" in card
    assert "flipped_spurious_gap" not in entries(card)
    assert "no example of this group in the split" in card
    assert not any("spurious gap" in reason for reason in Gate().reasons(published_report(report)))


def test_a_classifier_with_seat_has_both_and_the_gate_reads_both(report, tmp_path):
    both = classifier_report(kind="text")
    both["measures"]["seat"] = report["measures"]["seat"]
    both["measures"]["seat"][0]["comparison"]["families"]["gender"] |= {
        "difference": 0.3,
        "confidence_interval": [0.1, 0.5],
        "verdict": "worse",
    }
    draw_pictures(both, tmp_path / "figures")
    facts = CardFacts(licence="apache-2.0", accepted_amplification="It is a test.")
    card = build_card(both, facts, ["figures/seat.png", *FIGURES])
    assert "This text classifier (bert" in card and "**Gender association of its vectors** (SEAT" in card
    headings = re.findall(r"^## (.*)$", card, re.MULTILINE)
    assert headings[:2] == ["Reliance on a shortcut, by group", "Gender association (SEAT)"]
    reasons = [reason.split(" is ")[0] for reason in Gate().reasons(published_report(both))]
    assert reasons[:2] == ["mean |d| of the gender tests", "spurious gap, flipped"]
    assert {"seat", "spurious-correlations"} <= set(front_matter(card)["tags"])
    assert lint_card(card, both, facts, tmp_path) == []


def test_hostile_names_of_groups_stay_text():
    report = classifier_report()
    entry = report["measures"]["groups"][0]
    for side in ("model", "reference"):
        for split in entry[side]["splits"].values():
            split["groups"][0]["group"] = "a|b<script>"
    card = build_card(report, FACTS)
    assert "<script>" not in card and "| a&#124;b&#60;script&#62; |" in card


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda entry: entry["model"]["scores"][3].update(value=1.0), "model.scores[3].value"),
        (
            lambda entry: entry["model"]["splits"]["flipped"]["groups"][2].update(right=79),
            "splits.flipped.groups[2].right",
        ),
        (lambda entry: entry["reference"]["splits"]["test"].update(worst_group="red 0"), "splits.test.worst_group"),
        (
            lambda entry: entry["comparison"]["splits"]["test"]["groups"][0].update(difference=9.0),
            "comparison.splits.test.groups[0].difference",
        ),
    ],
)
def test_a_changed_number_contradicts_the_predictions_that_stand_beside_it(change, place):
    report = classifier_report()
    assert consistency_row(report).passed
    change(report["measures"]["groups"][0])
    row = consistency_row(report)
    assert row.passed is False and place in row.note


def test_an_interval_that_is_taken_out_is_missed(tmp_path):
    report = classifier_report(better := {"test": (0.95,) * 4, "flipped": (0.95,) * 4}, LEANING)
    report["measures"]["groups"][0]["model"]["splits"]["flipped"]["groups"][0]["confidence_interval"] = None
    problems = lint_card(build_card(report, FACTS), report, FACTS, tmp_path)
    assert any("groups, flipped, red 0 (model) has no interval" in problem for problem in problems), better


def test_classifiers_are_not_compared_on_a_page_by_seat():
    with pytest.raises(ValueError, match="tiny: its report has no SEAT, which students are compared by"):
        compared_students([classifier_report()], ["tiny"])


def test_a_collection_says_the_gap_of_a_classifier():
    note = student_note(EvaluationReport.from_dict(classifier_report()))
    assert note == (
        "Student, spurious gap, flipped of digits: 47.5 [39.0, 55.4] points; its teacher 5.4 [-0.1, 11.7]: reliably further from 0."
    )


def test_a_task_training_record_is_told(tmp_path):
    report = classifier_report()
    report["training"] = {
        "seed": 3,
        "steps": 400,
        "epochs": 5.0,
        "batch_size": 32,
        "student": {"model_type": "resnet", "layers": 4, "initialisation": "random"},
        "task": {"name": "digits", "examples": 1200, "by_group": {"red 0": 540, "blue 0": 60}},
        "objective": {"alpha": 0.5, "temperature": 2.0},
        "debiasing": {"name": "product_of_experts", "bias_model": {"kind": "shallow"}},
        "held_out": {"accuracy": 0.75},
        "ladder": [],
        "final_losses": {"ce": 0.5, "kd": 1.25, "extra": None},
        "loss_curve": [
            {"step": 10, "loss": 2.0, "ce": 1.0, "kd": 2.5},
            {"step": 20, "loss": 1.0, "ce": 0.5, "kd": 1.25},
        ],
        "seconds": 61.0,
    }
    assert [path.name for path in draw_pictures(report, tmp_path)] == ["groups.png", "loss_curves.png"]
    card = build_card(report, FACTS, [*FIGURES, "figures/loss_curves.png"])
    assert "and debiased with `product_of_experts`" in card
    assert "- Objective: alpha 0.5, temperature 2\n" in card
    assert "- Debiasing of the student: name product_of_experts, bias model (kind shallow)" in card
    assert "- Training data: name digits, examples 1200, by group (red 0 540, blue 0 60)" in card
    assert "| `ce` | cross-entropy with the labels | 0.500 |" in card and "`extra`" not in card
    assert "| 20 | 1.000 | 0.500 | 1.250 |" in card and "](figures/loss_curves.png)" in card
    assert "400 steps (5 epochs), effective batch 32, seed 3." in card and "- Training time: 1 min 01 s" in card


@pytest.mark.parametrize(
    ("record", "title"),
    [
        ({"debiasing": {"name": "erm"}, "held_out": {"accuracy": 0.75}}, "On held-out examples of the training data"),
        (
            {"debiasing": {"name": "dfr", "fitted_on": 90}, "held_out": {}, "held_out_before_fit": {"accuracy": 0.75}},
            "On the validation examples before the debiasing method was fitted on them",
        ),
        # as runs wrote it before they knew the difference: accuracy on the examples that the last layer was fitted on
        ({"debiasing": {"name": "dfr", "held_out": 90}, "held_out": {"accuracy": 0.75}}, None),
    ],
)
def test_numbers_on_validation_examples_are_called_held_out_only_where_they_are(record, title):
    report = classifier_report()
    report["training"] = {"steps": 4, "epochs": 1.0, "batch_size": 8, "seed": 0, **record}
    lines = [line for line in build_card(report, FACTS).splitlines() if "accuracy 0.75" in line]
    assert [line.startswith(f"- {title}") for line in lines] == ([True] if title else [])


def test_the_same_report_gives_the_same_card_and_picture(tmp_path):
    report = classifier_report()
    again = json.loads(json.dumps(report, sort_keys=True))  # as the file has it
    assert build_card(report, FACTS) == build_card(again, FACTS)
    one, other = draw_pictures(report, tmp_path / "a"), draw_pictures(again, tmp_path / "b")
    assert [path.name for path in one] == ["groups.png"] and one[0].read_bytes() == other[0].read_bytes()
