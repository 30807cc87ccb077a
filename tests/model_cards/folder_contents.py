"""What a folder holds, to be compared with what it held."""

from pathlib import Path


def contents(folder) -> dict[str, bytes]:
    """The bytes of every file below ``folder``, by its path from there."""
    folder = Path(folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
