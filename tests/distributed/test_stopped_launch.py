"""``evenhand distill --accelerate zero1`` is signalled as Slurm does it, loses a file of its checkpoint, and goes on."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from encoder_and_text import write_teacher, write_text
from transformers import BertForMaskedLM

from evenhand.trainer.checkpoints import damage, latest_complete_checkpoint

pytestmark = pytest.mark.heavy  # three launches of two interpreters

SAVE_STEPS, STEPS = 50, 200
PATIENCE = 120.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A teacher, a text and a recipe long enough to be caught at work."""
    folder = tmp_path_factory.mktemp("stopped_launch")
    write_teacher(folder / "teacher", BertForMaskedLM)
    write_text(folder / "text.txt")
    recipe = {
        "teacher": {"path": str(folder / "teacher")},
        "student": {"family": "distilbert", "layers": 1},
        "corpus": {"sources": [{"path": str(folder / "text.txt")}], "max_length": 32, "held_out": 0.2, "workers": 1},
        "training": {
            "max_steps": STEPS, "per_device_train_batch_size": 2, "effective_batch_size": 8, "disable_tqdm": True, "use_cpu": True,
            "save_strategy": "steps", "save_steps": SAVE_STEPS,
        },
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return folder


def _start(folder: Path, processes: int = 2) -> subprocess.Popen:
    command = [sys.executable, "-m", "evenhand.launch.command", "distill", str(folder / "recipe.yaml")]
    command += ["--accelerate", "zero1", "--num-processes", str(processes), "--mixed-precision", "no"]
    return subprocess.Popen(
        [*command, "--output-dir", str(folder / "run")],
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(folder / "hf")},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_signal_to_the_command_stops_all_with_75_and_the_next_start_goes_on_past_a_damaged_checkpoint(folder):
    checkpoints = folder / "run" / "checkpoints"
    first, begun = _start(folder), time.monotonic()
    while not (checkpoints / f"checkpoint-{SAVE_STEPS}").exists() and time.monotonic() < begun + PATIENCE:
        time.sleep(0.02)
    first.send_signal(signal.SIGUSR1)
    _, said = first.communicate(timeout=PATIENCE)
    assert first.returncode == 75, said[-3000:]
    assert said.count("evenhand distill: stopped by SIGUSR1 after step") == 2
    assert (folder / "run" / "requeue").exists()
    stopped = latest_complete_checkpoint(checkpoints)
    assert SAVE_STEPS <= int(re.search(r"\d+$", stopped.name)[0]) < STEPS

    alone = _start(folder, processes=1)
    _, said = alone.communicate(timeout=PATIENCE)
    assert alone.returncode == 2
    assert f"{stopped.name} holds DeepSpeed's optimiser state in 2 parts" in said
    assert not (folder / "run" / "requeue").exists()

    (shard,) = stopped.glob("global_step*/*rank_1*optim_states.pt")
    shard.write_bytes(shard.read_bytes()[:-100])
    assert "bytes" in damage(stopped)
    second = _start(folder)
    _, said = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0, said[-3000:]
    assert said.count(f"{stopped} is damaged (global_step") >= 1
    assert (folder / "run" / "training.json").exists() and not (folder / "run" / "requeue").exists()
