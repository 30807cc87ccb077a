"""What a study's job starts, again and alone: nothing twice, nothing that is there, and nothing of this machine leaves it."""

import json
import os
import shutil
import subprocess
import sys
import threading

import pytest

from evenhand.launch.cohort_directory import SHARED
from evenhand.launch.launchers import LocalLauncher
from evenhand.launch.study.directory import StudyDirectory
from evenhand.launch.study.execution import StudyJob
from evenhand.launch.study.measure import measure_students
from evenhand.launch.study.report_archive import read_archive
from evenhand.launch.study.results import ARCHIVE, StudyResults, results_of
from evenhand.launch.study.sole_process import one_after_the_other, only_one_study
from evenhand.launch.study.study_file import load_study
from evenhand.launch.study_runs import Outcome, Run
from evenhand.model_cards.published_report import machine_paths


class Noted:
    """Launches nothing: runs end with the code that ``ends`` gives by their name."""

    def __init__(self, ends):
        self.ends, self.runs = ends, []

    def launch(self, runs):
        self.runs += runs
        return [Outcome(run.name, self.ends(run), run.log) for run in runs]


@pytest.fixture
def job(begun, finished):
    study = load_study(finished.file, "miniature", only=["random_pairs", "table1"], seeds=1)
    return StudyJob(study, StudyDirectory(begun), str(finished.file))


def train(job, cell, arms):
    """Leave what the training of these arms of a cell leaves."""
    job._cell_run(cell)
    (job.directory.cohorts / cell.name / SHARED / "checkpoints").mkdir(parents=True, exist_ok=True)
    for arm in arms:
        folder = job.directory.cohorts / cell.name / arm
        (folder / "student").mkdir(parents=True)
        (folder / "training.json").write_text("{}")


def test_students_whose_measuring_failed_are_measured_alone_marked_and_never_trained_again(job):
    cell = max(job.cells(), key=lambda cell: len(cell.keys))
    train(job, cell, cell.keys)
    launcher = Noted(lambda run: int(run.name.startswith(cell.name)))
    assert job.run(launcher) is False
    together, *_ = launcher.runs
    alone = [run for run in launcher.runs if run.name.startswith(cell.name) and run is not together]
    assert together.name == f"{cell.name}-measured" and len(alone) == len(cell.keys) > 1
    assert not any("distill" in command for run in [together, *alone] for command in run.commands)
    assert set(together.outputs) == {job.directory.report_file(key) for key in cell.keys.values()}
    for arm, key in cell.keys.items():
        assert job.directory.failure(key)["log"] == f"{cell.name}-{arm}-measured.log"
    assert {(arm, 0) for arm in cell.keys} <= set(results_of(job, "").failed)


def test_a_cell_trained_but_not_measured_is_not_trained_alone(job):
    cell = max(job.cells(), key=lambda cell: len(cell.keys))

    def ends(run):
        if run.name == cell.name and not job.directory.students():
            train(job, cell, list(cell.keys)[1:])
        return 1

    launcher = Noted(ends)
    job.run(launcher)
    named = [run.name for run in launcher.runs]
    first, *rest = cell.keys
    assert all(f"{cell.name}-{arm}-measured" in named for arm in rest) and f"{cell.name}-{first}-measured" not in named
    assert job._cell(0, [first]).name in named and not any(job._cell(0, [arm]).name in named for arm in rest)


def test_a_cell_cut_off_in_its_finishing_goes_on_with_all_its_members(job):
    cell = max(job.cells(), key=lambda cell: len(cell.keys))
    train(job, cell, list(cell.keys)[:1])
    again = job.cells()[0]
    assert again.name == cell.name and again.keys == cell.keys
    assert job._only_to_be_measured(job.missing(), job.cells()) == []


def test_runs_of_teachers_name_what_they_leave(job, tmp_path):
    shutil.rmtree(job.directory.path / "teachers")
    launcher = Noted(lambda run: 1)
    job.run(launcher)
    (run,) = launcher.runs
    assert run.outputs == (job.directory.teacher(job.study, "original", 0) / "teacher.json",)


def test_arms_of_one_report_are_measured_once(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "evenhand.launch.study.measure.evaluate_all",
        lambda runs, section, pictures, also_to: calls.append((runs, also_to)),
    )
    student = {"run": "a", "report": str(tmp_path / "reports" / "k.json"), "evaluation": {}}
    file = tmp_path / "measure.json"
    file.write_text(json.dumps({"students": [student, student | {"run": "b"}], "checkpoints": None}))
    measure_students(file)
    assert calls == [(["b"], [student["report"]])]


def test_links_of_students_that_are_there_stay(job):
    cell = max(job.cells(), key=lambda cell: len(cell.keys))
    train(job, cell, cell.keys)
    keys = {arm: job.student_keys[arm, 0] for arm in cell.keys}
    one, two, *_ = keys
    links = job.directory.links
    job.directory.link_students(keys)
    job.directory.link_students({one: keys[two]})
    assert (links / two).resolve() == job.directory.cohorts / cell.name / two == (links / one).resolve()
    shutil.rmtree(job.directory.cohorts / cell.name / two)
    job.directory.link_students({})
    assert not (links / two).is_symlink() and len(list(links.iterdir())) == len(keys) - 2


def test_what_lies_beside_the_page_names_no_place_of_this_machine_and_gives_the_same_page(finished, tmp_path):
    archive = finished.page / ARCHIVE
    archived = read_archive(archive)
    raw = [file.read_text() for file in (finished.directory / "reports").glob("*.json")]
    assert any(str(finished.directory) in text for text in raw)
    for report in archived.values():
        assert str(finished.directory) not in json.dumps(report.data) and not machine_paths(json.dumps(report.data))
    of_page = {report.sha256 for seeds in finished.results.reports.values() for report in seeds.values()}
    assert of_page == {report.sha256 for report in archived.values()}
    assert isinstance(finished.results, StudyResults)


def test_a_finished_teacher_keeps_no_checkpoints(finished):
    teachers = finished.directory / "teachers"
    assert list(teachers.glob("*/teacher.json")) and list(teachers.glob("debiased*/teacher.json"))
    for name in ("teacher_training", "checkpoints", "teacher_run/checkpoints"):
        assert not list(teachers.glob(f"*/{name}"))


def test_a_second_study_in_a_directory_is_refused_with_the_first_ones_number(tmp_path):
    with only_one_study(tmp_path), pytest.raises(RuntimeError) as error, only_one_study(tmp_path):
        pass
    assert str(error.value) == f"another evenhand study (pid {os.getpid()}) is at work in {tmp_path}."
    with only_one_study(tmp_path):
        pass


def test_a_step_waits_for_another_process_at_the_same(tmp_path):
    done = []

    def second():
        with one_after_the_other(tmp_path):
            done.append("second")

    with one_after_the_other(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.3)
        done.append("first")
    thread.join(5)
    assert done == ["first", "second"]


def test_the_command_takes_the_lock(directory_of_a_study_at_work, evenhand_study, capsys):
    assert evenhand_study("--only", "table1", directory=directory_of_a_study_at_work) == 1
    assert f"(pid {os.getpid()}) is at work in" in capsys.readouterr().err


@pytest.fixture
def directory_of_a_study_at_work(tmp_path):
    with only_one_study(tmp_path / "study"):
        yield tmp_path / "study"


def test_a_run_waits_for_what_a_killed_study_left_at_work(tmp_path):
    log, file = tmp_path / "a.log", tmp_path / "file"
    orphan = f"import time; open({str(file)!r}, 'a').write('begun '); time.sleep(1.5); open({str(file)!r}, 'a').write('ended ')"
    study = (
        "from pathlib import Path; from evenhand.launch.launchers import LocalLauncher; from evenhand.launch.study_runs import Run; "
        f"LocalLauncher(1, 75).launch([Run('a', (('-c', {orphan!r}),), Path({str(log)!r}))])"
    )
    parent = subprocess.Popen([sys.executable, "-c", study])
    while not file.exists():
        assert parent.poll() is None
    parent.kill()
    parent.wait()
    again = f"open({str(file)!r}, 'a').write('again')"
    (outcome,) = LocalLauncher(1, 75).launch([Run("a", (("-c", again),), log)])
    assert outcome.code == 0 and file.read_text() == "begun ended again"
