"""The training corpus: tokenised once, in parallel, into memory-mapped Arrow shards; or streamed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import datasets
import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from evenhand.trainer.corpus_layout import CorpusLayout
from evenhand.trainer.corpus_settings import CorpusSettings
from evenhand.trainer.corpus_sources import CorpusSource
from evenhand.trainer.documents import Documents
from evenhand.trainer.pair_dense_text import LEFT_OUT
from evenhand.trainer.sequences import SequenceRules
from evenhand.trainer.token_shards import (
    SPLITS,
    Shard,
    available_cores,
    load_split,
    make_shards,
    read_facts,
    token_features,
)
from evenhand.trainer.training_text import TrainingText

COUNTED = ("documents", "sequences", "tokens", "cut", "dropped_short", "dropped_unknown")
"""Names of what is counted of every corpus."""


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
    grow with the corpus: shards are written as they are made and read memory-mapped. Several processes may prepare one corpus at once.

    Args:
        sources: at least one.
        tokenizer: of student and teacher.
        settings: see :class:`CorpusSettings`.
        cache_dir: e.g. ``run/cache``.
        workers: processes; default all cores that this process may use.

    Raises:
        ValueError: no source, or no sequence left; the message says how many were dropped and why. FileNotFoundError: a path does not exist.
        RuntimeError: a worker was killed, or the disk is full; finished shards are kept.
    """
    layout = CorpusLayout.of(_opened(sources), tokenizer, settings, cache_dir)
    layout.folder.mkdir(parents=True, exist_ok=True)
    todo = [Shard(layout.folder, name, part, tokenizer, settings) for name, part in layout.missing()]
    make_shards(todo, len(layout.parts), workers or available_cores())
    fates, counts = Counter(), np.zeros(len(tokenizer), dtype=np.int64)
    for name in layout.names:
        of_shard, counts_of_shard = read_facts(layout.folder / name)
        fates.update(of_shard)
        counts += counts_of_shard
    train, held_out = (load_split(layout.folder, layout.names, split, len(tokenizer)) for split in SPLITS)
    if len(train) == 0:
        raise ValueError(
            f"The corpus gave no training sequence: {fates['documents']} documents chosen, {fates['dropped_short']} sequences "
            f"dropped with 11 tokens or fewer, {fates['dropped_unknown']} mostly unknown{_left_out(fates)}. Check the paths, corpus.fraction and the tokenizer."
        )
    report = _report(sources, layout.hashes, settings, fates, layout.key) | {"held_out_sequences": len(held_out)}
    return Corpus(train, held_out, torch.from_numpy(counts), report)


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
    opened = _opened(sources, streaming=True)
    rules, made = SequenceRules(settings.max_length), TrainingText.of(settings)

    def sequences(held_out: bool) -> Iterator[dict]:
        for source, text in _take_turns(opened):
            if settings.is_held_out(text) == held_out:
                copies = settings.copies(text, source.weight)
                if copies and not held_out:
                    text = made.of_document(text, Counter())
                for _ in range(min(copies, 1) if held_out else copies):
                    yield from ({"input_ids": ids} for ids in rules.sequences(text, tokenizer, Counter()))

    counts = np.zeros(len(tokenizer), dtype=np.int64)
    seen = 0
    for row in tqdm(islice(sequences(False), counted_sequences), desc="Counting tokens", total=counted_sequences):
        counts += np.bincount(row["input_ids"], minlength=len(counts))
        seen += 1
    if not seen:
        raise ValueError(
            "The corpus stream gave no training sequence; check the paths, corpus.fraction and corpus.pair_share."
        )
    held_out = [row["input_ids"] for row in islice(sequences(True), held_out_sequences)] if settings.held_out else []
    features = token_features(len(tokenizer))
    train = datasets.IterableDataset.from_generator(sequences, features=features, gen_kwargs={"held_out": False})
    train = train.shuffle(seed=settings.seed, buffer_size=shuffle_buffer)
    hashes = [documents.sha256() if documents.source.path else None for documents in opened]
    report = _report(sources, hashes, settings, Counter(), None) | {
        "streaming": True,
        # not known before the stream has been read to its end
        **dict.fromkeys((*COUNTED, *made.counted)),
        "held_out_sequences": len(held_out),
        "token_counts_from_sequences": seen,
    }
    return Corpus(
        train, datasets.Dataset.from_dict({"input_ids": held_out}, features=features), torch.from_numpy(counts), report
    )


def _opened(sources: Sequence[CorpusSource], streaming: bool = False) -> list[Documents]:
    if not sources:
        raise ValueError("corpus.sources is empty; name at least one file, directory or data set.")
    return [source.open(streaming) for source in sources]


def _take_turns(opened: Sequence[Documents]) -> Iterator[tuple[CorpusSource, str]]:
    streams = [(documents.source, documents.stream()) for documents in opened]
    while streams:
        for entry in list(streams):
            text = next(entry[1], None)
            if text is None:
                streams.remove(entry)
            else:
                yield entry[0], text


def _left_out(fates: Counter) -> str:
    lines = fates[LEFT_OUT]
    return f", {lines} lines left out by corpus.pair_share" if lines else ""


def _report(sources, hashes: list[str | None], settings: CorpusSettings, fates: Counter, key: str | None) -> dict:
    made = TrainingText.of(settings)
    return {
        "sources": [
            {"path": source.label, "weight": source.weight, "sha256": digest}
            for source, digest in zip(sources, hashes, strict=True)
        ],
        **settings.choices(),
        **made.report(),
        "streaming": False,
        **{name: fates[name] for name in (*COUNTED, *made.counted)},
        "content_sha256": key,
    }
