"""``torchrun -m evenhand.launch.distill`` with two processes: head, student and facts, written once."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from encoder_and_text import write_teacher, write_text
from transformers import AutoModelForMaskedLM, BertModel


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run directory made by two processes from an encoder without a masked-LM head."""
    folder = tmp_path_factory.mktemp("two_processes")
    write_teacher(folder / "encoder", BertModel)
    write_text(folder / "text.txt")
    recipe = {
        "teacher": {"path": str(folder / "encoder"), "mlm_steps": 2, "mlm_batch_size": 4},
        "student": {"family": "distilbert", "layers": 1},
        "corpus": {"sources": [{"path": str(folder / "text.txt")}], "max_length": 32, "held_out": 0.2, "workers": 1},
        "training": {"max_steps": 3, "per_device_train_batch_size": 4, "use_cpu": True, "disable_tqdm": True},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "evenhand.launch.distill", str(folder / "recipe.yaml"), "--output-dir", str(folder / "run")]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_DATASETS_CACHE": str(folder / "hf"),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("Student in") == 1
    return folder / "run"


def test_the_student_and_the_teacher_with_its_head_are_written_once(run):
    for name in ("student", "teacher"):
        _, info = AutoModelForMaskedLM.from_pretrained(run / name, output_loading_info=True)
        assert not info["missing_keys"]


def test_facts_count_all_processes(run):
    facts = json.loads((run / "training.json").read_text(encoding="utf-8"))
    assert facts["batch_size"] == 8 and facts["steps"] == 3
    assert facts["tokens_seen"] > 3 * 8 * 12  # 24 sequences of at least 12 tokens, not the half of one process
    assert facts["held_out_mlm_loss"]["n_targets"] > 0
    assert facts["teacher"]["mlm_head"]["steps"] == 2
