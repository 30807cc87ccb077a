"""Checkpoints that are either complete or not there."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from contextlib import nullcontext, suppress
from pathlib import Path

SAVING = ".saving"
COMPLETE = "complete.json"
_logger = logging.getLogger(__name__)
_NAME = re.compile(r"checkpoint-(\d+)")


def latest_complete_checkpoint(output_dir: str | Path) -> Path | None:
    """The newest checkpoint whose every file was written and is still whole, None if there is none.

    ``transformers``' own look-up takes the newest *directory*, which after a kill during a save is a torn one. A checkpoint that was
    damaged after it was completed (see :func:`damage`) is passed over with a warning.
    """
    found = [path for path in Path(output_dir).glob("checkpoint-*") if (path / COMPLETE).is_file()]
    for path in sorted(found, key=_step, reverse=True):
        wrong = damage(path)
        if wrong is None:
            return path
        _logger.warning("Checkpoint %s is damaged (%s) and is passed over.", path, wrong)
    return None


def damage(checkpoint: str | Path) -> str | None:
    """What is wrong with a checkpoint that bears its completion mark: a file that is lost or has another size than it was written
    with, as a node that crashes before its disk, or a copy that is cut short, leaves it. None if nothing is."""
    checkpoint = Path(checkpoint)
    try:
        sizes = completion_facts(checkpoint).get("files", {})  # marks of older releases name no files
    except (ValueError, AttributeError):
        return f"{COMPLETE} is not readable"
    for name, size in sizes.items():
        file = checkpoint / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} of {size} bytes"
    return None


def publish_checkpoint(output_dir: str | Path, name: str, facts: dict) -> Path:
    """Move ``output_dir/.saving/name``, now completely written, to ``output_dir/name``.

    Everything is on the disk before the new name is. ``facts`` goes into ``complete.json``, written last, with the size of every file.
    A checkpoint of that name is replaced.
    """
    saving, target = Path(output_dir) / SAVING / name, Path(output_dir) / name
    mark, found = saving / COMPLETE, sorted(saving.rglob("*"))
    files = [path for path in found if path.is_file() and path != mark]
    sizes = {path.relative_to(saving).as_posix(): _to_disk(path) for path in files}
    mark.write_text(json.dumps(facts | {"files": sizes}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for path in (mark, *(path for path in found if path.is_dir()), saving):
        _to_disk(path)
    if target.exists():
        target.rename(saving.with_name(f"replaced-{name}"))
    saving.rename(target)
    _to_disk(target.parent)
    discard_unfinished(output_dir)
    return target


def completion_facts(checkpoint: str | Path) -> dict:
    """What :func:`publish_checkpoint` wrote into a checkpoint; empty for one that it did not write."""
    file = Path(checkpoint) / COMPLETE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def discard_unfinished(output_dir: str | Path) -> None:
    """Remove what a save that did not finish has left."""
    shutil.rmtree(Path(output_dir) / SAVING, ignore_errors=True)


def discard_damaged(output_dir: str | Path) -> None:
    """Remove checkpoints that :func:`latest_complete_checkpoint` passes over as damaged: they would count among those to be kept."""
    for path in Path(output_dir).glob("checkpoint-*"):
        if (path / COMPLETE).is_file() and damage(path) is not None:
            shutil.rmtree(path, ignore_errors=True)


def _to_disk(path: Path) -> int:
    """Wait until a file's content, or a directory's list of names, is on the disk.

    Returns:
        The size in bytes, as the file system says once the file is open: before, one of a network may tell of an earlier one.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError) if path.is_dir() else nullcontext():  # not every file system knows this of directories
            os.fsync(handle)
        return os.fstat(handle).st_size
    finally:
        os.close(handle)


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match.group(1)) if match else -1
