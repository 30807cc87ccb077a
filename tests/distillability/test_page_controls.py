"""What stands beside a difference so that it can be read: controls of remedies and of DeDiER, groups of a fair size, and caveats."""

import copy
import dataclasses

import numpy as np
import pytest
from made_up_grid import GRID, gap_of, made_up_grid, made_up_results, worst_group_of
from page_reading import compared, differences, every_model, g_of, models, part, row, shown, with_interval

from evenhand.evaluation import EvaluationReport
from evenhand.launch.distillability.models import ALONE, TEACHER
from evenhand.launch.distillability.page.change_tables import change_lines, debiasing_lines, remedy_lines
from evenhand.launch.distillability.page.measured_grid import MeasuredGrid
from evenhand.launch.distillability.page.opening import reading_lines, task_opening
from evenhand.launch.distillability.page.why_section import why_lines


def test_a_remedy_of_the_training_data_is_compared_with_the_student_alone_that_has_it_too(grid, text, data):
    own = g_of(grid, "poe", "large", "small", "plain", remedy="augment")
    # the student of the debiased teacher is plain, and so is the one without a teacher
    alone = models(grid, role=ALONE, method="erm", size="small", remedy="augment")
    expected = with_interval(differences(worst_group_of, own, alone))
    section = part(text, "Remedies")
    cells = [
        cell.strip()
        for cell in row(section, "worst-group accuracy, test | product of experts | large → small").split("|")
    ]
    assert cells[13] == shown(np.mean([worst_group_of(model) for model in alone.values()]), signed=False)
    assert cells[14] == expected
    place = {"method": "poe", "teacher": "large", "student": "small", "remedy": "augment"}
    found = compared(data, "teacher_adds", **place)["test_spurious_gap"]
    assert found["difference"] == pytest.approx(np.mean(differences(gap_of, own, alone)))
    of_augmentation, rest = section.split("**iterative distillation**")
    assert "*g with the remedy − f_S with it* whether the teacher adds to it." in of_augmentation
    assert "f_S with it" not in rest and "exact copy of its teacher" in rest.split("**teacher&#39;s weights**")[-1]


def test_a_method_of_the_distillation_alone_is_compared_with_the_same_distillation_without_it(grid, text, data):
    own, plain = (g_of(grid, method, "small", "large", how) for method, how in (("dedier", "same"), ("erm", "plain")))
    line = row(part(text, "Does debiasing work, against ERM?"), "DeDiER | distilled student | small → large")
    assert f" {with_interval(differences(gap_of, own, plain))} |" in line
    found = compared(data, "debiased", method="dedier", teacher="small", student="large")["test_worst_group"]
    assert found["difference"] == pytest.approx(np.mean(differences(worst_group_of, own, plain)))


def test_what_stands_beside_a_difference_of_distances_from_0_is_a_distance_too(grid):
    def gap(model):
        """Its sign changes from seed to seed, so that its mean says little of the distance."""
        return gap_of(model) * (-1) ** model.seed

    reports = {}
    results = made_up_results(grid, keep=lambda model: model.task == "digits" and model.method in ("erm", "poe"))
    for model in every_model(grid):
        if model.key in results.reports:
            changed = copy.deepcopy(results.reports[model.key].to_dict())
            for score in changed["measures"]["groups"][0]["model"]["scores"]:
                score["value"] = gap(model) if score["key"] == "test_spurious_gap" else score["value"]
            reports[model.key] = EvaluationReport.from_dict(changed)
    comparisons = MeasuredGrid(dataclasses.replace(results, reports=reports)).tasks["digits"].comparisons

    def distance(models):
        return shown(np.mean([gap_of(model) for model in models.values()]), signed=False)

    f_t, f_s = (models(grid, role=role, method="poe", size=size) for role, size in ((TEACHER, "large"), (ALONE, "small")))  # fmt: skip
    own, plain, better = (
        g_of(grid, "poe", "large", "small", how, remedy) for how, remedy in (("same", "none"), ("plain", "none"), ("plain", "iterative"))
    )  # fmt: skip

    def cells(lines, start, title):
        section = (
            "\n".join(lines)
            .replace("\N{NO-BREAK SPACE}", " ")
            .split(f"spurious gap, test, as a distance from 0{title}")
        )
        return [cell.strip() for cell in row(section[1], start).split("|")]

    line = cells(change_lines(comparisons), "product of experts | large → small | student debiased too", " (lower")
    assert line[5:9] == [distance(f_t), distance(f_s), distance(own), with_interval(differences(gap_of, own, f_t))]
    line = cells(debiasing_lines(comparisons), "product of experts | teacher | large", "</summary>")
    erm = models(grid, role=TEACHER, method="erm", size="large")
    assert line[5:8] == [distance(erm), distance(f_t), with_interval(differences(gap_of, f_t, erm))]
    text = "\n".join(remedy_lines(comparisons)).split("**iterative distillation**")[1]
    start = "spurious gap, test, as a distance from 0 | product of experts | large → small"
    line = [cell.strip() for cell in row(text, start).split("|")]
    assert line[6:10] == [distance(f_t), distance(plain), distance(better), with_interval(differences(gap_of, better, plain))]  # fmt: skip


def test_labels_that_could_not_be_matched_are_said(measured):
    page = measured.tasks["digits"]
    unmatched = [
        dataclasses.replace(
            one, examples={**one.examples, "split": "flipped", "labels_matched": False, "examples_of_a_side": 1200}
        )
        for one in page.insides
    ]
    assert (
        "on 1,200 bias-aligned and as many bias-conflicting examples of flipped: aligned and conflicting examples have different labels and could not be matched"
        in " ".join(why_lines(page.task, unmatched))
    )


def with_groups_of(results, sizes):
    """The same with other numbers of examples in the groups of each split of the task of digits."""
    key, report = next(iter(results.reports.items()))
    changed = copy.deepcopy(report.to_dict())
    for split, numbers in sizes.items():
        groups = changed["measures"]["groups"][0]["model"]["splits"][split]["groups"]
        for group, n in zip(groups, numbers, strict=True):
            group["n"] = n
    return dataclasses.replace(results, reports={**results.reports, key: EvaluationReport.from_dict(changed)})


@pytest.mark.parametrize(
    ("test", "flipped", "judged"),
    [
        ((40, 30, 30), (40, 40, 40), "test"),
        ((40, 29, 30), (40, 40, 40), "flipped"),  # a minimum over small groups is partly chance
        ((40, 29, 30), (40, 0, 30), "flipped"),  # a group that a split does not have says nothing
        ((40, 29, 30), (40, 40, 29), "test"),  # no split is better
    ],
)
def test_the_worst_group_is_that_of_a_split_whose_groups_have_30_examples(results, test, flipped, judged):
    task = MeasuredGrid(with_groups_of(results, {"test": test, "flipped": flipped})).tasks["digits"].task
    assert (task.judged_split, task.gap_split) == (judged, "test")
    assert task.robust_keys == [f"{judged}_worst_group", "test_spurious_gap"]
    lines = " ".join(task_opening(task))
    smallest = min(n for n in {"test": test, "flipped": flipped}[judged] if n)
    assert f"its smallest group has {smallest} examples" in lines
    assert ("The worst group is that of flipped" in lines) == (judged == "flipped")
    assert ("where test has a group of 29" in lines) == (judged == "flipped")


def test_a_method_whose_students_alone_have_a_teacher_too_is_said_to_change_two_things(tmp_path):
    method = "  cr: {label: confidence, debiasing: {method: confidence_regularisation}, self_distilled: {alpha: 1.0, temperature: 1.0}}\n"
    text = GRID.replace("remedies:\n", f"{method}remedies:\n", 1)
    small = made_up_grid(tmp_path, text, tasks=["digits"], seeds=1)
    lines = " ".join(reading_lines(MeasuredGrid(made_up_results(small))))
    assert (
        "confidence cannot do without a teacher: its f_T and f_S are themselves distilled, with alpha = 1, T = 1, from the model of their size"
        in lines
    )
    assert (
        "with alpha = 0.5, T = 2. The contribution of a student debiased too therefore changes the teacher and the manner of distillation together"
        in lines
    )
    assert lines.count("cannot do without a teacher") == 1
