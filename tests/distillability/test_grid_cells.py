"""A cell at work: its models are made once, a failing one leaves the others, a stopped one goes on; and the whole through the command."""

import json

import pytest
from in_process import InProcess
from tiny_grid import written_grid

from evenhand.launch.command import main
from evenhand.launch.declared_facts import run_facts
from evenhand.launch.distillability import cell as cell_module
from evenhand.launch.distillability.cell import make_cell
from evenhand.launch.distillability.grid_directory import GridDirectory
from evenhand.launch.distillability.grid_file import load_grid
from evenhand.launch.distillability.grid_job import GridJob
from evenhand.launch.distillability.models import models_of
from evenhand.model_cards.staging import stage
from evenhand.trainer.stop_signals import StoppedBySignal


def small(data):
    """One size, so that a cell has few models."""
    task = data["scales"]["tiny"]["tasks"]["digits"]
    task |= {
        "sizes": {"small": task["sizes"]["small"]},
        "remedies": ["augmentation", "iterative"],
        "methods": ["erm", "poe", "dedier"],
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """All of one seed, through the command."""
    folder = tmp_path_factory.mktemp("grid")
    file = written_grid(folder, small)
    words = ["study", str(file), "--scale", "tiny", "--seeds", "1", "--jobs", "1", "--output-dir", str(folder / "out")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evenhand.launch.study_work.make_launcher", lambda *given, **named: InProcess())
        assert main(words) == 0
    return file, GridDirectory(folder / "out"), words


def models(file, method):
    return models_of(load_grid(file, "tiny", seeds=1), "digits", method, 0)


def test_the_command_makes_every_model_and_a_page(made):
    file, directory, _ = made
    for method in ("erm", "poe", "dedier"):
        for model in models(file, method):
            assert directory.has_report(model.key) and directory.run(model).student.is_dir()
            assert not directory.run(model).checkpoints.exists()
    assert (directory.page / "README.html").is_file() and (directory.page / "reports.jsonl.xz").is_file()


def test_a_distilled_model_is_measured_beside_its_teacher(made):
    file, directory, _ = made
    by_name = {model.name: model for model in models(file, "poe")}
    report = directory.report(by_name["distilled-small-to-small-same"].key)
    teacher = directory.report(by_name["teacher-small"].key)
    assert report.reference["weights_sha256"] == teacher.model["weights_sha256"]
    assert report.measures["groups"][0]["reference"] == teacher.measures["groups"][0]["model"]
    training = report.training
    assert (
        training["debiasing"]["name"] == "product_of_experts"
        and training["task"]["bias_model"]["kind"] == "mean_colours"
    )
    assert training["teacher"]["weights_sha256"] == teacher.model["weights_sha256"]


def test_a_student_of_the_grid_has_a_card_whose_bias_section_shows_spurious_gap_and_worst_group(made, tmp_path):
    file, directory, _ = made
    model = next(model for model in models(file, "poe") if model.name == "distilled-small-to-small-same")
    run = directory.run(model)
    card = (stage(run.path, tmp_path / "staged", run_facts(run)) / "README.md").read_text(encoding="utf-8")
    section = card.split("\n## Reliance on a shortcut, by group\n")[1].split("\n## ")[0]
    groups = directory.report(model.key).measures["groups"][0]
    scores = {side: {score["key"]: score for score in groups[side]["scores"]} for side in ("model", "reference")}
    for key in ("test_worst_group", "test_spurious_gap"):
        own, teacher = scores["model"][key], scores["reference"][key]
        (line,) = (line for line in section.splitlines() if line.startswith(f"| {own['name']} ("))
        cells = [cell.strip() for cell in line.split("|")]
        assert cells[3].startswith(f"{teacher['value']:.1f} [") and cells[4].startswith(f"{own['value']:.1f} [")
    worst = groups["model"]["splits"]["test"]["worst_group"]
    assert f"| {worst} (student's worst)" in section


def test_a_student_alone_with_a_remedy_has_its_data_and_no_teacher(made):
    file, directory, _ = made
    by_name = {model.name: model for model in models(file, "erm")}
    alone, g = (by_name[name] for name in ("alone-small-augmentation", "distilled-small-to-small-plain-augmentation"))
    facts = [directory.report(model.key).training for model in (alone, g, by_name["alone-small"])]
    added = [training["task"].get("augmentation") for training in facts]
    assert added[0] == added[1] != added[2] and added[2] is None
    assert facts[0]["teacher"] is None and facts[1]["teacher"] is not None


def test_a_ladder_has_its_rung_and_keeps_the_first_teacher(made):
    file, directory, _ = made
    model = next(model for model in models(file, "erm") if model.remedy == "iterative")
    teacher = next(model for model in models(file, "erm") if model.role == "teacher")
    training, rung = directory.report(model.key).training, directory.run(model).path / "ladder" / "1"
    assert training["teacher"]["weights_sha256"] == directory.report(teacher.key).model["weights_sha256"]
    assert [step["student"]["weights_sha256"] for step in training["ladder"]] == [
        json.loads((rung / "training.json").read_text())["student"]["weights_sha256"]
    ]
    assert (rung / "student").is_dir() and not (rung / "checkpoints").exists()
    # other first weights and another order than the student's, also where the two are of one size
    assert json.loads((rung / "training.json").read_text())["seed"] == training["seed"] + 10_000


def test_what_is_there_is_not_made_again(made, monkeypatch, capsys):
    file, directory, words = made
    monkeypatch.setattr(cell_module, "distill_task", lambda *given, **named: pytest.fail("it was trained again"))
    assert make_cell(models(file, "erm"), directory, "log") == []
    assert main([*words, "--plan"]) == 0
    assert "digits" in capsys.readouterr().out
    assert GridJob(load_grid(file, "tiny", seeds=1), directory, str(file)).missing() == []


def test_a_page_is_made_again_from_its_reports_without_the_data(made, tmp_path, monkeypatch):
    file, directory, _ = made
    monkeypatch.setattr(GridJob, "check", lambda job: pytest.fail("it looked for models and data"))
    words = [
        "study",
        str(file),
        "--scale",
        "tiny",
        "--seeds",
        "1",
        "--output-dir",
        str(tmp_path / "out"),
        "--page-only",
    ]
    assert main([*words, "--reports", str(directory.page / "reports.jsonl.xz")]) == 0
    first, again = (
        json.loads((folder / "results.json").read_text()) for folder in (directory.page, tmp_path / "out" / "page")
    )
    assert again["tasks"] == first["tasks"] and first["tasks"]


def test_a_teacher_whose_report_was_taken_over_is_made_again_for_a_missing_student(made, tmp_path, monkeypatch):
    file, whole, _ = made
    grid, directory = load_grid(file, "tiny", seeds=1), GridDirectory(tmp_path / "out")
    job = GridJob(grid, directory, str(file))
    wanted = next(model for model in models(file, "dedier") if model.role == "distilled")
    teacher = next(model for model in models(file, "erm") if model.role == "teacher")
    for model in job.models:
        if model.key != wanted.key:
            directory.report_file(model.key).parent.mkdir(parents=True, exist_ok=True)
            directory.report_file(model.key).write_bytes(whole.report_file(model.key).read_bytes())
    assert job.missing() == [wanted] and job.to_make() == [teacher, wanted]
    before = directory.report_file(teacher.key).read_bytes()
    words = [str(file), "tiny", str(directory.path), "digits"]
    for method in ("erm", "dedier"):  # teachers are made in the cell of ERM
        assert cell_module.main([*words, method, "0"]) == 0
    assert directory.run(teacher).student.is_dir() and directory.has_report(wanted.key)
    assert directory.report_file(teacher.key).read_bytes() == before
    assert job.to_make() == []
    assert len([path for path in directory.models.glob("*/*") if path.is_dir()]) == 2


def test_a_model_that_fails_leaves_those_that_do_not_need_it(made, tmp_path, monkeypatch):
    file, _, _ = made
    directory, tried = GridDirectory(tmp_path), []

    def fails(recipe, folder, store):
        tried.append(folder.name.rsplit("-", 1)[0])
        raise ValueError("no good\nsecond line")

    monkeypatch.setattr(cell_module, "distill_task", fails)
    failed = make_cell(models(file, "erm"), directory, "erm.log")
    assert tried == ["teacher-small", "alone-small", "alone-small-augmentation"] and len(failed) == len(
        models(file, "erm")
    )
    reasons = {model.name: directory.failure(model.key) for model in failed}
    assert reasons["teacher-small"] == {"name": "teacher-small", "reason": "no good", "log": "erm.log"}
    assert "could not be made" in reasons["distilled-small-to-small-plain"]["reason"]


def test_a_stop_ends_the_cell_without_a_failure(made, tmp_path, monkeypatch):
    file, _, _ = made
    directory = GridDirectory(tmp_path)

    def stopped(*given, **named):
        raise StoppedBySignal("stopped", in_step=True)

    monkeypatch.setattr(cell_module, "distill_task", stopped)
    with pytest.raises(StoppedBySignal):
        make_cell(models(file, "erm"), directory, "log")
    assert not directory.failed.exists()


def test_bad_options_are_refused_before_anything_is_made(tmp_path, capsys):
    words = ["study", str(written_grid(tmp_path)), "--scale", "tiny", "--output-dir", str(tmp_path / "out")]
    assert main([*words, "--only", "table1"]) == 2
    assert "--task chooses tasks" in capsys.readouterr().err
    assert main([*words, "task.data.classes=[0]"]) == 2
    assert "classes must be at least two" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["study", "ahn2022", "--task", "digits"]) == 2
    assert "--task is of a study of distillability" in capsys.readouterr().err
