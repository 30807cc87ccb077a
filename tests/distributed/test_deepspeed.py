"""DeepSpeed ZeRO-1 and ZeRO-2 on two CPU processes give what one process gives, and leave plain students."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from deepspeed_script import TIMEOUT, clipped_run
from transformers import AutoModelForMaskedLM

TOLERANCE = 1e-5
STAGES = ("1", "2")


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """The folder and the results of the one launch that all tests here read."""
    folder = tmp_path_factory.mktemp("zero")
    command = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--use_deepspeed",
        "--zero_stage",
        "1",
        "--num_processes",
        "2",
    ]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    done = subprocess.run(
        [*command, str(Path(__file__).with_name("deepspeed_script.py")), str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, torch.load(folder / "results.pt")


@pytest.fixture(scope="module")
def two(launched):
    return launched[1]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The same effective batch in one process and one micro-batch."""
    return clipped_run(tmp_path_factory.mktemp("one"), 8, 1)


@pytest.mark.parametrize("stage", STAGES)
def test_losses_and_gradient_norms_of_ten_clipped_steps_equal_those_of_one_process(two, one, stage):
    assert len(two[stage]["losses"]) == 10
    for mine, its in zip(two[stage]["losses"], one["losses"], strict=True):
        assert mine == pytest.approx(its, rel=TOLERANCE)
        assert mine["grad_norm"] > 10  # each step was clipped, to 0.5
    assert two[stage]["counts"] == one["counts"]


@pytest.mark.parametrize("stage", STAGES)
def test_so_do_the_final_weights(two, one, stage):
    assert two[stage]["weights"].keys() == one["weights"].keys()
    for name, weight in one["weights"].items():
        # AdamW divides by the gradient's size, so a rounding difference in a tiny gradient is a share of the learning rate, 2e-3
        torch.testing.assert_close(two[stage]["weights"][name], weight, rtol=0, atol=2e-5)


@pytest.mark.parametrize("stage", STAGES)
def test_evaluation_before_and_after_training_equals_that_of_one_process(two, one, stage):
    for mine, its in zip(two[stage]["evaluated"], one["evaluated"], strict=True):
        assert mine == pytest.approx(its, rel=TOLERANCE)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("process", [0, 1])
def test_a_resumed_run_is_bit_equal_in_both_processes(two, process, stage):
    resumed = two["everyone"][process][stage]
    assert resumed == {"student": True, "losses": True, "counts": True, "steps": (3, 9)}


@pytest.mark.parametrize("stage", STAGES)
def test_the_students_in_checkpoints_are_plain(launched, stage):
    folder = launched[0] / f"resumed{stage}" / "left"
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-8", "checkpoint-9"]
    student, info = AutoModelForMaskedLM.from_pretrained(folder / "checkpoint-9", output_loading_info=True)
    assert not any(info.values()), info
    assert student.config.model_type == "distilbert"
    assert student.vocab_projector.weight is student.distilbert.embeddings.word_embeddings.weight


def test_the_timeout_of_the_arguments_is_that_of_the_process_group(two):
    assert [mine["timeout"] for mine in two["everyone"]] == [TIMEOUT, TIMEOUT]


# -- fp16 ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def half(two):
    return [mine["half"] for mine in two["everyone"]]


def test_the_precision_of_the_launcher_is_that_of_the_student(half):
    assert {mine["trained_in"] for mine in half} == {mine["teacher"] for mine in half} == {"torch.float16"}


def test_the_loss_scale_starts_at_2_to_the_16_and_falls_at_the_second_overflow(half):
    scales = [scale for scale, _, _ in half[0]["scales"]]
    overflows = [overflow for _, overflow, _ in half[0]["scales"]]
    assert overflows[:2] == [True, True] and not overflows[-1]
    assert scales[:2] == [2**16, 2**15]


def test_a_skipped_step_does_not_advance_the_schedule(half):
    rates = [rate for _, _, rate in half[0]["scales"]]
    taken, warm_up = 0, [0, 0.0005, 0.001, 0.0015, 0.002]
    for (_, skipped, _), rate in zip(half[0]["scales"], rates, strict=True):
        taken += not skipped
        if taken < len(warm_up):
            assert rate == pytest.approx(warm_up[taken])
    assert 0 < taken < 10


def test_losses_in_fp16_are_those_in_fp32_to_three_digits(half, one):
    # the first three steps of fp16 were skipped, so only the first two see the weights that fp32 saw
    for mine, its in zip(half[0]["losses"][:2], one["losses"][:2], strict=True):
        assert {name: mine[name] for name in ("loss", "ce", "mlm", "cos", "mse")} == pytest.approx(
            {name: its[name] for name in ("loss", "ce", "mlm", "cos", "mse")}, rel=2e-3
        )


def test_the_student_ends_as_the_full_precision_master_weights(half):
    trained = torch.cat([p.flatten() for name, p in half[0]["after"].items() if "position_embeddings" not in name])
    masters = torch.cat([mine["masters"] for mine in half])
    assert trained.dtype == torch.float32
    # the shards hold the parameters in an order of their own, with padding
    assert set(trained.tolist()) <= set(masters.tolist())
    assert not torch.equal(trained, trained.half().float())
    for name, weight in half[0]["after"].items():
        assert torch.equal(weight, half[1]["after"][name])


def test_what_was_not_trained_is_not_rounded_either(half):
    frozen = "distilbert.embeddings.position_embeddings.weight"
    assert torch.equal(half[0]["after"][frozen], half[0]["before"][frozen])
    assert not torch.equal(half[0]["before"][frozen], half[0]["before"][frozen].half().float())
