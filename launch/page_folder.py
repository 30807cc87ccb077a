"""The folder of a study's page: README.md, README.html, results.json and figures/, replaced as one; what else lies there stays."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evenhand.model_cards.escaping import markdown
from evenhand.model_cards.page.html_page import CARD, PAGE, write_page
from evenhand.model_cards.whole_files import write_text

FIGURES = "figures"
RESULTS = "results.json"


def earlier_pictures(folder: Path, schema: str) -> list[str]:
    """File names of the pictures of the page that stands there.

    Args:
        folder: of the page; it need not exist.
        schema: that results.json of a page of this kind names.

    Raises:
        ValueError: something else stands there.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name a folder for the study's page.")
    if not (folder / CARD).exists() and not (folder / RESULTS).exists():
        return []
    try:
        data = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        if data["schema"] == schema:
            return [Path(name).name for name in data["pictures"]]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ValueError(
        f"{folder} holds a {CARD} that is no study's page (no {RESULTS} of one beside it); choose another folder."
    )


@contextmanager
def new_page(folder: Path, earlier: Sequence[str]) -> Iterator[Path]:
    """A folder beside ``folder`` to be filled; at the end of the ``with`` block its files are moved in one by one, README.md last.

    After an error in the block ``folder`` is what it was before.

    Args:
        folder: of the page; missing parents are made.
        earlier: of `earlier_pictures`; those that the new page does not have are removed.

    Yields:
        A folder with an empty figures/; at the end of the block it holds README.md, README.html and results.json too.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        (made / FIGURES).mkdir()
        yield made
        _move_in(made, folder, earlier)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def pictures_of(made: Path) -> list[str]:
    """File names of the pictures that have been drawn so far, sorted."""
    return sorted(path.name for path in (made / FIGURES).iterdir())


def write_files(made: Path, lines: Iterable[str], data: Mapping[str, Any]) -> None:
    """Write results.json, the page as Markdown, and the same as HTML; the same input gives the same bytes.

    Args:
        made: of `new_page`, its pictures drawn.
        lines: of Markdown.
        data: of results.json, with the names of the pictures.
    """
    text = json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(made / RESULTS, text + "\n")
    write_text(made / CARD, "\n".join(lines).rstrip() + "\n")
    write_page(made)


def shown_picture(name: str, alt: str, caption: str) -> list[str]:
    """Lines of Markdown that show a picture of figures/ with its caption below."""
    return [f"![{markdown(alt)}]({FIGURES}/{name})", "", f"*{markdown(caption)}*", ""]


def _move_in(made: Path, folder: Path, earlier: Sequence[str]) -> None:
    pictures = pictures_of(made)
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    for name in (*(f"{FIGURES}/{picture}" for picture in pictures), RESULTS, PAGE, CARD):
        os.replace(made / name, folder / name)
    for picture in set(earlier) - set(pictures):
        (folder / FIGURES / picture).unlink(missing_ok=True)
    if not pictures and not any((folder / FIGURES).iterdir()):
        (folder / FIGURES).rmdir()
