"""Each kind of source gives the same documents, and bad ones are refused in one line."""

import gzip
import json
import os
import random
import zipfile

import datasets
import pytest

from evenhand.trainer import content_hash
from evenhand.trainer import documents as documents_module
from evenhand.trainer.corpus_sources import CorpusSource

TEXTS = ["he saw the town", "Grüße aus the old town", "she was happy"]


def write(folder, kind):
    """The three texts as ``kind``; returns the path."""
    path = folder / f"corpus.{kind}"
    if kind == "txt":
        path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    elif kind in ("jsonl", "json"):
        path.write_text("".join(json.dumps({"text": text, "n": 1}) + "\n" for text in TEXTS), encoding="utf-8")
    elif kind == "parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"text": TEXTS}), path)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for number, text in enumerate(TEXTS):
                archive.writestr(f"books/{number}.txt", text)
            archive.writestr("books/README", "not a document")
            archive.writestr("__MACOSX/0.txt", "not a document")
            archive.writestr("books/empty.txt", "")
    else:
        path.mkdir()
        for number, text in enumerate(TEXTS):
            (path / f"{number}.txt").write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ("txt", "jsonl", "json", "parquet", "zip", "folder"))
def test_every_kind_of_source_gives_its_documents_in_order(tmp_path, kind):
    source = CorpusSource(path=str(write(tmp_path, kind)))
    documents = source.open()
    assert list(documents.stream()) == TEXTS
    assert documents.n_bytes() >= sum(len(text.encode()) for text in TEXTS)
    assert source.label == f"corpus.{kind}"
    assert list(source.open(streaming=True).stream()) == TEXTS


@pytest.mark.parametrize("kind", ("txt", "jsonl", "parquet", "zip", "folder"))
@pytest.mark.parametrize("target", (1, 7, 30, 10_000))
def test_parts_of_any_size_hold_every_document_once_and_in_order(tmp_path, kind, target):
    documents = CorpusSource(path=str(write(tmp_path, kind))).open()
    parts = [documents.part(*place) for place in documents.ranges(target)]
    assert [text for part in parts for text in part.stream()] == TEXTS
    assert (len(parts) == 1) == (target == 10_000)


def test_lines_are_what_text_files_have_wherever_a_part_begins(tmp_path):
    """Against Python's own text files: all three line ends, no other, letters of several bytes, empty lines, no end at the end."""
    draw = random.Random(0)
    alphabet = ["a", "é", "語", "😀", "\x85", "\u2028", "\x0b", " ", "\n", "\n", "\r\n", "\r"]
    for number in range(40):
        file = tmp_path / f"{number}.txt"
        file.write_bytes("".join(draw.choices(alphabet, k=draw.randint(1, 60))).encode())
        with file.open(encoding="utf-8") as opened:
            expected = [line.rstrip("\n") for line in opened if line.rstrip("\n")]
        documents = CorpusSource(path=str(file)).open()
        assert list(documents.stream()) == expected
        for target in (1, 2, 3, 5, 17):
            parts = [documents.part(*place) for place in documents.ranges(target)]
            assert [line for part in parts for line in part.stream()] == expected


def test_long_lines_and_blocks_are_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(documents_module, "BLOCK", 8)
    lines = ["a", "b" * 50, "ö" * 9, "c" * 8, "d" * 7, "e"]
    (tmp_path / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    documents = CorpusSource(path=str(tmp_path / "a.txt")).open()
    for target in (3, 9, 1000):
        assert [t for place in documents.ranges(target) for t in documents.part(*place).stream()] == lines


def test_parts_of_files_and_archives_are_about_as_large_as_asked(tmp_path):
    folder, archive = tmp_path / "folder", tmp_path / "a.zip"
    folder.mkdir()
    sizes = [10, 10, 90, 5, 5, 5, 100, 1]
    with zipfile.ZipFile(archive, "w") as file:
        for number, size in enumerate(sizes):
            (folder / f"{number}.txt").write_text("x" * size)
            file.writestr(f"{number}.txt", "x" * size)
    for path in (folder, archive):
        documents = CorpusSource(path=str(path)).open()
        assert documents.ranges(20) == [(0, 2), (2, 3), (3, 7), (7, 8)]
        assert documents.n_bytes() == sum(sizes)


def test_files_of_a_directory_are_read_in_the_order_of_their_paths(tmp_path):
    for name in ("b/1.txt", "b.txt", "a/z/1.txt", "a/B.txt", "a.d/1.txt", "c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    expected = [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*")) if p.is_file()]
    assert list(CorpusSource(path=str(tmp_path)).open().stream()) == expected


def test_compressed_files_are_unpacked_while_they_are_read(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("\n".join(TEXTS).encode()))
    rows = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(rows.encode()))
    for name in ("a.txt.gz", "b.jsonl.gz"):
        assert list(CorpusSource(path=str(tmp_path / name)).open().stream()) == TEXTS


def test_directory_of_jsonl_files_is_rows(tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        (folder / name).write_text('{"text": "one"}\n{"text": "two"}\n')
    assert list(CorpusSource(path=str(folder)).open().stream()) == ["one", "two"] * 2


def test_other_text_columns_are_read_by_name(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"body": "he saw"}\n')
    assert list(CorpusSource(path=str(file), text_column="body").open().stream()) == ["he saw"]
    with pytest.raises(ValueError, match=r"rows\.jsonl has no column 'text'; set text_column to one of body"):
        CorpusSource(path=str(file)).open()


def test_tags_are_removed_and_strings_replaced(tmp_path):
    file = tmp_path / "brown.txt"
    file.write_text("The/at jury/nn said/vbd 1/2/cd <unk>/nn ./.\n")
    source = CorpusSource(path=str(file), format="tagged", replace={"<unk>": "[UNK]"})
    assert list(source.open().stream()) == ["The jury said 1/2 [UNK] ."]


def test_bytes_that_are_not_utf8_are_read_as_latin1_and_binaries_refused(tmp_path):
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "a.txt").write_bytes("café".encode("latin-1"))
    assert list(CorpusSource(path=str(folder)).open().stream()) == ["café"]
    (folder / "b.bin").write_bytes(b"\xff\0\xfe\0")
    with pytest.raises(ValueError, match=r"b\.bin is not text"):
        list(CorpusSource(path=str(folder)).open().stream())


def test_hash_follows_content_and_not_place_or_names(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, names in ((one, "ab"), (two, "dc")):
        folder.mkdir()
        for name, text in zip(names, ("first", "second"), strict=True):
            (folder / name).write_text(text)
    digest = CorpusSource(path=str(one)).open().sha256()
    other = CorpusSource(path=str(two)).open()
    assert other.sha256() == digest
    assert other.sha256(in_order=True) != CorpusSource(path=str(one)).open().sha256(in_order=True)  # "c" is read first
    (two / "c").write_text("other")
    assert CorpusSource(path=str(two)).open().sha256() != digest


@pytest.mark.parametrize("kind", ("txt", "jsonl", "zip", "folder"))
def test_content_is_read_for_its_hash_once_in_a_process_and_again_when_it_changes(tmp_path, monkeypatch, kind):
    path = write(tmp_path, kind)
    files = [path] if path.is_file() else sorted(path.iterdir())
    for file in files:
        os.utime(file, (1e9, 1e9))
    read = []
    original = content_hash.remembered
    monkeypatch.setattr(
        documents_module, "remembered", lambda files, compute: original(files, lambda: read.append(1) or compute())
    )
    source = CorpusSource(path=str(path))
    first = source.open().sha256()
    assert source.open().sha256() == first and source.open().sha256(in_order=True) and len(read) == 1
    files[-1].write_bytes(files[-1].read_bytes())  # just now: it may change again within the clock's tick
    assert source.open().sha256() == first == source.open().sha256() and len(read) == 3


def test_a_change_of_the_same_size_is_seen_in_the_hash(tmp_path):
    file = tmp_path / "a.txt"
    seen = set()
    for number in range(5):  # faster than the clock of the file system ticks
        file.write_text(f"he saw {number}")
        seen.add(CorpusSource(path=str(file)).open().sha256())
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({}, "either path"),
        ({"path": "a", "hub": "b"}, "either path"),
        ({"path": "a", "format": "xml"}, "plain, tagged"),
        ({"path": "a", "weight": 0.0}, "weight must be above 0"),
        ({"path": "a", "weight": float("nan")}, "weight must be above 0"),
    ),
)
def test_impossible_sources_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CorpusSource(**options)


def test_missing_empty_and_unreadable_paths_are_named_in_one_line(tmp_path):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.zip").write_text("no archive")
    (tmp_path / "broken.jsonl").write_text('{"text": "a"}\n{"text": \n')
    with zipfile.ZipFile(tmp_path / "bare.zip", "w") as archive:
        archive.writestr("README", "nothing else")
    for name, kind, message in (
        ("nowhere.txt", FileNotFoundError, "does not exist"),
        ("empty.txt", ValueError, "is empty"),
        ("folder", ValueError, "holds no files"),
        ("broken.zip", ValueError, "not a readable zip"),
        ("bare.zip", ValueError, "holds no text files"),
        ("broken.jsonl", ValueError, "could not be read"),
    ):
        with pytest.raises(kind, match=message) as error:
            CorpusSource(path=str(tmp_path / name)).open()
        assert name in str(error.value) and "\n" not in str(error.value)


def test_text_that_is_not_utf8_is_refused_when_it_is_hashed_and_when_it_is_read(tmp_path):
    file = tmp_path / "old.txt"
    file.write_bytes(b"he saw\n" * 100 + "café".encode("latin-1") + b"\n")
    for use in (lambda documents: documents.sha256(), lambda documents: list(documents.stream())):
        with pytest.raises(ValueError, match=r"old\.txt could not be read: it is not UTF-8") as error:
            use(CorpusSource(path=str(file)).open())
        assert "\n" not in str(error.value)
    cut = tmp_path / "cut.txt"
    cut.write_bytes("he saw é".encode()[:-1])
    with pytest.raises(ValueError, match="not UTF-8"):
        CorpusSource(path=str(cut)).open().sha256()


def test_archives_that_are_damaged_or_packed_in_an_unusual_way_are_named(tmp_path):
    stored, packed = tmp_path / "stored.zip", tmp_path / "packed.zip"
    for path, method in ((stored, zipfile.ZIP_STORED), (packed, zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("one.txt", "he saw the town " * 20)
            archive.writestr("two.txt", "she was happy " * 20)
        assert list(CorpusSource(path=str(path)).open().stream()) == ["he saw the town " * 20, "she was happy " * 20]
        data = bytearray(path.read_bytes())
        data[45] ^= 0xFF  # within the first member
        path.write_bytes(bytes(data))
        with pytest.raises(ValueError, match=rf"{path.name} is damaged at one\.txt"):
            list(CorpusSource(path=str(path)).open().stream())
    with zipfile.ZipFile(tmp_path / "rare.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("one.txt", "he saw the town")
    with pytest.raises(
        ValueError, match=r"rare\.zip holds one\.txt, which is encrypted or compressed in an unusual way"
    ):
        CorpusSource(path=str(tmp_path / "rare.zip")).open()


def test_a_hub_data_set_is_asked_for_by_name_split_and_revision(monkeypatch):
    asked = []

    def load(*args, **kwargs):
        asked.append((args, kwargs))
        return datasets.Dataset.from_dict({"body": ["one text", "two texts"], "other": [1, 2]})

    monkeypatch.setattr(datasets, "load_dataset", load)
    source = CorpusSource(hub="some/set", name="en", split="train[:2]", revision="v1", text_column="body")
    assert list(source.open().stream()) == ["one text", "two texts"] and source.label == "some/set"
    assert asked == [(("some/set", "en"), {"split": "train[:2]", "revision": "v1", "streaming": False})]
    with pytest.raises(ValueError, match="no column 'text'; set text_column to one of body, other"):
        CorpusSource(hub="some/set").open()


def test_a_hub_data_set_that_cannot_be_reached_is_one_line(monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError("no route\nmany lines")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(FileNotFoundError, match=r"^Data set some/set could not be loaded from the Hub: no route$"):
        CorpusSource(hub="some/set").open()
