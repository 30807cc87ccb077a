"""``evenhand sbatch``: what the scripts ask of Slurm, and what they do there: signals, requeues, exit codes, resumption."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import fake_slurm
import pytest
from fake_slurm import wait_for

from evenhand.launch import job_script as job_script_module
from evenhand.launch.command import main
from evenhand.launch.job_script import TEMPLATES, JobSettings, job_script
from evenhand.trainer.stop_signals import REQUEUE_EXIT_CODE

FAKE_EVENHAND = '''#!/usr/bin/env python3
"""Writes a checkpoint when asked to; a second start finds it and is done. The number in a file ``code`` is an exit code to end with."""
import os, pathlib, signal, subprocess, sys, time

words = sys.argv[1:]
run = pathlib.Path(words[words.index("--output-dir") + 1])
run.mkdir(parents=True, exist_ok=True)
(run / "words").write_text("\\n".join(words))
helper = subprocess.Popen(["sleep", "60"])  # sets no handler: it lives only if the signal is ignored

def stop(number, frame):
    (run / "checkpoint").write_text(f"helper ended with {helper.poll()}")
    helper.kill()
    sys.exit(75)

if (run / "code").exists():
    helper.kill()
    sys.exit(int((run / "code").read_text()))
if (run / "checkpoint").exists():
    (run / "resumed").write_text(os.environ["SLURM_RESTART_COUNT"])
    helper.kill()
    sys.exit(0)
signal.signal(signal.SIGUSR1, stop)
(run / "ready").write_text("1")
time.sleep(60)
'''


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A folder with a blank in its name, as working directory and on the PATH; its ``state`` is the fake cluster's."""
    folder = tmp_path / "a cluster"
    bin_folder = fake_slurm.install(folder)
    (bin_folder / "evenhand").write_text(FAKE_EVENHAND)
    (bin_folder / "evenhand").chmod(0o755)
    (folder / "state").mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(folder / "state"))
    monkeypatch.setattr(job_script_module, "command_folder", lambda: bin_folder)
    yield folder
    fake_slurm.end_jobs(folder / "state")


def directives(text: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH")]


def end_of(cluster: Path, job: str) -> str:
    """State of a job that has ended, with its exit code unless that is 0."""
    end = wait_for(cluster / "state" / f"{job}.state", "ED")
    return end


@pytest.mark.parametrize("recipes", [["minilm_cpu"], ["minilm_cpu", "planted"]], ids=["one run", "array"])
@pytest.mark.parametrize(
    "settings",
    [
        JobSettings(),
        JobSettings(nodes=2, offline=True, setup=["module load cuda", "export A='b c'"], options=["exclusive", "comment=it's a # test"]),
        JobSettings(gpus="v100:1", accelerate="zero1"),
    ],
    ids=["one node", "nodes", "one GPU"],
)  # fmt: skip
def test_every_script_is_bash(recipes, settings, tmp_path):
    path = tmp_path / "script"
    path.write_text(job_script(recipes, tmp_path / 'it\'s "here"', settings, ["publish.title='a $(b) c'"]))
    done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "@{" not in path.read_text() and "@%" not in path.read_text()


def test_all_templates_are_reached():
    assert {path.name for path in TEMPLATES.iterdir()} == {
        "one_node.sbatch", "multi_node.sbatch", "array.sbatch", "header.sh", "rendezvous.sh", "run_and_requeue.sh",
    }  # fmt: skip


def test_the_script_asks_for_what_was_said(cluster):
    settings = JobSettings(gpus="v100:4", time="1-00:00:00", options=["partition=gpu", "account=abc@v100", "exclusive"])
    text = job_script(["minilm_cpu"], "runs/a 1", settings)
    assert directives(text) == [
        "--job-name=a_1", "--nodes=1", "--ntasks-per-node=1", "--gres=gpu:v100:4", "--cpus-per-task=16", "--time=1-00:00:00",
        "--partition=gpu", "--account=abc@v100", "--exclusive", "--signal=B:USR1@120", "--requeue", "--open-mode=append",
        f"--output='{cluster}/runs/a 1.log'",
    ]  # fmt: skip
    assert "--signal=B:USR1@300" in directives(job_script(["minilm_cpu"], "run", JobSettings(notice=300)))
    array = directives(job_script(["minilm_cpu", "planted"], "runs", JobSettings(at_once=1)))
    assert array[-2:] == [f"--output='{cluster}/runs/slurm-%A_%a.log'", "--array=0-1%1"]
    assert directives(job_script(["minilm_cpu"], "100%", JobSettings()))[-1] == f"--output='{cluster}/100%%.log'"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (JobSettings(), "ddp --num-processes 4"),
        (JobSettings(gpus="2"), "ddp --num-processes 2"),
        (JobSettings(gpus="v100:1"), "one_gpu"),
        (JobSettings(nodes=3), "multi_node"),
        (JobSettings(nodes=3, accelerate="zero2"), "zero2 --num-processes 12 --num-machines 3"),
    ],
)
def test_the_config_of_accelerate_follows_from_nodes_and_gpus(settings, words):
    text = job_script(["minilm_cpu"], "run", settings)
    assert f'--output-dir "$output_dir" --accelerate {words} &\n' in text
    assert ("export MASTER_ADDR" in text) == (settings.nodes > 1)


def test_asked_before_its_time_limit_a_run_is_requeued_once_its_checkpoint_is_written_and_goes_on(cluster, capsys):
    words = ["--output-dir", "my runs/it's one", "--submit", "training.seed=3", "publish.title='two words'"]
    assert main(["sbatch", "minilm_cpu", *words]) == 0
    assert capsys.readouterr().out == "Submitted batch job 100\n"
    run, state = cluster / "my runs" / "it's one", cluster / "state"
    wait_for(run / "ready")
    os.kill(int((state / "100.script").read_text()), signal.SIGUSR1)
    assert end_of(cluster, "100") == "COMPLETED"
    assert (run / "checkpoint").read_text() == "helper ended with None"
    assert (state / "requeued").read_text() == "100\n"
    assert (run / "resumed").read_text() == "1"
    said = (run / "words").read_text().splitlines()
    assert said == [
        "distill", "minilm_cpu", "--output-dir", "my runs/it's one", "--accelerate", "ddp", "--num-processes", "4", "training.seed=3",
        "publish.title='two words'",
    ]  # fmt: skip
    assert "requeueing job 100" in (state / "100.log").read_text()


def test_arms_are_handed_to_every_run(cluster, capsys):
    Path("two arms.yaml").write_text("plain:\nmixup: [mixup.enabled=true]\n")
    words = ["--output-dir", "run", "--arms", "two arms.yaml", "--gpus", "1", "--submit", "training.seed=3"]
    assert main(["sbatch", "minilm_cpu", *words]) == 0
    wait_for(cluster / "run" / "ready")
    assert (cluster / "run" / "words").read_text().splitlines() == [
        "distill", "minilm_cpu", "--output-dir", "run", "--arms", "two arms.yaml", "--accelerate", "one_gpu", "training.seed=3",
    ]  # fmt: skip
    array = job_script(["minilm_cpu", "planted"], "runs", JobSettings(), arms="two arms.yaml")
    assert array.count("--arms 'two arms.yaml'") == 1
    Path("two arms.yaml").write_text("plain: [mixup.enabeld=true]\n")
    assert main(["sbatch", "minilm_cpu", *words]) == 2
    assert "Arm plain: Unknown recipe key mixup.enabeld" in capsys.readouterr().err


def test_a_task_of_an_array_runs_its_recipe_and_requeues_itself_alone(cluster, tiny_recipe, capsys):
    recipes = []
    for name in ("plain seed0", "mixup-seed0"):
        (cluster / f"{name}.yaml").write_text(Path(tiny_recipe()).read_text())
        recipes.append(f"{name}.yaml")
    (cluster / "study" / "mixup-seed0").mkdir(parents=True)
    (cluster / "study" / "mixup-seed0" / "code").write_text("0")
    assert main(["sbatch", *recipes, "--output-dir", "study", "--gpus", "1", "--submit"]) == 0
    wait_for(cluster / "study" / "plain seed0" / "ready")
    os.kill(int((cluster / "state" / "100_0.script").read_text()), signal.SIGUSR1)
    assert end_of(cluster, "100_0") == end_of(cluster, "100_1") == "COMPLETED"
    assert (cluster / "state" / "requeued").read_text() == "100_0\n"
    assert (cluster / "study" / "plain seed0" / "resumed").exists()
    assert (cluster / "study" / "mixup-seed0" / "words").read_text().startswith("distill\nmixup-seed0.yaml\n")


@pytest.mark.parametrize("code", [0, 1, 2, 137, REQUEUE_EXIT_CODE])
def test_a_run_is_requeued_on_one_code_alone_and_others_are_the_jobs(cluster, code):
    (cluster / "run").mkdir()
    (cluster / "run" / "code").write_text(str(code))
    assert main(["sbatch", "minilm_cpu", "--output-dir", "run", "--submit", "--max-requeues", "1"]) == 0
    assert end_of(cluster, "100") == ("COMPLETED" if code == 0 else f"FAILED {code}")
    requeued = cluster / "state" / "requeued"
    # 75 again after the one requeue that is allowed
    assert (requeued.read_text() if requeued.exists() else "") == ("100\n" if code == REQUEUE_EXIT_CODE else "")
    assert ("submit it again" in (cluster / "state" / "100.log").read_text()) == (code == REQUEUE_EXIT_CODE)


def test_a_job_that_slurm_ends_does_not_requeue_itself(cluster):
    assert main(["sbatch", "minilm_cpu", "--output-dir", "run", "--submit"]) == 0
    wait_for(cluster / "run" / "ready")
    os.kill(int((cluster / "state" / "100.script").read_text()), signal.SIGTERM)  # as scancel does
    os.killpg(
        int((cluster / "state" / "100.step").read_text()), signal.SIGUSR1
    )  # the step's own signal: a checkpoint, code 75
    assert end_of(cluster, "100") == f"FAILED {REQUEUE_EXIT_CODE}"
    assert not (cluster / "state" / "requeued").exists()


def test_a_requeue_that_slurm_refuses_shows_in_the_jobs_code(cluster):
    (cluster / "bin" / "scontrol").write_text(
        "#!/bin/sh\necho 'Requested operation is presently disabled' >&2; exit 1\n"
    )
    (cluster / "run").mkdir()
    (cluster / "run" / "code").write_text(str(REQUEUE_EXIT_CODE))
    assert main(["sbatch", "minilm_cpu", "--output-dir", "run", "--submit"]) == 0
    assert end_of(cluster, "100") == f"FAILED {REQUEUE_EXIT_CODE}"


def test_nodes_meet_at_the_first_one(cluster):
    (cluster / "bin" / "evenhand").write_text('#!/bin/sh\necho "meet $MASTER_ADDR $MASTER_PORT $HF_HUB_OFFLINE $A"\n')
    words = ["--nodes", "2", "--offline", "--setup", "export A=b", "--script", "jobs/two nodes.sbatch"]
    assert main(["sbatch", "minilm_cpu", "--output-dir", "run", *words]) == 0
    subprocess.run(["sbatch", "jobs/two nodes.sbatch"], check=True)
    assert end_of(cluster, "100") == "COMPLETED"
    assert (cluster / "state" / "100.log").read_text() == "meet node1 20100 1 b\n" * 2


TWO_NODES = """#!/bin/sh
if [ -n "$SLURM_RESTART_COUNT" ]; then exit 0; fi
if [ "$SLURM_NODEID" = 0 ]; then exit CODE; fi
sleep SECONDS
exit CODE
"""


@pytest.fixture
def two_nodes(cluster, monkeypatch):
    """``two_nodes(code, seconds)``: what a job ends as whose second node ends ``seconds`` after the first, and how many seconds it took."""
    second = 0.05
    monkeypatch.setenv("FAKE_SLURM_SECOND", str(second))

    def submit(code: int, seconds: float) -> tuple[str, float]:
        program = TWO_NODES.replace("CODE", str(code)).replace("SECONDS", str(seconds * second))
        (cluster / "bin" / "evenhand").write_text(program)
        begun = time.monotonic()
        assert main(["sbatch", "minilm_cpu", "--output-dir", "run", "--nodes", "2", "--submit"]) == 0
        return end_of(cluster, "100"), (time.monotonic() - begun) / second

    return submit


def test_a_node_that_lost_another_ends_within_a_minute(two_nodes):
    """The launcher of the node that failed needs up to 30 seconds for the processes that are left there."""
    end, seconds = two_nodes(code=1, seconds=600)
    assert end == "FAILED 137"
    assert 30 + int(re.search(r" --wait=(\d+) ", job_script(["minilm_cpu"], "run", JobSettings(nodes=2)))[1]) <= 55
    assert seconds < 600 / 2


def test_nodes_that_stop_one_after_the_other_are_requeued(cluster, two_nodes):
    assert two_nodes(code=REQUEUE_EXIT_CODE, seconds=8)[0] == "COMPLETED"
    assert (cluster / "state" / "requeued").read_text() == "100\n"


def test_it_prints_by_default_and_submits_only_where_told_and_possible(cluster, capsys, monkeypatch):
    assert main(["sbatch", "minilm_cpu", "--output-dir", "run"]) == 0
    assert capsys.readouterr().out.startswith("#!/bin/bash\n")
    assert {path.name for path in cluster.iterdir()} == {"bin", "state"}
    assert main(["sbatch", "minilm_cpu", "--output-dir", "deep/run", "--script", "my.sbatch"]) == 0
    assert capsys.readouterr().out == "my.sbatch\n"
    assert (cluster / "deep").is_dir()  # of the log, which Slurm does not make
    assert not any((cluster / "state").iterdir())
    (cluster / "bin" / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition' >&2; exit 1\n")
    assert main(["sbatch", "minilm_cpu", "--output-dir", "run", "--submit"]) == 1
    assert "sbatch refused run.sbatch: sbatch: error: invalid partition" in capsys.readouterr().err
    (cluster / "bin" / "sbatch").unlink()
    assert main(["sbatch", "minilm_cpu", "--output-dir", "run", "--submit"]) == 1
    assert capsys.readouterr().err == (
        "evenhand sbatch: sbatch is not on this machine; on a login node of the cluster: sbatch run.sbatch\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no_such"], "Recipe no_such does not exist"),
        (["minilm_cpu", "training.max_step=3"], "Unknown recipe key training.max_step"),
        (["training.max_steps=3"], "No recipe is named"),
        (["minilm_cpu", "minilm_cpu"], "Two recipes are called minilm_cpu"),
        (["minilm_cpu", "--gpus", "0"], "--gpus must be a number or TYPE:NUMBER"),
        (["minilm_cpu", "--gpus", "v100"], "--gpus must be"),
        (["minilm_cpu", "--nodes", "0"], "--nodes must be at least 1, not 0"),
        (["minilm_cpu", "--time", "20h"], "time must be minutes, HH:MM:SS or D-HH:MM:SS"),
        (["minilm_cpu", "--time", "20:00"], "Slurm reads it as minutes:seconds"),
        (["minilm_cpu", "--option=--qos=long"], "--option '--qos=long' is not one of sbatch's, written like"),
        (["minilm_cpu", "--time", "1", "--notice", "60"], "--notice of 60 seconds is no less than the time limit, 1."),
        (["minilm_cpu", "--at-once", "2"], "--at-once is for an array"),
        (["minilm_cpu", "--arms", "no_such.yaml"], "Arms file no_such.yaml does not exist"),
    ],
)
def test_bad_input_is_one_line(words, message, capsys, tmp_path):
    assert main(["sbatch", *words, "--output-dir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error


@pytest.mark.heavy
def test_a_real_training_of_two_processes_is_stopped_requeued_and_finished(cluster, tiny_recipe, tmp_path, monkeypatch):
    """Everything but Slurm is real: the script, accelerate, two processes, the checkpoint, the exit code, the resumption."""
    (cluster / "bin" / "evenhand").write_text(f'#!/bin/sh\nexec {sys.executable} -m evenhand.launch.command "$@"\n')
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    recipe = tiny_recipe(training={"max_steps": 300, "save_steps": 20, "gradient_accumulation_steps": 1})
    words = ["--gpus", "2", "--accelerate", "cpu", "--option", "comment=tiny"]
    assert main(["sbatch", recipe, "--output-dir", "run", *words, "--submit"]) == 0
    state = cluster / "state"
    wait_for(cluster / "run" / "checkpoints" / "checkpoint-20" / "trainer_state.json", seconds=120)
    os.kill(int((state / "100.script").read_text()), signal.SIGUSR1)
    wait_for(state / "requeued", seconds=60)
    stopped_after = re.search(r"stopped by SIGUSR1 after step (\d+)", (state / "100.log").read_text())
    assert 20 <= int(stopped_after[1]) < 300
    assert wait_for(state / "100.state", "ED", seconds=180) == "COMPLETED", (state / "100.log").read_text()
    assert (state / "requeued").read_text() == "100\n"
    assert json.loads((cluster / "run" / "training.json").read_text())["steps"] == 300
