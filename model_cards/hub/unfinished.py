"""Which repositories a run has begun to publish: made private, to be made public when they are complete.

The note stands in the run, because the Hub cannot tell a private repository that waits for its student from one that its
owner wants private.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

FILE = "publishing.json"


def begin(run: Path, endpoint: str, repo_id: str) -> None:
    """Note, before the repository is made, that this run makes it and that it shall become public."""
    _write(run, {*_read(run), _name(endpoint, repo_id)})


def is_begun(run: Path, endpoint: str, repo_id: str) -> bool:
    """Whether an earlier publishing of this run made the repository and did not finish."""
    return _name(endpoint, repo_id) in _read(run)


def finish(run: Path, endpoint: str, repo_id: str) -> None:
    """Forget it: the repository is complete and public, or is wanted private after all."""
    begun = set(_read(run))
    if begun:
        _write(run, begun - {_name(endpoint, repo_id)})


def _name(endpoint: str, repo_id: str) -> str:
    return f"{endpoint.rstrip('/')}/{repo_id}"


def _read(run: Path) -> list[str]:
    path = run / FILE
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))["begun"]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        begun = None
    if not isinstance(begun, list) or not all(isinstance(name, str) for name in begun):
        raise ValueError(
            f"{path} was changed by hand; delete it, and look at the visibility of the repository yourself"
        )
    return begun


def _write(run: Path, begun: set[str]) -> None:
    path = run / FILE
    if not begun:
        path.unlink(missing_ok=True)
        return
    temporary = path.with_name(f".{FILE}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps({"begun": sorted(begun)}, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
