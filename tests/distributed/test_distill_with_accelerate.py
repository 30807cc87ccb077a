"""``evenhand distill --accelerate zero1`` on two CPU processes, from an encoder without a masked-LM head to the facts of the run."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from encoder_and_text import write_teacher, write_text
from transformers import AutoModelForMaskedLM, BertModel


@pytest.fixture(scope="module")
def distilled(tmp_path_factory):
    """The run directory and what the command printed."""
    folder = tmp_path_factory.mktemp("accelerate")
    write_teacher(folder / "encoder", BertModel)
    write_text(folder / "text.txt")
    recipe = {
        "teacher": {"path": str(folder / "encoder"), "mlm_steps": 2, "mlm_batch_size": 4},
        "student": {"family": "distilbert", "layers": 1},
        "corpus": {"sources": [{"path": str(folder / "text.txt")}], "max_length": 32, "held_out": 0.2, "workers": 1},
        "training": {
            "max_steps": 3, "per_device_train_batch_size": 2, "effective_batch_size": 8, "disable_tqdm": True, "logging_steps": 1,
            "save_strategy": "steps", "save_steps": 2,
        },
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "evenhand.launch.command",
        "distill",
        str(folder / "recipe.yaml"),
        "--accelerate",
        "zero1",
    ]
    command += [
        "--num-processes",
        "2",
        "--mixed-precision",
        "no",
        "--output-dir",
        str(folder / "run"),
        "training.use_cpu=true",
    ]
    done = subprocess.run(
        command,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(folder / "hf")},
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "run", done.stdout


def test_the_student_and_the_teacher_with_its_head_are_plain_models(distilled):
    for name in ("student", "teacher"):
        _, info = AutoModelForMaskedLM.from_pretrained(distilled[0] / name, output_loading_info=True)
        assert not any(info.values()), info


def test_it_was_zero_that_trained_them(distilled):
    run = distilled[0]
    for checkpoint in (run / "checkpoints" / "checkpoint-3", run / "checkpoints" / "mlm_head" / "checkpoint-2"):
        shards = sorted(path.name for path in checkpoint.glob("global_step*/*optim_states.pt"))
        assert [name[:14] for name in shards] == ["zero_pp_rank_0", "zero_pp_rank_1"]


def test_accumulation_follows_from_the_effective_batch(distilled):
    facts = json.loads((distilled[0] / "training.json").read_text(encoding="utf-8"))
    assert facts["batch_size"] == 8 and facts["steps"] == 3
    assert facts["tokens_seen"] > 3 * 8 * 12


def test_held_out_losses_are_measured_after_it(distilled):
    held_out = json.loads((distilled[0] / "training.json").read_text(encoding="utf-8"))["held_out_mlm_loss"]
    assert held_out["n_targets"] > 0 and 3 < held_out["student"] < 6 and 3 < held_out["teacher"] < 6


def test_one_process_speaks_and_deepspeed_does_not(distilled):
    assert distilled[1].count("Student in") == 1
    assert "DeepSpeed" not in distilled[1] and "[WARNING]" not in distilled[1]
