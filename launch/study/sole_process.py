"""One process at a time: a lock that a process holds on a folder, and that its death gives back."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"
"""File in a folder that its process holds locked; its number stands in it. The file stays, the lock goes with the process."""


@contextmanager
def only_one_study(folder: Path) -> Iterator[None]:
    """Inside, no other `evenhand study` trains or measures in ``folder``, which is made where it is missing.

    Raises:
        RuntimeError: another is at work there.
    """
    with _held(folder, wait=False):
        yield


@contextmanager
def one_after_the_other(folder: Path) -> Iterator[None]:
    """Inside, no other process does this step's work in ``folder``: one that lost its study (which was killed) is waited for, since
    what it makes need not be made again."""
    with _held(folder, wait=True):
        yield


@contextmanager
def _held(folder: Path, wait: bool) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            if not wait:
                raise RuntimeError(f"another evenhand study (pid {holder}) is at work in {folder}.") from None
            print(f"pid {holder} is at work in {folder}; waiting for it.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks; the study goes on as it would have without them
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
