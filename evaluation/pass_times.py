"""Seconds of forward passes: of one model, or of two in turns, so that whatever else the machine does slows both down alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evenhand.evaluation.resampling import FEWEST_ITEMS

WARM_UP = 3
"""Passes of each model before the first that is timed: memory is reserved and kernels are chosen in them."""
FEWEST, MOST = FEWEST_ITEMS + 1, 50
"""Repeats of a slow and of a fast model."""
BUSY = 0.2
"""Share of the time above which something else on the machine took too much of it."""


@dataclass(frozen=True)
class PassTimes:
    """What the clocks said.

    Args:
        seconds: (models, n) of a pass, by model and repeat.
        processor_share: of the time, how much this thread was on a processor; it waits for none while it computes on the CPU.
        load: processes that wanted a processor in the last minute, by the processors of the machine; None where the system does not say.
    """

    seconds: np.ndarray
    processor_share: float
    load: float | None

    def disturbances(self, on_cpu: bool) -> tuple[str, ...]:
        """What else took the machine's time, in words.

        Args:
            on_cpu: the models compute there; a thread that waits for a GPU may be off the processor.
        """
        found = []
        if on_cpu and self.processor_share < 1 - BUSY:
            found.append(f"the passes had a processor for {self.processor_share:.0%} of their time")
        if self.load is not None and self.load > 1 + BUSY:
            found.append(f"{self.load:.1f} processes wanted each processor")
        return tuple(found)


def pass_times(passes: Sequence[Callable[[], object]], budget: float) -> PassTimes:
    """Time the passes of one model, or of two in turns.

    A repeat of one model is one pass. A repeat of two is four, A B B A, and the time of each model the mean of its two: a load that stays,
    or that grows or fades evenly, weighs on both alike, and each has gone once before and once after the other.

    Args:
        passes: one forward pass of each model; it returns when the pass is done.
        budget: seconds for each model, after which no further repeat begins once there are `FEWEST`; there are `MOST` at most.
    """
    order = [0] if len(passes) == 1 else [0, 1, 1, 0]
    begun = time.perf_counter()
    for one_pass in passes:
        for _ in range(WARM_UP):
            one_pass()
    repeats: list[list[float]] = []
    first, first_on_processor = time.perf_counter(), time.thread_time()
    while len(repeats) < FEWEST or (len(repeats) < MOST and time.perf_counter() - begun < budget * len(passes)):
        spent: list[list[float]] = [[] for _ in passes]
        for index in order:
            started = time.perf_counter()
            passes[index]()
            spent[index].append(time.perf_counter() - started)
        repeats.append([sum(of_model) / len(of_model) for of_model in spent])
    share = (time.thread_time() - first_on_processor) / (time.perf_counter() - first)
    return PassTimes(np.array(repeats).T, share, _load())


def _load() -> float | None:
    if not hasattr(os, "getloadavg"):
        return None
    return os.getloadavg()[0] / (os.cpu_count() or 1)
