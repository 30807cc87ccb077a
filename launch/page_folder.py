"""The folder of a study's page: README.md, README.html, further pages, results.json and figures/, replaced as one; what else lies there stays."""

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
from evenhand.model_cards.page.html_page import CARD, html_name, write_linked_pages
from evenhand.model_cards.whole_files import write_text

FIGURES = "figures"
RESULTS = "results.json"


def earlier_files(folder: Path, schema: str) -> list[str]:
    """Pictures and further pages of the page that stands there, relative to it.

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
            named = {FIGURES: data["pictures"], ".": data.get("pages", [])}
            return [str(Path(place) / Path(name).name) for place, names in named.items() for name in names]
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
        earlier: of `earlier_files`; those that the new page does not have are removed.

    Yields:
        A folder with an empty figures/; at the end of the block it holds what `write_files` wrote too.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        (made / FIGURES).mkdir()
        yield made
        _move_in(made, folder, earlier)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def write_files(made: Path, pages: Mapping[str, Iterable[str]], data: Mapping[str, Any]) -> None:
    """Write results.json, every page as Markdown, and the same as HTML; the same input gives the same bytes.

    Args:
        made: of `new_page`, its pictures drawn.
        pages: file name -> lines of Markdown; README.md is one of them.
        data: of results.json; to it are added ``pictures`` and, where there are other pages than README.md, ``pages``: their file names.
    """
    others = sorted(name for card in pages if card != CARD for name in (card, html_name(card)))
    data = {**data, "pictures": _pictures_of(made), **({"pages": others} if others else {})}
    text = json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(made / RESULTS, text + "\n")
    for name, lines in pages.items():
        write_text(made / name, "\n".join(lines).rstrip() + "\n")
    write_linked_pages(made, list(pages))


def shown_picture(name: str, alt: str, caption: str) -> list[str]:
    """Lines of Markdown that show a picture of figures/ with its caption below."""
    return [f"![{markdown(alt)}]({FIGURES}/{name})", "", f"*{markdown(caption)}*", ""]


def _pictures_of(made: Path) -> list[str]:
    return sorted(path.name for path in (made / FIGURES).iterdir())


def _move_in(made: Path, folder: Path, earlier: Sequence[str]) -> None:
    files = [f"{FIGURES}/{picture}" for picture in _pictures_of(made)]
    files += sorted(path.name for path in made.iterdir() if path.is_file() and path.name != CARD)
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    for name in (*files, CARD):
        os.replace(made / name, folder / name)
    for name in set(earlier) - {*files, CARD}:
        (folder / name).unlink(missing_ok=True)
    if not any((folder / FIGURES).iterdir()):
        (folder / FIGURES).rmdir()
