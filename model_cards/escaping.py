"""Text of others inside Markdown: names, data sets and word lists can hold pipes, HTML, backticks or line breaks.

Every value that the template prints passes through `markdown` unless it is `Markup` already, so a new line of the
template is safe by default.
"""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup

# Entities work inside tables and HTML alike, where a backslash does not. Quotes matter in attributes only and stay.
_ENTITIES = {ord(sign): f"&#{ord(sign)};" for sign in "&<>|`*\\[]~$#@"}
# C0 and C1 controls, line separators, zero-width signs and the bidirectional overrides that can reorder a page.
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")
_LIST_START = re.compile(r"^([-+=]|\d+(?=[.)](?:\s|$)))")
_PLAIN_CODE = re.compile(r"[A-Za-z0-9 ._/:,+=()%^-]+")


def one_line(value: Any) -> str:
    """`str(value)` with every run of blanks, line breaks and control characters as one space."""
    return " ".join(_INVISIBLE.sub(" ", str(value)).split())


def markdown(value: Any) -> Markup:
    """`value` as one line of Markdown text that shows its characters literally, in a paragraph, list or table cell.

    `None` prints as "not stated". `Markup` passes through unchanged.
    """
    if isinstance(value, Markup):
        return value
    if value is None:
        return Markup("not stated")
    text = one_line(value).translate(_ENTITIES)
    # Underscores inside a word are literal in GitHub's Markdown; at an edge of one they start emphasis.
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", "&#95;", text)
    # A scheme-less or http address would become a link that the author of the card never made.
    text = re.sub(r"(?i)(https?|ftp):(?=//)|(www)\.", lambda m: f"{m[1]}&#58;" if m[1] else f"{m[2]}&#46;", text)
    return Markup(_LIST_START.sub(lambda match: "".join(f"&#{ord(sign)};" for sign in match[1]), text))


def code(value: Any) -> Markup:
    """`value` as a code span; a value that could leave the span is written as an escaped `<code>` element."""
    if value is None:
        return Markup("not stated")
    text = one_line(value)
    if _PLAIN_CODE.fullmatch(text):
        return Markup(f"`{text}`")
    return Markup(f"<code>{markdown(text)}</code>")
