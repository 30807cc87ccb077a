"""Peak memory of a command and all its child processes, watched from outside."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY = 0.02
"""Seconds between two looks."""


@dataclass(frozen=True)
class Watched:
    """What a command printed, and the largest sums over its processes that were seen at one moment, in bytes.

    ``resident`` counts every page in memory, those of files (which the system can drop at any time) and those shared between processes
    once for each; ``anonymous`` is what the processes themselves allocated, None where the system does not say (elsewhere than on Linux).
    """

    output: str
    resident: int
    anonymous: int | None


def watch(command: Sequence[str], environment: Mapping[str, str]) -> Watched:
    """Run ``command`` with ``environment`` added to this process's.

    Raises:
        RuntimeError: it failed; its last line is in the message.
    """
    with subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        process = psutil.Process(child.pid)
        resident = anonymous = 0
        while child.poll() is None:
            both = [_memory(one) for one in _family(process)]
            resident = max(resident, sum(one for one, _ in both))
            anonymous = max(anonymous, sum(one for _, one in both))
            time.sleep(EVERY)
        output, errors = child.communicate()
    if child.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {(errors.strip() or 'no message').splitlines()[-1]}")
    return Watched(output, resident, anonymous if Path("/proc/self/status").exists() else None)


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _memory(process: psutil.Process) -> tuple[int, int]:
    """Resident and anonymous bytes; zeros for a process that has just ended."""
    try:
        return process.memory_info().rss, anonymous_bytes(process.pid)
    except (psutil.NoSuchProcess, OSError):
        return 0, 0


def anonymous_bytes(pid: int | str = "self") -> int:
    """Memory that a process allocated (not pages of files), 0 where the system does not say."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0
    found = [line for line in status.read_text().splitlines() if line.startswith("RssAnon:")]
    return int(found[0].split()[1]) * 1024 if found else 0
