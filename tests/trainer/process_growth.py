"""How much memory a piece of work takes beyond what the process had: measured in a forked child, so that nothing is imported anew."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def growth(work: Callable[[], object]) -> tuple[int, int]:
    """Bytes by which the peak of resident memory, and at the end the allocated (not file-backed) memory, exceed those at the start."""
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()

    def measure() -> None:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of before
        resident, allocated = _status("VmRSS"), _status("RssAnon")
        kept = work()
        theirs.send((_status("VmHWM") - resident, _status("RssAnon") - allocated))
        del kept

    child = context.Process(target=measure)
    child.start()
    theirs.close()
    try:
        return mine.recv()
    finally:
        child.join()
