"""The page of a study of distillability: its numbers are those of the reports, and nothing is left out in silence."""

import copy
import dataclasses
import json
import re

import numpy as np
import pytest
from made_up_grid import GROUPS, gap_of, made_up_grid, made_up_results, worst_group_of
from page_reading import (
    compared,
    differences,
    every_model,
    g_of,
    models,
    of_task,
    part,
    row,
    shown,
    whole,
    with_interval,
)
from scipy import stats

from evenhand.evaluation import EvaluationReport
from evenhand.launch.distillability.grid_directory import GridDirectory
from evenhand.launch.distillability.grid_job import GridJob
from evenhand.launch.distillability.models import ALONE, NO_REMEDY, TEACHER
from evenhand.launch.distillability.page.distillability_page import write_page
from evenhand.launch.distillability.results import keep_beside, results_from_archive, results_of


def by_hand_holm(p_values):
    """The i-th smallest of m times m − i, never below a smaller one's."""
    order, adjusted, floor = np.argsort(p_values), np.empty(len(p_values)), 0.0
    for rank, place in enumerate(order):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = floor
    return adjusted


def test_teachers_and_students_alone_have_means_over_seeds_with_their_intervals(grid, text):
    section = part(text, "Trained without distillation")
    for role, heading in ((TEACHER, "Teachers, f_T:"), (ALONE, "Students alone, f_S:")):
        table = section.split(heading)[1]
        for method, label in (("poe", "product of experts"), ("dro", "Group&#124;DRO")):
            own = models(grid, role=role, method=method, size="large").values()
            line = row(table, f"{label} | large")
            assert "| 4 | " in line
            assert f" {with_interval([worst_group_of(model) for model in own], signed=False)} |" in line
            assert f" {with_interval([gap_of(model) for model in own], signed=False)} |" in line


def test_distillability_is_against_the_teacher_and_contribution_against_the_student_trained_the_same_way(
    grid, text, data
):
    teacher = models(grid, role=TEACHER, method="poe", size="large")
    alone = {
        how: models(grid, role=ALONE, method=method, size="small")
        for how, method in (("plain", "erm"), ("same", "poe"))
    }
    table = part(text, "Distillability and contribution").split("**worst-group accuracy, test")[1]
    for how, words in (("plain", "plain student"), ("same", "student debiased too")):
        own = g_of(grid, "poe", "large", "small", how)
        line = row(table, f"product of experts | large → small | {words}")
        against_teacher, against_alone = (differences(worst_group_of, own, other) for other in (teacher, alone[how]))
        cells = [cell.strip() for cell in line.split("|")]
        assert cells[8] == with_interval(against_teacher) and cells[12] == with_interval(against_alone)
        found = compared(
            data, "distillability", method="poe", teacher="large", student="small", variant=how, remedy=NO_REMEDY
        )
        p_value = stats.ttest_1samp(against_teacher, 0).pvalue
        assert found["test_worst_group"]["p_value"] == pytest.approx(p_value)
        assert found["test_worst_group"]["difference"] == pytest.approx(np.mean(against_teacher))
        # the gap is 90 less the worst group here, and lower is better
        assert found["test_spurious_gap"]["difference"] == pytest.approx(-np.mean(against_teacher))
        assert found["test_spurious_gap"]["verdict"] == found["test_worst_group"]["verdict"] == "worse"
        assert found["test_worst_group"]["differences"] == {
            str(seed): pytest.approx(value) for seed, value in enumerate(against_teacher)
        }


def test_a_method_of_the_distillation_alone_is_compared_with_the_models_of_erm(grid, data):
    own = g_of(grid, "dedier", "small", "large", "same")
    for kind, role, size in (("distillability", TEACHER, "small"), ("contribution", ALONE, "large")):
        expected = np.mean(differences(worst_group_of, own, models(grid, role=role, method="erm", size=size)))
        found = compared(data, kind, method="dedier", teacher="small", student="large")
        assert found["test_worst_group"]["difference"] == pytest.approx(expected)


def test_p_values_are_corrected_over_all_comparisons_of_the_tasks_page_in_one_metric(data, text):
    comparisons = data["tasks"]["digits"]["comparisons"]
    # 24 cells twice; 22 with a remedy twice, and 8 of these against the student alone with it; 4 teachers, 4 students alone and 4 students
    # of a method of the distillation alone against ERM
    assert len(comparisons) == 2 * 24 + 2 * 22 + 8 + 8 + 4
    for metric in ("test_worst_group", "flipped_accuracy"):
        found = [one["metrics"][metric] for one in comparisons]
        expected = by_hand_holm([one["p_value"] for one in found])
        assert [one["p_value_holm"] for one in found] == pytest.approx(expected)
        assert all(one["detectable"] < one["detectable_holm"] for one in found)
    assert "(higher is better; p over 112 comparisons)" in text


def test_the_detectable_difference_is_found_with_80_percent_power(data):
    found = compared(
        data, "contribution", method="poe", teacher="large", student="small", variant="plain", remedy=NO_REMEDY
    )
    one = found["test_worst_group"]
    values = list(one["differences"].values())
    shift = one["detectable"] / (np.std(values, ddof=1) / 2)  # four seeds
    critical = stats.t.ppf(0.975, 3)
    power = stats.nct.sf(critical, 3, shift) + stats.nct.cdf(-critical, 3, shift)
    assert power == pytest.approx(0.8, abs=1e-4)


def test_a_remedy_is_compared_with_the_same_student_without_it_and_with_the_teacher(grid, text, data):
    own = g_of(grid, "erm", "large", "small", "plain", remedy="iterative")
    without, teacher = (
        g_of(grid, "erm", "large", "small", "plain"),
        models(grid, role=TEACHER, method="erm", size="large"),
    )
    expected = with_interval(differences(worst_group_of, own, without))
    section = part(text, "Remedies").split("**iterative distillation**")[1]
    line = row(section, "worst-group accuracy, test | none (ERM) | large → small")
    cells = [cell.strip() for cell in line.split("|")]
    assert cells[5] == "4" and cells[9] == expected and cells[11] == "**better**"
    assert cells[13] == with_interval(differences(worst_group_of, own, teacher))
    assert "Not possible for small → large: the student is larger than its teacher." in section
    place = {"method": "erm", "teacher": "large", "student": "small", "remedy": "iterative"}
    difference = np.mean(differences(gap_of, own, without))
    assert compared(data, "remedy", **place)["test_spurious_gap"]["difference"] == pytest.approx(difference)


def test_groups_change_by_the_mean_over_pairs_of_sizes(grid, text, data):
    changes = []
    for teacher in ("small", "large"):
        of_teacher = models(grid, role=TEACHER, method="poe", size=teacher)
        changes += [
            differences(worst_group_of, g_of(grid, "poe", teacher, student, "plain"), of_teacher)
            for student in ("small", "large")
        ]
    expected = np.mean(changes, axis=0)
    table = part(text, "Group by group").split("**flipped: distillability (g − f_T)**")[1]
    assert "wrong colour, conflicting (n = 20)" in table.splitlines()[2]
    assert f"**{with_interval(expected)}**" in row(table, "product of experts | plain student")
    (found,) = (
        one["groups"]
        for one in data["tasks"]["digits"]["groups"]
        if (one["kind"], one["split"], one["method"], one["variant"]) == ("distillability", "flipped", "poe", "plain")
    )
    assert set(found) == set(GROUPS)
    assert found["wrong colour"]["difference"] == pytest.approx(np.mean(expected))
    assert found["right colour"]["difference"] == 0 and found["right colour"]["confidence_interval"] is None


def test_id_and_ood_stand_side_by_side_and_their_difference_is_compared(grid, text, data):
    own = g_of(grid, "poe", "large", "large", "same")
    section = part(text, "In distribution against out of distribution")
    cells = [
        cell.strip() for cell in row(section, "product of experts | large → large | student debiased too").split("|")
    ]
    accuracies = [85 + 0.1 * worst_group_of(model) for model in own.values()]
    assert cells[6] == shown(np.mean(accuracies), signed=False) and cells[9] == shown(
        np.mean(accuracies) - 10, signed=False
    )
    assert cells[12] == with_interval([10 + 0.01 * gap_of(model) for model in own.values()], signed=False)
    found = compared(
        data, "distillability", method="poe", teacher="large", student="large", variant="same", remedy=NO_REMEDY
    )
    teacher = models(grid, role=TEACHER, method="poe", size="large")
    assert found["test_minus_flipped"]["difference"] == pytest.approx(0.01 * np.mean(differences(gap_of, own, teacher)))


def test_worst_group_and_gap_are_those_of_the_first_split_with_both_sides(text, data):
    assert data["tasks"]["digits"]["judged_split"] == "test" and data["tasks"]["pairs"]["judged_split"] == "flipped"
    section = of_task(text, "sentence pairs")
    assert (
        "Worst group and spurious gap are those of flipped, as test has no aligned and conflicting examples; its smallest group has 20 examples, fewer "
        "than 30, so that its worst group is partly chance." in section
    )
    assert "worst-group accuracy, test" not in section


def test_similarity_and_overlap_are_means_over_seeds(data, text):
    (found,) = (
        one
        for one in data["tasks"]["digits"]["inside"]
        if (one["teacher"], one["student"], one["method"], one["remedy"]) == ("large", "small", "erm", "none")
    )
    # 0.80, 0.81, 0.82, 0.83 by seed
    assert found["similarity"]["conflicting"]["values"][0][0] == pytest.approx(0.815)
    low, high = stats.ttest_1samp([0.80, 0.81, 0.82, 0.83], 0).confidence_interval(0.95)
    assert found["similarity"]["conflicting"]["low"][0][0] == pytest.approx(low)
    assert found["similarity"]["conflicting"]["high"][0][0] == pytest.approx(high)
    assert found["overlap"]["sublayers"]["aligned"]["common"]["value"] == pytest.approx(1.5)
    section = part(text, "Why: inside teacher and student")
    assert (
        "on 48 bias-aligned and as many bias-conflicting examples of test, each label as often on either side."
        in section
    )
    # components were taken out on all of them: 128 at most
    assert "what taking them out costs in ln p(true class), on 48 of these examples of either side:" in section
    examples = {"split": "test", "examples_of_a_side": 48, "labels_matched": True, "ablation_examples": 48}
    assert {key: found[key] for key in examples} == examples
    # heads are matched by their number, which says something only of students made from their teacher
    assert set(found["overlap"]) == {"sublayers"} and "| heads |" not in section
    assert "Single heads are compared only of students that began with their teacher's weights" in section
    assert row(section, "none (ERM) | large → small | – | sublayers, N = 8").count("1.5 of 2") == 2
    own = np.array([np.random.default_rng([seed, 7]).normal() for seed in range(4)]) * 0.01
    assert with_interval(0.1 + own, signed=False, digits=2) in row(section, "none (ERM) | large → small | – | 4")


def test_pictures_are_drawn_and_named_in_results_json(page, data):
    drawn = {path.name for path in (page / "figures").iterdir()}
    assert drawn == set(data["pictures"])
    assert {
        f"digits_{what}.png" for what in ("worst_group_changes", "spurious_gap_changes", "worst_group_models")
    } <= drawn
    assert "digits_erm_large_to_small_plain_cka.png" in drawn and "pairs_spurious_gap_models.png" in drawn
    for name in drawn:
        task = name.split("_")[0]
        assert f"](figures/{name})" in (page / f"task_{task}.md").read_text(encoding="utf-8")


def test_each_task_has_a_page_of_its_own_and_the_pages_lead_to_one_another(page, data):
    names = ["task_digits.html", "task_digits.md", "task_pairs.html", "task_pairs.md"]
    assert data["pages"] == names and sorted(path.name for path in page.glob("task_*")) == names
    front = (page / "README.md").read_text(encoding="utf-8")
    assert "[coloured digits](task_digits.md)" in front and "Trained without distillation" not in front
    assert "](README.md)" in (page / "task_digits.md").read_text(encoding="utf-8")
    front, task = ((page / name).read_text(encoding="utf-8") for name in ("README.html", "task_digits.html"))
    assert 'href="task_digits.html"' in front and 'href="README.html"' in task and ".md" not in front + task
    assert "data:image/png;base64," in task and "<title>coloured digits" in task


def test_the_page_of_a_task_that_is_no_longer_asked_goes_and_what_is_not_ours_stays(results, tmp_path):
    folder = write_page(results, tmp_path / "page", figures=False).parent
    (folder / "task_mine.md").write_text("mine")
    fewer = made_up_grid(tmp_path, tasks=["digits"])
    write_page(made_up_results(fewer), folder, figures=False)
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.html", "README.md", "results.json", "task_digits.html", "task_digits.md", "task_mine.md",
    ]  # fmt: skip


def test_html_in_names_is_shown_and_not_obeyed(page, text):
    assert "<b>" not in text and "Group|DRO" not in text
    assert "&lt;b&gt;debiasing&lt;/b&gt;" in (page / "README.html").read_text(encoding="utf-8")


def test_the_page_can_be_made_again_from_the_archive_beside_it(results, page, tmp_path):
    archive = keep_beside(tmp_path, results)
    again = results_from_archive(results.grid, archive, results.command)
    assert again.reports.keys() == results.reports.keys()
    made = write_page(again, tmp_path / "again", figures=False).parent
    said, before = (json.loads((folder / "results.json").read_text(encoding="utf-8")) for folder in (made, page))
    assert said | {"pictures": before["pictures"]} == before


def test_failed_and_missing_models_are_named_and_the_page_is_made_of_the_others(grid, tmp_path):
    lost = "distilled-large-to-small-plain"
    # of seed 3 only ERM was run; the poe teachers of the larger size failed nowhere, some students everywhere
    some = made_up_results(grid, keep=lambda model: model.seed < 3 or model.method == "erm", failed=(lost,))
    folder = write_page(some, tmp_path / "page", figures=False).parent
    text = whole(folder)
    assert f"- **Failed**: {lost}, poe, seed 0: the disk is full; log `digits-poe-seed0.log`." in text
    assert "**Not run yet**: 37 models, of seeds 3." in text
    counts = json.loads((folder / "results.json").read_text(encoding="utf-8"))["models"]
    assert counts["failed"] == 12 and counts["missing"] == 37 and sum(counts.values()) == 2 * counts["wanted"]
    assert f"**Not finished**: of {counts['wanted']} models 12 failed and 37 have not been run yet." in text
    line = row(part(text, "Distilled students, g"), "product of experts | large → small | plain student")
    assert line == "| product of experts | large → small | plain student | 0 of 4 (4 failed) | – | – | – | – | – |"
    line = row(part(text, "Distilled students, g"), "product of experts | large → small | student debiased too")
    assert "| 3 of 4 (1 not run yet) |" in line
    # 8 plain cells are planned, two of them lost
    assert re.search(r"detectable [\d.]+; the first of these by method, uncorrected: [^\n]+; over 6 of 8 cells\.", text)


def test_one_seed_gives_a_page_without_intervals(grid, tmp_path):
    made = write_page(made_up_results(grid, keep=lambda model: model.seed == 0), tmp_path / "page", figures=False)
    text = whole(made.parent)
    assert "not distinguishable" in text and "**better**" not in text
    section = part(text, "Trained without distillation")
    own = worst_group_of(models(grid, role=TEACHER, method="erm", size="small")[0])
    assert f" {shown(own, signed=False)} |" in row(section, "none (ERM) | small")
    assert ": cannot be told in both tasks." in text and "**supported**" not in text and "**contradicted**" not in text


def test_a_task_that_has_not_begun_is_shown_as_such(grid, tmp_path):
    folder = write_page(
        made_up_results(grid, keep=lambda model: model.task == "pairs"), tmp_path / "page", figures=False
    ).parent
    text = (folder / "task_digits.md").read_text(encoding="utf-8")
    assert "**Not run yet**: 240 models" in text and "No model of this task has been measured yet." in text
    assert "##" not in text


def test_a_page_from_nothing_is_refused_in_one_line_and_nothing_is_made(grid, tmp_path):
    with pytest.raises(ValueError, match=r"^study made_up: no model has been measured yet; run the study first\.$"):
        write_page(made_up_results(grid, keep=lambda model: False), tmp_path / "page")
    assert not list(tmp_path.iterdir())


def test_a_folder_with_another_readme_is_left_alone(results, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(ValueError, match="is no study's page"):
        write_page(results, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_reports_on_other_data_are_refused(results):
    key, report = next(iter(results.reports.items()))
    other = copy.deepcopy(report.to_dict())
    other["measures"]["groups"][0]["data"]["sha256"]["test"] = "other"
    changed = dataclasses.replace(results, reports={**results.reports, key: EvaluationReport.from_dict(other)})
    with pytest.raises(ValueError, match=r"^task digits: .* were measured on other data and cannot be compared\.$"):
        write_page(changed, "unused")
    del other["measures"]["groups"]
    changed = dataclasses.replace(results, reports={key: EvaluationReport.from_dict(other)})
    with pytest.raises(ValueError, match=r"teacher-small \(erm, seed 0\) has no group metrics"):
        write_page(changed, "unused")


def test_results_of_a_job_are_the_reports_and_failures_of_its_directory(grid, results, tmp_path):
    directory = GridDirectory(tmp_path)
    first, second, *_ = every_model(grid)
    results.reports[first.key].save(directory.report_file(first.key))
    directory.mark_failed(second.key, "cell.log", reason="no room")
    found = results_of(GridJob(grid, directory, "made_up.yaml"), "evenhand study made_up")
    assert found.reports == {first.key: results.reports[first.key]}
    assert found.failed == {second.key: {"reason": "no room", "log": "cell.log"}}
    assert (found.grid, found.command) == (grid, "evenhand study made_up")
