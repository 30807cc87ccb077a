"""``--plan`` of a grid: what is missing, counted by hand, with times that are made up."""

import pytest
from tiny_grid import written_grid

from evenhand.launch.distillability import grid_plan
from evenhand.launch.distillability.grid_directory import GridDirectory
from evenhand.launch.distillability.grid_file import load_grid
from evenhand.launch.distillability.grid_job import GridJob
from evenhand.launch.distillability.grid_plan import ModelTime, plan_lines

EXAMPLE = 0.01
STEP, TAUGHT = {"small": 1.0, "large": 3.0}, {None: 0.0, "small": 0.25, "large": 0.75}
"""Seconds of a step by the student's size, and what its teacher's adds."""
PARAMETERS = {"small": 1000, "large": 4000}
TESTED = 3 * 40
"""Examples that each model is measured on: test, flipped and neutral."""


def of_two_methods(data):
    task = data["scales"]["tiny"]["tasks"]["digits"]
    task |= {"methods": ["erm", "poe"], "remedies": ["iterative"], "why": {"examples": 16}, "why_methods": ["erm"]}


@pytest.fixture
def job(tmp_path, monkeypatch):
    def made_up(timer, size, teacher):
        return ModelTime(STEP[size] + TAUGHT[teacher], EXAMPLE, PARAMETERS[size], 1.0)

    monkeypatch.setattr(grid_plan._Timer, "of", made_up)
    file = written_grid(tmp_path, of_two_methods)
    return GridJob(load_grid(file, "tiny", seeds=1), GridDirectory(tmp_path / "out"), str(file))


def planned(job):
    return grid_plan._task_plan("digits", job.models, job.to_make(), None)


def test_every_missing_model_is_counted_with_the_models_of_its_ladder(job):
    plan = planned(job)
    # teachers and students alone of two sizes, then four pairs of sizes: of erm plain, and by way of a second model; of poe plain and by its method
    trainings = [2 + 2 + 4 * (1 + 2), 2 + 2 + 4 * 2]
    models = [2 + 2 + 4 * 2, 2 + 2 + 4 * 2]
    assert (plan.models, plan.missing, plan.steps) == (sum(models), sum(models), 3 * sum(trainings))
    alone, pairs = 1.0 + 3.0, 1.25 + 3.25 + 1.75 + 3.75
    rungs = 2 * (1.25 + 3.75)  # of the teacher's size, distilled from the teacher
    seconds = [2 * alone + pairs + rungs + pairs, 2 * alone + 2 * pairs]
    assert plan.seconds == pytest.approx(3 * sum(seconds) + sum(models) * TESTED * EXAMPLE)
    # of either size as many: half of the models, and of the rungs
    assert plan.disk == 4 * (1000 + 4000) * (sum(models) + 4) / 2
    assert plan.untimed == ("looking inside the models of digits",)


def test_a_ladder_is_climbed_from_size_to_size(tmp_path):
    def change(data):
        of_two_methods(data)
        task = data["scales"]["tiny"]["tasks"]["digits"]
        small = task["sizes"]["small"]
        task |= {"sizes": {"small": small, "middle": {"shape": small["shape"] | {"width": 12}}, "large": small}}
        task |= {"teachers": ["large"], "students": ["small"]}
        data["remedies"]["iterative"]["ladder"] = ["middle", "student"]

    file = written_grid(tmp_path, change)
    job = GridJob(load_grid(file, "tiny", seeds=1), GridDirectory(tmp_path / "out"), str(file))
    timer = grid_plan._Timer("digits", job.models, None, None)
    timer.of = lambda size, teacher: (size, teacher)
    trainings = {model.name: timer.trainings(model) for model in job.models if model.method == "erm"}
    assert trainings == {
        "teacher-large": [("large", None)],
        "alone-small": [("small", None)],
        "distilled-large-to-small-plain": [("small", "large")],
        "distilled-large-to-small-plain-iterative": [("middle", "large"), ("small", "middle"), ("small", "small")],
    }
    assert {size: section.shape.width for size, section in timer.of_size.items()} == {
        "small": 8,
        "middle": 12,
        "large": 8,
    }


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
