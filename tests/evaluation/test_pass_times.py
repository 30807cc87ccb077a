"""Passes in turns on a simulated machine, whose clocks move only while a pass runs."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from evenhand.evaluation import pass_times as timed
from evenhand.evaluation.pass_times import FEWEST, MOST, WARM_UP, pass_times
from evenhand.evaluation.speed import SpeedResult


class Machine:
    """A pass of cost c takes c times a little noise, times ``slowdown(number of the pass)``."""

    def __init__(self, monkeypatch, seed=0, noise=0.03, slowdown=lambda number: 1.0, processor_share=1.0):
        self.now = self.processor = 0.0
        self.numbers, self.draw = itertools.count(), np.random.default_rng(seed)
        self.noise, self.slowdown, self.processor_share = noise, slowdown, processor_share
        clocks = SimpleNamespace(perf_counter=lambda: self.now, thread_time=lambda: self.processor)
        monkeypatch.setattr(timed, "time", clocks)

    def one_pass(self, cost):
        def run():
            seconds = cost * self.draw.lognormal(0, self.noise) * self.slowdown(next(self.numbers))
            self.now += seconds
            self.processor += seconds * self.processor_share

        return run

    def compared(self, costs, budget=2.0):
        """The comparison of the two models' speeds."""
        times = pass_times([self.one_pass(cost) for cost in costs], budget).seconds
        pair = [
            SpeedResult({"batch_size": 32}, times[index], 9, {}, 0.95, 0, beside=times[1 - index]) for index in (0, 1)
        ]
        return pair[0].compare(pair[1])["scores"][0]


def loads(kind, draw):
    """What else slows the machine down, from a pass on."""
    passes = 2 * WARM_UP + 4 * FEWEST
    begins, factor = draw.integers(passes), draw.uniform(1.5, 26.0)
    return {
        "none": lambda number: 1.0,
        "from a pass on": lambda number: factor if number >= begins else 1.0,
        "growing": lambda number: 1 + factor * number / passes,
        "now and then": lambda number: factor if draw.random() < 0.1 else 1.0,
    }[kind]


@pytest.mark.parametrize("budget", [0.0, 4.0])
@pytest.mark.parametrize("kind", ["none", "from a pass on", "growing", "now and then"])
def test_a_model_is_neither_faster_nor_slower_than_itself(monkeypatch, kind, budget):
    monkeypatch.setattr("evenhand.evaluation.speed.RESAMPLES", 99)
    draw, contained, verdicts = np.random.default_rng(1), 0, []
    for seed in range(200):
        change = Machine(monkeypatch, seed, slowdown=loads(kind, draw)).compared((0.05, 0.05), budget)
        low, high = change["ratio_confidence_interval"]
        contained += low <= 1 <= high
        verdicts.append(change["verdict"])
    assert contained >= 184  # of 200: 1 in 300 draws with a coverage of 95 % lies below
    assert contained == verdicts.count("not distinguishable")


def test_a_load_that_comes_half_way_leaves_the_ratio_of_two_models_alone(monkeypatch):
    for begins in range(2 * WARM_UP, 2 * WARM_UP + 4 * FEWEST):
        machine = Machine(monkeypatch, slowdown=lambda number, begins=begins: 26.0 if number >= begins else 1.0)
        change = machine.compared((0.05, 0.1), budget=0.0)
        assert change["ratio"] == pytest.approx(2.0, rel=0.05)
        assert change["ratio_confidence_interval"] == pytest.approx([2.0, 2.0], rel=0.1)


def test_the_mean_of_two_passes_is_a_repeat_of_each_model(monkeypatch):
    machine = Machine(monkeypatch, noise=0.0, slowdown=lambda number: 1.0 + number)
    first = 2 * WARM_UP  # number of the first timed pass; a repeat is A B B A
    expected = [first + 4 * repeat + 1.5 + 1.0 for repeat in range(FEWEST)]
    found = pass_times([machine.one_pass(1.0), machine.one_pass(2.0)], 0.0).seconds
    assert found == pytest.approx(np.array([expected, [2 * seconds for seconds in expected]]))


@pytest.mark.parametrize(
    ("budget", "repeats"), [(0.0, FEWEST), (2.0, 17), (1e6, MOST)], ids=["slow models", "between", "fast models"]
)
def test_repeats_end_with_the_budget_of_both_models(monkeypatch, budget, repeats):
    machine = Machine(monkeypatch, noise=0.0)
    # 6 passes before the first that counts, then 4 a repeat: (4 s / 0.0541 s − 6) / 4 = 16.98
    assert pass_times([machine.one_pass(0.0541)] * 2, budget).seconds.shape == (2, repeats)


def test_one_model_alone_is_timed_by_single_passes(monkeypatch):
    machine = Machine(monkeypatch, noise=0.0)
    found = pass_times([machine.one_pass(0.1)], 2.0)
    assert found.seconds.shape == (1, 17)  # 20 less the warm-up
    assert next(machine.numbers) == 20


def test_time_that_others_took_is_told(monkeypatch):
    system = SimpleNamespace(getloadavg=lambda: (6.0, 0.0, 0.0), cpu_count=lambda: 4)
    monkeypatch.setattr(timed, "os", system)
    machine = Machine(monkeypatch, processor_share=0.5)
    found = pass_times([machine.one_pass(0.1)], 0.0)
    assert (found.processor_share, found.load) == (pytest.approx(0.5), 1.5)
    assert found.disturbances(on_cpu=True) == (
        "the passes had a processor for 50% of their time",
        "1.5 processes wanted each processor",
    )
    # a thread that waits for a GPU needs no processor
    assert found.disturbances(on_cpu=False) == ("1.5 processes wanted each processor",)
    quiet = Machine(monkeypatch)
    system.getloadavg = lambda: (4.4, 0.0, 0.0)  # its own threads, and a little more
    assert pass_times([quiet.one_pass(0.1)], 0.0).disturbances(on_cpu=True) == ()
    del system.getloadavg  # no such function on this system
    assert pass_times([quiet.one_pass(0.1)], 0.0).disturbances(on_cpu=True) == ()
