"""The prepared corpus: which documents, which split, what is kept on the disk, and the stream that equals it."""

import errno
import os
import random
import shutil
import socket
from collections import Counter

import pytest

from evenhand.trainer import corpus_layout, token_shards
from evenhand.trainer.corpus import CorpusSettings, prepare_corpus, stream_corpus
from evenhand.trainer.corpus_sources import CorpusSource

WORDS = [
    "the",
    "old",
    "teacher",
    "was",
    "happy",
    "and",
    "he",
    "saw",
    "town",
    "girl",
    "with",
    "his",
    "mother",
    "in",
    "a",
    "law",
    "step",
    "man",
]


@pytest.fixture(scope="module")
def lines():
    """120 different lines of 11 to 20 words, which are 13 to 22 tokens."""
    draw = random.Random(0)
    made = {" ".join(draw.choices(WORDS, k=draw.randint(11, 20))) for _ in range(120)}
    assert len(made) == 120
    return sorted(made)


@pytest.fixture
def prepare(tmp_path, wordpiece):
    """``prepare(lines, …)``: a corpus of one text file of these lines (or of given sources), on one process."""

    def make(lines=None, *, sources=None, name="corpus.txt", cache="cache", weight=1.0, **settings):
        if sources is None:
            path = tmp_path / name
            path.write_text("\n".join(lines) + "\n")
            sources = [CorpusSource(path=str(path), weight=weight)]
        return prepare_corpus(sources, wordpiece, CorpusSettings(**settings), tmp_path / cache, workers=1)

    return make


def rows(dataset):
    return Counter(tuple(row["input_ids"]) for row in dataset)


def tokens(wordpiece, lines):
    return Counter((2, *wordpiece.encode(line, add_special_tokens=False), 3) for line in lines)


# -- which documents ---------------------------------------------------------------------------------------------------


def test_every_line_is_a_sequence_and_counts_are_of_the_training_set(prepare, lines, wordpiece):
    corpus = prepare(lines, held_out=0.2)
    train, held_out = rows(corpus.train), rows(corpus.held_out)
    assert train + held_out == tokens(wordpiece, lines)
    assert 10 < len(held_out) < 40 and not set(train) & set(held_out)
    expected = Counter(token for row, n in train.items() for token in row for _ in range(n))
    assert corpus.token_counts.tolist() == [expected[i] for i in range(len(wordpiece))]
    report = corpus.report
    assert report["documents"] == 120 and report["held_out_sequences"] == len(held_out)
    assert report["sequences"] == len(corpus.train) == sum(train.values())
    assert report["tokens"] == sum(expected.values())
    assert report["sources"][0]["path"] == "corpus.txt"


def test_fraction_is_a_set_of_documents_whatever_their_order(prepare, lines):
    shuffled = random.Random(1).sample(lines, len(lines))
    first = prepare(lines, fraction=0.3, held_out=0.2)
    again = prepare(shuffled, name="shuffled.txt", fraction=0.3, held_out=0.2)
    assert rows(first.train) == rows(again.train) and rows(first.held_out) == rows(again.held_out)
    chosen = len(first.train) + len(first.held_out)
    assert 18 < chosen < 56  # 36 ± 4 standard deviations
    assert first.report["documents"] == chosen
    assert len(first.held_out) < chosen / 2  # a fifth of the chosen, not of all documents


def test_fractions_are_nested_and_depend_on_the_seed(prepare, lines):
    small = set(rows(prepare(lines, fraction=0.2, held_out=0.0).train))
    large = set(rows(prepare(lines, fraction=0.5, held_out=0.0).train))
    other = set(rows(prepare(lines, fraction=0.5, held_out=0.0, seed=1).train))
    assert small < large and large != other


def test_held_out_set_is_stable_under_the_seed_and_under_new_documents(prepare, lines):
    first = set(rows(prepare(lines, held_out=0.2).held_out))
    more = set(rows(prepare([*lines, *(f"{line} again" for line in lines)], name="more.txt", held_out=0.2).held_out))
    other = set(rows(prepare(lines, held_out=0.2, seed=1).held_out))
    assert first <= more and first != other


def test_repeated_documents_fall_on_one_side_of_the_split(prepare, lines):
    corpus = prepare(lines * 2, held_out=0.3)
    assert not set(rows(corpus.train)) & set(rows(corpus.held_out))


def test_dropped_and_cut_sequences_are_reported(prepare, lines):
    unknown, short, long = " ".join(["qzx"] * 12), "he saw the town", " ".join(WORDS * 2)
    report = prepare([*lines[:20], unknown, short, long], held_out=0.0, max_length=24).report
    assert (report["documents"], report["dropped_unknown"], report["dropped_short"], report["cut"]) == (23, 1, 1, 1)
    assert report["sequences"] == 20 + 2


# -- sources and weights -----------------------------------------------------------------------------------------------


def test_weight_two_uses_every_training_document_twice(prepare, lines):
    once, twice = prepare(lines, held_out=0.2), prepare(lines, held_out=0.2, weight=2.0)
    assert rows(twice.train) == rows(once.train) + rows(once.train)
    assert rows(twice.held_out) == rows(once.held_out)
    assert twice.token_counts.tolist() == (2 * once.token_counts).tolist()
    assert twice.report["sequences"] == len(twice.train)
    assert twice.report["tokens"] == int(twice.token_counts.sum())


def test_weight_one_half_uses_a_half_of_the_documents(prepare, lines):
    once, half = rows(prepare(lines, held_out=0.0).train), rows(prepare(lines, held_out=0.0, weight=0.5).train)
    assert not half - once and 38 < sum(half.values()) < 82
    more = rows(prepare(lines, held_out=0.0, weight=1.5).train)
    assert more == once + half


def test_two_sources_are_both_used_each_with_its_weight(prepare, lines, tmp_path, wordpiece):
    (tmp_path / "a.txt").write_text("\n".join(lines[:50]))
    (tmp_path / "b").mkdir()
    for number in (0, 1):
        (tmp_path / "b" / f"{number}.txt").write_text("\n".join(lines[50 + 10 * number : 60 + 10 * number]))
    sources = [CorpusSource(path=str(tmp_path / "a.txt")), CorpusSource(path=str(tmp_path / "b"), weight=2.0)]
    corpus = prepare(sources=sources, held_out=0.0)
    assert rows(corpus.train) == tokens(wordpiece, lines[:50] + lines[50:70] * 2)
    assert [(entry["path"], entry["weight"]) for entry in corpus.report["sources"]] == [("a.txt", 1.0), ("b", 2.0)]


# -- the cache ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_shards(monkeypatch, lines):
    """Three shards of the 120 lines, and a list of those that were made."""
    made, original = [], token_shards._write
    size = -(-sum(len(line) + 1 for line in lines) // 3)
    monkeypatch.setattr(corpus_layout, "SHARD_BYTES", (size, size))
    monkeypatch.setattr(token_shards, "_write", lambda shard, place: made.append(shard.name) or original(shard, place))
    return made


def test_second_call_makes_no_shard(prepare, lines, small_shards):
    first = prepare(lines)
    assert sorted(small_shards) == ["shard-00000", "shard-00001", "shard-00002"]
    again = prepare(lines)
    assert len(small_shards) == 3
    assert rows(first.train) == rows(again.train) and first.report == again.report
    assert first.token_counts.tolist() == again.token_counts.tolist()


def test_shards_change_nothing_in_what_comes_out(prepare, lines, small_shards, monkeypatch):
    many = prepare(lines, held_out=0.2)
    monkeypatch.setattr(corpus_layout, "SHARD_BYTES", (1 << 20, 1 << 20))
    one = prepare(lines, held_out=0.2, cache="other")
    assert len(small_shards) == 4
    assert [row["input_ids"] for row in many.train] == [row["input_ids"] for row in one.train]
    assert many.report == one.report


def test_interrupted_preparation_makes_only_what_is_missing(prepare, lines, small_shards, tmp_path):
    before = prepare(lines)
    expected = rows(before.train)
    (folder,) = (tmp_path / "cache").iterdir()
    shutil.rmtree(folder / "shard-00001")
    dead, alive, elsewhere = (
        folder / f".shard-00001.{host}.{pid}"
        for host, pid in (
            (socket.gethostname(), 2**22 + 1),
            (socket.gethostname(), os.getppid()),
            ("elsewhere", 2**22 + 1),
        )
    )
    for left in (dead, alive, elsewhere):
        left.mkdir()
    small_shards.clear()
    after = prepare(lines)
    assert small_shards == ["shard-00001"] and rows(after.train) == expected
    assert not dead.exists() and alive.exists() and elsewhere.exists()  # those may still be written to


def test_a_full_disk_leaves_the_finished_shards(prepare, lines, small_shards, monkeypatch, tmp_path):
    original = token_shards._write

    def break_second(shard, folder):
        if len(small_shards) == 1:
            (folder / "train.arrow").write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(shard, folder)

    with (
        monkeypatch.context() as patch,
        pytest.raises(RuntimeError, match=r"disk of .* is full\. Finished shards") as error,
    ):
        patch.setattr(token_shards, "_write", break_second)
        prepare(lines)
    assert "\n" not in str(error.value)
    (folder,) = (tmp_path / "cache").iterdir()
    assert [path.name for path in folder.iterdir()] == small_shards
    prepare(lines)
    assert sorted(small_shards) == ["shard-00000", "shard-00001", "shard-00002"]


def test_workers_give_what_one_process_gives(prepare, lines, small_shards, tmp_path, wordpiece):
    one = prepare(lines, held_out=0.2)
    sources = [CorpusSource(path=str(tmp_path / "corpus.txt"))]
    two = prepare_corpus(sources, wordpiece, CorpusSettings(held_out=0.2), tmp_path / "other", workers=2)
    assert [row["input_ids"] for row in one.train] == [row["input_ids"] for row in two.train]
    assert one.report == two.report


def test_default_workers_are_the_cores_that_a_scheduler_gave(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert token_shards.available_cores() == 3


def test_other_content_settings_or_tokenizer_have_another_key(prepare, lines, tmp_path, byte_bpe):
    keys = [
        prepare(lines).report["content_sha256"],
        prepare([*lines[:-1], lines[-1] + " old"]).report["content_sha256"],
        prepare(lines, seed=1).report["content_sha256"],
        prepare(lines, max_length=20).report["content_sha256"],
        prepare(lines, weight=2.0).report["content_sha256"],
    ]
    source = [CorpusSource(path=str(tmp_path / "corpus.txt"))]
    keys.append(prepare_corpus(source, byte_bpe, CorpusSettings(), tmp_path / "cache", 1).report["content_sha256"])
    assert len(set(keys)) == len(keys) == len(list((tmp_path / "cache").iterdir()))
    assert prepare(lines, name="elsewhere.txt").report["content_sha256"] == keys[0]


def test_what_a_tokenizer_was_last_used_for_does_not_change_the_key(prepare, lines, wordpiece):
    first = prepare(lines[:30]).report["content_sha256"]
    wordpiece(lines[:2], truncation=True, max_length=8, padding="max_length")
    assert prepare(lines[:30]).report["content_sha256"] == first


def test_bytes_of_the_cache_are_foretold(lines, tmp_path, wordpiece, monkeypatch):
    monkeypatch.setattr(corpus_layout, "SHARD_BYTES", (100_000, 100_000))
    text = [f"{line} {number}" for number in range(30) for line in lines]  # numbers are unknown words: a token each
    path = tmp_path / "large.txt"
    path.write_text("\n".join(text) + "\n")
    cache = tmp_path / "foretold"

    def needed(**settings):
        source = CorpusSource(path=str(path), weight=settings.pop("weight", 1.0))
        return corpus_layout.cache_bytes_needed([source.open()], wordpiece, CorpusSettings(**settings), cache)

    before = needed()
    prepare_corpus([CorpusSource(path=str(path))], wordpiece, CorpusSettings(), cache, workers=1)
    written = sum(file.stat().st_size for file in cache.rglob("*.arrow"))
    assert 0.8 < before / written < 1.25
    assert needed() == 0
    assert needed(fraction=0.5) == pytest.approx(before / 2, abs=1)
    assert needed(weight=2.0) == pytest.approx(2 * before, abs=1)
    (folder,) = cache.iterdir()
    shutil.rmtree(folder / "shard-00000")
    assert needed() == pytest.approx(before / 3, abs=1)


# -- errors ------------------------------------------------------------------------------------------------------------


def test_corpora_without_a_sequence_are_refused_in_one_line(prepare, tmp_path, wordpiece):
    with pytest.raises(ValueError, match=r"corpus\.sources is empty"):
        prepare(sources=[])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        prepare(sources=[CorpusSource(path=str(tmp_path / "nowhere"))])
    with pytest.raises(
        ValueError, match=r"2 documents chosen, 1 sequences dropped with 11 tokens.* 1 mostly unknown"
    ) as error:
        prepare(["he saw", "qzx " * 12], held_out=0.0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    (
        ({"fraction": 0.0}, "corpus.fraction"),
        ({"fraction": 1.5}, "corpus.fraction"),
        ({"held_out": 1.0}, "corpus.held_out"),
        ({"held_out": -0.1}, "corpus.held_out"),
        ({"max_length": 5}, "corpus.max_length"),
    ),
)
def test_shares_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        CorpusSettings(**settings)


# -- the stream --------------------------------------------------------------------------------------------------------


def test_stream_yields_the_sequences_of_the_prepared_corpus(prepare, lines, tmp_path, wordpiece):
    prepared = prepare(lines, fraction=0.6, held_out=0.2, weight=2.0)
    source = CorpusSource(path=str(tmp_path / "corpus.txt"), weight=2.0)
    settings = CorpusSettings(fraction=0.6, held_out=0.2)
    stream = stream_corpus([source], wordpiece, settings, shuffle_buffer=16)
    assert rows(stream.train) == rows(prepared.train)
    assert rows(stream.held_out) == rows(prepared.held_out)
    assert stream.token_counts.tolist() == prepared.token_counts.tolist()
    assert stream.report["streaming"] and stream.report["token_counts_from_sequences"] == len(prepared.train)


def test_stream_takes_turns_between_sources_and_goes_on_when_one_ends(lines, tmp_path, wordpiece):
    for name, part in (("a.txt", lines[:3]), ("b.txt", lines[3:9])):
        (tmp_path / name).write_text("\n".join(part))
    sources = [CorpusSource(path=str(tmp_path / name)) for name in ("a.txt", "b.txt")]
    stream = stream_corpus(sources, wordpiece, CorpusSettings(held_out=0.0), shuffle_buffer=1)
    order = [lines[0], lines[3], lines[1], lines[4], lines[2], *lines[5:9]]
    assert [tuple(row["input_ids"]) for row in stream.train] == list(tokens(wordpiece, order))
    assert len(stream.held_out) == 0


def test_stream_without_a_sequence_is_refused(tmp_path, wordpiece):
    (tmp_path / "short.txt").write_text("he saw\n")
    with pytest.raises(ValueError, match="no training sequence"):
        stream_corpus([CorpusSource(path=str(tmp_path / "short.txt"))], wordpiece, CorpusSettings())
    with pytest.raises(ValueError, match=r"corpus\.sources is empty"):
        stream_corpus([], wordpiece, CorpusSettings())
