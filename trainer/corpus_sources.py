"""Where text comes from: files, directories, zip archives, jsonl, parquet, the Hub. One unit is one document."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import datasets

FORMATS = ("plain", "tagged")


@dataclass(frozen=True)
class CorpusSource:
    """One source of documents.

    A row of jsonl, parquet or a Hub data set is a document; so is each file of a directory or zip archive, and each line of
    a single text file.

    Args:
        path: a local text file, directory, ``.zip``, ``.jsonl``/``.json`` or ``.parquet``; or None with ``hub``.
        hub: name of a data set on the Hub.
        name: its configuration. split: its split, default ``train``. revision: its revision.
        text_column: the column that holds text in rows. Default ``text``.
        format: ``plain`` (default) or ``tagged`` (``word/TAG`` tokens, as in the Brown corpus; tags are removed).
        replace: strings to replace in every document, e.g. ``{"<unk>": "[UNK]"}``.
        weight: how often each document is used: 1 once, .5 a seeded half of the documents, 2 each twice. Default 1.

    Raises:
        ValueError: neither or both of path and hub, an unknown format, a weight that is not positive.
    """

    path: str | None = None
    hub: str | None = None
    name: str | None = None
    split: str = "train"
    revision: str | None = None
    text_column: str = "text"
    format: str = "plain"
    replace: dict[str, str] = field(default_factory=dict)
    weight: float = 1.0

    def __post_init__(self) -> None:
        if (self.path is None) == (self.hub is None):
            raise ValueError("corpus.sources: each source needs either path (local) or hub (a data set's name).")
        if self.format not in FORMATS:
            raise ValueError(f"corpus.sources: format must be one of {', '.join(FORMATS)}, not {self.format!r}.")
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"corpus.sources: weight must be above 0, not {self.weight}.")

    @property
    def label(self) -> str:
        """A name without the machine's folders in it."""
        return self.hub or Path(self.path).name

    def open(self, streaming: bool = False) -> Documents:
        """Open the source.

        Raises:
            FileNotFoundError: the path does not exist. ValueError: it holds no text, or lacks the text column.
        """
        if self.hub is not None:
            try:
                rows = datasets.load_dataset(
                    self.hub, self.name, split=self.split, revision=self.revision, streaming=streaming
                )
            except Exception as error:  # the Hub client raises many kinds; each ends the same way for the user
                message = str(error).strip().splitlines()[0]
                raise FileNotFoundError(f"Data set {self.hub} could not be loaded from the Hub: {message}") from None
            return self._rows(rows, None, streaming)
        path = Path(self.path).expanduser()
        if not path.exists():
            raise FileNotFoundError(f"Corpus path {path} does not exist.")
        if path.is_file() and path.stat().st_size == 0:
            raise ValueError(f"Corpus file {path} is empty.")
        if path.suffix == ".zip":
            return _zip_documents(self, path)
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        if not files:
            raise ValueError(f"Corpus directory {path} holds no files.")
        builder = _row_builder(files)
        if builder is None and path.is_dir():
            return FileDocuments(self, files)
        kwargs = {"keep_linebreaks": False} if builder is None else {}
        names = [str(p) for p in files]
        try:
            rows = datasets.load_dataset(
                builder or "text", data_files=names, split="train", streaming=streaming, **kwargs
            )
        except Exception as error:  # pyarrow and json errors arrive wrapped in one of several builder errors
            cause = str(error.__cause__ or error).strip().splitlines()[0]
            raise ValueError(f"Corpus file {path} could not be read: {cause}") from None
        return self._rows(rows, files, streaming)

    def _rows(self, rows, files: list[Path] | None, streaming: bool) -> RowDocuments:
        columns = rows.column_names
        if columns is not None and self.text_column not in columns:
            raise ValueError(
                f"Corpus {self.label} has no column {self.text_column!r}; set text_column to one of {', '.join(columns)}."
            )
        return RowDocuments(self, rows, files, streaming)

    def clean(self, text: str) -> str:
        """Apply ``format`` and ``replace``."""
        if self.format == "tagged":
            text = _TAG.sub(r"\1", text)
        for old, new in self.replace.items():
            text = text.replace(old, new)
        return text


_TAG = re.compile(r"(\S+)/\S+")


class Documents:
    """Documents of one source: ``len``, ``read(start, stop)`` for random access by ranges, and ``sha256`` of the content."""

    source: CorpusSource

    def __len__(self) -> int:
        raise TypeError("the size of a stream is not known")

    def read(self, start: int, stop: int) -> Iterator[str]:
        """Cleaned texts of documents ``start … stop``."""
        raise TypeError("a stream has no ranges")

    def stream(self) -> Iterator[str]:
        """Cleaned texts of all documents, one after the other."""
        return self.read(0, len(self))

    def digests(self) -> list[str]:
        """Hashes of the source's parts (files, or the whole), in the order in which they are read."""
        raise TypeError("a stream is not hashed")

    @cached_property
    def _digests(self) -> list[str]:
        return self.digests()

    def sha256(self, in_order: bool = False) -> str:
        """Hash of the content; independent of where it lies, of file names and, unless ``in_order``, of the order of files."""
        return hashlib.sha256("".join(self._digests if in_order else sorted(self._digests)).encode()).hexdigest()


class RowDocuments(Documents):
    """Rows of an Arrow data set (memory-mapped) or of a stream."""

    def __init__(self, source: CorpusSource, rows, files: list[Path] | None, streaming: bool) -> None:
        self.source, self.rows, self.files, self.streaming = source, rows, files, streaming

    def __len__(self) -> int:
        return super().__len__() if self.streaming else len(self.rows)

    def read(self, start: int, stop: int) -> Iterator[str]:
        column = self.source.text_column
        for batch in self.rows.select(range(start, stop)).select_columns(column).iter(batch_size=1000):
            yield from (self.source.clean(text) for text in batch[column] if text)

    def stream(self) -> Iterator[str]:
        if not self.streaming:
            return super().stream()
        return (self.source.clean(row[self.source.text_column] or "") for row in self.rows)

    def digests(self) -> list[str]:
        if self.files is not None:
            return [_hash_file(path) for path in self.files]
        return [self.rows._fingerprint]


class FileDocuments(Documents):
    """Files of a directory, one document each."""

    def __init__(self, source: CorpusSource, files: list[Path]) -> None:
        self.source, self.files = source, files

    def __len__(self) -> int:
        return len(self.files)

    def read(self, start: int, stop: int) -> Iterator[str]:
        for path in self.files[start:stop]:
            yield self.source.clean(_decode(path.read_bytes(), path))

    def digests(self) -> list[str]:
        return [_hash_file(path) for path in self.files]


class ZipDocuments(Documents):
    """Members of a zip archive, one document each, read without unpacking."""

    def __init__(self, source: CorpusSource, path: Path, members: list[str]) -> None:
        self.source, self.path, self.members = source, path, members

    def __len__(self) -> int:
        return len(self.members)

    def read(self, start: int, stop: int) -> Iterator[str]:
        with zipfile.ZipFile(self.path) as archive:
            for name in self.members[start:stop]:
                yield self.source.clean(_decode(archive.read(name), f"{self.path}:{name}"))

    def digests(self) -> list[str]:
        with zipfile.ZipFile(self.path) as archive:
            return [hashlib.sha256(archive.read(name)).hexdigest() for name in self.members]


_NOT_TEXT = re.compile(r"(^|/)(\.|__MACOSX/|README|CONTENTS|LICENSE|cats\.txt)", re.IGNORECASE)


def _zip_documents(source: CorpusSource, path: Path) -> ZipDocuments:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir() and info.file_size]
    except zipfile.BadZipFile:
        raise ValueError(f"Corpus archive {path} is not a readable zip file.") from None
    members = sorted(name for name in names if not _NOT_TEXT.search(name))
    if not members:
        raise ValueError(f"Corpus archive {path} holds no text files.")
    return ZipDocuments(source, path, members)


def _row_builder(files: list[Path]) -> str | None:
    suffixes = {path.suffix for path in files}
    if suffixes <= {".jsonl", ".json"}:
        return "json"
    return "parquet" if suffixes == {".parquet"} else None


def _decode(data: bytes, where: str | Path) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        if b"\0" in data[:4096]:
            raise ValueError(f"Corpus file {where} is not text.") from None
        return data.decode("latin-1")  # older corpora; every byte has a meaning there


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _hash_blocks(file)
        )


def _hash_blocks(file) -> str:  # Python 3.10 has no hashlib.file_digest
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
