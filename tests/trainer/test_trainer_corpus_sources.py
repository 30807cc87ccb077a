"""Each kind of source gives the same documents, and bad ones are refused in one line."""

import json
import zipfile

import datasets
import pytest

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
    assert len(documents) == 3
    assert list(documents.read(0, 3)) == TEXTS == list(documents.stream())
    assert list(documents.read(1, 2)) == TEXTS[1:2]
    assert source.label == f"corpus.{kind}"
    assert list(source.open(streaming=True).stream()) == TEXTS


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
