"""A run that was killed and resumed ends as the one that was not, bit by bit."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
import torch
from killed_runs import EPOCHS, KILLED_AT, KILLED_IN_SAVE, SAVE_STEPS, STEPS_AN_EPOCH, long_trainer
from tiny_distillation import VOCABULARY, ContentMasking, losses_of, tiny_dataset, tiny_trainer
from transformers import TrainerCallback

from evenhand.trainer.checkpoints import latest_complete_checkpoint


def _outcome(trainer) -> dict:
    student = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    return {"student": student, "losses": losses_of(trainer), "counts": trainer.total_counts()}


def _assert_same(outcome: dict, expected: dict) -> None:
    assert outcome["student"].keys() == expected["student"].keys()
    differing = [
        name for name, value in expected["student"].items() if not torch.equal(value, outcome["student"][name])
    ]
    assert differing == []
    assert outcome["losses"] == expected["losses"]
    assert outcome["counts"] == expected["counts"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    trainer = long_trainer(tmp_path_factory.mktemp("uninterrupted"))
    trainer.train()
    assert trainer.state.global_step == EPOCHS * STEPS_AN_EPOCH
    return _outcome(trainer)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    script = Path(__file__).with_name("killed_runs.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", KILLED_AT)
def test_a_run_killed_between_checkpoints_resumes_bit_equal(killed, uninterrupted, name):
    step = KILLED_AT[name]
    assert step % SAVE_STEPS and step % STEPS_AN_EPOCH
    last = latest_complete_checkpoint(killed / name)
    assert (last.name if last else None) == (f"checkpoint-{step // SAVE_STEPS * SAVE_STEPS}" if last else None)
    assert bool(last) == (step > SAVE_STEPS)
    trainer = long_trainer(killed / name)
    trainer.train(resume_from_checkpoint=True)
    _assert_same(_outcome(trainer), uninterrupted)


@pytest.mark.parametrize("name", KILLED_IN_SAVE)
def test_a_run_killed_inside_a_save_resumes_from_the_checkpoint_before(killed, uninterrupted, name):
    folder, step = killed / name, KILLED_IN_SAVE[name]
    torn = folder / ".saving" / f"checkpoint-{step}"
    assert (torn / "model.safetensors").is_file()
    assert not (torn / "complete.json").exists()
    assert latest_complete_checkpoint(folder).name == f"checkpoint-{step - SAVE_STEPS}"
    trainer = long_trainer(folder)
    trainer.train(resume_from_checkpoint=True)
    _assert_same(_outcome(trainer), uninterrupted)
    assert not (folder / ".saving").exists()


def test_a_directory_without_its_completion_mark_is_skipped(uninterrupted, tmp_path):
    trainer = long_trainer(tmp_path)
    trainer.train()
    newest, older = tmp_path / "checkpoint-18", tmp_path / "checkpoint-16"
    shutil.rmtree(tmp_path / "checkpoint-12", ignore_errors=True)
    (newest / "complete.json").unlink()  # as a copy that was cut short leaves it
    (newest / "trainer_state.json").unlink()
    assert latest_complete_checkpoint(tmp_path) == older
    resumed = long_trainer(tmp_path)
    resumed.train(resume_from_checkpoint=True)
    _assert_same(_outcome(resumed), uninterrupted)
    assert latest_complete_checkpoint(tmp_path) == newest


def test_a_checkpoint_that_lost_the_tail_of_a_file_is_passed_over(uninterrupted, tmp_path, caplog):
    """As a node leaves it that crashes before its disk has everything."""
    long_trainer(tmp_path).train()
    newest, older = tmp_path / "checkpoint-18", tmp_path / "checkpoint-16"
    optimizer = newest / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"checkpoint-18 is damaged \(optimizer.pt has \d+ of \d+ bytes\)"):
        long_trainer(tmp_path).train(resume_from_checkpoint=str(newest))
    resumed = long_trainer(tmp_path)
    resumed.train(resume_from_checkpoint=True)
    lines = [record.getMessage() for record in caplog.records if "is damaged" in record.getMessage()]
    assert len(lines) == 1 and "checkpoint-18 is damaged (optimizer.pt has" in lines[0]
    _assert_same(_outcome(resumed), uninterrupted)
    assert latest_complete_checkpoint(tmp_path) == newest and older.exists()


def test_a_damaged_checkpoint_does_not_count_among_those_to_be_kept(tmp_path):
    """One is kept: were the damaged one, whose number is higher, it would be the only one."""
    trainer = tiny_trainer(tmp_path, arguments={"max_steps": 3, "save_strategy": "steps", "save_steps": 2})
    trainer.train()
    shutil.copytree(tmp_path / "checkpoint-3", tmp_path / "checkpoint-900")
    (tmp_path / "checkpoint-900" / "optimizer.pt").unlink()
    trainer = tiny_trainer(
        tmp_path, arguments={"max_steps": 4, "save_strategy": "steps", "save_steps": 1, "save_total_limit": 1}
    )
    trainer.train(resume_from_checkpoint=True)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-4"]


@pytest.mark.parametrize("max_steps", [18, 10], ids=["at an epoch's end", "inside an epoch"])
def test_resuming_a_finished_run_trains_no_further(tmp_path, max_steps):
    """The learning rate stays up to the end here: a step too many would change the student."""
    settings = {"max_steps": max_steps, "save_strategy": "steps", "lr_scheduler_type": "constant"}
    runs = []
    for _ in range(2):
        trainer = tiny_trainer(tmp_path, dropout=0.2, train_dataset=tiny_dataset(22), arguments=settings)
        trainer.train(resume_from_checkpoint=True)
        assert trainer.state.global_step == max_steps
        runs.append(_outcome(trainer))
    _assert_same(*runs)


def test_without_a_checkpoint_resuming_is_starting(uninterrupted, tmp_path):
    (tmp_path / "checkpoint-4").mkdir()
    trainer = long_trainer(tmp_path)
    trainer.train(resume_from_checkpoint=True)
    _assert_same(_outcome(trainer), uninterrupted)


class _Abandon(TrainerCallback):
    def on_pre_optimizer_step(self, args, state, control, **kwargs) -> None:
        if state.global_step == 14:
            raise KeyboardInterrupt


ORDERS = {
    "grouped by length": {"train_sampling_strategy": "group_by_length"},
    "workers": {"dataloader_num_workers": 1},
    "streamed": {"max_steps": 18},
    "logged across checkpoints": {"logging_steps": 5},
}


@pytest.mark.parametrize("changes", ORDERS.values(), ids=ORDERS.keys())
def test_every_data_order_resumes_bit_equal_in_the_third_epoch(tmp_path, changes):
    """Left by an exception, which costs no process of its own."""
    settings = {"num_train_epochs": EPOCHS, "save_strategy": "steps", "save_steps": SAVE_STEPS} | changes

    def trainer(name, callbacks=()):
        data = datasets.Dataset.from_list(tiny_dataset(22))
        if "max_steps" in changes:
            data = data.to_iterable_dataset().shuffle(seed=1, buffer_size=10)
        counts = torch.ones(len(VOCABULARY))
        parts = {"train_dataset": data, "token_counts": counts, "callbacks": list(callbacks)}
        return tiny_trainer(tmp_path / name, dropout=0.2, arguments=settings, **parts)

    whole = trainer("whole")
    whole.train()
    assert whole.state.global_step == EPOCHS * STEPS_AN_EPOCH
    with pytest.raises(KeyboardInterrupt):
        trainer("left", [_Abandon()]).train()
    resumed = trainer("left")
    resumed.train(resume_from_checkpoint=True)
    _assert_same(_outcome(resumed), _outcome(whole))


class _Recorder(ContentMasking):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def corrupt(self, input_ids, attention_mask, generator):
        self.seen += [tuple(row[row > 0].tolist()) for row in input_ids]
        return super().corrupt(input_ids, attention_mask, generator)


def test_every_epoch_holds_all_sentences_in_an_order_of_its_own(tmp_path):
    masking = _Recorder()
    long_trainer(tmp_path, masking=masking).train()
    size = len(masking.seen) // EPOCHS
    epochs = [masking.seen[start : start + size] for start in range(0, len(masking.seen), size)]
    expected = sorted(tuple(row["input_ids"]) for row in tiny_dataset(22))
    assert [sorted(epoch) for epoch in epochs] == [expected] * EPOCHS
    assert len(set(map(tuple, epochs))) == EPOCHS
