"""The machine that a speed was measured on, or a model was trained on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch


def hardware(device: torch.device | str) -> dict[str, object]:
    """What of this machine a speed depends on; neither its name on the network nor any path.

    Args:
        device: where the model runs.

    Returns:
        ``device`` (``"cpu"``, ``"cuda"`` …), ``name`` (of the GPU, else of the processor), ``processor``, ``cpu_cores`` (that this process
        may use) and ``threads`` (of torch, in this process).
    """
    device, own = torch.device(device), processor()
    return {
        "device": device.type,
        "name": torch.cuda.get_device_name(device) if device.type == "cuda" else own,
        "processor": own,
        "cpu_cores": usable_cores(),
        "threads": torch.get_num_threads(),
    }


def processor() -> str:
    """The processor's name, or its architecture where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, named), "") or platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores that this process may use, which may be fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
