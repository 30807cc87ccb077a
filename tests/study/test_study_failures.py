"""What fails, what is stopped and what is changed: the others go on, the page says it, and only what is touched is made again."""

import json
import re
from functools import partial

import pytest
import yaml
from kept_reports import KeptReports
from miniature import TEACHER, write_study

from evenhand.launch.study.page.study_page import write_page
from evenhand.trainer.stop_signals import REQUEUE_EXIT_CODE

WORDS = ("--only", "table1,random_pairs")
STUDENTS = {
    *((arm, seed) for arm in ("original", "mlm-cos", "proposed") for seed in (0, 1)),
    *((arm, 0) for arm in ("mlm-ce", "no-mlm", "random-pairs")),
}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """They take most of a page's time, and are looked at elsewhere."""
    monkeypatch.setattr("evenhand.launch.study.page.study_page.write_page", partial(write_page, figures=False))


@pytest.fixture
def launcher(finished):
    return lambda *broken, **options: KeptReports(finished.results, finished.directory, broken, **options)


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "study"


@pytest.fixture
def edited(finished, tmp_path):
    """``edited(change)``: the study file as ``change`` makes its content."""

    def write(change):
        content = yaml.safe_load(finished.file.read_text(encoding="utf-8"))
        change(content)
        return write_study(tmp_path / "edited" / finished.file.name, content)

    return write


def page(directory):
    return (directory / "page" / "README.md").read_text(encoding="utf-8")


def test_an_arm_that_fails_leaves_the_others_and_the_page_shows_it_with_its_log(
    directory, launcher, evenhand_study, capsys
):
    broken = launcher("proposed")
    assert evenhand_study(*WORDS, launcher=broken) == 1
    assert set(broken.trained) == {student for student in STUDENTS if student[0] != "proposed"}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("evenhand study: 2 students could not be made: proposed (seed 0, seed0-")
    assert str(directory / "logs") in line
    failed = [json.loads(file.read_text()) for file in (directory / "failed").iterdir()]
    assert sorted((one["arm"], one["seed"]) for one in failed) == [("proposed", 0), ("proposed", 1)]
    text = page(directory)
    for one in failed:
        # tried with the others of its cell, then alone
        assert (directory / "logs" / one["log"]).is_file() and one["log"].removesuffix(".log") in broken.launched
        assert f"**failed** with seed {one['seed']}; log `{one['log']}`" in text
    said = json.loads((directory / "page" / "results.json").read_text())["arms"]
    assert set(said["proposed"]["failed"]) == {"0", "1"} and not said["proposed"]["reports"]
    assert said["original"]["failed"] == {} and set(said["original"]["reports"]) == {"0", "1"}

    mended = launcher()
    assert evenhand_study(*WORDS, launcher=mended) == 0
    assert set(mended.trained) == {("proposed", 0), ("proposed", 1)} and "failed**" not in page(directory)
    assert not list((directory / "failed").iterdir())


def test_a_teacher_that_fails_is_one_line_and_students_of_it_are_not_begun(directory, launcher, evenhand_study, capsys):
    broken = launcher("teacher")
    assert evenhand_study(*WORDS, launcher=broken) == 1
    assert broken.launched == ["teacher-seed0", "teacher-seed1"] and broken.trained == []
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"evenhand study: no report is there; see {directory / 'logs'}."
    assert not (directory / "page").exists()


def test_a_stopped_study_asks_to_be_started_again_and_nothing_counts_as_failed(
    directory, launcher, evenhand_study, capsys
):
    stopped = launcher("random-pairs", code=REQUEUE_EXIT_CODE, stops=True)
    assert evenhand_study(*WORDS, launcher=stopped) == REQUEUE_EXIT_CODE
    assert capsys.readouterr().err == "evenhand study: stopped; run the same command again to go on.\n"
    assert not (directory / "failed").exists() and "not run yet with seed 0" in page(directory)
    resumed = launcher()
    assert evenhand_study(*WORDS, launcher=resumed) == 0
    assert set(stopped.trained) | set(resumed.trained) == STUDENTS
    assert set(resumed.trained) == STUDENTS - set(stopped.trained) >= {("random-pairs", 0)}


def test_a_change_of_the_file_makes_again_what_it_touches_and_nothing_else(launcher, evenhand_study, edited):
    assert evenhand_study(*WORDS, launcher=launcher()) == 0

    def again(change, words=WORDS):
        run = launcher()
        assert evenhand_study(*words, launcher=run, file=edited(change)) == 0
        return set(run.trained)

    assert again(lambda content: content["arms"]["proposed"]["changes"].append("mixup.alpha=1")) == {
        ("proposed", 0),
        ("proposed", 1),
    }
    assert again(lambda content: content["arms"]["proposed"].update(label="mine")) == set()
    run = launcher("mlm-ce", "no-mlm", "random-pairs")
    more = edited(lambda content: content["scales"]["miniature"]["seeds"].update(other=2))
    assert evenhand_study(*WORDS, launcher=run, file=more) == 1
    assert run.trained == [] and len([name for name in run.launched if name.startswith("seed1-")]) > 0
    assert not [name for name in run.launched if name.startswith("seed0-")]


def test_another_section_later_makes_only_its_own_arms(launcher, evenhand_study, directory):
    assert evenhand_study("--only", "table1", launcher=launcher()) == 0
    assert "Is it about gender" not in page(directory)
    later = launcher()
    assert evenhand_study(*WORDS, launcher=later) == 0
    assert set(later.trained) == {("proposed", 0), ("proposed", 1), ("random-pairs", 0)}
    assert "Is it about gender" in page(directory)


def _deeper(content):
    content["arms"]["no-mlm"]["changes"].append(f"student.layers={TEACHER['layers'] + 1}")


def _two_transforms(content):
    content["arms"]["proposed"]["changes"].append("equalisation.enabled=true")


def _without_a_task(content):
    content["scales"]["miniature"]["glue"]["settings"]["tasks"] = ["sst2", "sst3"]


def _task_without_data(content):
    content["scales"]["miniature"]["glue"]["settings"]["data"] = "/none/glue_data"


def _unknown_key(content):
    content["scales"]["miniature"]["planted"]["teacher"]["width"] = 4


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        (_deeper, WORDS, r"1 arms are not possible: no-mlm: .*between 1 and the teacher's 3"),
        (_two_transforms, WORDS, "proposed.*mixup.*equalisation|proposed.*equalisation.*mixup"),
        (_unknown_key, WORDS, r"scales\.miniature\.planted\.teacher\.width"),
        (_without_a_task, ("--only", "table3"), "sst3"),
        (_task_without_data, ("--only", "table3"), "/none/glue_data"),
        (_task_without_data, ("--only", "table3", "--plan"), "/none/glue_data"),
        (lambda content: None, ("--only", "table9"), "there is no section table9"),
        (lambda content: None, (*WORDS, "--seeds", "0"), "--seeds must be at least 1"),
        (lambda content: None, (*WORDS, "training.max_step=3"), "max_step"),
        (lambda content: None, (*WORDS, "--jobs", "0"), "--jobs must be at least 1"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_made(
    directory, launcher, evenhand_study, edited, capsys, change, words, said
):
    run = launcher()
    assert evenhand_study(*words, launcher=run, file=edited(change)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("evenhand study: ")
    assert re.search(said, lines[0]) and run.launched == [] and not directory.exists()
