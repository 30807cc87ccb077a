"""``--plan``: what is missing, what is there, and what it takes, on a miniature planted study."""

import dataclasses
import json

import pytest
import yaml

from evenhand.launch.study.arm_checks import check_arms
from evenhand.launch.study.cells import wanted_students
from evenhand.launch.study.directory import StudyDirectory
from evenhand.launch.study.execution import StudyJob
from evenhand.launch.study.planning.plan_text import plan_text
from evenhand.launch.study.planning.study_plan import make_plan
from evenhand.launch.study.study_file import load_study

STUDY = {
    "title": "A small study",
    "baseline": "original",
    "arms": {
        "original": {"label": "original", "core": True},
        "mlm-cos": {"label": "mlm + cos", "changes": ["objective.alpha_ce=0"], "core": True},
        "proposed": {"label": "proposed", "changes": ["mixup.enabled=true"], "core": True},
        "depth-{value}": {"label": "{value} layers", "sweep": "depths", "changes": ["student.layers={value}"]},
    },
    "sections": {
        "table1": {"title": "T", "question": "Q?", "arms": ["original", "mlm-cos", "proposed"]},
        "figure1": {"title": "F", "question": "Q?", "kind": "sweep", "x_label": "layers", "arms": ["depth-{value}"]},
    },
    "scales": {
        "planted": {
            "note": "Tiny.",
            "seeds": {"core": 3, "other": 2},
            "lists": {"depths": [2, 1]},
            "planted": {
                "associations": {"career_family": 0.8},
                "n_documents": 1000,
                "teacher": {"layers": 2, "hidden_size": 16, "heads": 2, "steps": 40},
            },
            "recipe": {
                "student": {"layers": 1},
                "corpus": {"max_length": 48, "held_out": 0.1},
                "training": {"max_steps": 20, "per_device_train_batch_size": 4, "use_cpu": True},
                "watch": {"every_steps": 10, "measures": {"seat": {"families": ["gender"]}}},
                "evaluation": {"families": ["gender"], "poolings": ["mean"], "sensitivity": False, "speed": False},
            },
        }
    },
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    file = tmp_path_factory.mktemp("study") / "small.yaml"
    file.write_text(yaml.safe_dump(STUDY, sort_keys=False))
    return load_study(file, "planted")


def job_of(study, folder, **environment):
    return StudyJob(study, StudyDirectory(folder), "small.yaml", (), environment)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With ``rates.json`` after the first plan."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture(scope="module")
def planned(study, folder):
    return make_plan(job_of(study, folder, OMP_NUM_THREADS="1"))


def test_every_missing_student_is_in_one_training(study, planned):
    students = [(arm, cell.cell.seed) for cell in planned.cells for arm in cell.cell.recipes]
    # depth-1 is the original student: of equal recipes one is trained
    expected = [(arm, seed) for arm in ("original", "mlm-cos", "proposed") for seed in range(3)]
    assert sorted(students) == sorted([*expected, ("depth-2", 0), ("depth-2", 1)])
    by_name = {arm.name: arm for arm in planned.arms}
    assert by_name["depth-1"].same_as == "original" and by_name["depth-1"].seconds == 0
    assert [by_name[name].seeds for name in ("original", "depth-2")] == [3, 2]
    assert all(arm.reported == arm.trained == 0 for arm in planned.arms)
    # twenty steps of four documents, which are of 12 to 48 tokens, for each of three seeds
    assert 3 * 20 * 4 * 12 < by_name["proposed"].tokens < 3 * 20 * 4 * 48
    assert sum(arm.tokens for arm in planned.arms) == pytest.approx(11 / 3 * by_name["proposed"].tokens)


def test_seconds_are_timed_and_add_up(planned):
    assert all(0 < cell.seconds < 600 and cell.how in ("timed", "shares") and cell.done == 0 for cell in planned.cells)
    assert any(cell.how == "timed" for cell in planned.cells)
    assert sum(arm.seconds for arm in planned.arms) == pytest.approx(planned.training_seconds)
    assert planned.measuring.reports == 11 and planned.measuring.measures_seconds > 0
    assert planned.seconds == pytest.approx(
        planned.training_seconds + planned.teacher_seconds + planned.measuring.seconds
    )
    assert planned.alone > planned.training_seconds
    assert [(teacher.name, teacher.seed) for teacher in planned.teachers] == [("original", seed) for seed in range(3)]
    assert all(teacher.seconds > 0 for teacher in planned.teachers)


def test_plan_makes_nothing_but_the_rates_and_times_nothing_twice(study, planned, folder, monkeypatch, capfd):
    assert [path.name for path in folder.iterdir()] == ["rates.json"]
    # as on a machine that did nothing else: busy times would be taken again
    held = json.loads((folder / "rates.json").read_text())
    for entry in held["entries"].values():
        if "slowed" in entry["time"]:
            entry["time"]["slowed"] = 1.0
    (folder / "rates.json").write_text(json.dumps(held))
    monkeypatch.setattr("evenhand.launch.study.planning.times.time_in_turns", lambda _: pytest.fail("timed again"))
    capfd.readouterr()
    again = make_plan(job_of(study, folder, OMP_NUM_THREADS="1"))
    assert again.training_seconds == pytest.approx(planned.training_seconds)
    assert again.measuring == planned.measuring
    assert "timing" not in capfd.readouterr().err


def test_text_has_every_arm_training_and_sum(planned):
    text = plan_text(planned)
    lines = text.splitlines()
    assert "scale planted: Tiny." in lines[1]
    for arm in ("original", "mlm-cos", "proposed", "depth-2", "depth-1"):
        assert sum(line.split()[:1] == [arm] for line in lines) >= 1
    assert "= original" in next(line for line in lines if line.startswith("depth-1"))
    trainings = next(line for line in lines if line.endswith("original, mlm-cos, proposed"))
    assert trainings.split()[:4] == ["0-2", "3", "3", "20"]
    assert any(line.startswith("students") and "PFLOP" in line for line in lines)
    assert any(line.startswith("together") for line in lines) and lines[-1].startswith("Disk: ")
    assert "GPU" not in text and "NaN" not in text.upper().split()


def test_finished_reports_are_not_planned_again(study, planned, folder, tmp_path):
    directory = StudyDirectory(tmp_path / "half")
    directory.reports.mkdir(parents=True)
    directory.rates_file.write_bytes((folder / "rates.json").read_bytes())
    keys = wanted_students(study)
    for arm, seed in (("original", 0), ("mlm-cos", 0), ("proposed", 0), ("original", 1)):
        directory.report_file(keys[arm, seed]).write_text("{}")
    plan = make_plan(job_of(study, directory.path, OMP_NUM_THREADS="1"))
    by_name = {arm.name: arm for arm in plan.arms}
    assert [by_name[name].reported for name in ("original", "mlm-cos", "proposed", "depth-1")] == [2, 1, 1, 2]
    assert sum(len(cell.cell.recipes) for cell in plan.cells) == 11 - 4 == plan.measuring.reports
    assert plan.training_seconds < planned.training_seconds
    for key in keys.values():
        directory.report_file(key).write_text("{}")
    text = plan_text(make_plan(job_of(study, directory.path, OMP_NUM_THREADS="1")))
    assert "Everything is there; nothing would run." in text and "Disk" not in text


def test_machine_without_the_gpus_of_a_scale_says_so(study, planned, folder, monkeypatch):
    monkeypatch.setattr("evenhand.launch.study.planning.study_plan.device_type", lambda: "cpu")
    settings = dataclasses.replace(study.settings, accelerate="ddp")
    wanted = dataclasses.replace(study, settings=settings)
    plan = make_plan(job_of(wanted, folder))
    assert plan.wants_gpu == "this scale trains on 4 GPUs (accelerate config ddp), and torch finds none here"
    assert "NOTE: this scale trains on 4 GPUs" in plan_text(plan) and "CPU at hand" in plan_text(plan)
    # four processes' micro-batches make a step
    assert plan.cells[0].work.tokens == pytest.approx(4 * planned.cells[0].work.tokens)
    assert plan.operations == pytest.approx(4 * planned.operations, rel=0.05)


def test_arm_that_cannot_be_made_is_named_in_one_line(study, tmp_path):
    arm = study.arms["proposed"]
    mixup = dataclasses.replace(arm.recipe.mixup, pairs="nowhere.txt")
    broken = dataclasses.replace(arm, recipe=dataclasses.replace(arm.recipe, mixup=mixup))
    changed = dataclasses.replace(study, arms={**study.arms, "proposed": broken})
    with pytest.raises(FileNotFoundError, match=r"Arm proposed: .*nowhere\.txt"):
        make_plan(job_of(changed, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_disk_that_is_too_small_is_said(planned):
    small = dataclasses.replace(planned, disk=dataclasses.replace(planned.disk, free=planned.disk.needed - 1))
    assert "disk is too small" in plan_text(small) and "disk is too small" not in plan_text(planned)


def pretend_finished(directory, name, cell, seconds, tokens, hardware):
    """What a finished training leaves behind, without its students."""
    (directory.cells / name).mkdir(parents=True)
    (directory.cells / name / "cell.json").write_text(
        json.dumps({"seed": 9, "students": dict.fromkeys(cell.recipes, "of another study")})
    )
    for arm, recipe in cell.recipes.items():
        (directory.cohorts / name / arm).mkdir(parents=True)
        facts = {"recipe": recipe.to_dict(), "seconds": seconds, "tokens_seen": tokens, "hardware": hardware}
        (directory.cohorts / name / arm / "training.json").write_text(json.dumps(facts))


def test_finished_trainings_of_this_machine_are_the_rate_of_those_of_the_same_arms(study, planned, folder, tmp_path):
    directory = StudyDirectory(tmp_path)
    directory.rates_file.write_bytes((folder / "rates.json").read_bytes())
    some = next(cell for cell in planned.cells if len(cell.cell.recipes) == 3)
    here = dict(planned.machine) | {"processes": 1}
    pretend_finished(directory, "one", some.cell, 100.0, 2000, here)
    pretend_finished(directory, "two", some.cell, 300.0, 2000, here)
    pretend_finished(directory, "elsewhere", some.cell, 9e9, 1, here | {"name": "another processor"})
    pretend_finished(directory, "unmeasured", some.cell, None, 1, here)
    for cell in make_plan(job_of(study, tmp_path, OMP_NUM_THREADS="1")).cells:
        same = tuple(cell.cell.recipes) == tuple(some.cell.recipes)
        assert (cell.how == "finished") == same
        if same:
            assert cell.seconds == pytest.approx(some.work.tokens * 400 / 4000)


def test_interrupted_training_counts_what_is_left(study, planned, folder, tmp_path, monkeypatch):
    directory = StudyDirectory(tmp_path)
    directory.rates_file.write_bytes((folder / "rates.json").read_bytes())
    begun = planned.cells[0].cell.name
    monkeypatch.setattr(
        "evenhand.launch.study.planning.study_plan.latest_complete_checkpoint",
        lambda path: path if begun in str(path) else None,
    )
    monkeypatch.setattr("evenhand.launch.study.planning.study_plan.completion_facts", lambda _: {"step": 15})
    plan = make_plan(job_of(study, tmp_path, OMP_NUM_THREADS="1"))
    cells = {cell.cell.name: cell for cell in plan.cells}
    whole = next(cell for name, cell in cells.items() if name != begun and cell.work.kind == cells[begun].work.kind)
    assert cells[begun].done == 0.75 and cells[begun].seconds == pytest.approx(whole.seconds / 4)
    assert "1 begun" in plan_text(plan)


def test_paper_scale_can_be_planned_where_its_teacher_is_not(monkeypatch):
    monkeypatch.setattr("evenhand.launch.study.planning.ground.HubModel.missing", lambda self: "not in the cache")
    paper = load_study("ahn2022", "paper", only=["table1"])
    check_arms(paper)
    arm = paper.arms["original"]
    deep = dataclasses.replace(
        arm, recipe=dataclasses.replace(arm.recipe, student=dataclasses.replace(arm.recipe.student, layers=13))
    )
    with pytest.raises(ValueError, match=r"original: student\.layers must lie between 1 and the teacher's 12"):
        check_arms(dataclasses.replace(paper, arms={**paper.arms, "original": deep}))


def test_data_on_the_hub_are_not_fetched_and_what_lacks_them_is_said(study, planned, folder, monkeypatch):
    monkeypatch.setattr("evenhand.launch.hub_cache.HubDataset.missing", lambda self: "not in the cache")
    arm = study.arms["original"]
    measures = {"crows_pairs": {"data": "hub"}, "glue": {"tasks": ["rte"], "data": "hub", "store": "unused"}}
    section = dataclasses.replace(arm.recipe.evaluation, measures=measures)
    measured = dataclasses.replace(arm, recipe=dataclasses.replace(arm.recipe, evaluation=section))
    plan = make_plan(job_of(dataclasses.replace(study, arms={"original": measured}), folder, OMP_NUM_THREADS="1"))
    assert plan.measuring.glue_runs == 3 and plan.measuring.glue_seconds == 0 < plan.measuring.measures_seconds
    text = plan_text(plan)
    assert "Not counted: crows_pairs, which was not timed." in text
    assert "Not counted: GLUE (nyu-mll/glue: not in the cache)." in text


@pytest.mark.heavy
def test_predicted_seconds_are_those_of_the_training(study, tmp_path):
    """Within a factor of two of the processor time that a real training of the same arms takes, its start left out."""
    import os

    from evenhand.launch.study.teachers import make_teachers
    from evenhand.launch.study_runs import EVENHAND, RunProcess

    longer = {arm: dataclasses.replace(each, recipe=with_steps(each.recipe, 200)) for arm, each in study.arms.items()}
    wanted = dataclasses.replace(study, arms=longer)
    job = job_of(wanted, tmp_path, OMP_NUM_THREADS="1")
    make_teachers(wanted, job.directory, 0, ["original"])
    cell = next(cell for cell in make_plan(job).cells if len(cell.cell.recipes) == 3 and cell.cell.seed == 0)
    run = job._cell_run(cell.cell)
    assert run.commands[0][: len(EVENHAND)] == EVENHAND
    before = os.times().children_user
    run = dataclasses.replace(run, commands=run.commands[:1])
    assert RunProcess(run)() == 0, run.log.read_text()
    spent = os.times().children_user - before
    (file,) = job.directory.cohorts.glob("*/original/training.json")
    trained = json.loads(file.read_text())["seconds"]
    # on a busy machine the training's own clock runs faster than its processor time
    assert min(trained, spent) / 2 < cell.seconds < 2 * max(trained, spent)


def with_steps(recipe, steps):
    return dataclasses.replace(recipe, training=recipe.training | {"max_steps": steps})
