"""The machine in words, as every section that names one prints it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenhand.model_cards import numbers


def hardware_text(hardware: Any) -> str | None:
    """The machine in words: `CPU, AMD EPYC, 2 cores`; None where it is not recorded."""
    if isinstance(hardware, str):
        return hardware
    if not isinstance(hardware, Mapping):
        return None
    device, name = hardware.get("device"), hardware.get("name")
    cores, threads, processes = (numbers.checked(hardware.get(key)) for key in ("cpu_cores", "threads", "processes"))
    words = [
        str(device) if device else None,
        str(name) if name and name != device else None,
        f"{cores} CPU core{'' if cores == 1 else 's'}" if cores else None,
        f"{threads} thread{'' if threads == 1 else 's'}" if threads else None,
        f"{processes} processes" if processes and processes > 1 else None,
    ]
    return ", ".join(word for word in words if word) or None
