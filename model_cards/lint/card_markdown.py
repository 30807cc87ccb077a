"""A card's Markdown, read once: its links, pictures, anchors, and the text of its paragraphs, each with its line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

from markdown_it.token import Token

from evenhand.model_cards.page.gfm import gfm_parser


@dataclass(frozen=True)
class Reference:
    """A link or a picture. ``text`` is a picture's alternative text, None where it has none at all."""

    line: int
    target: str
    is_picture: bool
    text: str | None = None


@dataclass(frozen=True)
class Passage:
    """The plain text of a paragraph, heading or table row, without code and HTML; a line break of the source is ``\\n``.

    ``is_sourced_quotation``: it stands in a block quote that holds a link, so its numbers are those of others.
    """

    line: int
    text: str
    is_sourced_quotation: bool = False


class CardMarkdown:
    """What the linter reads of a card.

    Args:
        text: the card without its front matter, whose lines are blank so that lines keep their numbers.
    """

    def __init__(self, text: str) -> None:
        # The page's parser, so that an anchor is broken here exactly where it would be there.
        self._tokens = [token for token in gfm_parser().parse(text) if token.type != "inline" or token.map]
        self.references: list[Reference] = []
        self.anchors: set[str] = set()
        for token in self._tokens:
            self._read(token)

    def _read(self, token: Token) -> None:
        if token.type == "heading_open" and token.attrGet("id"):
            self.anchors.add(str(token.attrGet("id")))
        elif token.type == "html_block":
            self._read_html(token.content, token.map[0] + 1)
        elif token.type == "inline":
            line = token.map[0] + 1
            for child in token.children:
                if child.type in ("softbreak", "hardbreak"):
                    line += 1
                elif child.type == "link_open":
                    self.references.append(Reference(line, str(child.attrGet("href") or ""), False))
                elif child.type == "image":
                    self.references.append(Reference(line, str(child.attrGet("src") or ""), True, child.content))
                elif child.type == "html_inline":
                    self._read_html(child.content, line)

    def _read_html(self, text: str, line: int) -> None:
        for tag, attributes, offset in _HtmlTags.of(text):
            if tag == "img":
                target, alt = attributes.get("src") or "", attributes.get("alt")
                self.references.append(Reference(line + offset, target, True, alt))
            elif tag == "a" and "href" in attributes:
                self.references.append(Reference(line + offset, attributes["href"] or "", False))
            names = {attributes.get("id"), attributes.get("name") if tag == "a" else None}
            self.anchors |= {name for name in names if name}

    def passages(self) -> Iterator[Passage]:
        """Every paragraph, heading, list item and table row. A table's cell follows the name of its column, as in ``n: 128``."""
        quotations, heads, cells = self._sourced_quotations(), [], []
        in_head, row_line = False, 0
        for index, token in enumerate(self._tokens):
            if token.type in ("thead_open", "thead_close"):
                in_head, heads = token.type == "thead_open", heads if token.type == "thead_close" else []
            elif token.type == "tr_open":
                cells, row_line = [], token.map[0] + 1
            elif token.type == "tr_close" and not in_head:
                named = [f"{head}: {cell}" for head, cell in zip(heads, cells, strict=False) if cell.strip()]
                yield Passage(row_line, "; ".join(named), index in quotations)
            elif token.type == "inline" and self._tokens[index - 1].type in ("th_open", "td_open"):
                (heads if in_head else cells).append(_plain(token.children))
            elif token.type == "inline":
                yield Passage(token.map[0] + 1, _plain(token.children), index in quotations)

    def _sourced_quotations(self) -> set[int]:
        """Indices of the tokens inside block quotes that hold a link."""
        found: set[int] = set()
        opened: list[int] = []
        for index, token in enumerate(self._tokens):
            if token.type == "blockquote_open":
                opened.append(index)
            elif token.type == "blockquote_close":
                inside = range(opened.pop(), index)
                children = (child for i in inside for child in self._tokens[i].children or [])
                if any(child.type == "link_open" for child in children):
                    found.update(inside)
        return found


def _plain(children: Sequence[Token]) -> str:
    parts = {"text": lambda child: child.content, "softbreak": lambda child: "\n", "hardbreak": lambda child: "\n"}
    # Code holds names, versions and commands; a blank keeps the words around it apart.
    return "".join(
        parts.get(child.type, lambda child: " " if child.type == "code_inline" else "")(child) for child in children
    )


class _HtmlTags(HTMLParser):
    """Start tags of a piece of HTML with the line on which each stands, counted from 0."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], int]] = []

    @classmethod
    def of(cls, text: str) -> list[tuple[str, dict[str, str | None], int]]:
        parser = cls()
        parser.feed(text)
        return parser.found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), self.getpos()[0] - 1))
