"""HTML of others on our page: what may stay of it, and pictures that the page carries in itself."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nh3

from evenhand.model_cards.page.gfm import is_beside

_MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}
_TAGS = nh3.ALLOWED_TAGS | {"input", "section", "tfoot"}
_ATTRIBUTES = {
    **{tag: set(names) for tag, names in nh3.ALLOWED_ATTRIBUTES.items()},
    "*": {"id", "title", "lang", "dir"},
    "details": {"open"},
    "div": {"tabindex"},
    "p": {"tabindex"},
    "input": {"checked"},
}
for _cell in ("td", "th"):
    _ATTRIBUTES[_cell] = {*_ATTRIBUTES[_cell], "style"}
_CLASSES = {
    "div": {
        "table-box", "markdown-alert",
        *(f"markdown-alert-{kind}" for kind in ("note", "tip", "important", "warning", "caution")),
    },
    "p": {"picture", "markdown-alert-title"},
    "td": {"words", "prose", "numbers"},
    "ul": {"contains-task-list"},
    "li": {"task-list-item", "footnote-item"},
    "section": {"footnotes"},
    "hr": {"footnotes-sep"},
    "ol": {"footnotes-list"},
    "sup": {"footnote-ref"},
    "a": {"footnote-backref"},
}  # fmt: skip


def safe_html(html: str, folder: Path | None = None, alone: bool = False) -> str:
    """``html`` without scripts, styles, forms, frames and handlers of events; comments go too.

    Args:
        html: a fragment, as Markdown with HTML in it gives one.
        folder: where the card lies: pictures below it are put into the page itself, as ``data:`` addresses. No other
            picture is touched, so one that is missing stays visibly broken; without a folder none is.
        alone: the page will stand without that folder, so links to files in it become plain text.
    """
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_addresses(folder, alone),
        tag_attribute_values={"input": {"type": {"checkbox"}}},
        set_tag_attribute_values={"input": {"disabled": ""}},
        allowed_classes=_CLASSES,
        filter_style_properties={"text-align"},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


def _addresses(folder: Path | None, alone: bool) -> Callable[[str, str, str], str | None]:
    """A filter that answers with the picture itself; addresses of the author that start with ``data:`` never reach it."""

    def filtered(tag: str, attribute: str, value: str) -> str | None:
        if folder is not None and (tag, attribute) == ("img", "src"):
            return _carried(folder, value) or value
        if alone and (tag, attribute) == ("a", "href") and not value.startswith("#") and is_beside(value):
            return None
        return value

    return filtered


def _carried(folder: Path, address: str) -> str | None:
    name = unquote(urlsplit(address).path) if is_beside(address) else ""
    if not name or "\0" in name:
        return None
    root = folder.resolve()
    path = (root / name).resolve()
    media = _MEDIA.get(path.suffix.lower())
    if media is None or root not in path.parents:
        return None
    try:
        return f"data:{media};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
    except OSError:  # missing, a folder, or a name that no file can have
        return None
