"""A study that is killed goes on where it was, and what is trained together is what would be trained alone."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from miniature import write_study
from transformers.trainer_callback import CallbackHandler

from evenhand.evaluation import EvaluationReport
from evenhand.launch import cohort, evaluate
from evenhand.launch.study.directory import StudyDirectory
from evenhand.model_cards.published_report import without_machine_paths

WORDS = ("--only", "random_pairs", "--seeds", "1")
ARMS = ("original", "proposed", "random-pairs")
OF_THE_TRAINING = {"code", "cohort", "seconds", "energy", "recipe_sha256"}
"""What a training's record says of with whom, how long, where and by which commit it ran."""


def facts(report, *directories):
    """All that a report says, but for where and with whom its student was trained."""
    text = json.dumps(report.data)
    for directory in directories:
        text = text.replace(str(directory), "DIRECTORY")
    data = json.loads(text)
    return data | {
        "code": None,
        "training": {key: value for key, value in data["training"].items() if key not in OF_THE_TRAINING},
    }


def reports_of(directory):
    """By key, as a study shows them: without places of this machine."""
    return {
        path.stem: EvaluationReport(without_machine_paths(EvaluationReport.load(path).data))
        for path in (directory / "reports").glob("*.json")
    }


def same_as(finished, directory):
    """Whether the reports of ``WORDS`` are there and say what those of the whole study do."""
    found = reports_of(directory)
    expected = {path.stem: finished.results.reports[arm][0] for arm, path in paths(finished).items()}
    assert set(found) == set(expected)
    for key, report in found.items():
        assert facts(report, directory, finished.directory) == facts(expected[key], finished.directory)
    return True


def paths(finished):
    """Arm -> file of its report of seed 0 in the finished study."""
    by_hash = {
        report.sha256: finished.directory / "reports" / f"{key}.json"
        for key, report in reports_of(finished.directory).items()
    }
    return {arm: by_hash[finished.results.reports[arm][0].sha256] for arm in ARMS}


def killed(work):
    """Do the work in a process of its own, which must die of SIGKILL."""
    process = os.fork()
    if not process:
        try:
            work()
        finally:
            os._exit(1)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def noting_steps(file, dies_at=None):
    """Let every step of a distillation that begins write its number into ``file``, and one of them be the process's last."""
    original = CallbackHandler.on_step_begin

    def noted(self, args, state, control):
        if "cohorts" in Path(args.output_dir).parts:  # and not GLUE's
            with file.open("a") as steps:
                steps.write(f"{state.global_step}\n")
            if state.global_step == dies_at:
                die()
        return original(self, args, state, control)

    CallbackHandler.on_step_begin = noted


def dying_at_student(number):
    """Let the process die when its ``number``-th student is to be measured."""
    measure, measured = evaluate.measure_model, []

    def counted(path, role, *rest, **options):
        if role == "student":
            measured.append(path)
            if len(measured) == number:
                die()
        return measure(path, role, *rest, **options)

    evaluate.measure_model = counted


def test_a_study_killed_while_it_trains_and_while_it_measures_ends_as_if_it_had_not_been(
    finished, begun, evenhand_study, in_process, tmp_path
):
    def run(*preparations):
        for prepare in preparations:
            prepare()
        evenhand_study(*WORDS, launcher=in_process(), directory=begun)

    steps = [tmp_path / name for name in ("first", "second")]
    killed(lambda: run(lambda: noting_steps(steps[0], dies_at=3)))
    assert steps[0].read_text().split() == ["0", "1", "2", "3"]
    assert not (begun / "reports").exists() and len(list(begun.glob("cohorts/*/cohort/checkpoints/checkpoint-2"))) == 1
    killed(lambda: run(lambda: noting_steps(steps[1]), lambda: dying_at_student(2)))
    assert steps[1].read_text().split() == ["2", "3"]  # from the checkpoint, and no other training before the measuring
    assert len(reports_of(begun)) == 1 and len(StudyDirectory(begun).students()) == 2
    launcher = in_process()
    assert evenhand_study(*WORDS, launcher=launcher, directory=begun) == 0
    measured, trained = launcher.launched
    assert measured.endswith("-measured") and not trained.endswith("-measured")
    assert same_as(finished, begun) and not list(begun.glob("cohorts/*/cohort/checkpoints"))
    assert (begun / "page" / "README.html").is_file()


def dying_at_training_facts(number):
    """Let the process die when the facts of the ``number``-th student of a cohort are to be written."""
    write, written = cohort.write_json, []

    def counted(path, facts):
        if path.name == "training.json":
            written.append(path)
            if len(written) == number:
                die()
        return write(path, facts)

    cohort.write_json = counted


@pytest.mark.heavy
def test_a_cohort_killed_between_its_students_trains_none_of_them_again(
    finished, begun, evenhand_study, in_process, tmp_path
):
    def run(prepare):
        prepare()
        evenhand_study(*WORDS, launcher=in_process(), directory=begun)

    killed(lambda: run(lambda: dying_at_training_facts(2)))
    assert len(StudyDirectory(begun).students()) == 1
    steps = tmp_path / "steps"
    process = os.fork()
    if not process:
        try:
            run(lambda: noting_steps(steps))
        finally:
            os._exit(0)
    os.waitpid(process, 0)
    # all four steps of the other cell, none of this
    assert steps.read_text().split() == ["0", "1", "2", "3"] and same_as(finished, begun)


def test_arms_that_share_a_training_are_those_trained_alone(finished, begun, evenhand_study, in_process, tmp_path):
    content = yaml.safe_load(finished.file.read_text(encoding="utf-8"))
    content["scales"]["miniature"]["cohort_size"] = 1
    alone = write_study(tmp_path / "alone" / finished.file.name, content)
    launcher = in_process()
    assert evenhand_study(*WORDS, launcher=launcher, file=alone, directory=begun) == 0
    assert len(launcher.launched) == len(ARMS)
    arms = {
        report.training["cohort"]["arm"]: report.training["cohort"]["arms"] for report in reports_of(begun).values()
    }
    assert {arm: list(of_cohort) for arm, of_cohort in arms.items()} == {arm: [arm] for arm in ARMS}
    together = finished.results.reports["proposed"][0].training["cohort"]["arms"]
    assert {"original", "proposed"} < set(together)
    assert same_as(finished, begun)


@pytest.mark.heavy
def test_processes_of_this_machine_make_what_this_process_makes(finished, begun, tmp_path):
    """The command as a user gives it, with the local launcher."""
    words = ["study", str(finished.file), "--scale", "miniature", "--output-dir", str(begun), *WORDS]
    done = subprocess.run(
        [sys.executable, "-m", "evenhand.launch.command", *words], capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(begun / "page" / "README.md")
    assert same_as(finished, begun)
