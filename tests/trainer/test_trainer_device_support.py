"""What a machine lacks is named with what to do, and nothing is said where nothing is missing."""

import importlib.util

import pytest
import torch
from fake_gpus import pretend_gpus

from evenhand.trainer import DistillationArguments
from evenhand.trainer.device_support import (
    data_parallel_advice,
    deepspeed_advice,
    device_type,
    half_dtype,
    kernel_advice,
    launcher_says,
    precision_advice,
    process_advice,
    refuse,
    sharding_advice,
    teacher_dtype_advice,
    visible_gpus,
)


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for variable in ("ACCELERATE_MIXED_PRECISION", "ACCELERATE_USE_DEEPSPEED", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(variable, raising=False)


# -- kernels -------------------------------------------------------------------------------------------------------


def test_a_volta_card_under_a_wheel_without_sm_70_gets_the_build_tag(monkeypatch):
    pretend_gpus(monkeypatch, (7, 0), architectures=("sm_75", "sm_80", "sm_90"))
    advice = kernel_advice()
    assert "no kernels for sm_70" in advice and "cu126" in advice and "PyTorch's install page" in advice
    assert "://" not in advice and "pytorch.org" not in advice


@pytest.mark.parametrize(
    ("capability", "architectures"),
    [
        ((7, 0), ("sm_70",)),
        ((8, 6), ("sm_80",)),  # code for 8.0 runs on 8.6
        ((9, 0), ("sm_80", "sm_90a")),
        ((12, 0), ("sm_90", "compute_90")),  # PTX is compiled for later GPUs at the first start
        ((12, 0), ("sm_120",)),
    ],
)
def test_a_card_that_a_build_covers_is_fine(monkeypatch, capability, architectures):
    pretend_gpus(monkeypatch, capability, architectures=architectures)
    assert kernel_advice() == ""


@pytest.mark.parametrize(
    ("capability", "architectures"),
    [((8, 0), ("sm_86",)), ((7, 0), ("sm_60", "compute_75")), ((12, 0), ("sm_90",)), ((10, 0), ("sm_120",))],
)
def test_a_card_that_a_build_leaves_out_is_not(monkeypatch, capability, architectures):
    pretend_gpus(monkeypatch, capability, architectures=architectures)
    assert f"sm_{capability[0]}{capability[1]}" in kernel_advice()


def test_rocm_names_its_architectures_otherwise_and_is_left_alone(monkeypatch):
    pretend_gpus(monkeypatch, (9, 4), architectures=("gfx90a",), hip="6.2")
    assert kernel_advice() == ""


# -- precision -----------------------------------------------------------------------------------------------------


def test_bf16_on_volta_is_refused_with_fp16_as_the_advice(monkeypatch):
    pretend_gpus(monkeypatch, (7, 0))
    # torch says yes here, because it can emulate it slowly
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert "7.0" in precision_advice("bf16", "cuda") and "training.fp16=true" in precision_advice("bf16", "cuda")
    assert precision_advice("fp16", "cuda") == precision_advice("no", "cuda") == ""
    assert "auto or float16" in teacher_dtype_advice("bfloat16")
    with pytest.raises(ValueError, match=r"bf16 needs a GPU of compute capability 8\.0"):
        DistillationArguments(bf16=True)
    with pytest.raises(ValueError, match="teacher_dtype bfloat16 needs"):
        DistillationArguments(teacher_dtype="bfloat16")


def test_bf16_on_ampere_is_fine(monkeypatch):
    pretend_gpus(monkeypatch, (8, 0))
    assert precision_advice("bf16", "cuda") == teacher_dtype_advice("bfloat16") == ""


def test_fp16_on_the_cpu_is_refused_wherever_it_was_asked_for(monkeypatch):
    with pytest.raises(ValueError, match="fp16 needs a GPU"):
        DistillationArguments(fp16=True, use_cpu=True)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    with pytest.raises(ValueError, match="--mixed-precision no"):
        DistillationArguments(use_cpu=True)


def test_an_accelerator_that_is_no_cuda_gpu_is_left_to_torch(monkeypatch):
    pretend_gpus(monkeypatch, count=0)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("mps"))
    assert device_type() == "mps"
    assert precision_advice("fp16", "mps") == precision_advice("bf16", "mps") == ""


def test_the_precision_of_a_launcher_is_taken_where_the_arguments_name_none(monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert DistillationArguments(use_cpu=True).bf16
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    chosen = DistillationArguments(use_cpu=True, bf16=True)
    assert (chosen.bf16, chosen.fp16, chosen.mixed_precision) == (True, False, "bf16")


@pytest.mark.parametrize(
    ("capability", "dtype"), [((7, 0), torch.float16), ((7, 5), torch.float16), ((8, 0), torch.bfloat16)]
)
def test_a_model_that_is_only_read_is_half_precision_of_the_cards_own_kind(monkeypatch, capability, dtype):
    pretend_gpus(monkeypatch, capability)
    assert half_dtype(torch.device("cuda")) == dtype
    assert half_dtype(torch.device("cpu")) == torch.float32


# -- processes and strategies --------------------------------------------------------------------------------------


def test_more_processes_than_gpus(monkeypatch):
    pretend_gpus(monkeypatch, count=2)
    assert visible_gpus() == 2
    assert process_advice(2, 2) == process_advice(1, 2) == ""
    assert "torch sees 2" in process_advice(4, 2) and "--num-processes 2" in process_advice(4, 2)
    assert "no GPU" in process_advice(4, 0) and "--accelerate cpu" in process_advice(4, 0)


def test_arguments_refuse_more_processes_than_gpus(monkeypatch):
    pretend_gpus(monkeypatch, count=1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(ValueError, match="torch sees 1"):
        DistillationArguments()


def test_several_gpus_in_one_process_are_refused_with_the_launch_command():
    assert data_parallel_advice(0) == data_parallel_advice(1) == ""
    assert "nn.DataParallel" in data_parallel_advice(4) and "--accelerate ddp" in data_parallel_advice(4)


def test_deepspeed_that_is_missing(monkeypatch):
    assert deepspeed_advice() == ""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'evenhand[deepspeed]'" in deepspeed_advice()
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(ValueError, match="not installed"):
        DistillationArguments(use_cpu=True)


@pytest.mark.parametrize("said", [None, "false", "False", "0", "true", "True", "1"])
def test_a_launchers_flag_is_read_as_trainer_and_accelerate_read_it(monkeypatch, said):
    if said is not None:
        monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", said)
    assert launcher_says("ACCELERATE_USE_DEEPSPEED") == (said in ("true", "True", "1"))


def test_sharded_parameters_are_refused_with_the_reason(monkeypatch):
    assert sharding_advice(0) == sharding_advice(1) == sharding_advice(2) == ""
    for advice in (sharding_advice(3), sharding_advice(fsdp=True)):
        assert "would be empty" in advice and "zero1" in advice
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")
    with pytest.raises(ValueError, match="ZeRO-3 is not supported"):
        DistillationArguments()


def test_deepspeed_and_use_cpu_contradict_each_other(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "1")
    with pytest.raises(ValueError, match="use_cpu=true switches DeepSpeed off"):
        DistillationArguments(use_cpu=True)


def test_the_first_gap_is_raised():
    refuse("", "")
    with pytest.raises(ValueError, match=r"^first\.$"):
        refuse("", "first", "second")
