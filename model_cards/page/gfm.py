"""GitHub-flavoured Markdown, as the Hub shows a card: tables, footnotes, alerts, task lists, headings that can be linked to."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.gfm import gfm_plugin

# An interval, or a number with its percent sign: no line ends inside it.
_NUMBER = r"[+\-−–]?[\d.,]*\d"
_SHORT, _ESTIMATE, _MANY_WORDS = 20, 32, 40  # characters of a line in a table's cell
_IN_ONE_PIECE = re.compile(rf"\[{_NUMBER}, {_NUMBER}\]|{_NUMBER} %")


@lru_cache(maxsize=1)
def gfm_parser() -> MarkdownIt:
    """The parser; its HTML is not yet safe to show, see `safe_html`.

    Front matter is a token ``front_matter`` that prints nothing. Each heading has the ``id`` that GitHub gives it; a
    table stands in a box of its own that can scroll, and so does a picture that is alone in its paragraph and lies
    beside the card.
    """
    parser = MarkdownIt("commonmark", {"html": True})
    parser.use(gfm_plugin, front_matter=True).use(anchors_plugin, max_level=6)
    parser.core.ruler.push("picture_boxes", _picture_boxes)
    parser.core.ruler.push("cell_widths", _cell_widths)
    parser.core.ruler.push("numbers_in_one_piece", _numbers_in_one_piece)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    return parser


def _picture_boxes(state: StateCore) -> None:
    # Boxes that scroll can be reached with the keyboard, or whoever has no mouse could not scroll them.
    for opening, inline in pairwise(state.tokens):
        if opening.type == "paragraph_open" and inline.type == "inline" and _one_picture(inline.children or []):
            opening.attrJoin("class", "picture")
            opening.attrSet("tabindex", "0")


def _cell_widths(state: StateCore) -> None:
    """Short cells stand on one line; words get room in proportion, or a wide table would squeeze them to one a line."""
    for opening, inline in pairwise(state.tokens):
        if opening.type == "td_open":
            longest = _longest_line(inline.children or [])
            of_numbers = _IN_ONE_PIECE.search(inline.content) is not None
            if longest > (_ESTIMATE if of_numbers else _SHORT):
                opening.attrJoin("class", "numbers" if of_numbers else "prose" if longest > _MANY_WORDS else "words")


def _longest_line(children: list[Token]) -> int:
    """Characters of the longest line of text; code does not break and is not counted."""
    lines = [0]
    for child in children:
        if child.type == "text":
            lines[-1] += len(child.content)
        elif child.type == "html_inline" and child.content.lower().startswith("<br"):
            lines.append(0)
    return max(lines)


def _numbers_in_one_piece(state: StateCore) -> None:
    for token in state.tokens:
        for child in token.children or []:
            if child.type == "text":
                child.content = _IN_ONE_PIECE.sub(lambda match: match[0].replace(" ", "\u00a0"), child.content)


def _one_picture(children: list[Token]) -> bool:
    return len(children) == 1 and children[0].type == "image" and is_beside(str(children[0].attrGet("src") or ""))


def is_beside(address: str) -> bool:
    """Whether an address is a path relative to the page, or a place on it; one that is no address at all is not."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return not (parts.scheme or parts.netloc)


def _table_open(renderer: RendererHTML, tokens: list[Token], index: int, options, env) -> str:
    return f'<div class="table-box" tabindex="0">{renderer.renderToken(tokens, index, options, env)}'


def _table_close(renderer: RendererHTML, tokens: list[Token], index: int, options, env) -> str:
    return f"{renderer.renderToken(tokens, index, options, env)}</div>\n"
