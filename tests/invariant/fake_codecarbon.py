"""A stand-in for CodeCarbon, which the tests do not install: its tracker, by the names and the order of calls of its release 3.3."""

import sys
import time
import types
from typing import ClassVar

VERSION = "3.3.2"


class FakeTracker:
    """``made`` holds every tracker with the options it was made with; ``power`` is what it reads, in kWh a second of its time."""

    made: ClassVar[list["FakeTracker"]] = []
    power = 0.5
    fails_in: str | None = None
    waits_for = None

    def __init__(self, **options) -> None:
        self._fail("init")
        self.options, self.started, self.stopped = options, None, False
        type(self).made.append(self)

    def start(self) -> None:
        self._fail("start")
        if self.waits_for is not None:
            self.waits_for.wait()
        self.started = time.monotonic()

    def measure(self, seconds: float) -> None:
        """What CodeCarbon's own thread does every few seconds."""
        for output in self.options["output_handlers"]:
            output.live_out(self._total(seconds), None)

    def stop(self) -> None:
        self._fail("stop")
        self.stopped = True
        for output in self.options["output_handlers"]:
            output.out(self._total(time.monotonic() - self.started), None)

    def _total(self, seconds: float):
        kwh = self.power * seconds
        return types.SimpleNamespace(
            duration=seconds,
            energy_consumed=kwh,
            cpu_energy=kwh / 2,
            gpu_energy=0.0,
            ram_energy=kwh / 2,
            codecarbon_version=VERSION,
            tracking_mode="machine",
        )

    def _fail(self, where: str) -> None:
        if self.fails_in == where:
            raise OSError(f"no luck in {where}")


def install(monkeypatch, **settings) -> type[FakeTracker]:
    """Let ``import codecarbon`` find the stand-in; ``settings`` are attributes of the tracker's class."""
    tracker = type("Tracker", (FakeTracker,), {"made": []} | settings)
    package, output = types.ModuleType("codecarbon"), types.ModuleType("codecarbon.output")
    package.OfflineEmissionsTracker, package.output = tracker, output
    output.BaseOutput = type("BaseOutput", (), {})
    monkeypatch.setitem(sys.modules, "codecarbon", package)
    monkeypatch.setitem(sys.modules, "codecarbon.output", output)
    return tracker


def uninstall(monkeypatch) -> None:
    """Let ``import codecarbon`` fail, on a machine that has it too."""
    monkeypatch.setitem(sys.modules, "codecarbon", None)
