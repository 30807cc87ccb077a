"""Hashes of files: read block by block, and once in a process as long as the file does not change."""

from __future__ import annotations

import codecs
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

_BLOCK = 1 << 20

_KNOWN: dict[bytes, list[str]] = {}
"""Digests that this process has worked out, by the state (path, size, time of change) of the files."""

_SETTLED = 1.0
"""Seconds. A file changed since then may change again within the clock's tick, unseen by its time of change."""


def remembered(files: Iterable[Path], compute: Callable[[], list[str]]) -> list[str]:
    """``compute()``, or what it gave before for the same state of the files: a corpus of many gigabytes is read once for its hash."""
    state, newest = hashlib.blake2b(digest_size=16), 0.0
    for path in files:
        stat = path.stat()
        state.update(f"{path.absolute()}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
        newest = max(newest, stat.st_mtime)
    key = state.digest()
    if key in _KNOWN:
        return _KNOWN[key]
    settled = newest < time.time() - _SETTLED
    digests = compute()
    if settled:
        _KNOWN[key] = digests
    return digests


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def hash_file(path: Path) -> str:
    """SHA-256 of its content, hexadecimal."""
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def hash_text_file(path: Path) -> str:
    """The same of a text file.

    Raises:
        ValueError: it is not UTF-8; seen here, before hours of tokenising.
    """
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
    try:
        for block in _blocks(path):
            digest.update(block)
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from None
    return digest.hexdigest()


def not_utf8(path: Path, error: UnicodeDecodeError) -> ValueError:
    """The error of a text file that cannot be decoded, in words for the user."""
    return ValueError(f"Corpus file {path} could not be read: it is not UTF-8 text ({error.reason}).")
