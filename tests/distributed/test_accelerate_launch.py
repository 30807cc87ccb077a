"""Exit codes and signals go through the launcher: a scheduler sees what the processes of a run did."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """The folder that the processes wrote into, and the exit code of each launch."""
    folder = tmp_path_factory.mktemp("launched")
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, str(HERE / "launcher_script.py"), str(folder)],
        env=environment | {"PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, json.loads(done.stdout.splitlines()[-1])


def test_the_packaged_cpu_config_starts_two_processes_that_share_the_cores_and_see_no_gpu(launched):
    folder, codes = launched
    assert codes["environment"] == 0
    threads = max(1, os.cpu_count() // 2)
    expected = f"2 2 no -1,-1 {threads}"
    assert {path.read_text(encoding="utf-8") for path in folder.glob("environment*")} == {expected}


def test_the_exit_code_of_the_process_that_failed_is_passed_on(launched):
    assert launched[1]["fail"] == 7


def test_a_process_that_was_killed_shows_as_128_and_the_signal(launched):
    assert launched[1]["killed"] == 128 + signal.SIGKILL


def test_signals_reach_every_process_and_these_decide_when_to_end_and_how(launched):
    folder, codes = launched
    assert {path.name for path in folder.glob("usr1_*")} == {"usr1_0", "usr1_1"}
    assert codes["stop"] == 75


def test_a_launch_says_which_signals_it_handed_on_and_none_where_a_process_failed(launched):
    expected = {"environment": [], "fail": [], "killed": [], "stop": sorted([signal.SIGUSR1, signal.SIGTERM])}
    assert launched[1]["handed_on"] == expected


def test_a_launch_without_zero_does_not_import_deepspeed(launched):
    assert launched[1]["imported_deepspeed"] is False
