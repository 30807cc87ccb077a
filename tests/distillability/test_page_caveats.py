"""Numbers that mislead alone are marked or kept within what they can be: models near chance, intervals, columns of other seeds, thin remedies."""

import copy
import dataclasses

import numpy as np
import pytest
from made_up_grid import made_up_results, worst_group_of
from page_reading import differences, every_model, g_of, models, part, row, shown, with_interval
from scipy import stats

from evenhand.evaluation import EvaluationReport
from evenhand.evaluation.distillability import Metric
from evenhand.evaluation.distillability_rule import CANNOT_TELL, CONTRADICTS, SUPPORTS
from evenhand.launch.distillability.models import ALONE, TEACHER
from evenhand.launch.distillability.page import pictures
from evenhand.launch.distillability.page.caveats import near_chance_items, remedy_items
from evenhand.launch.distillability.page.change_tables import change_lines, remedy_lines
from evenhand.launch.distillability.page.findings import task_findings
from evenhand.launch.distillability.page.group_tables import group_lines
from evenhand.launch.distillability.page.inside import ALIGNED, CKA, SPECIFIC, depth_finding, insides_of
from evenhand.launch.distillability.page.measured_grid import MeasuredGrid
from evenhand.launch.distillability.page.measured_task import Trained
from evenhand.launch.distillability.page.model_tables import drop_lines, trained_lines
from evenhand.launch.distillability.page.opening import task_opening
from evenhand.launch.distillability.page.own_numbers import bounds_of, own_mean
from evenhand.launch.distillability.page.summary import summary_lines
from evenhand.model_cards.figures.transfer_heat_figure import transfer_heat_alt

LABELS = np.bincount(np.random.default_rng(0).integers(0, 2, 60))
"""How often each of the two labels is that of a test example of the made-up study."""


def with_accuracy(results, change, splits=("test", "flipped")):
    """The same results with other accuracies on the splits; those of which nothing is said stay."""
    reports = dict(results.reports)
    for model in every_model(results.grid):
        if model.key in reports and (value := change(model)) is not None:
            data = copy.deepcopy(reports[model.key].to_dict())
            for score in data["measures"]["groups"][0]["model"]["scores"]:
                if score["key"] in [f"{split}_accuracy" for split in splits]:
                    score["value"] = value
            reports[model.key] = EvaluationReport.from_dict(data)
    return MeasuredGrid(dataclasses.replace(results, reports=reports))


def lines_of(lines):
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="module")
def collapsed(results):
    """One student alone of the product of experts hardly does its task: seed 1 of the larger size."""
    chance = 100 * float(LABELS.max() / LABELS.sum())

    def change(model):
        one = (model.role, model.method, model.size, model.task, model.remedy) == (
            *(ALONE, "poe", "large", "digits", "none"),
        )
        return chance + 0.24 * (100 - chance) if one and model.seed == 1 else None

    return with_accuracy(results, change)


def test_a_model_is_near_chance_below_a_quarter_of_the_way_to_100_percent(collapsed, results):
    task = collapsed.tasks["digits"].task
    chance = 100 * float(LABELS.max() / LABELS.sum())
    assert task.chance == dict.fromkeys(("test", "flipped"), pytest.approx(chance))
    assert task.least_accuracy == dict.fromkeys(("test", "flipped"), pytest.approx(chance + (100 - chance) / 4))
    assert task.near_chance(Trained(ALONE, "poe", "large")) == {1: pytest.approx(chance + 0.24 * (100 - chance))}
    assert not task.near_chance(Trained(ALONE, "poe", "small"))
    farther = with_accuracy(results, lambda model: chance + 0.26 * (100 - chance))
    assert not any(farther.tasks["digits"].task.near_chance(place) for place in task.places)
    # right on one split, it has learned the task
    for split in ("test", "flipped"):
        only = (
            with_accuracy(results, lambda model: chance + 0.24 * (100 - chance), splits=(split,)).tasks["digits"].task
        )
        assert not any(only.near_chance(place) for place in only.places)


def test_models_near_chance_are_named_and_marked_wherever_they_stand(collapsed):
    page = collapsed.tasks["digits"]
    value = page.task.near_chance(Trained(ALONE, "poe", "large"))[1]
    (item,) = near_chance_items(collapsed)
    assert item.startswith(
        "- **Near chance**: 1 of 240 models of coloured digits. Such a model hardly does its task on any split;"
    )
    chance, least = (shown(one["test"], signed=False) for one in (page.task.chance, page.task.least_accuracy))
    of_splits = "; ".join(f"below {least} % of {split}, where chance is {chance} %" for split in ("test", "flipped"))
    told = f"- **Near chance** † ({of_splits}), with the accuracy on test: f_S product of experts, large (seed 1: {shown(value, False)} %)."
    assert told in task_opening(page.task)
    assert row(lines_of(trained_lines(page.task)).split("f_S:")[1], "product of experts | large | 4 (1 near chance †)")
    table = lines_of(change_lines(page.comparisons)).split("**worst-group accuracy, test")[1]
    cells = [
        cell.strip() for cell in row(table, "product of experts | small → large | student debiased too").split("|")
    ]
    assert [cell.endswith(" †") for cell in cells[5:8]] == [False, True, False]
    assert "†" not in row(table, "product of experts | small → small | student debiased too")
    assert "†" not in row(table, "product of experts | small → large | plain student"), "its f_S is that of ERM"
    drops = row(lines_of(drop_lines(page.task)), "product of experts | large → large | student debiased too").split("|")
    assert [cell.strip().endswith("†") for cell in drops[4:10]] == [False, True, False] * 2
    groups = lines_of(group_lines(page.comparisons))
    first, second = groups.split("test: contribution")[:2]
    assert "†" not in first and row(second, "product of experts | student debiased too †")
    transfer = pictures._transfer_map(page.comparisons, page.task.worst_group)
    marked = [
        (title, transfer.rows[y], transfer.columns[x])
        for title, panel in transfer.panels.items()
        for (y, x), cell in panel.items()
        if cell.mark
    ]
    of_f_s = "contribution, g − f_S", "product of experts, debiased g"
    assert marked == [(*of_f_s, "small → large"), (*of_f_s, "large → large")]
    assert transfer_heat_alt(transfer).count("are marked") == 1 and ", 2 are marked." in transfer_heat_alt(transfer)


def test_nothing_is_said_of_chance_where_every_model_does_its_task(measured, text):
    assert near_chance_items(measured) == [] and "- **Near chance**" not in text
    assert (
        "a model is near it whose accuracy has gone less than 25 % of the way from chance to 100 %, on every split."
        in text
    )


def test_intervals_of_own_numbers_stay_within_what_the_number_can_be():
    assert bounds_of(Metric("test_worst_group", "higher")) == (0, 100)
    assert bounds_of(Metric("test_spurious_gap", "nearer")) == (-100, 100)
    values = {0: 1.0, 1: 0.0, 2: 1.0, 3: 0.0, 4: 1.0}
    free = stats.ttest_1samp(list(values.values()), 0).confidence_interval(0.95)
    assert free.low < 0 and free.high > 1
    assert own_mean(values, (0.0, 1.0))["confidence_interval"] == [0.0, 1.0]
    assert own_mean(values, (-2.0, 2.0))["confidence_interval"] == pytest.approx([free.low, free.high])
    assert own_mean({0: 1.0}, (0.0, 1.0))["confidence_interval"] is None


def test_tables_and_results_print_no_share_beyond_100_percent(grid, results):
    own = {0: 99.0, 1: 95.0, 2: 100.0, 3: 100.0}
    measured = with_accuracy(results, lambda model: own[model.seed] if model.role == TEACHER else None)
    free = stats.ttest_1samp(list(own.values()), 0).confidence_interval(0.95)
    assert free.high > 100
    line = row(lines_of(trained_lines(measured.tasks["digits"].task)), "none (ERM) | small")
    assert f"| 98.5 [{shown(free.low, False)}, 100.0] |" in line


def test_columns_beside_a_difference_are_of_its_seeds(grid):
    # the plain student of seed 2 is lacking, and so is the student alone of seed 3
    some = made_up_results(
        grid,
        keep=lambda model: (
            not (
                (model.seed == 2 and model.method == "poe" and model.name == "distilled-large-to-small-plain")
                or (model.seed == 3 and (model.role, model.method, model.size) == (ALONE, "erm", "small"))
            )
        ),
    )
    page = MeasuredGrid(some).tasks["digits"]
    own = g_of(grid, "poe", "large", "small", "plain")
    f_t, f_s = (
        models(grid, role=TEACHER, method="poe", size="large"),
        models(grid, role=ALONE, method="erm", size="small"),
    )

    def mean(of, seeds):
        return shown(np.mean([worst_group_of(of[seed]) for seed in seeds]), signed=False)

    table = lines_of(change_lines(page.comparisons)).split("**worst-group accuracy, test")[1]
    cells = [cell.strip() for cell in row(table, "product of experts | large → small | plain student").split("|")]
    paired, both = (0, 1, 3), (0, 1)
    assert cells[4] == "3 / 2"
    assert cells[5:8] == [mean(f_t, paired), mean(f_s, both), f"{mean(own, paired)} / {mean(own, both)}"]
    # the remedied student has all seeds, but what it is compared with has not
    better = g_of(grid, "poe", "large", "small", "plain", remedy="iterative")
    text = lines_of(remedy_lines(page.comparisons)).split("**iterative distillation**")[1]
    cells = [cell.strip() for cell in row(text, "worst-group accuracy, test | product of experts | large → small").split("|")]  # fmt: skip
    assert cells[5:9] == ["3 / 4", mean(f_t, range(4)), mean(own, paired), f"{mean(better, paired)} / {mean(better, range(4))}"]  # fmt: skip
    ours, theirs = ({seed: of[seed] for seed in paired} for of in (better, own))
    assert cells[9] == with_interval(differences(worst_group_of, ours, theirs))


def test_every_model_has_its_accuracy_on_every_group(grid, text):
    section = part(text, "Group by group").split(
        "<summary>flipped: accuracy of every group in f_T, f_S and g</summary>"
    )[1]
    header = section.splitlines()[2]
    assert (
        header.startswith("| method | model | size | student | seeds | ")
        and "wrong colour, conflicting (n = 20)" in header
    )
    conflicting = [cell.strip() for cell in header.split("|")].index("wrong colour, conflicting (n = 20)")
    for start, own in (
        ("product of experts | f_T | large | – | 4", models(grid, role=TEACHER, method="poe", size="large")),
        ("product of experts | f_S | small | – | 4", models(grid, role=ALONE, method="poe", size="small")),
        ("product of experts | g | large → small | plain student | 4", g_of(grid, "poe", "large", "small", "plain")),
    ):
        cells = [cell.strip() for cell in row(section, start).split("|")]
        assert cells[conflicting] == with_interval([worst_group_of(model) for model in own.values()], signed=False)
    # every teacher, student alone and distilled student
    assert sum(line.startswith("| ") for line in section.split("</details>")[0].splitlines()) == 2 + 6 + 6 + 24


def with_depths(inside, aligned, conflicting):
    """Depth -> number on either side; seeds differ a little at the end."""
    numbers = {"aligned": aligned, "conflicting": conflicting}
    table = {
        depth: {
            side: {
                seed: of_side[place] + 0.01 * seed * (depth == "late") * (1 + (side == "aligned")) for seed in range(4)
            }
            for side, of_side in numbers.items()
        }
        for place, depth in enumerate(("early", "middle", "late"))
    }
    return dataclasses.replace(inside, depths={**inside.depths, CKA: table})


@pytest.mark.parametrize(
    ("aligned", "specific", "said"),
    [
        ((0.3, 0.3, 0.2), (SUPPORTS, CONTRADICTS), "supports it, more so on conflicting than on aligned examples (on these early ones diverge more)"),
        ((0.1, 0.1, 0.07), (SUPPORTS, CANNOT_TELL), "supports it, more so on conflicting than on aligned examples (on these it cannot be told)"),
        ((0.1, 0.2, 0.2), (SUPPORTS, SUPPORTS), "supports it, more so on conflicting than on aligned examples (on these they diverge too)"),
        ((0.1, 0.3, 0.385), (CANNOT_TELL, SUPPORTS), "supports it, but whether it is specific to conflicting examples cannot be told"),
        ((0.1, 0.6, 0.7), (CONTRADICTS, SUPPORTS), "supports it, but less so on conflicting than on aligned examples, so it is not specific to conflicting ones"),
    ],
)  # fmt: skip
def test_layers_that_diverge_with_depth_are_held_against_aligned_examples(measured, aligned, specific, said):
    page = measured.tasks["digits"]
    own = [
        with_depths(inside, aligned, (0.1, 0.3, 0.4))
        for inside in insides_of(page.task)
        if inside.pair.remedy == "none"
    ]
    judged = {side: depth_finding(own, CKA, side) for side in (ALIGNED, SPECIFIC)}
    by_hand = [
        ((0.3 + 0.4 + 0.01 * s) / 2 - 0.1) - ((aligned[1] + aligned[2] + 0.02 * s) / 2 - aligned[0]) for s in range(4)
    ]
    ends = stats.ttest_1samp(by_hand, 0).confidence_interval(0.95)
    assert judged[SPECIFIC].gain == pytest.approx(np.mean(by_hand))
    assert judged[SPECIFIC].confidence_interval == pytest.approx((ends.low, ends.high))
    assert (judged[SPECIFIC].verdict, judged[ALIGNED].verdict) == specific
    findings = [one for one in task_findings(page.task, own) if one.key == "middle_and_late_layers"]
    assert list(findings[0].judged)[:3] == [
        "1 − CKA of mapped layers",
        "1 − CKA of mapped layers, on aligned examples",
        "1 − CKA of mapped layers, conflicting − aligned",
    ]
    again = MeasuredGrid(measured.results)
    again.tasks["digits"] = dataclasses.replace(again.tasks["digits"], findings=findings)
    lines = summary_lines(again)
    (told,) = (line for line in lines if line.startswith("  - coloured digits supports it, "))
    assert told.startswith(f"  - coloured digits {said}: 1 − CKA of mapped layers: middle and late − early, on conflicting examples, +0.258 [")  # fmt: skip
    found = f"{shown(judged[SPECIFIC].gain, digits=3)} [{shown(ends.low, digits=3)}, {shown(ends.high, digits=3)}]"
    word = {SUPPORTS: "supports", CONTRADICTS: "contradicts", CANNOT_TELL: "cannot tell"}[specific[0]]
    assert (
        f"; 1 − CKA of mapped layers, conflicting − aligned: {word}, middle and late − early {found}, 4 seeds" in told
    )
    (claim,) = (line for line in lines if line.startswith("- Teacher and student diverge"))
    assert claim.endswith(
        f"; where it is supported, more so on conflicting than on aligned examples in {int(specific[0] == SUPPORTS)} of 1."
    )


def test_on_how_little_the_verdicts_on_remedies_rest_is_said(measured, results):
    # remedies are tried under the product of experts alone; the teacher's weights fit only the pair large → small
    (claim, of_digits) = remedy_items(measured)
    assert claim == "- Remedies under debiased teachers were tried with these limits:"
    assert of_digits.startswith(
        "  - coloured digits: under product of experts alone, 1 of 2 methods that debias a teacher; "
    )
    assert of_digits.endswith("; “teacher's weights” is judged on one pair of sizes, large → small.")
    assert "less accurate than ERM's" not in of_digits, "they are more accurate"
    lines = summary_lines(measured)
    first = next(place for place, line in enumerate(lines) if line.startswith("- ") and "with the remedy" in line)
    assert lines[first - 2 : first] == [claim, of_digits]
    lost = [9.0, 10.0, 11.0, 10.0]
    weak = with_accuracy(results, lambda model: 90.0 - lost[model.seed] if (model.role, model.method) == (TEACHER, "poe") else 90.0)  # fmt: skip
    assert (
        f"; teachers of product of experts are less accurate than ERM's in distribution (ordinary accuracy {with_interval([-one for one in lost])} points, n = 4), so a "
        "remedy that helps their students may only make up for a weak teacher; " in remedy_items(weak)[1]
    )
    noisy = [-9.0, 10.0, 11.0, -10.0]
    unsure = with_accuracy(results, lambda model: 80.0 - noisy[model.seed] if (model.role, model.method) == (TEACHER, "poe") else 80.0)  # fmt: skip
    assert "less accurate" not in remedy_items(unsure)[1]
