"""Documents of a source: read in parts of about equal size, each part by itself, so that no process holds more than one document."""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from evenhand.trainer.content_hash import hash_file, hash_text_file, not_utf8, remembered

if TYPE_CHECKING:
    from evenhand.trainer.corpus_sources import CorpusSource

Range = tuple[int, int]
"""Start and stop of a part, in units of the kind of source: rows, files, archive members or bytes."""

BLOCK = 1 << 20


class Documents:
    """Documents of one source: cut in ``ranges``, of which each ``part`` is read by ``stream``; and ``sha256`` of the content."""

    source: CorpusSource

    def n_bytes(self) -> int:
        """Bytes of text, before compression."""
        raise TypeError("the size of a stream is not known")

    def ranges(self, target: int) -> list[Range]:
        """Cuts into parts of about ``target`` bytes of text, in the order in which documents are read."""
        raise TypeError("a stream has no parts")

    def part(self, start: int, stop: int) -> Documents:
        """The documents of one range alone; cheap to send to another process."""
        raise TypeError("a stream has no parts")

    def stream(self) -> Iterator[str]:
        """Cleaned texts of all documents that are not empty, one after the other."""
        raise NotImplementedError

    def digests(self) -> list[str]:
        """Hashes of the source's pieces (files, or the whole), in the order in which they are read.

        Raises:
            ValueError: a plain text file is not UTF-8.
        """
        raise TypeError("a stream is not hashed")

    @cached_property
    def _digests(self) -> list[str]:
        return self.digests()

    def sha256(self, in_order: bool = False) -> str:
        """Hash of the content; independent of where it lies, of file names and, unless ``in_order``, of the order of files."""
        return hashlib.sha256("".join(self._digests if in_order else sorted(self._digests)).encode()).hexdigest()


class LineDocuments(Documents):
    """Lines of one text file, each a document.

    Parts are ranges of bytes: a line belongs to the part in which it begins, so that neither an index of the lines nor a copy of the
    file is needed.
    """

    def __init__(self, source: CorpusSource, path: Path, start: int = 0, stop: int | None = None) -> None:
        self.source, self.path = source, path
        self.start, self.stop = start, path.stat().st_size if stop is None else stop

    def n_bytes(self) -> int:
        return self.stop - self.start

    def ranges(self, target: int) -> list[Range]:
        return _even_ranges(self.start, self.stop, target)

    def part(self, start: int, stop: int) -> LineDocuments:
        return LineDocuments(self.source, self.path, start, stop)

    def stream(self) -> Iterator[str]:
        with self.path.open("rb") as file:
            if self.start:
                file.seek(self.start - 1)
                file.readline()  # what began before belongs to the part before
            while (place := file.tell()) < self.stop:
                block = file.read(min(BLOCK, self.stop - place))
                if not block.endswith(b"\n"):
                    block += file.readline()
                if not block:
                    return
                for line in _lines(_utf8(block, self.path)):
                    if line:
                        yield self.source.clean(line)

    def digests(self) -> list[str]:
        return remembered([self.path], lambda: [hash_text_file(self.path)])


class RowDocuments(Documents):
    """Rows of an Arrow data set (memory-mapped) or of a stream."""

    def __init__(self, source: CorpusSource, rows, files: list[Path] | None, streaming: bool) -> None:
        self.source, self.rows, self.files, self.streaming = source, rows, files, streaming

    def n_bytes(self) -> int:
        return super().n_bytes() if self.streaming else self.rows.data.column(self.source.text_column).nbytes

    def ranges(self, target: int) -> list[Range]:
        if self.streaming:
            return super().ranges(target)
        rows = len(self.rows)
        return _even_ranges(0, rows, max(1, target * rows // max(self.n_bytes(), 1)))

    def part(self, start: int, stop: int) -> RowDocuments:
        rows = self.rows.select(range(start, stop)).select_columns(self.source.text_column)
        return RowDocuments(self.source, rows, self.files, self.streaming)

    def stream(self) -> Iterator[str]:
        column = self.source.text_column
        if self.streaming:
            return (self.source.clean(row[column] or "") for row in self.rows)
        return self._read(column)

    def _read(self, column: str) -> Iterator[str]:
        # a mapping of its own: pages that were read count as this process's memory until their mapping is closed
        rows = pickle.loads(pickle.dumps(self.rows))
        for batch in rows.iter(batch_size=1000):
            yield from (self.source.clean(text) for text in batch[column] if text)

    def digests(self) -> list[str]:
        if self.files is None:
            return [self.rows._fingerprint]
        return remembered(self.files, lambda: [hash_file(path) for path in self.files])


class FileDocuments(Documents):
    """Files of a directory, one document each.

    Args:
        root: the directory.
        names: of the files, relative to it, in the order in which they are read.
    """

    def __init__(self, source: CorpusSource, root: Path, names: Sequence[str]) -> None:
        self.source, self.root, self.names = source, root, names

    def _paths(self) -> Iterator[Path]:
        return (self.root / name for name in self.names)  # kept as text: a Path takes several times the memory

    def n_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._paths())

    def ranges(self, target: int) -> list[Range]:
        return _ranges_by_size((path.stat().st_size for path in self._paths()), target)

    def part(self, start: int, stop: int) -> FileDocuments:
        return FileDocuments(self.source, self.root, self.names[start:stop])

    def stream(self) -> Iterator[str]:
        for path in self._paths():
            if text := _decode(path.read_bytes(), path):
                yield self.source.clean(text)

    def digests(self) -> list[str]:
        return remembered(self._paths(), lambda: [hash_file(path) for path in self._paths()])


class ZipMember(NamedTuple):
    """What is needed to read one member of an archive without the archive's directory, which each process would hold in memory."""

    name: str
    offset: int
    compressed: int
    size: int
    deflated: bool
    crc: int

    def read(self, archive: BinaryIO, path: Path) -> bytes:
        """Its content, from the opened archive at ``path``.

        Raises:
            ValueError: the archive is damaged there.
        """
        archive.seek(
            self.offset + 26
        )  # in the member's own header: lengths of the name and of what else stands before the data
        name_length, extra_length = struct.unpack("<HH", archive.read(4))
        archive.seek(name_length + extra_length, os.SEEK_CUR)
        data = archive.read(self.compressed)
        try:
            data = zlib.decompress(data, -zlib.MAX_WBITS) if self.deflated else data
        except zlib.error:
            data = b""
        if len(data) != self.size or zlib.crc32(data) != self.crc:
            raise ValueError(f"Corpus archive {path} is damaged at {self.name}.")
        return data


class ZipDocuments(Documents):
    """Members of a zip archive, one document each, read without unpacking."""

    def __init__(self, source: CorpusSource, path: Path, members: Sequence[ZipMember]) -> None:
        self.source, self.path, self.members = source, path, members

    def n_bytes(self) -> int:
        return sum(member.size for member in self.members)

    def ranges(self, target: int) -> list[Range]:
        return _ranges_by_size((member.size for member in self.members), target)

    def part(self, start: int, stop: int) -> ZipDocuments:
        return ZipDocuments(self.source, self.path, self.members[start:stop])

    def _contents(self) -> Iterator[tuple[ZipMember, bytes]]:
        with self.path.open("rb") as archive:
            for member in self.members:
                yield member, member.read(archive, self.path)

    def stream(self) -> Iterator[str]:
        for member, content in self._contents():
            yield self.source.clean(_decode(content, f"{self.path}:{member.name}"))

    def digests(self) -> list[str]:
        return remembered([self.path], lambda: [hashlib.sha256(data).hexdigest() for _, data in self._contents()])


def _even_ranges(start: int, stop: int, step: int) -> list[Range]:
    return [(place, min(place + step, stop)) for place in range(start, stop, step)]


def _ranges_by_size(sizes: Iterable[int], target: int) -> list[Range]:
    """Consecutive pieces, each range closed as soon as it holds ``target`` bytes."""
    ranges, start, held, number = [], 0, 0, 0
    for number, size in enumerate(sizes, start=1):
        held += size
        if held >= target:
            ranges.append((start, number))
            start, held = number, 0
    return [*ranges, (start, number)] if start < number else ranges


def _lines(text: str) -> list[str]:
    """Lines as Python's text files have them: ended by ``\\n``, ``\\r\\n`` or ``\\r``, and by nothing else."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _utf8(block: bytes, path: Path) -> str:
    try:
        return block.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from None


def _decode(data: bytes, where: str | Path) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        if b"\0" in data[:4096]:
            raise ValueError(f"Corpus file {where} is not text.") from None
        return data.decode("latin-1")  # older corpora; every byte has a meaning there


def files_below(root: Path) -> list[str]:
    """Names of all files below a directory, relative to it, in the order of their paths."""
    names = []
    for folder, _, files in os.walk(root):
        inside = os.path.relpath(folder, root)
        names += [file if inside == "." else os.path.join(inside, file) for file in files]
    # links that lead nowhere, sockets and the like are no files
    return sorted((name for name in names if (root / name).is_file()), key=lambda name: name.split(os.sep))
