"""Which repositories a run has begun to publish: made private, to be made public when they are complete.

The note stands in the run, because the Hub cannot tell a private repository that waits for its student from one that its
owner wants private. It names the repository and, once the Hub has made it, when that was: one of the same name that somebody
deleted and made again is another repository.
"""

from __future__ import annotations

import json
from pathlib import Path

from evenhand.model_cards.whole_files import write_text

FILE = "publishing.json"


def begin(run: Path, endpoint: str, repo_id: str, made: str | None = None) -> None:
    """Note, before the repository is made, that this run makes it and that it shall become public.

    Args:
        made: when the Hub made it, as the Hub says; noted by a second call as soon as it is known.
    """
    _write(run, {**_read(run), _name(endpoint, repo_id): made})


def is_begun(run: Path, endpoint: str, repo_id: str, made: str | None = None) -> bool:
    """Whether an earlier publishing of this run made the repository and did not finish.

    Args:
        made: when the Hub made the one that stands there now; None does not ask.
    """
    begun, name = _read(run), _name(endpoint, repo_id)
    return name in begun and (None in (made, begun[name]) or made == begun[name])


def finish(run: Path, endpoint: str, repo_id: str) -> None:
    """Forget it: the repository is complete and public, or is wanted private after all."""
    begun = _read(run)
    if begun.keys() & {_name(endpoint, repo_id)}:
        del begun[_name(endpoint, repo_id)]
        _write(run, begun)


def _name(endpoint: str, repo_id: str) -> str:
    return f"{endpoint.rstrip('/')}/{repo_id}"


def _read(run: Path) -> dict[str, str | None]:
    path = run / FILE
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))["begun"]
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError):
        begun = None
    if not isinstance(begun, dict) or not all(isinstance(made, str | None) for made in begun.values()):
        raise ValueError(
            f"{path} was changed by hand; delete it, and look at the visibility of the repository yourself"
        )
    return begun


def _write(run: Path, begun: dict[str, str | None]) -> None:
    path = run / FILE
    if not begun:
        path.unlink(missing_ok=True)
        return
    write_text(path, json.dumps({"begun": begun}, indent=2, sort_keys=True) + "\n")
