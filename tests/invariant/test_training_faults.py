"""What goes wrong while training stops the run with one clear message and leaves the last good checkpoint."""

import errno
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tiny_distillation import tiny_dataset, tiny_tokenizer, tiny_trainer
from transformers import Trainer, TrainerCallback

from evenhand.trainer import GenderMixup, NonFiniteLossError
from evenhand.trainer.checkpoints import latest_complete_checkpoint

SAVE_STEPS = 4


def _trainer(output_dir, logging_steps: int = 1, **parts):
    arguments = {
        "max_steps": 10, "save_strategy": "steps", "save_steps": SAVE_STEPS, "logging_steps": logging_steps,
    }  # fmt: skip
    return tiny_trainer(output_dir, arguments=arguments, **parts)


def _names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class _Poisoned(GenderMixup):
    """Teacher signals that are not finite from micro-batch ``since`` on (two a step)."""

    def __init__(self, signal: str, value: float, since: int) -> None:
        super().__init__(tiny_tokenizer())
        self.signal, self.value, self.since, self.seen = signal, value, since, 0

    def teacher_signals(self, *arguments):
        self.seen += 1
        signals = super().teacher_signals(*arguments)
        if self.seen > self.since and self.signal == "hidden":
            signals.hidden[0] = self.value
        return signals

    def teacher_logits(self, logits, start, plan):
        if self.seen > self.since and self.signal == "logits":
            logits = logits.clone()
            logits[0, 0] = self.value
        return logits


class _BreakStudent(TrainerCallback):
    def on_step_begin(self, args, state, control, model=None, **kwargs) -> None:
        if state.global_step == 5:
            next(model.parameters()).data.fill_(float("inf"))


@pytest.mark.parametrize("logging_steps", [1, 3, 100])
def test_a_term_that_is_not_finite_stops_the_run_and_is_named(tmp_path, logging_steps):
    """Seen at the next log, or before the next checkpoint is written, whichever comes first."""
    trainer = _trainer(tmp_path, logging_steps, supervision=_Poisoned("hidden", float("nan"), since=10))
    with pytest.raises(NonFiniteLossError, match=r"Loss term cos is not finite at step 6;") as raised:
        trainer.train()
    assert "checkpoint-4" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert _names(tmp_path) == ["checkpoint-4"]
    assert latest_complete_checkpoint(tmp_path) == tmp_path / "checkpoint-4"
    weights = torch.load(tmp_path / "checkpoint-4" / "optimizer.pt")["state"].values()
    assert all(torch.isfinite(moment).all() for state in weights for moment in state.values())


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"supervision": _Poisoned("logits", float("inf"), since=10)}, "ce, mse"),
        ({"callbacks": [_BreakStudent()]}, "ce, mlm, cos, mse"),
    ],
)
def test_every_broken_term_is_named(tmp_path, parts, named):
    with pytest.raises(NonFiniteLossError, match=f"Loss term {named} is not finite"):
        _trainer(tmp_path, **parts).train()


def test_a_term_that_breaks_after_the_last_log_is_found_at_the_end(tmp_path):
    arguments = {"max_steps": 5, "logging_steps": 100}
    trainer = tiny_trainer(tmp_path, arguments=arguments, supervision=_Poisoned("hidden", float("nan"), since=8))
    with pytest.raises(NonFiniteLossError, match="term cos"):
        trainer.train()


def test_a_stopped_run_can_go_on_from_its_last_good_checkpoint(tmp_path):
    with pytest.raises(NonFiniteLossError):
        _trainer(tmp_path, supervision=_Poisoned("hidden", float("nan"), since=10)).train()
    resumed = _trainer(tmp_path)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == 10


@contextmanager
def _no_file_longer_than(n_bytes: int):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [1_000, 40_000])
def test_a_save_that_the_system_refuses_leaves_the_checkpoint_before(tmp_path, monkeypatch, room):
    """Real refused writes: of the weights (safetensors' error) with little room, of the optimiser (torch's) with more."""
    save = Trainer._save_checkpoint

    def save_in_little_room(self, model, trial):
        with _no_file_longer_than(room if self.state.global_step > SAVE_STEPS else resource.RLIM_INFINITY):
            save(self, model, trial)

    monkeypatch.setattr(Trainer, "_save_checkpoint", save_in_little_room)
    _assert_one_clear_error_and_an_intact_checkpoint(tmp_path)


@pytest.mark.parametrize("part", ["save_model", "_save_optimizer_and_scheduler", "_save_rng_state"])
def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch, part):
    write = getattr(Trainer, part)

    def write_or_fail(self, *arguments, **options):
        if self.state.global_step > SAVE_STEPS:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, *arguments, **options)

    monkeypatch.setattr(Trainer, part, write_or_fail)
    message = _assert_one_clear_error_and_an_intact_checkpoint(tmp_path)
    assert "No space left on device" in message


def test_a_disk_that_fills_while_the_completion_mark_is_written_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    write = Path.write_text

    def write_or_fail(self, *arguments, **options):
        if self.name == "complete.json" and "checkpoint-8" in str(self):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", write_or_fail)
    _assert_one_clear_error_and_an_intact_checkpoint(tmp_path)


def _assert_one_clear_error_and_an_intact_checkpoint(folder) -> str:
    with pytest.raises(RuntimeError, match=r"Checkpoint checkpoint-8 could not be written") as raised:
        _trainer(folder).train()
    message = str(raised.value)
    assert "checkpoint-4" in message and "free disk space" in message and "\n" not in message
    assert _names(folder) == ["checkpoint-4"]
    resumed = _trainer(folder)
    assert latest_complete_checkpoint(folder) == folder / "checkpoint-4"
    with pytest.MonkeyPatch.context() as whole_disk:
        whole_disk.setattr(resumed, "_save_checkpoint", lambda *_: None)
        resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == 10
    return message


def test_a_corpus_without_pair_words_still_trains(tmp_path):
    data = tiny_dataset(16, words=(["the"], ["tree"]))
    trainer = _trainer(tmp_path, train_dataset=data)
    trainer.train()
    assert trainer.total_counts()["mixed_positions"] < 5  # only what the corruption itself put there
