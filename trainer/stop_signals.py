"""Signals by which a scheduler ends a job: they become a checkpoint at the next step boundary, and an exit code to requeue on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator

REQUEUE_EXIT_CODE = 75
"""``EX_TEMPFAIL`` of sysexits.h: nothing is wrong, the same command goes on where this one stopped."""

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))


class StoppedBySignal(SystemExit):
    """A stop signal ended the work. Left alone, it ends the process with :data:`REQUEUE_EXIT_CODE` and no traceback.

    Args:
        message: what was stopped, where, and how to go on; one line.
        in_step: every process of the training stops at the same step, with a checkpoint (else: this process, at once).
        number: the signal, where it was this process that got it.
    """

    def __init__(self, message: str, in_step: bool = False, number: int | None = None) -> None:
        super().__init__(REQUEUE_EXIT_CODE)
        self.message, self.in_step, self.number = message, in_step, number

    def __str__(self) -> str:
        return self.message


class NotedSignals:
    """Inside ``with``, a stop signal is noted and nothing else happens, however often it comes. Handlers are put back afterwards.

    A signal that came and was not acted upon by then is delivered again. In another thread than the main one Python allows no
    handlers: there nothing is noted.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._handlers: dict = {}

    def __enter__(self) -> NotedSignals:
        self.received = None
        self._handlers = _replace_handlers(self._note)
        return self

    def __exit__(self, error_type, *_) -> None:
        _put_back(self._handlers)
        if self.received is not None and error_type is None:
            signal.raise_signal(self.received)

    def _note(self, number: int, _) -> None:
        self.received = self.received or signal.Signals(number)


@contextmanager
def stopping_at_once(what: str) -> Iterator[None]:
    """Inside, a stop signal raises :class:`StoppedBySignal` where it finds the process; later ones cannot disturb its unwinding.

    For work without steps; a training inside notes signals by itself (:class:`NotedSignals`).

    Args:
        what: is named in the message, e.g. ``evenhand distill``.
    """

    def stop(number: int, _) -> None:
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        by = signal.Signals(number).name
        raise StoppedBySignal(f"{what} stopped by {by}; run the same command again to go on.", number=number)

    handlers = _replace_handlers(stop)
    try:
        yield
    finally:
        _put_back(handlers)


def leave_signals_to_the_trainer(worker_id: int) -> None:
    """``worker_init_fn`` of data loaders: a scheduler signals all processes of a job, and a worker that dies takes the trainer along
    before its checkpoint. Workers end with their trainer all the same, since they watch for it."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class AgreedStop:
    """Whether any process was asked to stop, told to all of them by a collective that runs at every step anyway.

    Args:
        accelerator: of the trainer.
        signals: of this process.
    """

    def __init__(self, accelerator: Accelerator, signals: NotedSignals) -> None:
        self.accelerator, self.signals = accelerator, signals
        self.known = False
        """Whether this process knows of it; turns true in all processes at the same place of the program."""
        self._unread: tuple[torch.Tensor, torch.Event] | None = None

    def sum_over_processes(self, counts: torch.Tensor, move: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """``counts`` ``(n,)`` of this process, on the CPU → summed over all of them, on the device, in one collective with whether each
        was asked to stop. ``move`` brings a tensor to the device."""
        asked = counts.new_tensor([self.signals.received is not None])
        total = self.accelerator.reduce(move(torch.cat([counts, asked])), "sum")
        if total.device.type == "cuda":  # to read it now would wait for all that the device has still to do
            ready = torch.Event(device=total.device)
            self._unread = total[-1].to("cpu", non_blocking=True), ready
            ready.record()
        else:
            self.known = self.known or bool(total[-1])
        return total[:-1]

    def look(self) -> bool:
        """Read what the collective of the step before has told; to be called before a step."""
        if self._unread is not None:
            (asked, ready), self._unread = self._unread, None
            ready.synchronize()
            self.known = self.known or bool(asked)
        return self.known


def _replace_handlers(handler) -> dict:
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in STOP_SIGNALS}


def _put_back(handlers: dict) -> None:
    for number, handler in handlers.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not set from Python
