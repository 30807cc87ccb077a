"""Runs of a study on this machine and as jobs: order, failures, stopping with a checkpoint, going on, and waiting for earlier jobs."""

import dataclasses
import json
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path

import fake_slurm
import pytest
from fake_slurm import wait_for

from evenhand.launch.launchers import LocalLauncher, make_launcher
from evenhand.launch.slurm_launcher import SlurmLauncher, minutes, slurm_options
from evenhand.launch.study_runs import Outcome, Run, conclude
from evenhand.trainer.stop_signals import REQUEUE_EXIT_CODE

TRAINING = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def stop(number, frame):
    (folder / "checkpoint").write_text(signal.Signals(number).name)
    sys.exit(75)
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, stop)
if (folder / "checkpoint").exists():
    (folder / "resumed").touch()
    sys.exit(0)
(folder / "parent").write_text(str(os.getppid()))
time.sleep(60)
"""
"""A training that writes a checkpoint when it is asked to stop, and is done at its second start."""

WRITE = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2]); print('wrote')"


def run(folder: Path, name: str, *commands: tuple[str, ...]) -> Run:
    return Run(name, tuple(("-c", *command) for command in commands), folder / f"{name}.log")


def training(folder: Path, name: str) -> Run:
    (folder / name).mkdir()
    return run(folder, name, (TRAINING, str(folder / name)), (WRITE, str(folder / name / "evaluated"), "yes"))


def fails(folder: Path, name: str, code: int = 3) -> Run:
    words = f"import sys; print('something went wrong'); sys.exit({code})"
    return run(folder, name, (words,), (WRITE, str(folder / f"{name}.second"), "x"))


def when(path: Path, do) -> threading.Thread:
    """Call ``do`` with the file's text as soon as it is there."""
    thread = threading.Thread(target=lambda: do(wait_for(path)))
    thread.start()
    return thread


# on this machine


def test_runs_follow_one_another_and_a_failed_one_leaves_the_others(tmp_path, capsys):
    good = run(tmp_path, "good", (WRITE, str(tmp_path / "1"), "a"), (WRITE, str(tmp_path / "2"), "b"))
    outcomes = LocalLauncher(1, REQUEUE_EXIT_CODE).launch([fails(tmp_path, "bad"), good])
    assert [(outcome.name, outcome.code) for outcome in outcomes] == [("bad", 3), ("good", 0)]
    assert (tmp_path / "1").read_text() + (tmp_path / "2").read_text() == "ab"
    assert not (tmp_path / "bad.second").exists()
    assert (tmp_path / "bad.log").read_text() == "something went wrong\n"
    assert (tmp_path / "good.log").read_text() == "wrote\nwrote\n"
    assert capsys.readouterr().out.splitlines() == [
        f"bad: failed with code 3; see {tmp_path / 'bad.log'}",
        "good: done",
    ]
    with pytest.raises(RuntimeError) as error:
        conclude(outcomes, REQUEUE_EXIT_CODE)
    assert str(error.value) == f"1 of 2 runs failed: bad (see {tmp_path / 'bad.log'}). Then run the command again."


def test_variables_of_a_run_are_its_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("INHERITED", "yes")
    code = "import os; print(os.environ['INHERITED'], os.environ['OWN'])"
    LocalLauncher(2, REQUEUE_EXIT_CODE).launch([Run("a", (("-c", code),), tmp_path / "a.log", {"OWN": "mine"})])
    assert (tmp_path / "a.log").read_text() == "yes mine\n"
    assert "OWN" not in os.environ


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_asked_to_stop_it_hands_on_the_signal_starts_no_further_run_and_can_go_on(tmp_path, number):
    runs = [training(tmp_path, "first"), run(tmp_path, "second", (WRITE, str(tmp_path / "second.txt"), "x"))]
    before = signal.getsignal(number)
    thread = when(tmp_path / "first" / "parent", lambda pid: os.kill(os.getpid(), number))
    outcomes = LocalLauncher(1, REQUEUE_EXIT_CODE).launch(runs)
    thread.join()
    assert [outcome.stopped for outcome in outcomes] == [True, True]
    assert conclude(outcomes, REQUEUE_EXIT_CODE) == REQUEUE_EXIT_CODE
    assert (tmp_path / "first" / "checkpoint").read_text() == number.name
    assert not (tmp_path / "second.txt").exists() and not (tmp_path / "first" / "evaluated").exists()
    assert signal.getsignal(number) is before
    assert conclude(LocalLauncher(1, REQUEUE_EXIT_CODE).launch(runs), REQUEUE_EXIT_CODE) == 0
    assert (tmp_path / "first" / "resumed").exists() and (tmp_path / "second.txt").exists()


def test_a_run_that_dies_of_the_signal_it_was_handed_can_go_on_but_one_that_is_killed_has_failed(tmp_path):
    sleeping = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
    for number, stopped in ((signal.SIGUSR1, True), (signal.SIGKILL, False)):
        pid_file = tmp_path / f"pid-{stopped}"
        target = (
            (lambda pid: os.kill(os.getpid(), signal.SIGUSR1))
            if stopped
            else lambda pid: os.kill(int(pid), signal.SIGKILL)
        )
        thread = when(pid_file, target)
        [outcome] = LocalLauncher(1, REQUEUE_EXIT_CODE).launch([run(tmp_path, "a", (sleeping, str(pid_file)))])
        thread.join()
        assert (outcome.code, outcome.stopped) == (-number, stopped)


def test_failures_weigh_more_than_stops():
    stopped, failed = Outcome("a", 75, Path("a.log"), stopped=True), Outcome("b", None, Path("b.log"))
    with pytest.raises(RuntimeError, match=r"1 of 2 runs failed: b \(see b.log\)"):
        conclude([stopped, failed], 75)
    assert str(failed) == "b: ended without a result; see b.log"
    assert str(stopped) == "a: stopped; it can go on"


# as jobs


@pytest.fixture
def submitit():
    return pytest.importorskip("submitit")


@pytest.fixture
def cluster(tmp_path, monkeypatch, submitit):
    folder = tmp_path / "cluster"
    bin_folder = fake_slurm.install(folder)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    monkeypatch.setattr(
        submitit.SlurmJob, "watcher", type(submitit.SlurmJob.watcher)()
    )  # one a process: of the test before
    yield folder
    fake_slurm.end_jobs(folder)


def slurm(folder: Path, *words: str, **options) -> SlurmLauncher:
    return SlurmLauncher(
        folder / "a study" / "slurm_jobs", slurm_options(words), REQUEUE_EXIT_CODE, poll_seconds=0.1, **options
    )


def test_an_array_of_jobs_goes_on_after_its_time_limit_and_names_what_failed(tmp_path, cluster, capsys):
    def time_limit(_: str) -> None:  # Slurm signals every process of the step with submitit's signal
        os.killpg(int((cluster / "100_0.step").read_text()), signal.SIGUSR2)

    thread = when(tmp_path / "long" / "parent", time_limit)
    runs = [
        training(tmp_path, "long"),
        fails(tmp_path, "bad"),
        run(tmp_path, "short", (WRITE, str(tmp_path / "short"), "x")),
    ]
    launcher = slurm(tmp_path, "partition=gpu", "time=2:00:00", "hint=nomultithread")
    outcomes = launcher.launch(runs)
    thread.join()
    assert [(outcome.name, outcome.code) for outcome in outcomes] == [("long", 0), ("bad", 3), ("short", 0)]
    assert (
        tmp_path / "long" / "checkpoint"
    ).read_text() == "SIGUSR1"  # the training knows one signal, whatever submitit's is
    assert (tmp_path / "long" / "resumed").exists() and (tmp_path / "long" / "evaluated").exists()
    assert (cluster / "requeued").read_text() == "100_0\n"
    script = (tmp_path / "a study" / "slurm_jobs" / "100_submission.sh").read_text()
    for line in ("--array=0-2%3", "--partition=gpu", "--time=120", "--signal=USR2@120", "--hint=nomultithread"):
        assert f"#SBATCH {line}\n" in script
    said = capsys.readouterr().out
    assert "Submitted 3 runs as job 100." in said and f"bad: failed with code 3; see {tmp_path / 'bad.log'}" in said
    with pytest.raises(RuntimeError, match=r"1 of 3 runs failed: bad \(see .*bad\.log\)"):
        conclude(outcomes, REQUEUE_EXIT_CODE)

    # the same command again: what is done is neither submitted nor executed, what failed is
    runs[1] = Run("bad", runs[1].commands[1:], runs[1].log)
    assert [outcome.code for outcome in slurm(tmp_path).launch(runs)] == [0, 0, 0]
    assert "Submitted 1 run as job 103" in capsys.readouterr().out
    # another recipe under the same name is another run
    (tmp_path / "recipe").write_text("1")
    runs = [Run("short", runs[2].commands, runs[2].log, inputs=(tmp_path / "recipe",))]
    slurm(tmp_path).launch(runs)
    (tmp_path / "recipe").write_text("2")
    slurm(tmp_path).launch(runs)
    assert capsys.readouterr().out.count("Submitted 1 run") == 2
    # and one whose output was taken away is not done
    runs = [dataclasses.replace(runs[0], outputs=(tmp_path / "short",))]
    slurm(tmp_path).launch(runs)
    assert "Submitted" not in capsys.readouterr().out
    (tmp_path / "short").unlink()
    slurm(tmp_path).launch(runs)
    assert "Submitted 1 run" in capsys.readouterr().out


def test_a_command_that_was_cut_off_waits_for_the_jobs_that_it_submitted(tmp_path, cluster, monkeypatch, submitit):
    runs = [training(tmp_path, "long")]
    launcher = slurm(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr("evenhand.launch.slurm_launcher.time.sleep", lambda seconds: sys.exit("cut off"))
        launcher.launch(runs)
    wait_for(tmp_path / "long" / "parent")
    with pytest.raises(RuntimeError, match="Run long is at work as job 100, begun with another recipe"):
        slurm(tmp_path).launch([run(tmp_path, "long", (WRITE, str(tmp_path / "x"), "x"))])
    os.killpg(int((cluster / "100.step").read_text()), signal.SIGUSR2)
    assert [outcome.code for outcome in slurm(tmp_path).launch(runs)] == [0]
    assert (cluster / "counter").read_text() == "101"  # one job in all
    (tmp_path / "a study" / "slurm_jobs" / "100_0_result.pkl").unlink()
    wait_for(cluster / "100.state", "COMPLETED")
    (cluster / "100.state").unlink()
    submitit.SlurmJob.watcher.clear()
    with pytest.raises(
        RuntimeError, match=r"Slurm does not say whether job 100 of run long still runs .*delete .*jobs\.json"
    ):
        slurm(tmp_path).launch(runs)


def test_a_checkpoint_that_could_not_be_written_is_a_failure_and_not_a_requeue(tmp_path, submitit):
    (tmp_path / "full").mkdir()
    full_disk = TRAINING.replace("sys.exit(75)", "sys.exit('disk full')")
    thread = at_its_limit(tmp_path / "full")
    [outcome] = one_machine(tmp_path, submitit).launch([run(tmp_path, "full", (full_disk, str(tmp_path / "full")))])
    thread.join()
    assert outcome.code is None and "checkpoint function returned None" in outcome.log.read_text()
    assert not (tmp_path / "full" / "resumed").exists()


def test_submitits_executor_for_one_machine_resumes_runs_too(tmp_path, submitit):
    runs = [training(tmp_path, "long"), fails(tmp_path, "bad")]
    thread = at_its_limit(tmp_path / "long")
    outcomes = one_machine(tmp_path, submitit).launch(runs)
    thread.join()
    assert [outcome.code for outcome in outcomes] == [0, 3]
    assert (tmp_path / "long" / "resumed").exists() and (tmp_path / "long" / "evaluated").exists()
    assert set(json.loads((tmp_path / "jobs" / "jobs.json").read_text())) == {"long", "bad"}


def one_machine(folder: Path, submitit) -> SlurmLauncher:
    """Jobs of submitit's own executor for one machine."""
    make = partial(submitit.LocalExecutor, max_num_timeout=5)
    return SlurmLauncher(folder / "jobs", {}, REQUEUE_EXIT_CODE, make_executor=make, poll_seconds=0.1)


def at_its_limit(training_folder: Path) -> threading.Thread:
    """Send submitit's signal to the job as soon as its training runs."""
    return when(training_folder / "parent", lambda pid: os.kill(int(pid), signal.SIGUSR2))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("1:30:00", 90),
        ("00:00:30", 1),
        ("2-00:00:00", 2880),
        ("1-12:30", 2190),
        ("0", None),
        ("20h", None),
        ("20:00", None),
    ],
)
def test_times_as_slurm_writes_them(text, expected):
    if expected is not None:
        assert minutes(text) == expected
        return
    with pytest.raises(ValueError, match="time"):
        minutes(text)


def test_options_are_submitits_by_their_names_and_else_sbatchs(submitit):
    options = slurm_options(["gpus-per-node=4", "constraint=v100", "time=30", "hint=x", "--qos=long"])
    assert options["gpus_per_node"] == 4 and options["constraint"] == "v100" and options["qos"] == "long"
    assert options["time"] == 30 and options["additional_parameters"] == {"hint": "x"}
    with pytest.raises(ValueError, match="--slurm 'gpu' is not of the form key=value"):
        slurm_options(["gpu"])


def test_what_is_missing_is_one_line(tmp_path, monkeypatch, submitit):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RuntimeError, match=r"Slurm is not here \(no srun on the PATH\)"):
        make_launcher("slurm", tmp_path, 75)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(RuntimeError, match=r"pip install 'evenhand\[slurm\]'"):
        make_launcher("slurm", tmp_path, 75)
    with pytest.raises(ValueError, match="--slurm options need --launcher slurm"):
        make_launcher("local", tmp_path, 75, slurm=["time=3"])
    with pytest.raises(ValueError, match="launcher must be one of local, slurm"):
        make_launcher("cloud", tmp_path, 75)
    with pytest.raises(ValueError, match="--jobs must be at least 1"):
        make_launcher("local", tmp_path, 75, jobs=0)


def test_a_percent_sign_in_the_path_is_refused(tmp_path, cluster):
    with pytest.raises(ValueError, match="submitit reads % in a path"):
        slurm(tmp_path / "100%")
