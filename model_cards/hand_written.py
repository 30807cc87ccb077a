"""Text that people write into a card, between markers, kept when the card is made again."""

from __future__ import annotations

import re
from collections.abc import Mapping

from markdown_it import MarkdownIt

NAMES = ("introduction", "intended_use", "training", "limits", "contact")
"""The blocks of a card, in its order: each stands at the end of the part that it adds to."""

_START = re.compile(r"<!-- hand-written: (\S+), kept when the card is made again -->")
_END = re.compile(r"<!-- end of hand-written: (\S+) -->")
_LIKE_A_MARKER = re.compile(r"\s*<!--\s*(end of\s+)?hand-written\b", re.IGNORECASE)


def block(name: str, text: str) -> str:
    """The block as it stands in a card: its two marker lines, and ``text`` between blank lines where there is any."""
    between = f"\n{text}\n\n" if text else ""
    return f"<!-- hand-written: {name}, kept when the card is made again -->\n{between}<!-- end of hand-written: {name} -->"


def read_blocks(card_text: str) -> dict[str, str]:
    """The hand-written text of a card by block name; a block with nothing in it is left out.

    ``read_blocks(build_card(report, facts)) == facts.notes`` for every report and facts.

    Args:
        card_text: a whole README.md, as it was made or as somebody edited it.

    Raises:
        ValueError: a block is not closed, stands twice or has an unknown name, or a marker is damaged; one line that names the card's line.
    """
    blocks: dict[str, str] = {}
    name, opened, lines = None, 0, []
    for number, line in enumerate(card_text.split("\n"), start=1):
        line = line.rstrip()
        start, end = _START.fullmatch(line), _END.fullmatch(line)
        if not start and not end:
            if _LIKE_A_MARKER.match(line):
                raise ValueError(
                    f"line {number} of the card: a damaged marker of a hand-written block: {line.strip()[:80]!r}"
                )
            lines.append(line)
        elif start and name is None:
            name, opened, lines = start[1], number, []
            if name not in NAMES:
                raise ValueError(
                    f"line {number} of the card: no hand-written block {name!r}; known are {', '.join(NAMES)}"
                )
            if name in blocks:
                raise ValueError(f"line {number} of the card: the hand-written block {name!r} stands twice")
        elif end and name == end[1]:
            blocks[name] = "\n".join(lines).strip("\n")
            name = None
        elif name is None:
            raise ValueError(f"line {number} of the card: the hand-written block {end[1]!r} ends without a beginning")
        else:
            break
    if name is not None:
        raise ValueError(
            f"line {opened} of the card: the hand-written block {name!r} is not closed before the next one"
        )
    return {name: text for name, text in blocks.items() if text}


def checked_notes(notes: Mapping[str, str]) -> dict[str, str]:
    """``notes`` as a card can hold them: known names in the card's order, no blank edges, nothing that swallows what follows.

    Raw HTML is refused (a comment or an element that is not closed would hide the generated text), and so is a code block left open.

    Raises:
        ValueError: an unknown name, a value that is no text, or such Markdown.
    """
    if not isinstance(notes, Mapping):
        raise ValueError(f"notes must be texts by block name, got {notes!r}")
    for name, text in notes.items():
        if name not in NAMES:
            raise ValueError(f"notes: no hand-written block {name!r}; known are {', '.join(NAMES)}")
        if not isinstance(text, str):
            raise ValueError(f"notes: the block {name!r} must be text, got {text!r}")
    tidy = {name: _tidy(notes[name]) for name in NAMES if name in notes}
    for name, text in tidy.items():
        _refuse_what_swallows(name, text)
    return {name: text for name, text in tidy.items() if text}


def _tidy(text: str) -> str:
    """Lines without blanks at their ends, as ``read_blocks`` gives them back."""
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").split("\n")).strip("\n")


def _refuse_what_swallows(name: str, text: str) -> None:
    parser = MarkdownIt("commonmark").enable("table")
    tokens = parser.parse(text)
    inner = [child for token in tokens for child in token.children or []]
    if any(token.type in ("html_block", "html_inline") for token in (*tokens, *inner)) or "<!--" in text:
        raise ValueError(f"the hand-written block {name!r} holds HTML; write it as Markdown")
    # What follows the block in the card is a marker, an HTML comment at the start of a line.
    after = parser.parse(f"{text}\n\n<!-- -->\n")
    if after[-1].type != "html_block" or after[-1].level:
        raise ValueError(f"the hand-written block {name!r} leaves a code block open; close it")
