"""Tokenised shards on the disk: made in parallel, each whole or absent, by whichever process comes to it first."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import socket
import threading
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import psutil
import pyarrow as pa
import torch
from datasets.arrow_writer import ArrowWriter
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from evenhand.trainer.corpus_settings import CorpusSettings
from evenhand.trainer.documents import Documents
from evenhand.trainer.sequences import CHARACTERS_AT_ONCE, SequenceRules
from evenhand.trainer.training_text import TrainingText

SPLITS = ("train", "held_out")
COUNTS_FILE, STATS_FILE = "token_counts.npz", "stats.json"

TOKENS_A_BATCH = 1 << 20
"""Tokens of one Arrow record batch. Large ones keep what a reader must know of a file small."""


@dataclass(frozen=True)
class Shard:
    """One shard to make: the documents of ``part`` become ``folder/name``."""

    folder: Path
    name: str
    part: Documents
    tokenizer: PreTrainedTokenizerBase
    settings: CorpusSettings

    @property
    def path(self) -> Path:
        """Where it lies when it is whole."""
        return self.folder / self.name


def available_cores() -> int:
    """Cores that this process may use: fewer than the machine has, under a scheduler."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_shards(shards: list[Shard], total: int, workers: int) -> None:
    """Make the shards that are missing, with a progress bar.

    Args:
        shards: those to make, in the order in which they are begun.
        total: number of all shards, for the bar.
        workers: processes.

    Raises:
        RuntimeError: a worker was killed, or the disk is full; finished shards are kept.
    """
    bar = tqdm(total=total, initial=total - len(shards), desc="Tokenising", unit="shard", disable=not shards)
    if shards:
        _remove_abandoned(shards[0].folder)
    try:
        if workers > 1 and len(shards) > 1:
            context = multiprocessing.get_context("fork" if not torch.cuda.is_initialized() else "spawn")
            with ProcessPoolExecutor(min(workers, len(shards)), mp_context=context, initializer=_begin_worker) as pool:
                for _ in pool.map(make_shard, shards):
                    bar.update()
        else:
            for shard in shards:
                make_shard(shard)
                bar.update()
    except BrokenProcessPool:
        raise RuntimeError(
            "A tokenising process was killed (out of memory?). Finished shards are kept: run again, with fewer corpus.workers."
        ) from None
    finally:
        bar.close()


def make_shard(shard: Shard) -> None:
    """Tokenise the documents of one shard, written under a temporary name and renamed.

    Each split becomes one Arrow file, where there is anything to write; beside them lie the counts
    of the tokens that are trained on, and ``stats.json``.
    """
    if shard.path.is_dir():  # another process was faster
        return
    temporary = shard.folder / f".{shard.name}.{socket.gethostname()}.{os.getpid()}"
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        fates, counts = _write(shard, temporary)
        np.savez_compressed(temporary / COUNTS_FILE, counts=counts)
        (temporary / STATS_FILE).write_text(json.dumps(fates), encoding="utf-8")
        try:
            temporary.rename(shard.path)
        except OSError:
            if not shard.path.is_dir():  # else another process finished the same shard first
                raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RuntimeError(
                f"The disk of {shard.folder} is full. Finished shards are kept: free space and run again."
            ) from None
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(shard: Shard, folder: Path) -> tuple[Counter, np.ndarray]:
    settings, size = shard.settings, len(shard.tokenizer)
    rules, fates, made = SequenceRules(settings.max_length), Counter(), TrainingText.of(settings)
    writers = {split: _SplitWriter(folder / f"{split}.arrow", size) for split in SPLITS}
    for block in _blocks(_chosen(shard)):
        ignored = Counter()
        held_out = [settings.is_held_out(text) for text, _ in block]
        counters = [ignored if held else fates for held in held_out]
        texts = [
            text if held else made.of_document(text, fates) for (text, _), held in zip(block, held_out, strict=True)
        ]
        found = rules.of_documents(texts, shard.tokenizer, counters)
        for (_, copies), held, sequences in zip(block, held_out, found, strict=True):
            fates["documents"] += 1
            writers["held_out" if held else "train"].add(sequences, 1 if held else copies)
    for writer in writers.values():
        writer.close()
    train = writers["train"]
    fates["sequences"], fates["tokens"] = train.rows, int(train.counts.sum())  # what is trained on: each copy counts
    return fates, train.counts


def _chosen(shard: Shard) -> Iterator[tuple[str, int]]:
    """Documents of the fraction that hold anything, with how often each is used."""
    for text in shard.part.stream():
        copies = shard.settings.copies(text, shard.part.source.weight)
        if copies and text.strip():
            yield text, copies


def _blocks(documents: Iterable[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    """Documents in lists of about the size that is tokenised at once."""
    block, characters = [], 0
    for document in documents:
        block.append(document)
        characters += len(document[0])
        if characters >= CHARACTERS_AT_ONCE:
            yield block
            block, characters = [], 0
    if block:
        yield block


class _SplitWriter:
    """Sequences into one Arrow file, a record batch at a time; no file where nothing was added."""

    def __init__(self, path: Path, vocab_size: int) -> None:
        self.path, self.features = path, token_features(vocab_size)
        self.counts, self.rows = np.zeros(vocab_size, dtype=np.int64), 0
        self._kind = "H" if self.features["input_ids"].feature.dtype == "uint16" else "i"
        self._writer: ArrowWriter | None = None
        self._ids, self._ends = array(self._kind), [0]

    def add(self, sequences: Iterable[list[int]], copies: int) -> None:
        """All sequences of a document, ``copies`` times one after the other."""
        if copies > 1:
            sequences = list(sequences) * copies
        for sequence in sequences:
            self._ids.extend(sequence)
            self._ends.append(len(self._ids))
            if len(self._ids) >= TOKENS_A_BATCH:
                self._flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        self._flush()
        if self._writer is not None:
            self._writer.finalize()

    def _flush(self) -> None:
        if len(self._ends) == 1:
            return
        ids = np.frombuffer(self._ids, dtype=np.dtype(self._kind))
        self.counts += np.bincount(ids, minlength=len(self.counts))
        lists = pa.ListArray.from_arrays(pa.array(self._ends, pa.int32()), pa.array(ids))
        if self._writer is None:
            self._writer = ArrowWriter(path=str(self.path), features=self.features)
        self._writer.write_table(pa.table({"input_ids": lists}), writer_batch_size=len(lists))
        self.rows += len(lists)
        self._ids, self._ends = array(self._kind), [0]


def load_split(folder: Path, names: Iterable[str], split: str, vocab_size: int) -> datasets.Dataset:
    """One split of all shards, memory-mapped: what is read is the operating system's page cache, not this process's memory."""
    files = (folder / name / f"{split}.arrow" for name in names)
    parts = [datasets.Dataset.from_file(str(file)) for file in files if file.is_file()]
    if not parts:
        return datasets.Dataset.from_dict({"input_ids": []}, features=token_features(vocab_size))
    return datasets.concatenate_datasets(parts)


def read_facts(shard: Path) -> tuple[Counter, np.ndarray]:
    """What became of the documents of a finished shard, and ``(vocab_size,)`` counts of the tokens that are trained on."""
    with np.load(shard / COUNTS_FILE) as file:
        return Counter(json.loads((shard / STATS_FILE).read_text(encoding="utf-8"))), file["counts"]


def token_features(vocab_size: int) -> datasets.Features:
    """Two bytes a token where the vocabulary allows it: half the disk, half the page cache."""
    dtype = "uint16" if vocab_size <= 2**16 else "int32"
    return datasets.Features({"input_ids": datasets.Sequence(datasets.Value(dtype))})


def _begin_worker() -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism

    def leave_with_parent() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    # a worker whose parent was killed would wait for work for ever
    threading.Thread(target=leave_with_parent, daemon=True).start()


def _remove_abandoned(folder: Path) -> None:
    """Delete what killed processes of this machine were writing."""
    for path in folder.glob(f".shard-*.{socket.gethostname()}.*"):
        if not _is_running(int(path.name.rsplit(".", 1)[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
