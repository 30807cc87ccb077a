"""A card as a page that needs nothing else: no script, no style sheet or picture of elsewhere, for light and dark, phone and desktop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from pathlib import Path

import jinja2
from markupsafe import Markup

from evenhand.model_cards.escaping import one_line
from evenhand.model_cards.page.gfm import gfm_parser
from evenhand.model_cards.page.metadata import front_matter_of, page_metadata
from evenhand.model_cards.page.safe_html import safe_html
from evenhand.model_cards.whole_files import write_text

CARD, PAGE = "README.md", "README.html"
GENERATOR = "evenhand"


def render_page(
    markdown_text: str,
    title: str,
    folder: str | Path | None = None,
    *,
    alone: bool = False,
    generator: str = GENERATOR,
) -> str:
    """A whole HTML document that shows a card much as the Hub does.

    Args:
        markdown_text: the card, front matter included where it has one; HTML in it is sanitised.
        title: name of the page, and in the line over the labels.
        folder: where the card lies; pictures below it are put into the page. Without it they stay references.
        alone: the page will stand without that folder, so links to files in it become plain text.
        generator: what the page says made it.

    Returns:
        HTML: the front matter as labels, the card, and beside it base model, data sets and evaluation results. The same text gives the same page.

    Raises:
        ValueError: the front matter is no YAML mapping.
    """
    parser = gfm_parser()
    tokens = parser.parse(markdown_text, environment := {})
    front = next((token.content for token in tokens if token.type == "front_matter"), None)
    data = front_matter_of(front) if front is not None else {}
    metadata = page_metadata(data)
    html = parser.renderer.render(tokens, parser.options, environment)
    return _template().render(
        title=one_line(title),
        language=(metadata["language"] or ["en"])[0],
        generator=generator,
        metadata=metadata if front is not None else None,
        beside=bool(metadata["base_models"] or metadata["datasets"] or metadata["results"]),
        content=Markup(safe_html(html, None if folder is None else Path(folder), alone)),
    )


def write_page(folder: str | Path) -> Path:
    """Write ``README.html`` beside the ``README.md`` of a run or of a staged folder, its pictures inside; the page's path.

    Raises:
        FileNotFoundError: no README.md there.
        ValueError: it is not UTF-8, or its front matter is no YAML mapping.
    """
    folder = Path(folder)
    return write_text(folder / PAGE, page_of(folder))


def write_linked_pages(folder: Path, names: Sequence[str]) -> None:
    """Write Markdown files of one folder as pages beside them, ``x.html`` for ``x.md``, in which links from one to another lead to the pages.

    Args:
        folder: where they lie, with their pictures.
        names: of the Markdown files.
    """
    for name in names:
        text = (folder / name).read_text(encoding="utf-8")
        for other in names:
            text = text.replace(f"]({other})", f"]({html_name(other)})")
        write_text(folder / html_name(name), render_page(text, _title(text, folder), folder))


def html_name(card: str) -> str:
    """File name of the page of a Markdown file: ``x.html`` for ``x.md``."""
    return Path(card).with_suffix(".html").name


def page_of(folder: Path, alone: bool = False) -> str:
    """The page of the card in ``folder``, as `write_page` writes it; ``alone`` as in `render_page`."""
    card = folder / CARD
    if not card.is_file():
        raise FileNotFoundError(f"{folder} holds no {CARD}; write the card first: evenhand card {folder}")
    try:
        text = card.read_text(encoding="utf-8")
        return render_page(text, _title(text, folder), folder, alone=alone)
    except UnicodeDecodeError:
        raise ValueError(f"{card} is not UTF-8 text; write the card again: evenhand card {folder}") from None
    except ValueError as error:
        raise ValueError(f"{card}: {error}") from None


def _title(text: str, folder: Path) -> str:
    """The card's first heading, else the folder's name."""
    tokens = gfm_parser().parse(text)
    headings = (after for token, after in pairwise(tokens) if token.type == "heading_open")
    for inline in headings:
        words = "".join(child.content for child in inline.children or [] if child.type in ("text", "code_inline"))
        if words.strip():
            return words
    return folder.resolve().name


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    files = resources.files("evenhand.model_cards.page")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["css"] = Markup(files.joinpath("page.css").read_text(encoding="utf-8").rstrip())
    return environment.from_string(files.joinpath("page.html.jinja").read_text(encoding="utf-8"))
