"""Which splits of an optimiser step may go on from which checkpoint."""

import logging

import pytest
from tiny_distillation import tiny_dataset, tiny_trainer
from transformers import Trainer

from evenhand.trainer.run_split import RunSplit, dealt_to, summed

FOUR_GPUS = RunSplit(processes=4, per_device_batch_size=8, gradient_accumulation_steps=2)


def test_facts_come_back_and_older_checkpoints_have_none():
    facts = FOUR_GPUS.facts()
    assert facts["effective_batch_size"] == 64
    assert RunSplit.from_facts(facts | {"step": 3}) == FOUR_GPUS
    assert RunSplit.from_facts({"step": 3, "processes": 4}) is None


@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_another_number_of_processes_goes_on_silently_with_the_same_batches(caplog, processes):
    RunSplit(processes, 8, 8 // processes).check_continues(FOUR_GPUS, "checkpoint-9")
    assert caplog.records == []


def test_another_per_device_batch_goes_on_with_one_line_of_warning(caplog):
    RunSplit(2, 4, 8).check_continues(FOUR_GPUS, "checkpoint-9")
    (record,) = caplog.records
    line = record.getMessage()
    assert record.levelno == logging.WARNING and "\n" not in line
    assert "checkpoint-9 was trained with 8 sequences a micro-batch, this start has 4" in line and "other masks" in line
    RunSplit(2, 4, 8).check_continues(FOUR_GPUS, "checkpoint-9", warn=False)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("split", "advice"),
    [
        (RunSplit(2, 8, 2), "set gradient_accumulation_steps=4,"),
        (RunSplit(4, 8, 1), "set gradient_accumulation_steps=2,"),
        (RunSplit(2, 12, 2), "set per_device_train_batch_size=8 gradient_accumulation_steps=4,"),
        (RunSplit(1, 100, 1), "set per_device_train_batch_size=64 gradient_accumulation_steps=1,"),
        (RunSplit(3, 8, 2), "start a number of processes that divides 64,"),
    ],
)
def test_another_effective_batch_is_refused_with_both_numbers_and_advice(split, advice):
    with pytest.raises(ValueError) as refused:
        split.check_continues(FOUR_GPUS, "runs/a/checkpoint-9")
    line = str(refused.value)
    assert line.startswith("runs/a/checkpoint-9 was trained with an effective batch of 64 (4 × 8 × 2)")
    assert f"this start has {split.effective_batch_size} (" in line and advice in line and "\n" not in line


def test_advice_if_followed_is_accepted():
    for processes in (1, 2, 4):
        for per_device in (1, 3, 8, 24, 100):
            split = RunSplit(processes, per_device, 3)
            words = split._advice(64).removeprefix("set ").split()
            asked = {name: int(value) for name, _, value in (word.partition("=") for word in words)}
            followed = RunSplit(
                processes, asked.get("per_device_train_batch_size", per_device), asked["gradient_accumulation_steps"]
            )
            assert followed.effective_batch_size == 64
            assert followed.per_device_batch_size <= per_device  # what fitted into memory still does


@pytest.mark.parametrize(
    ("earlier", "now", "said"),
    [
        (None, 1, "written without DeepSpeed, and its optimiser state cannot be read under DeepSpeed ZeRO-1"),
        (2, None, "written under DeepSpeed ZeRO-2, and its optimiser state cannot be read without DeepSpeed"),
        (1, 2, "under DeepSpeed ZeRO-1, and its optimiser state cannot be read under DeepSpeed ZeRO-2"),
    ],
)
def test_another_kind_of_optimiser_state_is_refused(earlier, now, said):
    with pytest.raises(ValueError, match=said):
        RunSplit(4, 8, 2, now).check_continues(RunSplit(4, 8, 2, earlier), "checkpoint-9")


def test_with_a_last_batch_dropped_another_per_device_batch_is_refused(tmp_path):
    """Eleven sentences are five micro-batches of two, or two of four: another number of steps an epoch."""
    settings = {"dataloader_drop_last": True, "num_train_epochs": 1, "save_strategy": "epoch"}
    parts = {"train_dataset": tiny_dataset(11)}
    tiny_trainer(tmp_path, arguments=settings, **parts).train()
    other = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1}
    with pytest.raises(ValueError, match="with per_device_train_batch_size=2; with dataloader_drop_last another"):
        tiny_trainer(tmp_path, arguments=settings | other, **parts).train(resume_from_checkpoint=True)


def test_global_generators_are_not_loaded_from_another_number_of_processes(tmp_path, monkeypatch):
    """On GPUs it would be an error in the log, and they are nobody's."""
    loaded = []
    monkeypatch.setattr(Trainer, "_load_rng_state", lambda self, checkpoint: loaded.append(checkpoint))
    trainer = tiny_trainer(tmp_path)
    for processes in (1, 4):
        trainer._resumed_split = RunSplit(processes, 2, 2)
        trainer._load_rng_state(f"of {processes}")
    assert loaded == ["of 1"]


def test_deepspeed_goes_on_with_as_many_processes_only():
    with pytest.raises(ValueError, match="in 4 parts, one a process, but this start has 2 processes; start with 4"):
        RunSplit(2, 8, 4, 1).check_continues(RunSplit(4, 8, 2, 1), "checkpoint-9")


def test_sums_are_dealt_so_that_sum_and_mean_stay():
    rows = [[1.0, 10.0, 4.0], [2.0, 20.0, 6.0]]  # two sums and Trainer's loss, of two processes
    assert dealt_to(2, rows) is rows
    for processes in (1, 3, 4):
        dealt = dealt_to(processes, rows)
        assert len(dealt) == processes
        assert [sum(column) for column in zip(*dealt, strict=True)][:2] == [3.0, 30.0]
        assert sum(row[-1] for row in dealt) / processes == pytest.approx(5.0)
    assert summed([{"a": 1, "b": 2.5}, {"a": 2}]) == {"a": 3, "b": 2.5}
