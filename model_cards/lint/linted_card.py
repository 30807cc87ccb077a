"""The card that is looked at, together with what it is compared with."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from evenhand.model_cards.card import build_card
from evenhand.model_cards.facts import CardFacts
from evenhand.model_cards.hand_written import read_blocks
from evenhand.model_cards.lint.card_markdown import CardMarkdown

_FRONT_MATTER = re.compile(r"---\n(.*?\n)?---(?:\n|\Z)", re.DOTALL)
_BLOCK_BEGINS = re.compile(r"<!-- hand-written: ")
_BLOCK_ENDS = re.compile(r"<!-- end of hand-written: ")


@dataclasses.dataclass(frozen=True)
class LintedCard:
    """A card's text, the published report and the facts that it should follow from, and the files that go with it.

    Args:
        text: README.md.
        report: as `published_report` gives it; None for a card that stands alone, which only some checks can do with.
        facts: the declared facts; None with the report. Their ``notes`` are not looked at, the card's own hand-written blocks take their place.
        files: what lies beside the card once it is published, by name relative to it.
    """

    text: str
    report: Mapping[str, Any] | None
    facts: CardFacts | None
    files: Mapping[str, Path]

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def front_matter(self) -> str | None:
        """The YAML between the ``---`` lines at the top, None without them. Its first line is line 2 of the card."""
        match = _FRONT_MATTER.match(self.text)
        return None if match is None else match[1] or ""

    @cached_property
    def front_matter_lines(self) -> int:
        """How many lines the front matter takes, its ``---`` lines included."""
        return 0 if self.front_matter is None else self.front_matter.count("\n") + 2

    @cached_property
    def body(self) -> str:
        """The Markdown, with a blank line for each line of the front matter."""
        return "\n".join([""] * self.front_matter_lines + self.lines[self.front_matter_lines :])

    @cached_property
    def markdown(self) -> CardMarkdown:
        return CardMarkdown(self.body)

    @cached_property
    def hand_written_lines(self) -> frozenset[int]:
        """1-based numbers of the lines between the markers of hand-written blocks."""
        inside, numbers = False, set()
        for number, line in enumerate(self.lines, start=1):
            if _BLOCK_BEGINS.match(line):
                inside = True
            elif _BLOCK_ENDS.match(line):
                inside = False
            elif inside:
                numbers.add(number)
        return frozenset(numbers)

    @cached_property
    def figures(self) -> list[str]:
        """Names of the pictures that go with the card, `seat` first."""
        pictures = [name for name in self.files if re.fullmatch(r"figures/[^/]+\.png", name)]
        return sorted(pictures, key=lambda name: (name != "figures/seat.png", name))

    @cached_property
    def expected(self) -> str:
        """The card that report, facts and this card's own hand-written blocks give.

        Raises:
            ValueError: a block is damaged, or report and facts give no card.
        """
        facts = dataclasses.replace(self.facts, notes=read_blocks(self.text))
        return build_card(self.report, facts, self.figures)
