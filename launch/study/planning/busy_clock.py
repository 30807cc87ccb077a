"""How long something takes on a machine that does other things meanwhile, and how long it would take there alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch

from evenhand.trainer.device_support import device_type

IDLE = 0.1
"""Share of the machine's processors that is left idle while others take nothing away from a computation."""

PATIENCE = 4.0
"""How many times as long a budget may last on a machine that does other things."""


@dataclass(frozen=True)
class Took:
    """Seconds of something.

    Args:
        wall: that passed.
        alone: that it would have taken with the machine to itself.
    """

    wall: float
    alone: float

    @property
    def slowed(self) -> float:
        """By how much the rest of the machine slowed it down, at least 1."""
        return self.wall / self.alone if self.alone > 0 else 1.0


class BusyClock:
    """Runs from its making.

    On a CPU whose cores have all been at work, a process waits for its turn: it would alone take its own processor time, spread over its
    threads. Where cores were idle nothing was taken away, and the time that passed is the one that counts; so it is on a GPU.

    Args:
        device: where the computation runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_cpu = device.type == "cpu"
        self._cores = psutil.cpu_count() or 1
        self._idle, self._own, self._wall = psutil.cpu_times().idle, time.process_time(), time.perf_counter()

    def spent(self) -> float:
        """Seconds that count against a budget: those that this process had, or a quarter of those that passed if that is more."""
        wall = time.perf_counter() - self._wall
        return (
            max((time.process_time() - self._own) / torch.get_num_threads(), wall / PATIENCE) if self._on_cpu else wall
        )

    def took(self) -> Took:
        """Since its making."""
        wall = time.perf_counter() - self._wall
        own = (time.process_time() - self._own) / torch.get_num_threads()
        idle = (psutil.cpu_times().idle - self._idle) / (wall * self._cores) if wall > 0 else 1.0
        crowded = self._on_cpu and idle < IDLE and 0 < own < wall
        return Took(wall, own if crowded else wall)


@contextmanager
def threads_of_runs(environment: Mapping[str, str]) -> Iterator[int]:
    """The threads that a training will have, for what is timed within; gives how many trainings run at a time on the machine's cores.

    Args:
        environment: variables that trainings are started with; ``OMP_NUM_THREADS`` counts, on a machine without a GPU.
    """
    before = torch.get_num_threads()
    threads = environment.get("OMP_NUM_THREADS", "")
    try:
        if threads.isdigit() and int(threads) > 0 and device_type() == "cpu":
            torch.set_num_threads(int(threads))
            yield max(1, (os.cpu_count() or 1) // int(threads))
        else:
            yield 1
    finally:
        torch.set_num_threads(before)
