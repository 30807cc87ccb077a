"""Hand-written blocks of a run in whose place text of the published card stands, until the run's own change again.

The note stands in the run: its README.md is left as it is, and without the note its older text would replace, the next time,
what was taken over from the Hub or a folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from evenhand.model_cards.whole_files import write_text

FILE = "superseded_text.json"


def superseded_text(run: Path, target: str) -> dict[str, str]:
    """The run's blocks, by name, that were not published there because other text stood there; none where all were.

    Args:
        target: a repository's name, or a folder's path.

    Raises:
        ValueError: the note was changed by hand; one line.
    """
    return _read(run).get(target, {})


def note_superseded(run: Path, target: str, written: Mapping[str, str], published: Mapping[str, str]) -> None:
    """Remember which of the run's blocks were not published as they are.

    Args:
        target: as for `superseded_text`.
        written: the run's blocks by name.
        published: those of the card.
    """
    known = _read(run)
    others = {name: text for name, text in written.items() if text and published.get(name, "") != text}
    now = {**known, target: others}
    now = {place: texts for place, texts in now.items() if texts}
    if now == known:
        return
    if now:
        write_text(run / FILE, json.dumps(now, indent=2, sort_keys=True) + "\n")
    else:
        (run / FILE).unlink(missing_ok=True)


def _read(run: Path) -> dict[str, dict[str, str]]:
    path = run / FILE
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        known = None
    if not isinstance(known, dict) or not all(isinstance(texts, dict) for texts in known.values()):
        raise ValueError(
            f"{path} was changed by hand; delete it, and look at the hand-written text of the card yourself"
        )
    return known
