"""SIGTERM and SIGUSR1 end a training at a step boundary, with a checkpoint from which it ends as if nothing had been."""

import os
import signal
import threading

import pytest
import torch
from faulty_runs import CHECKED_STEP, STEPS, SignalAt, outcome, recorded_run
from tiny_distillation import tiny_dataset, tiny_teacher, tiny_tokenizer, tiny_trainer
from transformers import Trainer, TrainerCallback

from evenhand.trainer.checkpoints import latest_complete_checkpoint
from evenhand.trainer.mlm_head import train_mlm_head
from evenhand.trainer.stop_signals import REQUEUE_EXIT_CODE, StoppedBySignal


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    trainer = recorded_run(tmp_path_factory.mktemp("uninterrupted"), accumulation=4)
    trainer.train()
    return outcome(trainer)


@pytest.fixture(autouse=True)
def _handlers_are_put_back():
    numbers = (signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before


def _stopped(trainer) -> StoppedBySignal:
    with pytest.raises(StoppedBySignal) as stopped:
        trainer.train(resume_from_checkpoint=True)
    assert stopped.value.code == REQUEUE_EXIT_CODE == 75
    return stopped.value


def _assert_ends_as(expected: dict, folder, **settings) -> None:
    trainer = recorded_run(folder, accumulation=4, **settings)
    trainer.train(resume_from_checkpoint=True)
    assert trainer.state.global_step == STEPS
    found = outcome(trainer)
    assert all(torch.equal(value, found["student"][name]) for name, value in expected["student"].items())
    assert (found["losses"], found["counts"]) == (expected["losses"], expected["counts"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1], ids=["SIGTERM", "SIGUSR1"])
def test_a_signal_inside_a_step_is_answered_at_its_end(tmp_path, uninterrupted, number):
    stop = _stopped(recorded_run(tmp_path, accumulation=4, callbacks=[SignalAt(CHECKED_STEP, number)]))
    assert str(stop) == (
        f"stopped by {number.name} after step 5; checkpoint-5 is in {tmp_path}. Run the same command again to go on."
    )
    assert latest_complete_checkpoint(tmp_path).name == "checkpoint-5"
    _assert_ends_as(uninterrupted, tmp_path)


@pytest.mark.parametrize("step", [3, 4], ids=["at an epoch's end", "where a checkpoint was just written"])
def test_a_signal_in_the_last_micro_batch_before_a_boundary(tmp_path, uninterrupted, step):
    written = []

    class Counting(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            written.append(state.global_step)

    _stopped(recorded_run(tmp_path, accumulation=4, callbacks=[SignalAt(step, signal.SIGUSR1), Counting()]))
    assert written == [step]
    _assert_ends_as(uninterrupted, tmp_path)


def test_a_run_may_be_stopped_again_and_again(tmp_path, uninterrupted):
    for step in (2, 7):
        assert f"after step {step};" in str(
            _stopped(recorded_run(tmp_path, accumulation=4, callbacks=[SignalAt(step, signal.SIGUSR1)]))
        )
    _assert_ends_as(uninterrupted, tmp_path)


def test_a_signal_inside_the_save_itself_leaves_it_whole(tmp_path, uninterrupted, monkeypatch):
    write = Trainer._save_rng_state

    def write_when_signalled(self, output_dir):
        os.kill(os.getpid(), signal.SIGTERM)
        write(self, output_dir)

    monkeypatch.setattr(Trainer, "_save_rng_state", write_when_signalled)
    _stopped(recorded_run(tmp_path, accumulation=4))
    assert latest_complete_checkpoint(tmp_path).name == "checkpoint-4"
    monkeypatch.undo()
    _assert_ends_as(uninterrupted, tmp_path)


def test_a_stop_evaluates_logs_and_saves_nothing_else(tmp_path):
    """Though the strategies are to do so at an epoch's end, where Trainer arrives on its way out."""
    every_epoch = dict.fromkeys(("logging_strategy", "eval_strategy", "save_strategy"), "epoch")
    trainer = tiny_trainer(
        tmp_path, train_dataset=tiny_dataset(22), eval_dataset=tiny_dataset(4), callbacks=[SignalAt(2, signal.SIGUSR1)],
        arguments={"num_train_epochs": 1, "save_total_limit": 1, "load_best_model_at_end": True, "metric_for_best_model": "mlm"} | every_epoch,
    )  # fmt: skip
    _stopped(trainer)
    assert trainer.state.log_history == []
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-2"]


def test_a_stop_saves_where_no_checkpoints_were_asked_for(tmp_path, uninterrupted):
    _stopped(recorded_run(tmp_path, 4, callbacks=[SignalAt(CHECKED_STEP, signal.SIGTERM)], save_strategy="no"))
    _assert_ends_as(uninterrupted, tmp_path, save_strategy="no")


def test_a_signal_before_the_first_step_leaves_nothing(tmp_path):
    class AtOnce(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            os.kill(os.getpid(), signal.SIGTERM)

    stop = _stopped(recorded_run(tmp_path, 4, callbacks=[AtOnce()]))
    assert "after step 0; nothing was trained yet." in str(stop)
    assert list(tmp_path.iterdir()) == []


def test_a_signal_in_the_very_last_step_is_delivered_after_the_training(tmp_path):
    """The training is whole then; whoever called it decides."""
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(signal.Signals(number)))
    try:
        trainer = recorded_run(tmp_path, 4, callbacks=[SignalAt(STEPS, signal.SIGUSR1)])
        trainer.train()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert trainer.state.global_step == STEPS and latest_complete_checkpoint(tmp_path).name == f"checkpoint-{STEPS}"
    assert seen == [signal.SIGUSR1]


def test_a_signal_to_the_whole_process_group_does_not_take_the_data_workers_along(tmp_path, uninterrupted):
    """As `scancel` sends it; a worker that dies of it would take the trainer along before its checkpoint."""

    class ToTheGroup(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, **kwargs):
            if state.global_step == CHECKED_STEP - 1:
                os.killpg(0, signal.SIGTERM)

    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setpgid(0, 0)
            torch.set_num_threads(1)
            workers = {"dataloader_num_workers": 1, "dataloader_persistent_workers": True}
            recorded_run(tmp_path, 4, callbacks=[ToTheGroup()], **workers).train()
        except StoppedBySignal as stop:
            code = stop.code
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == REQUEUE_EXIT_CODE
    assert latest_complete_checkpoint(tmp_path).name == f"checkpoint-{CHECKED_STEP}"
    _assert_ends_as(uninterrupted, tmp_path)


def test_a_training_in_another_thread_does_without_handlers(tmp_path):
    trainer, seen = recorded_run(tmp_path, 4, max_steps=2), []

    def run():
        trainer.train()
        seen.append(trainer.state.global_step)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [2]


def test_the_training_of_a_teachers_head_stops_and_goes_on_too(tmp_path, monkeypatch):
    def train(folder, stop_at=None):
        teacher, counts = tiny_teacher(0.2), torch.ones(len(tiny_tokenizer()))
        step = Trainer.training_step

        def signalled(self, *arguments):
            if self.state.global_step == stop_at:
                os.kill(os.getpid(), signal.SIGUSR1)
            return step(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "training_step", signalled)
            train_mlm_head(
                teacher, tiny_tokenizer(), tiny_dataset(22), counts, folder, steps=6, batch_size=4, use_cpu=True, disable_tqdm=True
            )  # fmt: skip
        return teacher.state_dict()

    whole = train(tmp_path / "whole")
    with pytest.raises(StoppedBySignal, match="after step 3;"):
        train(tmp_path / "stopped", stop_at=2)
    resumed = train(tmp_path / "stopped")
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
