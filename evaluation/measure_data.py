"""Reading the data of a measure: what is named in a report, and errors of one line for what cannot be read."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class DataFacts:
    """Where the items of a measure came from.

    Args:
        source: ``"hub"`` or ``"local"``.
        name: repository and revision, or the file's name.
        sha256: of the items as they were read, so the same items have the same hash whatever file they came in.
    """

    source: str
    name: str
    sha256: str

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def content_sha256(items: Iterable[object]) -> str:
    """Hash of items that JSON can hold, in their order."""
    text = json.dumps(list(items), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def of_bias_types(items: Sequence, bias_types: Sequence[str] | None) -> tuple:
    """The items (each with a ``bias_type``) of the given types, all for ``None``.

    Raises:
        ValueError: a type that no item has.
    """
    if bias_types is None:
        return tuple(items)
    known = sorted({item.bias_type for item in items})
    other = [name for name in bias_types if name not in known]
    if other or not bias_types:
        raise ValueError(f"bias type {other[0] if other else ''!r} is unknown; the data have {', '.join(known)}")
    return tuple(item for item in items if item.bias_type in bias_types)


def check_bias_types(bias_types: Sequence[str] | None) -> None:
    """Raise ValueError for one name where a list of names belongs."""
    if isinstance(bias_types, str):
        raise ValueError(f"bias_types must be a list of names, not {bias_types!r}")


def check_settings(confidence_level: float, seed: int, batch_size: int) -> None:
    """The arguments that all measures share.

    Raises:
        ValueError: one is out of its range.
    """
    if not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level must lie between 0 and 1, not {confidence_level}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, not {seed}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")


def find_file(path: str | Path, names: Sequence[str], what: str) -> Path:
    """``path`` itself if it is a file, else the first of ``names`` in that directory.

    Args:
        path: a file or directory.
        names: where the file stands in a directory, relative to it.
        what: the file holds, for the message.

    Raises:
        FileNotFoundError: no such place, or a directory without the file.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.exists():
        raise FileNotFoundError(f"{path}: does not exist; give the file or directory that holds {what}")
    for name in names:
        if (path / name).is_file():
            return path / name
    raise FileNotFoundError(f"{path}: holds no {names[0]}, which {what} are read from")


def read_text(path: Path) -> str:
    """The file's text.

    Raises:
        ValueError: it is empty or not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
    if not text.strip():
        raise ValueError(f"{path}: is empty")
    return text


def read_table(path: Path, columns: Sequence[str], *, delimiter: str) -> list[dict[str, str]]:
    """Rows of a table with a header, narrowed to ``columns``; with tabs, quotes are plain characters.

    Raises:
        ValueError: a column is missing, or a row is short.
    """
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    # Not splitlines(): a quoted cell may hold a line break, and other separators may stand within a text.
    lines = (line + "\n" for line in read_text(path).rstrip("\n").split("\n"))
    reader = csv.DictReader(lines, delimiter=delimiter, quoting=quoting)
    check_columns(columns, reader.fieldnames or (), path)
    rows = []
    for row in reader:
        short = [name for name in columns if row[name] is None]
        if short:
            raise ValueError(f"{path}, line {reader.line_num}: has no {short[0]!r}")
        rows.append({name: row[name] for name in columns})
    if not rows:
        raise ValueError(f"{path}: holds a header and no rows")
    return rows


def check_columns(columns: Sequence[str], present: Sequence[str], where: object) -> None:
    """Raises: ValueError: one of ``columns`` is not ``present``."""
    absent = [name for name in columns if name not in present]
    if absent:
        raise ValueError(f"{where}: has no column {absent[0]!r}; it has {', '.join(map(str, present))[:200]}")


def read_json(path: Path) -> object:
    """The file's content; raises ValueError where it is not JSON."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: is not JSON ({error.msg} in line {error.lineno})") from error


def hub_rows(repository: str, columns: Sequence[str], *, split: str, revision: str, configuration: str | None = None):
    """A split of a data set on the Hub, as a ``datasets.Dataset``.

    Raises:
        FileNotFoundError: it cannot be had; the message asks for a local copy.
        ValueError: a column is missing.
    """
    from datasets import load_dataset

    try:
        rows = load_dataset(repository, configuration, split=split, revision=revision)
    except Exception as error:  # the client raises many kinds, all with the same meaning here
        reason = " ".join(str(error).split())[:200]
        raise FileNotFoundError(
            f"{repository}: cannot be had from the Hub ({reason}); give the path of a local copy instead"
        ) from error
    check_revision(rows, repository, revision)
    check_columns(columns, rows.column_names, repository)
    return rows


_COMMIT = re.compile(r"[0-9a-f]{40}")


def check_revision(rows, repository: str, revision: str) -> None:
    """Offline, ``load_dataset`` ignores the revision and takes what it prepared last; its folder is named for the commit.

    Raises:
        FileNotFoundError: ``rows`` are of another commit than ``revision``; a branch's name is not checked.
    """
    files = getattr(rows, "cache_files", None) or []
    commits = {Path(file["filename"]).parent.name for file in files}
    other = [commit for commit in commits if _COMMIT.fullmatch(commit) and commit != revision]
    if other and _COMMIT.fullmatch(revision):
        raise FileNotFoundError(
            f"{repository}: the cache gave revision {other[0]}, not {revision}; load the right one last, on a machine with a "
            f'network: python -c "from datasets import load_dataset; load_dataset({repository!r}, …, revision={revision!r})"'
        )
