"""A cohort in two processes over gloo: every arm ends as its own training there, under DDP and under ZeRO-1."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cohort_script import DDP, RESUMED, ZERO

pytest.importorskip("deepspeed")


@pytest.fixture(scope="module")
def everyone(tmp_path_factory):
    """What each of two processes found; of the one launch that all tests here read."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*command, str(Path(__file__).with_name("cohort_script.py")), str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(folder / "results.pt")


def _equal(names) -> dict[str, list]:
    return {name: [] for name in names}


def test_under_ddp_every_arm_equals_its_own_training_bit_by_bit(everyone):
    assert [mine["ddp"] for mine in everyone] == [_equal(DDP)] * 2


def test_a_resumed_cohort_equals_an_uninterrupted_one(everyone):
    assert [mine["resumed"] for mine in everyone] == [_equal(RESUMED)] * 2


def test_an_arm_broken_in_one_process_stops_both_by_name(everyone):
    for mine in everyone:
        assert mine["broken"].startswith("Loss term cos of arm poisoned is not finite at step 1;")


def test_under_zero_1_without_clipping_every_arm_equals_its_own_training(everyone):
    assert [mine["zero1"] for mine in everyone] == [_equal(ZERO)] * 2


def test_clipping_under_deepspeed_is_refused(everyone):
    for mine in everyone:
        assert "max_grad_norm=0" in mine["refused"] and "\n" not in mine["refused"]
