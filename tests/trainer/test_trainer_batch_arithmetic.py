"""Batches, accumulation and processes come out even, or are refused with the numbers."""

import pytest

from evenhand.trainer import DistillationArguments
from evenhand.trainer.batch_arithmetic import accumulation_steps, check_enough_sequences, check_steps


@pytest.mark.parametrize(
    ("effective", "per_device", "processes", "steps"),
    [(256, 32, 4, 2), (256, 32, 1, 8), (256, 256, 1, 1), (6, 1, 3, 2)],
)
def test_accumulation_makes_the_effective_batch(effective, per_device, processes, steps):
    assert accumulation_steps(effective, per_device, processes) == steps
    assert accumulation_steps(effective, per_device, processes, asked_for=steps) == steps


@pytest.mark.parametrize(
    ("effective", "per_device", "processes", "suggested"),
    [(100, 32, 4, 128), (250, 32, 4, 256), (16, 32, 1, 32), (0, 8, 1, 8), (-8, 8, 1, 8)],
)
def test_an_effective_batch_that_does_not_come_out_even_is_refused_with_one_that_does(
    effective, per_device, processes, suggested
):
    with pytest.raises(
        ValueError, match=f"effective_batch_size {effective} cannot .* e.g. effective_batch_size {suggested}\\."
    ):
        accumulation_steps(effective, per_device, processes)
    assert accumulation_steps(suggested, per_device, processes) >= 1


def test_an_accumulation_that_contradicts_it_is_refused():
    with pytest.raises(ValueError, match=r"needs gradient_accumulation_steps 4 .*, but 2 were asked for"):
        accumulation_steps(64, 16, 1, asked_for=2)


def test_the_arguments_accumulate_accordingly():
    args = DistillationArguments(use_cpu=True, per_device_train_batch_size=4, effective_batch_size=12)
    assert args.gradient_accumulation_steps == 3
    with pytest.raises(ValueError, match="effective_batch_size 10"):
        DistillationArguments(use_cpu=True, per_device_train_batch_size=4, effective_batch_size=10)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"per_device_train_batch_size": 0}, "per_device_train_batch_size must be at least 1, not 0"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps must be at least 1, not 0"),
        ({"max_steps": 0}, "max_steps must be at least 1, or -1"),
        ({"max_steps": -5}, "not -5"),
        ({"num_train_epochs": 0}, "num_train_epochs must be above 0"),
    ],
)
def test_a_training_of_nothing_is_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        DistillationArguments(use_cpu=True, **settings)


def test_epochs_do_not_matter_where_steps_are_set():
    check_steps(1, 1, max_steps=1, epochs=0)


def test_data_that_do_not_fill_one_step_are_refused():
    check_enough_sequences(64, 64)
    with pytest.raises(ValueError, match="The corpus has 63 sequences for training, fewer than the 64"):
        check_enough_sequences(63, 64)
