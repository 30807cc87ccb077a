"""What a training logs beside the loss, counted a second time from what the masking and the mixup have seen."""

import pytest
import torch
from tiny_distillation import ContentMasking, tiny_dataset, tiny_tokenizer, tiny_trainer
from transformers import TrainerCallback

from evenhand.trainer import GenderMixup, log_window

TERMS = {"loss", "ce", "mlm", "cos", "mse"}
FIGURES = {
    *("tokens_per_second", "padding_efficiency", "mixed_positions_per_batch"),
    *("sequences_with_pair_words_per_batch", "mean_lambda"),
}


class RecordingMixup(GenderMixup):
    """Keeps λ of the positions whose input is a word of a pair, micro-batch by micro-batch."""

    def __init__(self) -> None:
        super().__init__(tiny_tokenizer(), unequal_pairs="skip")
        self.seen: list[torch.Tensor] = []

    def plan(self, batch, generator):
        plan = super().plan(batch, generator)
        self.seen.append(plan["lambda"].clone())
        return plan


class RecordingMasking(ContentMasking):
    """Keeps real tokens and positions of each padded micro-batch."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[int] = []
        self.places: list[int] = []

    def corrupt(self, input_ids, attention_mask, generator):
        self.tokens.append(int(attention_mask.sum()))
        self.places.append(attention_mask.numel())
        return super().corrupt(input_ids, attention_mask, generator)


class Recorder(TrainerCallback):
    """What any logger that ``report_to`` names is given."""

    def __init__(self) -> None:
        self.logs: list[dict] = []

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        self.logs.append(dict(logs))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    parts = {"supervision": RecordingMixup(), "masking": RecordingMasking(), "callbacks": [Recorder()]}
    arguments = {"logging_steps": 3, "max_steps": 6, "length_pieces": 1}
    tiny_trainer(tmp_path_factory.mktemp("logged"), arguments=arguments, **parts).train()
    return parts


def test_loggers_get_terms_learning_rate_and_figures(run):
    logs = [log for log in run["callbacks"][0].logs if "loss" in log]
    assert len(logs) == 2
    for log in logs:
        assert log.keys() >= TERMS | FIGURES | {"learning_rate", "grad_norm"}
        assert "loss_scale" not in log  # fp32
        assert all(type(value) in (int, float) for value in log.values())


@pytest.mark.parametrize("window", [0, 1])
def test_figures_are_of_the_window_alone(run, window):
    log = [log for log in run["callbacks"][0].logs if "loss" in log][window]
    of_window = slice(6 * window, 6 * window + 6)  # three steps of two micro-batches
    lam = torch.cat(run["supervision"].seen[of_window])
    masking = run["masking"]
    assert len(lam) > 10
    assert log["mean_lambda"] == pytest.approx(float(lam.mean()), rel=1e-5)
    assert log["mixed_positions_per_batch"] == pytest.approx(len(lam) / 3)
    assert log["padding_efficiency"] == pytest.approx(sum(masking.tokens[of_window]) / sum(masking.places[of_window]))


class Clock(TrainerCallback):
    """Stands for the time: a step takes a second, an evaluation and a save take a thousand."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.now += 1

    def on_evaluate(self, args, state, control, **kwargs) -> None:
        self.now += 1000


def test_tokens_a_second_leave_evaluations_and_saves_out(tmp_path, monkeypatch):
    clock, recorder, masking = Clock(), Recorder(), RecordingMasking()
    monkeypatch.setattr(log_window, "time", clock)
    arguments = {
        "logging_steps": 4, "max_steps": 4, "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2,
    }  # fmt: skip
    trainer = tiny_trainer(
        tmp_path, arguments=arguments, masking=masking, callbacks=[recorder, clock], eval_dataset=tiny_dataset(2)
    )
    save = trainer.save_model

    def slow_save(*args, **kwargs) -> None:
        clock.now += 1000
        save(*args, **kwargs)

    monkeypatch.setattr(trainer, "save_model", slow_save)
    trainer.train()
    log = next(log for log in recorder.logs if "loss" in log)
    # the evaluation at step 2 lies inside the window; its batch, the fifth, is not trained on
    trained = sum(masking.tokens[:4]) + sum(masking.tokens[5:9])
    assert log["tokens_per_second"] == pytest.approx(trained / 4)


def test_plain_distillation_logs_no_mixup(tmp_path):
    recorder = Recorder()
    trainer = tiny_trainer(tmp_path, arguments={"max_steps": 1}, supervision=None, callbacks=[recorder])
    trainer.train()
    assert recorder.logs[0].keys() & FIGURES == {"tokens_per_second", "padding_efficiency"}


def test_a_log_across_a_kill_counts_the_steps_before_it(tmp_path):
    """Checkpoint 4 lies between the logs of steps 3 and 6."""
    arguments = {"max_steps": 6, "save_strategy": "steps", "save_steps": 2, "logging_steps": 3}

    class Abandon(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, **kwargs) -> None:
            if state.global_step == 5:
                raise KeyboardInterrupt

    def figures(trainer) -> dict:
        last = [entry for entry in trainer.state.log_history if "loss" in entry][-1]
        return {name: last[name] for name in FIGURES - {"tokens_per_second"}}

    whole = tiny_trainer(tmp_path / "whole", arguments=arguments)
    whole.train()
    with pytest.raises(KeyboardInterrupt):
        tiny_trainer(tmp_path / "left", arguments=arguments, callbacks=[Abandon()]).train()
    resumed = tiny_trainer(tmp_path / "left", arguments=arguments)
    resumed.train(resume_from_checkpoint=True)
    assert figures(resumed) == figures(whole)
    assert figures(whole)["mixed_positions_per_batch"] > 0
