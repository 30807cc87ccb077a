"""What a process is told before it joins the others, and how it waits for the first of them."""

import threading
from types import SimpleNamespace

import pytest
import torch
from fake_gpus import pretend_gpus

from evenhand.launch import process_group
from evenhand.launch.process_group import first_process_first, join_processes, settings_here


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for variable in (
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "ACCELERATE_USE_DEEPSPEED",
        "ACCELERATE_USE_CPU",
        "DS_ACCELERATOR",
        "LOCAL_SIZE",
    ):
        monkeypatch.delenv(variable, raising=False)


def test_without_a_launcher_nothing_is_changed_and_nobody_waits(monkeypatch):
    for variable in ("LOCAL_RANK", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_CPU"):
        monkeypatch.delenv(variable, raising=False)
    assert settings_here({"seed": 3}) == {"seed": 3}
    assert join_processes({"use_cpu": True}).num_processes == 1
    with first_process_first():
        pass


@pytest.mark.parametrize(
    ("deepspeed", "settings"),
    [
        ("false", {"use_cpu": True}),
        *((yes, {"use_cpu": False, "ddp_backend": "gloo"}) for yes in ("true", "True", "1")),
    ],
)
def test_processes_without_a_gpu_are_told_what_accelerate_needs(monkeypatch, deepspeed, settings):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", deepspeed)
    assert settings_here({"seed": 3, "use_cpu": True}) == {"seed": 3} | settings


# -- the first process first ---------------------------------------------------------------------------------------


@pytest.fixture
def as_process(monkeypatch):
    """``as_process(number, function)`` runs it as one of two processes, the ones of this test sharing a store."""
    server = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(server.port))
    here = threading.local()
    monkeypatch.setattr(
        process_group,
        "PartialState",
        lambda: SimpleNamespace(num_processes=2, process_index=here.number, is_main_process=here.number == 0),
    )
    turn = process_group._turns

    def run(number, function):
        here.number = number
        process_group._turns = turn  # each process counts its own
        return function()

    yield run
    del server


def through(log, name, failing=False):
    def block():
        with first_process_first():
            log.append(name)
            if failing:
                raise ValueError("broken corpus")

    return block


def test_the_others_wait_until_the_first_process_is_through(as_process):
    log = []
    other = threading.Thread(target=as_process, args=(1, through(log, "other")))
    other.start()
    other.join(0.3)
    assert other.is_alive() and log == []
    as_process(0, through(log, "first"))
    other.join(10)
    assert log == ["first", "other"]


def test_if_the_first_process_fails_the_others_do_not_go_in(as_process):
    log = []
    with pytest.raises(ValueError, match="broken corpus"):
        as_process(0, through(log, "first", failing=True))
    with pytest.raises(RuntimeError, match="Process 0 failed"):
        as_process(1, through(log, "other"))
    assert log == ["first"]


# -- refusals ------------------------------------------------------------------------------------------------------


def test_more_processes_than_gpus_are_refused_before_they_meet(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    pretend_gpus(monkeypatch, count=2)
    with pytest.raises(ValueError, match=r"4 processes were asked for on this machine.*--num-processes 2"):
        join_processes({})


def test_zero_on_the_cpu_where_gpus_are_visible_is_refused(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setattr(process_group, "visible_gpus", lambda: 2)
    with pytest.raises(ValueError, match="CUDA_VISIBLE_DEVICES=-1"):
        join_processes({"use_cpu": True})
