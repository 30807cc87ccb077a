"""Memory that does not grow with the corpus, and preparations that are killed or run side by side."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from corpus_memory import corpus_memory
from test_trainer_corpus import WORDS

from evenhand.trainer import corpus_layout, token_shards
from evenhand.trainer.corpus import CorpusSettings, prepare_corpus
from evenhand.trainer.corpus_sources import CorpusSource

ROOT = Path(__file__).resolve().parents[2]
SIZES = (1_000_000, 8_000_000)

linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads memory from Linux's /proc")


def write_text(path, size):
    """Lines of 12 to 40 words, ``size`` bytes in all."""
    draw, written = random.Random(0), 0
    with path.open("w") as file:
        while written < size:
            written += file.write(" ".join(draw.choices(WORDS, k=draw.randint(12, 40))) + "\n")
    return path


@pytest.fixture(scope="module")
def memory(tmp_path_factory, wordpiece):
    """For each size: see `corpus_memory`."""
    folder = tmp_path_factory.mktemp("scale")
    warm_up, *texts = (write_text(folder / f"{size}.txt", size) for size in (100_000, *SIZES))
    return corpus_memory(wordpiece, folder, warm_up, texts)


# -- memory ------------------------------------------------------------------------------------------------------------


@linux
def test_eight_times_the_text_takes_no_more_memory_to_prepare(memory):
    small, large = (prepared for prepared, _, _ in memory)
    # 7 MB more text: lists of its ids take 20 MB; without them the heap's gaps make 2 to 3 MB
    assert large - small < 7e6, (small, large)


@linux
def test_training_reads_from_the_disk_and_not_from_memory(memory):
    (small, _), (large, files) = (found[1:] for found in memory)
    assert large - small < 2.2e6, (small, large)  # a copy of the tokens would be 3.7 MB
    assert len(files) == 8 and sum(files) > 3.7e6


@pytest.mark.heavy
def test_two_hundred_megabytes_stay_within_the_bar():
    """The benchmark ends with an error where ten times the text takes 300 MB more over all processes."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "corpus"], cwd=ROOT, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| 200 |" in done.stdout


# -- killed, or side by side -------------------------------------------------------------------------------------------


@pytest.fixture
def many_shards(tmp_path, wordpiece, monkeypatch):
    """``prepare(workers)`` of some forty shards, each of which takes a while; what is made is written to a file by name."""
    text = write_text(tmp_path / "corpus.txt", 40_000)
    original = token_shards._write

    def slow(shard, folder):
        time.sleep(0.1)
        done = original(shard, folder)
        with (tmp_path / "made.txt").open("a") as file:
            file.write(f"{shard.name}\n")
        return done

    monkeypatch.setattr(corpus_layout, "SHARD_BYTES", (1000, 1000))
    monkeypatch.setattr(token_shards, "_write", slow)

    def prepare(workers=2):
        return prepare_corpus([CorpusSource(path=str(text))], wordpiece, CorpusSettings(), tmp_path / "cache", workers)

    return prepare


def finished(folder):
    return sorted(path.name for path in folder.glob("cache/corpus-*/shard-*"))


def start(work):
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_killed_preparation_goes_on_with_the_unfinished_shards_alone(many_shards, tmp_path):
    process = start(many_shards)
    wait_until(lambda: len(finished(tmp_path)) >= 5)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    wait_until(lambda: not any(worker.is_running() and worker.status() != "zombie" for worker in workers))
    before = finished(tmp_path)
    assert 5 <= len(before) < 30
    (tmp_path / "made.txt").unlink()
    corpus = many_shards()
    made = (tmp_path / "made.txt").read_text().split()
    everything = finished(tmp_path)
    assert len(everything) == 41 and sorted(made) == sorted(set(everything) - set(before))
    (folder,) = (tmp_path / "cache").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == everything  # nothing is left of what was torn
    whole = corpus.report["tokens"]
    assert whole == sum(len(row["input_ids"]) for row in corpus.train) == int(corpus.token_counts.sum())


def test_processes_that_prepare_one_corpus_share_the_work(many_shards, tmp_path):
    both = [start(lambda: many_shards(1)) for _ in range(2)]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    made = (tmp_path / "made.txt").read_text().split()
    assert len(set(made)) == 41
    assert len(made) < 41 + 15  # each alone, or both in one order: about 82
    assert many_shards(1).report["sequences"] == len(many_shards(1).train)


def test_a_killed_worker_is_one_line_that_says_what_to_do(many_shards, tmp_path, monkeypatch):
    original = token_shards._write

    def die(shard, folder):
        if len(finished(tmp_path)) >= 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(shard, folder)

    monkeypatch.setattr(token_shards, "_write", die)
    with pytest.raises(RuntimeError, match=r"process was killed.*fewer corpus\.workers") as error:
        many_shards()
    assert "\n" not in str(error.value)
