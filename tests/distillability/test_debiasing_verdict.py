"""Does a method debias? The page's verdict rests on the gap and on conflicting examples, and a model that only gets worse does not pass."""

import copy
import dataclasses

import numpy as np
import pytest
from made_up_grid import gap_of, made_up_results, worst_group_of
from page_reading import differences, every_model, models, part, row, shown, with_interval

from evenhand.evaluation import EvaluationReport
from evenhand.evaluation.distillability import with_holm
from evenhand.launch.distillability.models import DISTILLED, NO_REMEDY, TEACHER
from evenhand.launch.distillability.page import debiasing as debiasing_module
from evenhand.launch.distillability.page.caveats import debiasing_items
from evenhand.launch.distillability.page.change_tables import debiasing_lines
from evenhand.launch.distillability.page.debiasing import CASES, NOT_MEASURED, TOO_FEW, Debiasing, pooled_debiasing
from evenhand.launch.distillability.page.measured_grid import MeasuredGrid
from evenhand.launch.distillability.page.results_json import results_json
from evenhand.launch.distillability.page.summary import summary_lines

NOISE = {0: -0.6, 1: 0.2, 2: 0.5, 3: -0.1}
"""By seed; its mean is 0."""


def with_sides(results, change):
    """The same teachers of the task of digits with other accuracies on aligned and conflicting examples; all other models are left out.

    Args:
        change: model -> points of (aligned, conflicting) to be added to ERM's 95 and 45.
    """
    reports = {}
    for model in every_model(results.grid):
        if model.key not in results.reports or (model.role, model.task) != (TEACHER, "digits"):
            continue
        data = copy.deepcopy(results.reports[model.key].to_dict())
        one = data["measures"]["groups"][0]["model"]
        aligned, conflicting = (start + points for start, points in zip((95.0, 45.0), change(model), strict=True))
        numbers = {"test_spurious_gap": aligned - conflicting, "test_accuracy": 0.8 * aligned + 0.2 * conflicting}
        for score in one["scores"]:
            score["value"] = numbers.get(score["key"], score["value"])
        for group in one["splits"]["test"]["groups"]:
            group["accuracy"] = {True: aligned, False: conflicting}.get(group["aligned"], group["accuracy"])
        reports[model.key] = EvaluationReport.from_dict(data)
    return MeasuredGrid(dataclasses.replace(results, reports=reports))


def of_poe(aligned, conflicting, together=0.0):
    """What the product of experts changes: each side with noise of its own, and ``together`` times the noise of both."""

    def change(model):
        if model.method != "poe":
            return 0.0, 0.0
        noise = NOISE[model.seed]
        return aligned + together * noise + 0.5 * noise, conflicting + together * noise - 0.5 * noise

    return change


@pytest.mark.parametrize(
    ("aligned", "conflicting", "together", "case"),
    [
        (-5, 20, 0, "lowers the spurious gap and raises the accuracy on conflicting examples"),
        (-20, 0, 0, "lowers the spurious gap by losing accuracy: it falls on aligned examples, and does not rise on conflicting ones, as far as can be told"),
        (-2, 2, 20, "lowers the spurious gap, but does not raise the accuracy on conflicting examples, as far as can be told"),
        (-30, -10, 0, "lowers the spurious gap by losing accuracy, which falls on conflicting examples too"),
        (10, 10, 0, "raises the accuracy on conflicting examples, but does not lower the spurious gap, as far as can be told"),
        (0, 0, 0, "neither lowers the spurious gap nor raises the accuracy on conflicting examples, as far as can be told"),
        (-10, -10, 0, "lowers the accuracy on conflicting examples, and does not lower the spurious gap, as far as can be told"),
        (20, 10, 0, "raises the spurious gap, though it raises the accuracy on conflicting examples too"),
        (10, 0, 0, "raises the spurious gap"),
        (2, -10, 0, "raises the spurious gap and lowers the accuracy on conflicting examples"),
    ],
)  # fmt: skip
def test_what_a_method_does_is_told_by_the_gap_and_by_conflicting_examples(
    results, aligned, conflicting, together, case
):
    page = with_sides(results, of_poe(aligned, conflicting, together)).tasks["digits"]
    assert case in CASES and pooled_debiasing(page)["poe"].case == case
    (sentence,) = (line for line in debiasing_items(MeasuredGrid(page.task.results)) if "product of experts" in line)
    works = case.startswith("lowers the spurious gap and raises")
    assert f": {case if works else f'**{case}**'}: product of experts (gap " in sentence
    line = row("\n".join(debiasing_lines(page.comparisons)), "product of experts | teacher | small")
    assert line.removesuffix(" (not after Holm) |").removesuffix(" |").endswith(f"| {case}")


def test_the_numbers_of_a_verdict_stand_beside_it_with_ordinary_accuracy(results):
    measured = with_sides(results, of_poe(-20, 0))
    (sentence,) = (line for line in debiasing_items(measured) if "product of experts" in line)
    noise = np.array(list(NOISE.values()))
    on_aligned, on_conflicting = -20 + 0.5 * noise, -0.5 * noise
    left = with_interval(95 + on_aligned - 45 - on_conflicting, signed=False)
    low = f"gap {with_interval(on_aligned - on_conflicting)} leaving {left}, accuracy on conflicting examples {with_interval(on_conflicting)} (detectable "
    assert low in sentence
    beside = f", on aligned examples {with_interval(on_aligned)}, ordinary accuracy {with_interval(0.8 * on_aligned + 0.2 * on_conflicting)}, n = 4)"
    assert beside in sentence
    section = "\n".join(debiasing_lines(measured.tasks["digits"].comparisons)).replace("\N{NO-BREAK SPACE}", " ")
    cells = [cell.strip(" *") for cell in row(section, "product of experts | teacher | large").split("|")]
    assert cells[5:7] == [with_interval(on_aligned - on_conflicting), with_interval(on_conflicting)]
    folded = section.split("<summary>accuracy on conflicting examples, test</summary>")[1]
    cells = [cell.strip() for cell in row(folded, "product of experts | teacher | large").split("|")]
    assert cells[5:8] == ["45.0", "45.0", with_interval(on_conflicting)]


def test_a_method_that_corrects_too_far_is_said_to(results):
    """ERM's gap is 50 points; with the method −5, or nearly 0."""
    for aligned, conflicting, too_far in ((-35, 20, True), (-25, 25, False)):
        measured = with_sides(results, of_poe(aligned, conflicting))
        found = pooled_debiasing(measured.tasks["digits"])["poe"]
        expected = {seed: pytest.approx(50 + aligned - conflicting + noise) for seed, noise in NOISE.items()}
        assert found.left == expected and found.corrects_too_far == too_far
        said = "Corrects too far, so that conflicting examples are now the easier ones: product of experts."
        assert (said in " ".join(debiasing_items(measured))) == too_far
        of_finding = [
            line
            for line in summary_lines(measured)
            if line.endswith("; teachers of product of experts correct too far.")
        ]
        assert len(of_finding) == 2 * too_far and all("coloured digits" in line for line in of_finding)
        (written,) = (
            one for one in results_json(measured, [])["tasks"]["digits"]["debiasing"] if one["method"] == "poe"
        )
        assert written["corrects_too_far"] == too_far
        assert written["gap_left"]["value"] == pytest.approx(50 + aligned - conflicting)
    # less than a point is no matter, and one seed tells nothing
    assert not Debiasing({}, [], True, {0: -0.5, 1: -0.51, 2: -0.5}).corrects_too_far
    assert Debiasing({}, [], True, {0: -1.0, 1: -1.01, 2: -1.0}).corrects_too_far
    assert not Debiasing({}, [], True, {0: -20.0}).corrects_too_far


def test_a_method_that_was_measured_once_is_not_told_as_a_failure(results, grid):
    once = made_up_results(grid, keep=lambda model: model.method == "erm" or model.seed == 2)
    lines = debiasing_items(MeasuredGrid(once))
    own, erm = (models(grid, role=TEACHER, method=method, size="small")[2] for method in ("poe", "erm"))
    larger, plain = (models(grid, role=TEACHER, method=method, size="large")[2] for method in ("poe", "erm"))
    gain = np.mean([worst_group_of(own) - worst_group_of(erm), worst_group_of(larger) - worst_group_of(plain)])
    left = np.mean([gap_of(own), gap_of(larger)])
    (of_digits,) = (line for line in lines if line.startswith("  - coloured digits"))
    assert of_digits.startswith(
        "  - coloured digits (spurious gap, test): too few seeds to tell: product of experts (gap "
    )
    assert (
        f"gap {shown(-gain)} leaving {shown(left, signed=False)}, accuracy on conflicting examples {shown(gain)}, "
        in of_digits
        and "n = 1)" in of_digits
    )
    assert "as far as can be told" not in " ".join(lines)
    text = "\n".join(debiasing_lines(MeasuredGrid(once).tasks["digits"].comparisons)).replace("\N{NO-BREAK SPACE}", " ")
    line = row(text.split("<summary>")[1], "product of experts | teacher | small")
    assert line.endswith("| – | too few seeds | – |") and "not distinguishable" not in line


def test_methods_that_were_not_measured_and_sizes_that_differ_are_said(results, grid):
    def change(model):
        if model.method != "poe":
            return 0.0, 0.0
        noise = NOISE[model.seed]
        return -20 + noise, (20.0 if model.size == "small" else 0.0) - noise

    lines = debiasing_items(with_sides(results, change))
    (of_poe_,) = (line for line in lines if "product of experts" in line)
    assert of_poe_.endswith(
        ". Single sizes differ: product of experts, large, lowers the spurious gap by losing accuracy: it falls on aligned examples, and does not rise on "
        "conflicting ones, as far as can be told."
    )
    lost = made_up_results(grid, keep=lambda model: (model.role, model.method) != (TEACHER, "dro"))
    found = pooled_debiasing(MeasuredGrid(lost).tasks["digits"])
    assert found["dro"].case == NOT_MEASURED and found["poe"].case not in (NOT_MEASURED, TOO_FEW)
    assert any(line.endswith(": not measured: Group&#124;DRO.") for line in debiasing_items(MeasuredGrid(lost)))


def test_the_numbers_that_decide_are_corrected_together_over_the_methods(results, measured, monkeypatch):
    found = pooled_debiasing(measured.tasks["digits"])
    assert set(found) == {"poe", "dro", "dedier"}
    family = [one.effect for own in found.values() for one in own.decides.values()]
    assert len(family) == 6
    assert [effect.p_value_holm for effect in family] == [effect.p_value_holm for effect in with_holm(family)]
    assert all(own.judged["ordinary"].effect.p_value_holm is None for own in found.values())
    sentences = " ".join(debiasing_items(measured))
    assert "not after Holm" not in sentences
    models_of = {
        (m.method, (m.teacher_size, m.size), m.seed): m
        for m in measured.tasks["digits"].task.models.values()
        if m.role == DISTILLED and m.remedy == NO_REMEDY and m.method in ("erm", "dedier")
    }
    sizes = [(teacher, student) for teacher in ("small", "large") for student in ("small", "large")]
    gains = [
        np.mean([worst_group_of(models_of["dedier", pair, seed]) - worst_group_of(models_of["erm", pair, seed]) for pair in sizes])
        for seed in range(4)
    ]  # fmt: skip
    # the gap is 90 less the accuracy on conflicting examples
    left = [np.mean([gap_of(models_of["dedier", pair, seed]) for pair in sizes]) for seed in range(4)]
    assert f"DeDiER (distilled students, gap {with_interval([-gain for gain in gains])} leaving {with_interval(left, signed=False)}, accuracy on conflicting examples {with_interval(gains)}, " in sentences  # fmt: skip
    monkeypatch.setattr(
        debiasing_module,
        "with_holm",
        lambda effects: [dataclasses.replace(effect, p_value_holm=0.06) for effect in effects],
    )
    assert (
        " ".join(debiasing_items(measured)).count("] (not after Holm)") == 4
    )  # two numbers of the product of experts and of DeDiER


def test_without_a_gap_the_worst_group_decides(results):
    reports = {}
    for model in every_model(results.grid):
        if model.task == "digits" and model.key in results.reports:
            data = copy.deepcopy(results.reports[model.key].to_dict())
            one = data["measures"]["groups"][0]["model"]
            for split in one["splits"].values():
                split["n_aligned"] = 0
            for score in one["scores"]:
                score["value"] = None if "gap" in score["key"] else score["value"]
            reports[model.key] = EvaluationReport.from_dict(data)
    measured = MeasuredGrid(dataclasses.replace(results, reports=reports))
    (first, *_) = (line for line in summary_lines(measured) if line.startswith("  - coloured digits"))
    assert first.startswith("  - coloured digits (worst-group accuracy, test): raises the accuracy of the worst group: product of experts (worst group +")  # fmt: skip
    text = "\n".join(debiasing_lines(measured.tasks["digits"].comparisons))
    assert "A method debiases where the accuracy of the worst group rises." in text
    assert row(text, "Group&#124;DRO | teacher | small").endswith(
        "| does not raise the accuracy of the worst group, as far as can be told |"
    )


def test_the_page_tells_each_teacher_against_erm(grid, text):
    section = part(text, "Does debiasing work, against ERM?")
    for method, label, case in (
        ("poe", "product of experts", "lowers the spurious gap and raises the accuracy on conflicting examples"),
        ("dro", "Group&#124;DRO", "neither lowers the spurious gap nor raises the accuracy on conflicting examples, as far as can be told"),
    ):  # fmt: skip
        own, erm = (models(grid, role=TEACHER, method=one, size="small") for one in (method, "erm"))
        line = row(section, f"{label} | teacher | small")
        gains = differences(worst_group_of, own, erm)
        assert with_interval(gains) in line and with_interval([-gain for gain in gains]) in line
        assert line.endswith(f"| {case} |")
