"""Seconds of cells: kept times, shares by hand, and which of them is used; what a busy machine does to a clock."""

import dataclasses
import json
import time
from types import SimpleNamespace

import pytest
import torch

from evenhand.launch.study.planning import busy_clock
from evenhand.launch.study.planning.busy_clock import BusyClock
from evenhand.launch.study.planning.calibration import StepTime
from evenhand.launch.study.planning.rates import CellSeconds, Finished, RatesFile, Shares
from evenhand.launch.study.planning.workload import ArmWork, CellWork

HERE = {"device": "cpu", "name": "some processor", "threads": 1}


def work(shared, students, kind="kind", steps=10, tokens=1000.0, gpus=1):
    arms = {f"arm{i}": ArmWork(own, 0.0, 100, shared) for i, own in enumerate(students)}
    return CellWork(kind, shared, arms, steps, tokens, gpus)


# one student: 3 s a 1000 tokens; two on one teacher's pass: 5 s; so the teacher takes 1 s and a student 2
SHARES = Shares(work(100.0, [400.0]), StepTime(3e-3, 0.5), StepTime(5e-3, 1.0))


def test_time_is_taken_once_for_a_machine_and_sizes_and_kept(tmp_path):
    file = tmp_path / "study" / "rates.json"
    taken = []

    def take():
        taken.append(1)
        return StepTime(0.25, 1.5)

    assert RatesFile(file, HERE).get(StepTime, "step", ["a"], take) == StepTime(0.25, 1.5)
    kept = RatesFile(file, HERE)
    assert kept.known("step", ["a"]) and kept.get(StepTime, "step", ["a"], take) == StepTime(0.25, 1.5)
    assert len(taken) == 1
    assert not kept.known("step", ["b"]) and not kept.known("teacher", ["a"])
    assert not RatesFile(file, HERE | {"threads": 2}).known("step", ["a"])
    # of two machines that share a directory, each keeps its own
    RatesFile(file, HERE | {"threads": 2}).get(StepTime, "step", ["a"], take)
    assert len(taken) == 2 and RatesFile(file, HERE).known("step", ["a"])


def test_times_taken_on_a_busy_machine_are_taken_again(tmp_path):
    file = tmp_path / "rates.json"
    RatesFile(file, HERE).get(StepTime, "step", "a", lambda: StepTime(1.0, 0.0, slowed=3.0))
    RatesFile(file, HERE).get(StepTime, "step", "b", lambda: StepTime(1.0, 0.0, slowed=1.1))
    again = RatesFile(file, HERE)
    assert not again.known("step", "a") and again.known("step", "b")


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"schema": "other"}', '{"schema_version": 1}'])
def test_broken_file_only_costs_the_times(tmp_path, content):
    file = tmp_path / "rates.json"
    file.write_text(content)
    assert RatesFile(file, HERE).get(StepTime, "step", 1, lambda: StepTime(1.0, 2.0)) == StepTime(1.0, 2.0)
    assert json.loads(file.read_text())["schema"] == "evenhand-study-rates"


def test_teacher_and_student_shares_by_hand():
    assert SHARES.student_per_token == pytest.approx(2e-3)
    assert SHARES.teacher_per_token == pytest.approx(1e-3)
    # twice the teacher's work, a student of the same size and one of half of it
    other = work(200.0, [400.0, 200.0])
    assert SHARES.per_token(other) == pytest.approx(2e-3 + 2e-3 + 1e-3)
    assert SHARES.step_time(other) == StepTime(pytest.approx(5e-3), pytest.approx(1.0))
    # each with a teacher's pass of its own
    assert SHARES.saved(other) == pytest.approx(((2 + 2) + (2 + 1)) / 5)
    assert SHARES.per_token(work(0.0, [400.0])) == pytest.approx(2e-3)


def test_timings_that_tell_no_share_apart_count_all_operations_alike():
    noisy = dataclasses.replace(SHARES, two=StepTime(6.5e-3, 1.0))  # more than twice the one: no teacher's share
    assert noisy.per_token(work(200.0, [400.0])) == pytest.approx(3e-3 * 600 / 500)
    noisy = dataclasses.replace(SHARES, two=StepTime(2.9e-3, 1.0))  # less than the one
    assert noisy.per_token(work(200.0, [400.0])) == pytest.approx(3e-3 * 600 / 500)


def test_finished_cells_are_believed_before_timed_steps_and_these_before_shares():
    finished = [Finished("done", 30.0, 1000.0), Finished("done", 50.0, 1000.0)]
    seconds = CellSeconds(SHARES, {"timed": StepTime(7e-3, 0.1), "done": StepTime(9.0, 9.0)}, finished, lambda _: 4.0)
    assert seconds.of(work(100.0, [400.0], "done", tokens=2000.0)) == (pytest.approx(80.0), "finished")
    assert seconds.of(work(100.0, [400.0], "timed")) == (pytest.approx(7 + 1 + 4), "timed")
    assert seconds.of(work(100.0, [400.0], "new")) == (pytest.approx(3 + 5 + 4), "shares")
    assert seconds.of(work(100.0, [400.0], "new", gpus=4)) == (pytest.approx(0.75 + 5 + 4), "shares")


@pytest.mark.parametrize(
    "idle, own, expected",
    [
        (
            0.0,
            2.5,
            2.5,
        ),  # all cores at work, of them this process had a quarter: alone it would have had them all the time
        (8.0, 2.5, 10.0),  # cores were idle: it waited for something else
        (0.0, 10.0, 10.0),  # it had its core all the time
    ],
)
def test_time_that_others_took_from_the_processor_does_not_count(monkeypatch, idle, own, expected):
    now = SimpleNamespace(idle=0.0, own=0.0, wall=0.0)
    monkeypatch.setattr(busy_clock.psutil, "cpu_times", lambda: SimpleNamespace(idle=now.idle))
    monkeypatch.setattr(busy_clock.psutil, "cpu_count", lambda: 2)
    monkeypatch.setattr(busy_clock.torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(time, "process_time", lambda: now.own)
    monkeypatch.setattr(time, "perf_counter", lambda: now.wall)
    clock = BusyClock(torch.device("cpu"))
    now.idle, now.own, now.wall = idle, own, 10.0
    took = clock.took()
    assert took.alone == expected and took.wall == 10.0 and took.slowed == 10.0 / expected
    # a budget is what the process had, but for a crawl
    assert clock.spent() == max(own, 2.5)
    on_gpu = BusyClock(torch.device("cuda"))
    now.own, now.wall = own, 20.0
    assert on_gpu.took().alone == on_gpu.spent() == 10.0
