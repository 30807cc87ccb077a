"""Time and energy of a training over all its starts; what CodeCarbon does, or does not do, changes no training."""

import errno
import json
import logging
import signal
import threading
import time

import fake_codecarbon
import pytest

from evenhand.trainer import energy, expenditure
from evenhand.trainer.checkpoints import publish_checkpoint
from evenhand.trainer.expenditure import Expenditure


class Clock:
    """Stands still until it is told to go on."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (expenditure, fake_codecarbon):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


@pytest.fixture
def spend(folder, clock):
    """``spend(seconds)``: one start of a training that takes so long."""

    def start(seconds=3.0) -> Expenditure:
        with Expenditure(folder) as spent:
            spent._meter._starting.join(energy.STARTING_SECONDS)
            clock.now += seconds
        return spent

    return start


def kept(folder, index=0) -> dict:
    return json.loads((folder / f"spent-{index}.json").read_text(encoding="utf-8"))


def checkpoint(folder) -> None:
    (folder / ".saving" / "checkpoint-1").mkdir(parents=True)
    publish_checkpoint(folder, "checkpoint-1", {"step": 1})


def test_without_codecarbon_the_time_is_known_and_the_energy_is_not(spend, monkeypatch, caplog):
    fake_codecarbon.uninstall(monkeypatch)
    assert spend(3.25).total() == {"seconds": 3.25, "energy": None}
    assert not caplog.records


def test_the_energy_is_codecarbons_own_number_with_what_it_covers(spend, folder, monkeypatch):
    tracker = fake_codecarbon.install(monkeypatch, power=2.0)
    total = spend(3.0).total()
    (made,) = tracker.made
    assert made.stopped
    assert total["energy"]["kwh"] == kept(folder)["energy"]["kwh"] == 6.0
    assert total["energy"]["tool"] == "codecarbon 3.3.2"
    note = total["energy"]["note"]
    assert note.startswith("of the machine during the training (processor 3, GPUs 0, memory 3 kWh); measured where ")
    assert "covers" not in note


def test_codecarbon_is_asked_for_no_network_no_file_and_no_lock(spend, monkeypatch):
    tracker = fake_codecarbon.install(monkeypatch)
    spend()
    options = tracker.made[0].options
    assert (options["allow_multiple_runs"], options["output_methods"]) == (True, [])
    assert options["force_carbon_intensity_g_co2e_kwh"] == 0.0  # no look-up of a country
    assert options["log_level"] == "critical"


def test_starts_add_up_also_one_that_was_killed(spend, folder, clock, monkeypatch):
    tracker = fake_codecarbon.install(monkeypatch, power=1.0)
    killed = Expenditure(folder).__enter__()
    killed._meter._starting.join(energy.STARTING_SECONDS)
    clock.now += 40
    tracker.made[0].measure(30.0)  # the newest reading is ten seconds old
    killed.on_step_end(None, None, None)
    clock.now += 5  # and then there was no more power
    again = spend(7.0).total()
    assert (again["seconds"], again["energy"]["kwh"]) == (47.0, 37.0)
    assert again["energy"]["note"].endswith("; it covers 37 of 47 seconds")
    third = spend(100.0).total()
    assert (third["seconds"], third["energy"]["kwh"]) == (147.0, 137.0)


def test_while_training_the_file_is_written_now_and_then_only(folder, clock, monkeypatch):
    fake_codecarbon.uninstall(monkeypatch)
    writes, write = [], expenditure._write
    monkeypatch.setattr(expenditure, "_write", lambda *args: (writes.append(clock.now), write(*args)))
    with Expenditure(folder) as spent:
        for _ in range(100):
            clock.now += 0.5
            spent.on_step_end(None, None, None)
        assert writes == [110.0, 120.0, 130.0, 140.0, 150.0]
        assert kept(folder)["seconds"] == 50.0


def test_a_start_without_codecarbon_is_seen_in_what_the_energy_covers(spend, monkeypatch):
    fake_codecarbon.uninstall(monkeypatch)
    spend(10.0)
    fake_codecarbon.install(monkeypatch, power=1.0)
    total = spend(30.0).total()
    assert (total["seconds"], total["energy"]["kwh"]) == (40.0, 30.0)
    assert total["energy"]["note"].endswith("; it covers 30 of 40 seconds")


@pytest.mark.parametrize("where", ["init", "start", "stop"])
def test_a_codecarbon_that_fails_is_a_warning(spend, monkeypatch, caplog, where):
    fake_codecarbon.install(monkeypatch, fails_in=where)
    with caplog.at_level(logging.WARNING):
        assert spend(3.0).total() == {"seconds": 3.0, "energy": None}
    (record,) = caplog.records
    assert f"CodeCarbon failed (no luck in {where})" in record.getMessage()


def test_one_that_never_gets_ready_is_not_waited_for_and_stopped_when_it_does(folder, monkeypatch):
    ready = threading.Event()
    tracker = fake_codecarbon.install(monkeypatch, waits_for=ready)
    monkeypatch.setattr(energy, "STARTING_SECONDS", 0.1)
    begun = time.monotonic()
    with Expenditure(folder) as spent:
        pass
    assert time.monotonic() - begun < 10 and spent.total()["energy"] is None
    assert not tracker.made[0].stopped
    ready.set()
    while not tracker.made[0].stopped and time.monotonic() - begun < 20:
        time.sleep(0.01)
    assert tracker.made[0].stopped


def test_signals_stay_the_trainings_own(folder, monkeypatch):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
    fake_codecarbon.install(monkeypatch)
    with Expenditure(folder):
        inside = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
    assert inside == before


@pytest.mark.parametrize("trace", ["a checkpoint of an older release", "a broken file", "a file of another shape"])
def test_where_an_earlier_start_was_not_measured_no_sum_is_given(spend, folder, monkeypatch, trace):
    fake_codecarbon.install(monkeypatch)
    if trace == "a checkpoint of an older release":
        checkpoint(folder)
    else:
        folder.mkdir()
        content = '{"seconds": 3' if trace == "a broken file" else '{"seconds": 3, "energy": {"kwh": 1}, "whole": true}'
        (folder / "spent-0.json").write_text(content)
    assert spend().total() == {"seconds": None, "energy": None}
    assert spend().total() == {"seconds": None, "energy": None}  # nor later


def test_energies_of_nodes_add_up_and_their_times_do_not(spend, folder, monkeypatch):
    fake_codecarbon.install(monkeypatch, power=1.0)
    spend(20.0)
    (folder / "spent-0.json").rename(folder / "spent-8.json")
    checkpoint(folder)
    total = spend(10.0).total()  # joins later: what was before it, the other node has measured
    assert (total["seconds"], total["energy"]["kwh"]) == (10.0, 30.0)
    assert "; summed over 2 nodes" in total["energy"]["note"]


def test_one_process_of_a_node_measures(folder, monkeypatch):
    state = type("State", (), {"process_index": 1, "is_local_main_process": False})
    monkeypatch.setattr(expenditure, "PartialState", state)
    tracker = fake_codecarbon.install(monkeypatch)
    with Expenditure(folder) as spent:
        spent.on_step_end(None, None, None)
    assert not tracker.made and not folder.exists()


def test_a_full_disk_and_a_training_that_could_not_begin_leave_no_trace(spend, folder, monkeypatch):
    fake_codecarbon.uninstall(monkeypatch)
    with pytest.raises(ValueError, match="no such data"), Expenditure(folder):
        raise ValueError("no such data")
    assert not folder.exists()

    def full(*_):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(expenditure.os, "replace", full)
    assert spend(3.0).total()["seconds"] == 3.0
    assert list(folder.iterdir()) == []
