"""GLUE's examples, from a local ``glue_data`` directory or from the Hub, checked as they are read."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evenhand.evaluation.glue_tasks import GlueTask
from evenhand.evaluation.measure_data import check_revision

HUB_NAME = "nyu-mll/glue"
HUB_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
SUBSET_SEED = 0


@dataclass(frozen=True)
class GlueSplit:
    """Examples of one file.

    ``texts``: per example one text or a pair; ``labels``: class numbers, or for STS-B scores from 0 to 5.
    """

    texts: tuple[tuple[str, ...], ...]
    labels: tuple[int | float, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, n: int | None) -> GlueSplit:
        """``n`` examples chosen at random with `SUBSET_SEED`, in the file's order; all where n is ``None`` or larger.

        The choice depends on n and on the length of the file alone, so every model and seed is given the same one.
        """
        if n is None or n >= len(self):
            return self
        chosen = np.sort(np.random.default_rng(SUBSET_SEED).choice(len(self), size=n, replace=False)).tolist()
        return GlueSplit(tuple(self.texts[i] for i in chosen), tuple(self.labels[i] for i in chosen))


@dataclass(frozen=True)
class GlueTaskData:
    """One task's examples: ``train``, ``dev`` by split (``"validation"``, MNLI: ``"validation_matched"`` and
    ``"validation_mismatched"``), and how many cut-off rows were left out."""

    task: GlueTask
    train: GlueSplit
    dev: dict[str, GlueSplit]
    skipped_rows: int = 0

    @property
    def sha256(self) -> str:
        """Hash of all texts and labels in their order: equal for equal examples, whatever file they came from."""
        digest = hashlib.sha256()
        for name, split in (("train", self.train), *self.dev.items()):
            digest.update(f"{name}|{len(split)}|".encode())
            for texts, label in zip(split.texts, split.labels, strict=True):
                digest.update(json.dumps([texts, label]).encode())
        return digest.hexdigest()


def load_task(source: str | Path, task: GlueTask) -> GlueTaskData:
    """Train and dev examples of a task.

    Args:
        source: ``"hub"`` for nyu-mll/glue at a fixed revision, or a directory in the layout of the GLUE download
            (``CoLA/train.tsv``, ``CoLA/dev.tsv``, ``MNLI/dev_matched.tsv`` …).
        task: which one.

    Raises:
        FileNotFoundError: a file is not there, or the Hub cannot be reached.
        ValueError: a file is empty, has other columns, or a label out of the task's range.
    """
    return _from_hub(task) if source == "hub" else _from_directory(Path(source), task)


def _from_directory(folder: Path, task: GlueTask) -> GlueTaskData:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such directory; give 'hub' or a glue_data directory")
    train, skipped = _read(folder / task.name / "train.tsv", task)
    dev = {}
    for split in task.dev_sizes:
        dev[split], more = _read(folder / task.name / task.dev_file(split), task)
        skipped += more
    return GlueTaskData(task, train, dev, skipped)


def _read(path: Path, task: GlueTask) -> tuple[GlueSplit, int]:
    """The examples of one .tsv file and the number of cut-off rows left out."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {task.name} needs it (a glue_data directory is expected)")
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
    # Quotes are plain characters in these files and other line separators may stand within a text.
    lines = [line.removesuffix("\r") for line in content.rstrip("\r\n").split("\n")] if content.strip() else []
    if len(lines) <= task.has_header:
        raise ValueError(f"{path}: holds no examples")
    positions, width = _positions(path, task, lines[0])
    texts, labels, skipped = [], [], 0
    for number, line in enumerate(lines[task.has_header :], start=1 + task.has_header):
        cells = line.split("\t")
        if len(cells) < width:
            if task.skips_short_rows:
                skipped += 1
                continue
            raise ValueError(f"{path}, line {number}: has {len(cells)} columns, {width} are expected")
        *of_text, label = (cells[position] for position in positions)
        texts.append(tuple(of_text))
        labels.append(_label(task, label, f"{path}, line {number}"))
    if not labels:
        raise ValueError(f"{path}: holds no examples")
    return GlueSplit(tuple(texts), tuple(labels)), skipped


def _positions(path: Path, task: GlueTask, first: str) -> tuple[list[int], int]:
    """Positions of the texts and the label in a row, and how many columns a row needs."""
    wanted = [*task.columns, task.label_column]
    if not task.has_header:
        return wanted, max(wanted) + 1
    header = first.split("\t")
    absent = [name for name in wanted if name not in header]
    if absent:
        raise ValueError(f"{path}: the header has no column {absent[0]!r}; it has {', '.join(header)[:200]}")
    return [header.index(name) for name in wanted], len(header)


def _label(task: GlueTask, label: str | float, where: str) -> int | float:
    """The label as a number, checked."""
    if task.labels is not None:
        known = task.labels.get(label) if isinstance(label, str) else label if label in task.labels.values() else None
        if known is None:
            allowed = ", ".join(task.labels if isinstance(label, str) else map(str, task.labels.values()))
            raise ValueError(f"{where}: {label!r} is no label of {task.name}; its labels are {allowed}")
        return int(known)
    try:
        score = float(label)
    except (TypeError, ValueError):
        score = math.nan
    if not 0 <= score <= 5:
        raise ValueError(f"{where}: {label!r} is no score of {task.name}; its scores lie between 0 and 5")
    return score


def _from_hub(task: GlueTask) -> GlueTaskData:
    from datasets import load_dataset

    splits = {}
    for split in ("train", *task.dev_sizes):
        try:
            rows = load_dataset(HUB_NAME, task.key, split=split, revision=HUB_REVISION)
        except Exception as error:  # the client raises many kinds, all with the same meaning here
            reason = " ".join(str(error).split())[:200]
            raise FileNotFoundError(
                f"{HUB_NAME}, {task.key}, {split}: cannot be had from the Hub ({reason}); "
                "give a local glue_data directory instead"
            ) from error
        check_revision(rows, HUB_NAME, HUB_REVISION)
        splits[split] = _from_rows(rows, task, f"{HUB_NAME}, {task.key}, {split}")
    return GlueTaskData(task, splits.pop("train"), splits)


def _from_rows(rows, task: GlueTask, where: str) -> GlueSplit:
    absent = [name for name in (*task.hub_columns, "label") if name not in rows.column_names]
    if absent:
        raise ValueError(f"{where}: has no column {absent[0]!r}; it has {', '.join(rows.column_names)}")
    if not len(rows):
        raise ValueError(f"{where}: holds no examples")
    texts = zip(*(rows[name][:] for name in task.hub_columns), strict=True)
    labels = (_label(task, label, f"{where}, row {row}") for row, label in enumerate(rows["label"][:]))
    return GlueSplit(tuple(texts), tuple(labels))


def missing_rows(data: GlueTaskData, train: GlueSplit, dev: dict[str, GlueSplit]) -> Iterator[tuple[str, int, int]]:
    """(split, rows used, rows of the official file) of every split that was not used whole.

    A local file that is smaller than the official one by more than a thousandth is a subset too.
    """
    official = {"train": data.task.train_size, **data.task.dev_sizes}
    for name, used, full in (("train", train, data.train), *((s, dev[s], data.dev[s]) for s in dev)):
        if len(used) < len(full) or len(used) < 0.999 * official[name]:
            yield name, len(used), max(len(full), official[name])
