"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside ``folder`` to be filled; at the end of the ``with`` block it is put in its place.

    Nobody sees ``folder`` half written. After an error in the block it is what it was before, and what was written is
    removed.

    Args:
        folder: where the folder shall stand, as a resolved path; one that stands there is replaced, and whether it may
            be is for the caller to decide. Missing parents are made.

    Raises:
        OSError: the folder cannot be made there, or not be put in its place.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    workspace = Path(tempfile.mkdtemp(prefix=f".{folder.name}.staging-", dir=folder.parent))
    try:
        # A plain mkdir inside, because mkdtemp makes a folder that only its owner can read.
        new = workspace / "new"
        new.mkdir()
        yield new
        _swap(new, folder, workspace / "old")
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _swap(new: Path, folder: Path, old: Path) -> None:
    """Put ``new`` at ``folder``; what stood there goes to ``old``, and comes back if the second rename fails."""
    replaced = folder.exists()
    if replaced:
        os.replace(folder, old)
    try:
        os.replace(new, folder)
    except OSError:
        if replaced:
            os.replace(old, folder)
        raise
