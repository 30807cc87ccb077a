"""``--plan`` of a grid: what is missing, counted by hand, with times that are made up."""

import pytest
from tiny_grid import written_grid

from evenhand.launch.distillability import grid_plan
from evenhand.launch.distillability.grid_directory import GridDirectory
from evenhand.launch.distillability.grid_file import load_grid
from evenhand.launch.distillability.grid_job import GridJob
from evenhand.launch.distillability.grid_plan import ModelTime, plan_lines

STEP, EXAMPLE = 2.0, 0.01
TESTED = 3 * 40
"""Examples that each model is measured on: test, flipped and neutral."""


def of_two_methods(data):
    task = data["scales"]["tiny"]["tasks"]["digits"]
    task |= {"methods": ["erm", "poe"], "remedies": ["iterative"], "why": {"examples": 16}, "why_methods": ["erm"]}


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setattr(grid_plan._Timer, "of", lambda timer, model: ModelTime(STEP, EXAMPLE, 1000, 1.0))
    file = written_grid(tmp_path, of_two_methods)
    return GridJob(load_grid(file, "tiny", seeds=1), GridDirectory(tmp_path / "out"), str(file))


def planned(job):
    return grid_plan._task_plan("digits", job.models, job.to_make(), None)


def test_every_missing_model_is_counted_with_the_steps_of_its_ladder(job):
    plan = planned(job)
    # teachers and students alone of two sizes, then four pairs of sizes: of erm plain, and by way of a second model; of poe plain and by its method
    trainings = [2 + 2 + 4 * (1 + 2), 2 + 2 + 4 * 2]
    models = [2 + 2 + 4 * 2, 2 + 2 + 4 * 2]
    assert (plan.models, plan.missing, plan.steps) == (sum(models), sum(models), 3 * sum(trainings))
    assert plan.seconds == pytest.approx(sum(trainings) * 3 * STEP + sum(models) * TESTED * EXAMPLE)
    assert plan.disk == sum(models) * 4 * 1000
    assert plan.untimed == ("looking inside the models of digits",)


def test_what_has_a_report_is_not_planned(job):
    before = planned(job)
    for model in (model for model in job.models if model.method == "erm"):
        job.directory.report_file(model.key).parent.mkdir(parents=True, exist_ok=True)
        job.directory.report_file(model.key).write_text("{}")
    after = planned(job)
    assert (after.models, after.missing) == (before.models, before.missing - 12)
    assert after.untimed == ()


def test_the_lines_say_what_the_times_leave_out(job):
    text = "\n".join(plan_lines(job, [planned(job)], 2, {"name": "a machine"}))
    assert "Times hold for this machine: a machine." in text and "with 2 at a time." in text
    assert "Not in these times: start-up and loading the data, looking inside the models of digits." in text
