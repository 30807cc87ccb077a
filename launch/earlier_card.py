"""What a README.md holds that is lost when a run's card is written over it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from evenhand.model_cards.whole_files import write_text

# Numbers and hashes follow the report, so a line that differs in these alone is a line of the card.
_NUMBER = re.compile(r"[0-9a-f]{40,}|(?<![A-Za-z_])[-+−]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_BLOCK = re.compile(r"(?ms)^<!-- hand-written: .*?^<!-- end of hand-written: [^\n]*$")


def keep_earlier(card_file: Path, new: str) -> Path | None:
    """Copy ``card_file`` to ``README.md.old`` where it holds a line, outside of hand-written blocks, that the new card does not; say so.

    Such a line is somebody's text, or one of a card that was made from another report; which of them cannot be told. An earlier copy is
    never written over: the next is ``README.md.old.2``.

    Args:
        card_file: the README.md that stands there, or none.
        new: the card that will take its place.

    Returns:
        The copy's path; None where none was needed.
    """
    if not card_file.is_file():
        return None
    old = card_file.read_text(encoding="utf-8")
    known = set(_lines(new))
    strange = next((line for line in _lines(old) if line not in known), None)
    if strange is None:
        return None
    copy, number = card_file.with_name(f"{card_file.name}.old"), 1
    while copy.is_file() and copy.read_text(encoding="utf-8") != old:
        number += 1
        copy = card_file.with_name(f"{card_file.name}.old.{number}")
    write_text(copy, old)
    why = "it holds text that the new card does not; text of your own belongs in a hand-written block"
    print(f"the earlier {card_file} is kept as {copy.name}: {why}", file=sys.stderr)
    return copy


def _lines(card: str) -> list[str]:
    """The lines outside of hand-written blocks, blank ones left out, a nought for every number."""
    lines = (line.strip() for line in _BLOCK.sub("", card.replace("\r\n", "\n")).split("\n"))
    return [_NUMBER.sub("0", line) for line in lines if line]
