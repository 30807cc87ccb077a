"""Links and pictures that lead nowhere, and pictures that say nothing to who cannot see them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from evenhand.model_cards.figures.compared_pictures import read_picture
from evenhand.model_cards.lint.card_markdown import Reference
from evenhand.model_cards.lint.linted_card import LintedCard
from evenhand.model_cards.lint.problem import Problem

_ELSEWHERE = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]*:|//")


def links_and_pictures(card: LintedCard) -> Iterator[Problem]:
    """Relative links and pictures without a file among what is published, anchors without a heading, PNG files that are cut off
    or damaged, no alternative text.

    Addresses of other places are not opened.
    """
    for reference in card.markdown.references:
        if reference.is_picture and not (reference.text or "").strip():
            yield Problem(reference.line, f"picture {reference.target} has no alternative text")
        reason = _why_broken(card, reference)
        if reason:
            yield Problem(
                reference.line, f"{'picture' if reference.is_picture else 'link'} {reference.target!r} {reason}"
            )


def _why_broken(card: LintedCard, reference: Reference) -> str | None:
    if _ELSEWHERE.match(reference.target):
        return None
    if not reference.target:
        return "leads nowhere"
    path, anchor = unquote(urlsplit(reference.target).path), unquote(urlsplit(reference.target).fragment)
    if not path:
        return None if anchor in card.markdown.anchors else f"has no heading: nothing here is named {anchor!r}"
    name = posixpath.normpath(path)
    if path.startswith("/") or name.startswith("..") or reference.target.startswith("file:"):
        return "leads out of what is published"
    if not reference.is_picture and any(other.startswith(f"{name}/") for other in card.files):
        return None
    if name not in card.files:
        return f"does not exist: {name} is not among the files that are published"
    if name.endswith(".png"):
        try:
            read_picture(card.files[name])
        except ValueError as error:
            return str(error)
    return None
