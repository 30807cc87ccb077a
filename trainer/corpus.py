"""The training corpus: tokenised once, in parallel, into memory-mapped Arrow shards; or streamed."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import datasets
import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from evenhand.trainer.corpus_sources import CorpusSource, Documents
from evenhand.trainer.sequences import SequenceRules

RULES_VERSION = 1
"""Part of the cache key; raise it when the same settings would give other sequences."""

DOCUMENTS_A_SHARD = 2_000


@dataclass(frozen=True)
class CorpusSettings:
    """Which documents are used and how they are cut.

    Args:
        fraction: share of the documents, chosen by a hash of (seed, text): the choice does not depend on their order. Default 1.
        held_out: share of the chosen documents kept for evaluation, never trained on. Default .01.
        max_length: tokens a sequence. Default 512.
        seed: of both choices; not the training seed, so that runs of several seeds see one split. Default 0.

    Raises:
        ValueError: a share outside its range.
    """

    fraction: float = 1.0
    held_out: float = 0.01
    max_length: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ValueError(f"corpus.fraction must be above 0 and at most 1, not {self.fraction}.")
        if not 0 <= self.held_out < 1:
            raise ValueError(f"corpus.held_out must be at least 0 and below 1, not {self.held_out}.")
        SequenceRules(self.max_length)

    def choices(self) -> dict:
        """The settings that decide which sequences come out, for the cache key and the report."""
        return {name: getattr(self, name) for name in ("fraction", "held_out", "max_length", "seed")}

    def copies(self, text: str, weight: float) -> int:
        """How often a document is used: 0 if outside the fraction, else ``weight`` rounded up or down by the hash."""
        if _uniform("fraction", self.seed, text) >= self.fraction:
            return 0
        return int(weight) + (_uniform("weight", self.seed, text) < weight % 1)

    def is_held_out(self, text: str) -> bool:
        """Whether the document is for evaluation only."""
        return _uniform("held_out", self.seed, text) < self.held_out


@dataclass
class Corpus:
    """``train`` and ``held_out`` data sets with ``input_ids``, ``token_counts`` ``(vocab_size,)`` of ``train``, and the ``report``."""

    train: datasets.Dataset | datasets.IterableDataset
    held_out: datasets.Dataset
    token_counts: torch.Tensor
    report: dict


def prepare_corpus(
    sources: Sequence[CorpusSource],
    tokenizer: PreTrainedTokenizerBase,
    settings: CorpusSettings,
    cache_dir: str | Path,
    workers: int | None = None,
) -> Corpus:
    """Tokenise the sources into ``cache_dir``, or reuse what lies there for the same content, settings and tokenizer.

    Work is cut in shards; a finished shard is kept, so an interrupted preparation goes on where it stopped. Memory does not
    grow with the corpus: shards are written as they are made and read memory-mapped.

    Args:
        sources: at least one.
        tokenizer: of student and teacher.
        settings: see :class:`CorpusSettings`.
        cache_dir: e.g. ``run/cache``.
        workers: processes; default all cores.

    Raises:
        ValueError: no source, or no sequence left; the message says how many were dropped and why. FileNotFoundError: a path does not exist.
    """
    if not sources:
        raise ValueError("corpus.sources is empty; name at least one file, directory or data set.")
    opened = [source.open() for source in sources]
    hashes = [documents.sha256() for documents in opened]
    key = _cache_key(sources, hashes, settings, tokenizer)
    # shards are ranges of documents as they are read: another order or range must not mix with these
    layout = [DOCUMENTS_A_SHARD, [documents.sha256(in_order=True) for documents in opened]]
    layout_key = hashlib.sha256(json.dumps(layout).encode()).hexdigest()
    folder = Path(cache_dir) / f"corpus-{key[:16]}-{layout_key[:8]}"
    tasks = [
        (index, start, min(start + DOCUMENTS_A_SHARD, len(documents)))
        for index, documents in enumerate(opened)
        for start in range(0, len(documents), DOCUMENTS_A_SHARD)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    names = _make_shards(folder, opened, tasks, tokenizer, settings, workers or os.cpu_count() or 1)
    stats = [json.loads((folder / name / "stats.json").read_text(encoding="utf-8")) for name in names]
    fates = sum((Counter(stat) for stat in stats), Counter())
    parts = {split: _load_split(folder, names, split, len(tokenizer)) for split in ("train", "held_out")}
    if len(parts["train"]) == 0:
        raise ValueError(
            f"The corpus gave no training sequence: {fates['documents']} documents chosen, {fates['dropped_short']} sequences "
            f"dropped with 11 tokens or fewer, {fates['dropped_unknown']} mostly unknown. Check the paths, corpus.fraction and the tokenizer."
        )
    counts = sum(np.load(folder / name / "token_counts.npy") for name in names)
    report = _report(sources, hashes, settings, fates, key) | {"held_out_sequences": len(parts["held_out"])}
    return Corpus(parts["train"], parts["held_out"], torch.from_numpy(counts), report)


def stream_corpus(
    sources: Sequence[CorpusSource],
    tokenizer: PreTrainedTokenizerBase,
    settings: CorpusSettings,
    *,
    shuffle_buffer: int = 10_000,
    counted_sequences: int = 20_000,
    held_out_sequences: int = 1_000,
) -> Corpus:
    """Tokenise while training, for corpora that do not fit on the disk.

    Sources take turns document by document. Token counts are those of the first ``counted_sequences``, and the held-out set is the first
    ``held_out_sequences`` of held-out documents; the report says so.

    Raises:
        ValueError: no source, or no sequence. FileNotFoundError: a path does not exist.
    """
    if not sources:
        raise ValueError("corpus.sources is empty; name at least one file, directory or data set.")
    opened = [source.open(streaming=True) for source in sources]
    rules = SequenceRules(settings.max_length)

    def sequences(held_out: bool) -> Iterator[dict]:
        for source, text in _take_turns(opened):
            if settings.is_held_out(text) == held_out:
                copies = settings.copies(text, source.weight)
                for _ in range(min(copies, 1) if held_out else copies):
                    yield from ({"input_ids": ids} for ids in rules.sequences(text, tokenizer, Counter()))

    counts = np.zeros(len(tokenizer), dtype=np.int64)
    seen = 0
    for row in tqdm(islice(sequences(False), counted_sequences), desc="Counting tokens", total=counted_sequences):
        counts += np.bincount(row["input_ids"], minlength=len(counts))
        seen += 1
    if not seen:
        raise ValueError("The corpus stream gave no training sequence; check the paths and corpus.fraction.")
    held_out = [row["input_ids"] for row in islice(sequences(True), held_out_sequences)] if settings.held_out else []
    features = _features(len(tokenizer))
    train = datasets.IterableDataset.from_generator(sequences, features=features, gen_kwargs={"held_out": False})
    train = train.shuffle(seed=settings.seed, buffer_size=shuffle_buffer)
    hashes = [documents.sha256() if documents.source.path else None for documents in opened]
    report = _report(sources, hashes, settings, Counter(), None) | {
        "streaming": True,
        # not known before the stream has been read to its end
        **dict.fromkeys(("documents", "sequences", "tokens", "cut", "dropped_short", "dropped_unknown")),
        "held_out_sequences": len(held_out),
        "token_counts_from_sequences": seen,
    }
    return Corpus(
        train, datasets.Dataset.from_dict({"input_ids": held_out}, features=features), torch.from_numpy(counts), report
    )


def _take_turns(opened: Sequence[Documents]) -> Iterator[tuple[CorpusSource, str]]:
    streams = [(documents.source, documents.stream()) for documents in opened]
    while streams:
        for entry in list(streams):
            text = next(entry[1], None)
            if text is None:
                streams.remove(entry)
            else:
                yield entry[0], text


def _make_shards(
    folder: Path,
    opened: list[Documents],
    tasks: list,
    tokenizer: PreTrainedTokenizerBase,
    settings: CorpusSettings,
    workers: int,
) -> list[str]:
    names = [f"shard-{number:05d}" for number in range(len(tasks))]
    todo = [(name, task) for name, task in zip(names, tasks, strict=True) if not (folder / name).is_dir()]
    jobs = [(folder, name, opened[task[0]], task, tokenizer, settings) for name, task in todo]
    bar = tqdm(total=len(tasks), initial=len(tasks) - len(jobs), desc="Tokenising", unit="shard", disable=not jobs)
    if workers > 1 and len(jobs) > 1:
        context = multiprocessing.get_context("fork" if not torch.cuda.is_initialized() else "spawn")
        with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context, initializer=_one_thread) as pool:
            for _ in pool.map(_make_shard, jobs):
                bar.update()
    else:
        for job in jobs:
            _make_shard(job)
            bar.update()
    bar.close()
    return names


def _one_thread() -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism


def _make_shard(job: tuple) -> None:
    """Tokenise one range of documents into ``folder/name``, written under a temporary name and renamed."""
    folder, name, documents, (_, start, stop), tokenizer, settings = job
    rules, fates = SequenceRules(settings.max_length), Counter()
    rows: dict[str, list] = {"train": [], "held_out": []}
    for text in documents.read(start, stop):
        copies = settings.copies(text, documents.source.weight)
        if not copies or not text.strip():
            continue
        fates["documents"] += 1
        held_out = settings.is_held_out(text)
        ignored = Counter()
        found = list(rules.sequences(text, tokenizer, ignored if held_out else fates))
        rows["held_out" if held_out else "train"] += found if held_out else found * copies
    size = len(tokenizer)
    flat = np.concatenate([np.asarray(row) for row in rows["train"]]) if rows["train"] else np.zeros(0, dtype=np.int64)
    fates["sequences"], fates["tokens"] = len(rows["train"]), len(flat)  # what is trained on: each copy counts
    temporary = folder / f".{name}-{os.getpid()}"
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        for split, found in rows.items():
            if found:  # datasets writes an empty set that it cannot read back
                dataset = datasets.Dataset.from_dict({"input_ids": found}, features=_features(size))
                dataset.save_to_disk(str(temporary / split), num_shards=1)
        np.save(temporary / "token_counts.npy", np.bincount(flat, minlength=size))
        (temporary / "stats.json").write_text(json.dumps(fates), encoding="utf-8")
        if not (folder / name).exists():  # else another process finished the same shard first
            temporary.rename(folder / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _features(vocab_size: int) -> datasets.Features:
    """Two bytes a token where the vocabulary allows it: half the disk, half the page cache."""
    dtype = "uint16" if vocab_size <= 2**16 else "int32"
    return datasets.Features({"input_ids": datasets.Sequence(datasets.Value(dtype))})


def _load_split(folder: Path, names: list[str], split: str, vocab_size: int) -> datasets.Dataset:
    parts = [datasets.load_from_disk(str(folder / name / split)) for name in names if (folder / name / split).is_dir()]
    if not parts:
        return datasets.Dataset.from_dict({"input_ids": []}, features=_features(vocab_size))
    return datasets.concatenate_datasets(parts)


def _uniform(purpose: str, seed: int, text: str) -> float:
    digest = hashlib.blake2b(f"{purpose}/{seed}/".encode() + text.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _cache_key(sources, hashes: list[str], settings: CorpusSettings, tokenizer: PreTrainedTokenizerBase) -> str:
    described = [
        {"sha256": digest, "format": s.format, "replace": s.replace, "weight": s.weight, "column": s.text_column}
        for s, digest in zip(sources, hashes, strict=True)
    ]
    backend = getattr(tokenizer, "backend_tokenizer", None)
    spelled = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    key = [
        RULES_VERSION,
        described,
        settings.choices(),
        hashlib.sha256(spelled.encode()).hexdigest(),
    ]
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def _report(sources, hashes: list[str | None], settings: CorpusSettings, fates: Counter, key: str | None) -> dict:
    return {
        "sources": [
            {"path": source.label, "weight": source.weight, "sha256": digest}
            for source, digest in zip(sources, hashes, strict=True)
        ],
        **settings.choices(),
        "streaming": False,
        **{
            name: fates[name]
            for name in ("documents", "sequences", "tokens", "cut", "dropped_short", "dropped_unknown")
        },
        "content_sha256": key,
    }
