"""HTML of others on our page: what may stay of it, and pictures that the page carries in itself."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nh3

_MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}
_TAGS = nh3.ALLOWED_TAGS | {"input", "section", "tfoot"}
_ATTRIBUTES = {
    **{tag: set(names) for tag, names in nh3.ALLOWED_ATTRIBUTES.items()},
    "*": {"id", "title", "lang", "dir"},
    "details": {"open"},
    "div": {"tabindex"},
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


def safe_html(html: str, folder: Path | None = None) -> str:
    """``html`` without scripts, styles, forms, frames and handlers of events; comments go too.

    Args:
        html: a fragment, as Markdown with HTML in it gives one.
        folder: where the card lies: pictures below it are put into the page itself, as ``data:`` addresses. No other
            picture is touched, so one that is missing stays visibly broken; without a folder none is.
    """
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_pictures_of(folder),
        tag_attribute_values={"input": {"type": {"checkbox"}}},
        set_tag_attribute_values={"input": {"disabled": ""}},
        allowed_classes=_CLASSES,
        filter_style_properties={"text-align"},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


def _pictures_of(folder: Path | None) -> Callable[[str, str, str], str | None]:
    """A filter that answers with the picture itself; addresses of the author that start with ``data:`` never reach it."""

    def filtered(tag: str, attribute: str, value: str) -> str | None:
        if folder is None or (tag, attribute) != ("img", "src"):
            return value
        return _carried(folder, value) or value

    return filtered


def _carried(folder: Path, address: str) -> str | None:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or not parts.path or "\0" in unquote(parts.path):
        return None
    root = folder.resolve()
    path = (root / unquote(parts.path)).resolve()
    media = _MEDIA.get(path.suffix.lower())
    if media is None or root not in path.parents or not path.is_file():
        return None
    return f"data:{media};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
