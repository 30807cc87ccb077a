"""What a training took, over all its starts: wall time and energy."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from accelerate import PartialState
from transformers import TrainerCallback

from evenhand.trainer.checkpoints import latest_complete_checkpoint
from evenhand.trainer.energy import Energy, EnergyMeter

KEEP_EVERY = 10.0
"""Seconds between two writes while training: what a kill loses at most, beside CodeCarbon's own interval."""

NOTE = "measured where the machine has counters for it, else estimated from load and rated power"


class Expenditure(TrainerCallback):
    """Measures a training inside ``with``, and adds what earlier starts of it took.

    Kept in files beside the checkpoints, one a node: time and energy that went into steps which a kill lost count too. Evaluations and saves
    during the training count, tokenising and what follows the training do not.

    Args:
        folder: where the training's checkpoints are.

    Example:
        >>> spent = Expenditure(args.output_dir)
        >>> trainer = DistillationTrainer(student, teacher, args, ..., callbacks=[spent])
        >>> with spent:
        ...     trainer.train()
        >>> spent.total()["seconds"]
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        state = PartialState()
        # the processes of a node share its machine: one of them reads it
        self._file = self.folder / f"spent-{state.process_index}.json" if state.is_local_main_process else None
        self._before = _NOTHING
        self._meter: EnergyMeter | None = None
        self._since = self._kept = 0.0
        self._now = _NOTHING

    def __enter__(self) -> Expenditure:
        if self._file is not None:
            self._before = _read(self._file, self.folder)
            self._since = self._kept = time.monotonic()
            self._meter = EnergyMeter()
        return self

    def __exit__(self, error_type, *_) -> None:
        if self._file is None:
            return
        seconds, energy = time.monotonic() - self._since, self._meter.stop()
        self._now, self._meter = self._sum(seconds, energy), None
        # a training that could not begin leaves no folder behind
        if error_type is None or self.folder.is_dir():
            _write(self._file, self._now)

    def on_step_end(self, args, state, control, **kwargs) -> None:
        if self._meter is not None and time.monotonic() - self._kept >= KEEP_EVERY:
            self._kept = time.monotonic()
            _write(self._file, self._sum(self._kept - self._since, self._meter.newest))

    def _sum(self, seconds: float, energy: Energy | None) -> dict:
        before = Energy(**self._before["energy"]) if self._before["energy"] else None
        both = before + energy if before and energy else before or energy
        return {
            "seconds": self._before["seconds"] + seconds,
            "energy": both and both.to_dict(),
            "whole": self._before["whole"],
        }

    def total(self) -> dict:
        """``seconds`` and ``energy`` for training.json, over all starts; to be called after ``with``, in the main process, when all processes
        have left theirs.

        Returns:
            ``seconds``: wall time; None where a start was not measured, by an older release. ``energy``: ``kwh`` of all nodes, ``tool`` and a
            ``note`` that says what the number covers; None where CodeCarbon is not installed, could not measure, or ``seconds`` is None.
        """
        others = [path for path in sorted(self.folder.glob("spent-*.json")) if path != self._file]
        nodes = [self._now, *(_read(path, self.folder) for path in others)]
        if not all(node["whole"] for node in nodes):
            return {"seconds": None, "energy": None}
        read = [Energy(**node["energy"]) for node in nodes if node["energy"]]
        energy = sum(read[1:], start=read[0]) if read else None
        watched = sum(node["seconds"] for node in nodes)
        return {
            "seconds": round(self._now["seconds"], 3),
            "energy": energy and {"kwh": energy.kwh, "tool": energy.tool, "note": _note(energy, watched, len(nodes))},
        }


_NOTHING = {"seconds": 0.0, "energy": None, "whole": True}


def _note(energy: Energy, seconds: float, nodes: int) -> str:
    parts = f"processor {energy.cpu_kwh:.3g}, GPUs {energy.gpu_kwh:.3g}, memory {energy.ram_kwh:.3g} kWh"
    note = f"of the {energy.mode} during the training ({parts}); {NOTE}"
    if nodes > 1:
        note += f"; summed over {nodes} nodes"
    if energy.seconds < 0.95 * seconds:
        note += f"; it covers {energy.seconds:.0f} of {seconds:.0f} seconds"
    return note


def _read(file: Path, folder: Path) -> dict:
    """What a node's file holds; where it is broken, or none is there although something was trained, the sum is not whole."""
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        if held["energy"]:
            Energy(**held["energy"])
        return {"seconds": float(held["seconds"]), "energy": held["energy"], "whole": bool(held["whole"])}
    except FileNotFoundError:
        measured = any(folder.glob("spent-*.json"))  # of another node: this one joins now
        return _NOTHING | {"whole": measured or latest_complete_checkpoint(folder) is None}
    except (OSError, ValueError, KeyError, TypeError):
        return _NOTHING | {"whole": False}


def _write(file: Path, spent: dict) -> None:
    """Whole or not at all; a full disk ends no training here, the next checkpoint will say so."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(spent, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(temporary, file)
    except OSError:
        temporary.unlink(missing_ok=True)
