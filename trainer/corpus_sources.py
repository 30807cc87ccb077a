"""Where text comes from: files, directories, zip archives, jsonl, parquet, the Hub. One unit is one document."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import datasets

from evenhand.trainer.documents import (
    Documents,
    FileDocuments,
    LineDocuments,
    RowDocuments,
    ZipDocuments,
    ZipMember,
    files_below,
)

FORMATS = ("plain", "tagged")

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4")
"""A single file that ends so is unpacked by ``datasets`` while it is read."""


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
        names = files_below(path) if path.is_dir() else [path.name]
        if not names:
            raise ValueError(f"Corpus directory {path} holds no files.")
        builder = _row_builder(names)
        if builder is None and path.is_dir():
            return FileDocuments(self, path, names)
        if builder is None and path.suffix not in COMPRESSED:
            return LineDocuments(self, path)
        files = [path / name for name in names] if path.is_dir() else [path]
        kwargs = {"keep_linebreaks": False} if builder is None else {}
        data_files = [str(file) for file in files]
        try:
            rows = datasets.load_dataset(
                builder or "text", data_files=data_files, split="train", streaming=streaming, **kwargs
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

_NOT_TEXT = re.compile(r"(^|/)(\.|__MACOSX/|README|CONTENTS|LICENSE|cats\.txt)", re.IGNORECASE)


def _zip_documents(source: CorpusSource, path: Path) -> ZipDocuments:
    try:
        with zipfile.ZipFile(path) as archive:
            found = [info for info in archive.infolist() if not info.is_dir() and info.file_size]
    except zipfile.BadZipFile:
        raise ValueError(f"Corpus archive {path} is not a readable zip file.") from None
    kept = [info for info in found if not _NOT_TEXT.search(info.filename)]
    if not kept:
        raise ValueError(f"Corpus archive {path} holds no text files.")
    for info in kept:
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(
                f"Corpus archive {path} holds {info.filename}, which is encrypted or compressed in an unusual way; unpack it to a directory."
            )
    members = [
        ZipMember(
            i.filename, i.header_offset, i.compress_size, i.file_size, i.compress_type != zipfile.ZIP_STORED, i.CRC
        )
        for i in kept
    ]
    return ZipDocuments(source, path, sorted(members))


def _row_builder(names: list[str]) -> str | None:
    """The builder of ``datasets`` for files of rows; None for plain text."""
    suffixes = {Path(Path(name).stem if name.endswith(COMPRESSED) else name).suffix for name in names}
    if suffixes <= {".jsonl", ".json"}:
        return "json"
    return "parquet" if suffixes == {".parquet"} else None
