"""Whether the pictures show what the report holds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from evenhand.model_cards.figures.compared_pictures import DRAWN_HERE, compared_picture, read_picture
from evenhand.model_cards.figures.pictures import REPORT_PICTURES, draw_pictures
from evenhand.model_cards.lint.linted_card import LintedCard
from evenhand.model_cards.lint.problem import Problem


def report_pictures(card: LintedCard) -> Iterator[Problem]:
    """Pictures of the names that are drawn from the report which show something else, drawn again and compared pixel by pixel.

    What another version of matplotlib drew is left alone, and so is what cannot be read, which another check names.
    """
    names = [name for name in card.figures if Path(name).name in REPORT_PICTURES and _is_drawn_here(card.files[name])]
    if not names:
        return
    with tempfile.TemporaryDirectory(prefix="evenhand-lint-") as scratch:
        try:
            draw_pictures(card.report, scratch)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            yield Problem(None, f"its pictures cannot be drawn from the report: {error!r}")
            return
        for name in names:
            compared = compared_picture(card.files[name], Path(scratch) / Path(name).name)
            if compared.is_same is False:
                yield Problem(_line(card, name), f"picture {name!r}: {compared.note}; make the card again")


def _is_drawn_here(path: Path) -> bool:
    try:
        return read_picture(path)[1] == DRAWN_HERE
    except ValueError:
        return False


def _line(card: LintedCard, name: str) -> int | None:
    return next((one.line for one in card.markdown.references if one.is_picture and one.target == name), None)
