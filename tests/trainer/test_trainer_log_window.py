"""The log window's figures, worked out by hand, and its clock."""

import json

import pytest
import torch
from accelerate import Accelerator

from evenhand.trainer import log_window
from evenhand.trainer.log_window import LogWindow
from evenhand.trainer.loss_scale import loss_scale

CPU = torch.device("cpu")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(log_window, "time", made)
    return made


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


def micro_batch(rows: int, length: int, mixed: int, pieces=None) -> dict:
    return {
        "input_ids": torch.zeros(rows, length),
        "pieces": pieces or [{"sequences": None, "length": length, "padded": True}],
        "supervision_counts": {"mixed_positions": mixed},
    }


def filled(clock) -> LogWindow:
    """Two steps, the second of two micro-batches: 90 real tokens, 5 mixed positions with λ of .2 + .4 and .3 each, 20 seconds."""
    window = LogWindow(CPU)
    window.start_clock()
    window.count(torch.tensor([5, 40]))
    window.plan(micro_batch(4, 15, 2), {"lambda": (0.6, 2)})
    window.add(torch.tensor([1.0, 2.0, 3.0, 4.0]), 1)
    clock.now += 12
    window.count(torch.tensor([7, 50]))
    window.plan(micro_batch(2, 20, 3), {"lambda": (0.9, 3)})
    halves = [{"sequences": torch.tensor([i]), "length": length, "padded": False} for i, length in ((0, 15), (1, 5))]
    window.plan(micro_batch(2, 15, 0, halves), {"lambda": (0.0, 0)})
    clock.now += 8
    return window


FIGURES = {
    "tokens_per_second": 90 / 20,
    "padding_efficiency": 90 / (60 + 40 + 20),  # of the cut batch, the pieces' positions
    "mixed_positions_per_batch": 5 / 2,
    "mean_lambda": 1.5 / 5,
}


def test_figures_are_those_of_a_calculation_by_hand(clock, accelerator):
    window = filled(clock)
    sums, figures = window.gathered(accelerator)
    assert sums.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert figures == pytest.approx(FIGURES)


def test_time_of_evaluations_and_saves_does_not_count(clock, accelerator):
    window = filled(clock)
    with window.paused():
        clock.now += 1000
        with window.paused():  # a save inside an evaluation's callback
            clock.now += 1000
        clock.now += 1000
    assert window.seconds == 20
    clock.now += 10
    assert window.gathered(accelerator)[1]["tokens_per_second"] == pytest.approx(90 / 30)
    window.clear()
    clock.now += 3
    assert window.seconds == 3  # goes on from zero


def test_pausing_a_clock_that_does_not_run_does_not_start_it(clock):
    window = LogWindow(CPU)
    with window.paused():
        clock.now += 5
    clock.now += 5
    assert window.seconds == 0


def test_what_is_not_known_is_not_logged(clock, accelerator):
    window = LogWindow(CPU)
    window.count(torch.tensor([5, 40]))
    window.plan(micro_batch(4, 10, 0), {"lambda": (0.0, 0)})
    assert window.gathered(accelerator)[1] == {"padding_efficiency": 1.0, "mixed_positions_per_batch": 0.0}


def test_a_window_goes_on_after_a_kill(clock, accelerator):
    window = filled(clock)
    state = json.loads(json.dumps([window.state(), window.planned]))
    resumed = LogWindow(CPU)
    resumed.restore(state[0], window.sums, state[1])
    clock.now += 1000  # until it is started again
    assert resumed.gathered(accelerator)[1] == pytest.approx(FIGURES)
    resumed.start_clock()
    clock.now += 4
    assert resumed.seconds == 24


class _Engine:
    def __init__(self, half: bool) -> None:
        self.half, self.optimizer = half, type("Optimizer", (), {"loss_scale": 4096.0})()

    def fp16_enabled(self) -> bool:
        return self.half


def test_the_loss_scale_is_that_of_the_scaler_or_of_deepspeed_and_absent_otherwise(accelerator, monkeypatch):
    model = torch.nn.Linear(1, 1)
    assert loss_scale(accelerator, model) == {}
    assert loss_scale(accelerator, _Engine(half=False)) == {}
    assert loss_scale(accelerator, _Engine(half=True)) == {"loss_scale": 4096.0}
    monkeypatch.setattr(accelerator, "scaler", torch.amp.GradScaler("cpu", init_scale=512.0))
    assert loss_scale(accelerator, model) == {"loss_scale": 512.0}
