"""Two real processes wait for each other as long as the recipe says, and for the first one as long as it takes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting_script import TIMEOUT

pytestmark = (
    pytest.mark.heavy
)  # two more interpreters; tests/launch/test_process_group_settings.py has the same in one process


@pytest.fixture(scope="module")
def waited(tmp_path_factory):
    """What two processes left behind, and how long they took."""
    folder, start = tmp_path_factory.mktemp("waited"), time.monotonic()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*command, str(Path(__file__).with_name("waiting_script.py")), str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    contents = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    return contents | {"seconds": time.monotonic() - start}


def test_the_others_wait_for_the_first_process_longer_than_any_timeout(waited):
    assert waited["process0.found"] == waited["process1.found"] == "True"


def test_if_it_fails_they_fail_too(waited):
    assert waited["process0.failed"] == "broken corpus"
    assert "Process 0 failed" in waited["process1.failed"]


def test_a_process_that_hangs_is_noticed_after_the_timeout_and_ended(waited):
    assert TIMEOUT * 0.9 < float(waited["noticed"]) < TIMEOUT + 5
    assert waited["seconds"] < 60
