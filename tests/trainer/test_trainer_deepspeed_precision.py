"""The loss scale of fp16 is written where DeepSpeed reads it; a student that stayed fp32 is left alone."""

import sys

import torch
from deepspeed.runtime.precision_config import get_float16_config
from torch import nn

from evenhand.trainer.deepspeed_precision import FullPrecisionAfterTraining, set_loss_scaling


def test_deepspeed_reads_2_to_the_16_and_a_hysteresis_of_2():
    config = {"fp16": {"enabled": True, "auto_cast": True}, "zero_optimization": {"stage": 1}}
    set_loss_scaling(config)
    read = get_float16_config(config)
    assert (read.initial_scale_power, read.hysteresis, read.enabled, read.auto_cast) == (16, 2, True, True)


def test_a_configuration_that_says_otherwise_is_kept():
    config = {"fp16": {"enabled": True, "initial_scale_power": 12}}
    set_loss_scaling(config)
    assert config["fp16"] == {"enabled": True, "initial_scale_power": 12, "hysteresis": 2}


def test_other_precisions_are_not_touched():
    for config in ({"fp16": {"enabled": False}, "bf16": {"enabled": True}}, {}):
        before = {name: dict(section) for name, section in config.items()}
        set_loss_scaling(config)
        assert config == before


def test_a_full_precision_student_needs_no_deepspeed_at_the_end(monkeypatch):
    monkeypatch.setitem(sys.modules, "deepspeed.utils", None)  # importing it would fail
    student = nn.Linear(3, 2)
    before = student.weight.detach().clone()
    FullPrecisionAfterTraining(student).on_train_end(None, None, None)
    assert torch.equal(student.weight, before) and student.weight.dtype == torch.float32
