"""The head of the page: with what models were made and measured, on which data, and what the models of a seed have in common."""

import copy
import dataclasses
import json

import pytest
from made_up_grid import GRID, made_up_grid, made_up_results
from page_reading import every_model

from evenhand.evaluation import EvaluationReport
from evenhand.launch.distillability.page.distillability_page import write_page
from evenhand.launch.distillability.page.measured_grid import MeasuredGrid
from evenhand.launch.distillability.page.opening import reading_lines

SIZES = "sizes: {only: {shape: {layers: 2}}}"
"""Of the task of sentence pairs, as the made-up grid has them."""


def elsewhere(results, keys, **changed):
    """The same results, some of them from another machine."""
    reports = dict(results.reports)
    for key in keys:
        data = copy.deepcopy(reports[key].to_dict())
        data["environment"].update(changed)
        reports[key] = EvaluationReport.from_dict(data)
    return dataclasses.replace(results, reports=reports)


def test_one_environment_stands_in_one_line(text, data):
    assert "\n- Environment: python x, torch x, transformers x, platform x; evenhand 0.1.0.\n" in text
    (one,) = data["environments"]
    assert one["models"] == data["models"]["measured"] == 261
    assert one["evenhand_version"] == "0.1.0" and one["environment"]["torch"] == "x"


def test_several_environments_are_named_with_their_numbers_of_models(grid, results, tmp_path):
    keys = list(dict.fromkeys(model.key for model in every_model(grid)))
    two = elsewhere(elsewhere(results, keys[:3], torch="2.9 <b>"), keys[3:4], platform="other")
    folder = write_page(two, tmp_path / "page", figures=False).parent
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("- Environments: 3, "))
    said = lines[start + 1 : start + 4]
    assert [line.split(": ")[0] for line in said] == ["  - 257 models", "  - 3 models", "  - 1 model"]
    assert "torch 2.9 &#60;b&#62;" in said[1] and "platform other" in said[2] and said[0].endswith("; evenhand 0.1.0.")
    found = json.loads((folder / "results.json").read_text(encoding="utf-8"))["environments"]
    assert [one["models"] for one in found] == [257, 3, 1] and found[1]["environment"]["torch"] == "2.9 <b>"


def paired(folder, text, **options):
    grid = made_up_grid(folder, text, seeds=1, **options)
    lines = reading_lines(MeasuredGrid(made_up_results(grid)))
    (line,) = (line for line in lines if line.startswith("- Models are paired by seed: "))
    return line.removeprefix("- Models are paired by seed: ").split(" Seeds are the unit;")[0]


@pytest.mark.parametrize(
    ("sizes", "shared"),
    [
        (SIZES, "first weights"),
        ("sizes: {only: {path: some/model}}", "the first weights of their new head (all else begins as their checkpoint)"),
        (
            "sizes: {some: {shape: {layers: 2}}, only: {path: some/model}}",
            "first weights (of models that begin pre-trained those of their new head)",
        ),
    ],
)  # fmt: skip
def test_what_the_models_of_a_seed_share_is_told_by_their_recipes(tmp_path, sizes, shared):
    assert SIZES in GRID
    said = paired(tmp_path, GRID.replace(SIZES, sizes), tasks=["pairs"])
    assert said == f"f_S and g share {shared} and order of data, f_T has its own."


def test_a_student_made_from_its_teacher_is_said_to_share_no_first_weights(tmp_path):
    assert paired(tmp_path, GRID, tasks=["digits"]) == (
        "f_S and g share first weights and order of data, f_T has its own. With “teacher's weights” g begins with weights of f_T, and shares with f_S "
        "only the order of data."
    )


def test_settings_of_the_data_that_were_not_given_are_left_out(text):
    assert "- Data: `digits` (strength=0.9); test examples: " in text and "path=" not in text
