"""The energy that a machine takes, as CodeCarbon reads it, where that is installed (extra ``[carbon]``)."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict, dataclass, fields

_logger = logging.getLogger(__name__)

STARTING_SECONDS = 20.0
"""How long the end of a training waits for a CodeCarbon that is still looking at the machine."""


@dataclass(frozen=True)
class Energy:
    """What was used in ``seconds`` of watching, in kWh: ``kwh`` in all, of it processor, GPUs and memory; summed by ``+``.

    Args:
        tool: what read it, with its version.
        mode: CodeCarbon's ``tracking_mode``: of the whole ``machine``, or of the ``process`` where that can be told apart.
    """

    kwh: float
    cpu_kwh: float
    gpu_kwh: float
    ram_kwh: float
    seconds: float
    tool: str
    mode: str

    def __add__(self, other: Energy) -> Energy:
        numbers = {
            field.name: getattr(self, field.name) + getattr(other, field.name)
            for field in fields(self)
            if field.name not in ("tool", "mode")
        }
        tools, modes = (
            " and ".join(sorted({*getattr(self, name).split(" and "), *getattr(other, name).split(" and ")}))
            for name in ("tool", "mode")
        )
        return Energy(**numbers, tool=tools, mode=modes)

    def to_dict(self) -> dict:
        """Plain values."""
        return asdict(self)


class EnergyMeter:
    """Reads the energy of this machine from its making to :meth:`stop`.

    It neither slows nor breaks what it watches: CodeCarbon looks at the machine (a second or more) and measures (every 15 seconds) in threads
    of its own, asks no network, writes no file, takes no lock, and whatever it raises becomes a warning. How it measures is the user's to say,
    in CodeCarbon's own configuration.
    """

    def __init__(self) -> None:
        self._newest: Energy | None = None
        self._tracker = None
        self._given_up = False
        self._lock = threading.Lock()
        self._starting = threading.Thread(target=self._start, name="evenhand-energy", daemon=True)
        self._starting.start()

    @property
    def newest(self) -> Energy | None:
        """The newest reading; None before the first, and where CodeCarbon is not installed or cannot measure."""
        return self._newest

    def stop(self) -> Energy | None:
        """End the measurement; the last reading."""
        self._starting.join(STARTING_SECONDS)
        with self._lock:
            self._given_up = True
            tracker, self._tracker = self._tracker, None
        if tracker is not None:
            self._stop(tracker)
        return self._newest

    def _start(self) -> None:
        try:
            tracker = self._make()
            tracker.start()
        except ImportError:
            return
        except Exception as error:  # of a library that looks into many kinds of machines: none may end a training
            _logger.warning("The energy is not measured: CodeCarbon failed (%s).", " ".join(str(error).split()))
            return
        with self._lock:
            if not self._given_up:
                self._tracker = tracker
                return
        self._stop(tracker)

    def _make(self):
        from codecarbon import OfflineEmissionsTracker
        from codecarbon.output import BaseOutput

        logging.getLogger("codecarbon").setLevel(
            logging.CRITICAL
        )  # from its first line on; later ``log_level`` does it
        meter = self

        class Reading(BaseOutput):
            def out(self, total, delta) -> None:
                meter._take(total)

            live_out = out

        return OfflineEmissionsTracker(
            # only kWh are read: no country is looked up, and none is claimed
            force_carbon_intensity_g_co2e_kwh=0.0,
            output_methods=[],
            output_handlers=[Reading()],
            api_call_interval=1,
            # a lock would take over the signals that end a training with a checkpoint
            allow_multiple_runs=True,
            log_level="critical",
        )

    def _take(self, total) -> None:
        self._newest = Energy(
            kwh=float(total.energy_consumed),
            cpu_kwh=float(total.cpu_energy),
            gpu_kwh=float(total.gpu_energy),
            ram_kwh=float(total.ram_energy),
            seconds=float(total.duration),
            tool=f"codecarbon {total.codecarbon_version}",
            mode=str(total.tracking_mode),
        )

    def _stop(self, tracker) -> None:
        try:
            tracker.stop()
        except Exception as error:
            _logger.warning(
                "The energy's last reading is missing: CodeCarbon failed (%s).", " ".join(str(error).split())
            )
