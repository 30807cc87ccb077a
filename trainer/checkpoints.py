"""Checkpoints that are either complete or not there."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

SAVING = ".saving"
COMPLETE = "complete.json"
_NAME = re.compile(r"checkpoint-(\d+)")


def latest_complete_checkpoint(output_dir: str | Path) -> Path | None:
    """The newest checkpoint whose every file was written, None if there is none.

    ``transformers``' own look-up takes the newest *directory*, which after a kill during a save is a torn one.
    """
    found = [path for path in Path(output_dir).glob("checkpoint-*") if (path / COMPLETE).is_file()]
    return max(found, key=_step, default=None)


def publish_checkpoint(output_dir: str | Path, name: str, facts: dict) -> Path:
    """Move ``output_dir/.saving/name``, now completely written, to ``output_dir/name``.

    ``facts`` goes into ``complete.json``, written last. A checkpoint of that name is replaced.
    """
    saving, target = Path(output_dir) / SAVING / name, Path(output_dir) / name
    (saving / COMPLETE).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if target.exists():
        shutil.rmtree(target)
    saving.rename(target)
    discard_unfinished(output_dir)
    return target


def completion_facts(checkpoint: str | Path) -> dict:
    """What :func:`publish_checkpoint` wrote into a checkpoint; empty for one that it did not write."""
    file = Path(checkpoint) / COMPLETE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def discard_unfinished(output_dir: str | Path) -> None:
    """Remove what a save that did not finish has left."""
    shutil.rmtree(Path(output_dir) / SAVING, ignore_errors=True)


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match.group(1)) if match else -1
