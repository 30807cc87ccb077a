"""Predictions of fine-tuned models, kept on disk so that a finished task is not run again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

SCHEMA = "evenhand-glue-run"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class GlueRun:
    """One task learnt once.

    Args:
        key: everything that the predictions depend on: task, seed, settings, hashes of weights, tokenizer and data.
        predictions: by dev split the class numbers or scores (n,), in the order of the split's labels.
        labels: by dev split the labels (n,).
        initialised: tensors of the classifier that did not come from the model.
        seconds: how long training and predicting took, or ``None``.
        environment: what it ran on; kept for the reader, not part of the key.
    """

    key: Mapping[str, object]
    predictions: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    initialised: tuple[str, ...]
    seconds: float | None = None
    environment: Mapping[str, str] | None = None

    @property
    def seed(self) -> int:
        return int(self.key["seed"])


def file_name(key: Mapping[str, object]) -> str:
    """``cola-seed0-<16 digits of the key's hash>.json``."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return f"{key['task']}-seed{key['seed']}-{digest[:16]}.json"


@contextmanager
def turn(folder: Path, key: Mapping[str, object], wait: bool) -> Iterator[bool]:
    """Inside, no other process that uses ``folder`` makes the run with this key.

    Args:
        wait: until another one that is making it has ended; else find out at once.

    Yields:
        Whether it is this process's turn: ``False`` where another is making the run and ``wait`` is false.
    """
    path = folder / f".{file_name(key)}.lock"
    lock = FileLock(path)
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        yield False
        return
    except OSError:  # a file system without locks, or a store that cannot be written: as it would be without them
        yield True
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)  # while it is held: those who come later find the run that was stored
        lock.release()


def save_run(folder: Path, run: GlueRun) -> Path:
    """Write a finished run under its name, whole or not at all (a temporary file beside it, then a rename)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(run.key)
    content = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "key": dict(run.key),
        "initialised": list(run.initialised),
        "seconds": run.seconds,
        "environment": None if run.environment is None else dict(run.environment),
        "splits": {
            name: {"predictions": run.predictions[name].tolist(), "labels": run.labels[name].tolist()}
            for name in run.predictions
        },
    }
    temporary = folder / f".{path.name}.{os.getpid()}"
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def find_run(folder: Path, key: Mapping[str, object]) -> GlueRun | None:
    """The finished run with this key, or ``None``.

    Raises:
        ValueError: the file of that name is not such a run.
    """
    path = folder / file_name(key)
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA or content["schema_version"] != SCHEMA_VERSION or content["key"] != dict(key):
            raise ValueError("another schema or key")
        splits = content["splits"]
        predictions = {name: np.array(split["predictions"]) for name, split in splits.items()}
        labels = {name: np.array(split["labels"]) for name, split in splits.items()}
        if any(len(predictions[name]) != len(labels[name]) for name in splits):
            raise ValueError("predictions and labels differ in number")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: is not a stored GLUE run ({error}); delete it to run the task again") from error
    return GlueRun(
        dict(key), predictions, labels, tuple(content["initialised"]), content["seconds"], content["environment"]
    )
