"""Whether the card, its hand-written blocks aside, is what the report and the facts give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import zip_longest

from evenhand.model_cards.lint.linted_card import LintedCard
from evenhand.model_cards.lint.problem import Problem, shortened
from evenhand.model_cards.lint.report_hash import REPORT_HASH

MOST_LINES = 20
"""How many lines that differ are named one by one: a card of another version of evenhand differs nearly everywhere."""

_NUMBER = re.compile(r"(?<![\w.])[-+−]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?%?")
_LINE_OF_THE_CARD = re.compile(r"line (\d+) of the card: (.*)")


def generated_part(card: LintedCard) -> Iterator[Problem]:
    """Each line that differs, and which number on it."""
    try:
        expected = card.expected
    except ValueError as error:
        match = _LINE_OF_THE_CARD.fullmatch(" ".join(str(error).split()))
        yield Problem(int(match[1]), match[2]) if match else Problem(None, f"cannot be made again: {error}")
        return
    if expected == card.text:
        return
    problems = list(_differences(card.lines, expected.split("\n")))
    yield from problems[:MOST_LINES]
    if len(problems) > MOST_LINES:
        text = (
            f"{len(problems) - MOST_LINES} more lines are not what the report and the facts give; make the card again"
        )
        yield Problem(problems[MOST_LINES].line, text)


def _differences(ours: list[str], theirs: list[str]) -> Iterator[Problem]:
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    for change, first, last, other_first, other_last in matcher.get_opcodes():
        if change == "equal":
            continue
        pairs = zip_longest(ours[first:last], theirs[other_first:other_last])
        for number, (line, other) in enumerate(pairs, start=first + 1):
            # Another report's hash has a check of its own.
            if line is None or not REPORT_HASH.search(line):
                yield Problem(min(number, len(ours)), _difference(line, other))


def _difference(line: str | None, other: str | None) -> str:
    """What a line should be, from the card's line (None: it is missing) and the expected one (None: there is none)."""
    if line is None:
        return f"here a line is missing that the report and the facts give: {shortened(other)!r}"
    if other is None:
        return f"the report and the facts do not give this line: {shortened(line)!r}; text of your own belongs in a hand-written block"
    if _NUMBER.sub("0", line) == _NUMBER.sub("0", other):
        pairs = zip(_NUMBER.findall(line), _NUMBER.findall(other), strict=True)
        wrong = [f"{found} where the report and the facts give {right}" for found, right in pairs if found != right]
        return f"prints {', and '.join(wrong)}"
    start = next((i for i, (a, b) in enumerate(zip(line, other, strict=False)) if a != b), min(len(line), len(other)))
    start = max(0, start - 20)
    return f"reads {shortened(line[start:], 60)!r} where the report and the facts give {shortened(other[start:], 60)!r}"
