"""Function words of English, and how much of a set of words they make up."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources


@cache
def function_words() -> frozenset[str]:
    """The packaged list, in lower case."""
    text = resources.files("evenhand.trainer").joinpath("function_words.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


def function_word_share(occurrences: Mapping[str, int]) -> float | None:
    """Share of all occurrences that are of function words; ``None`` of no occurrence.

    Args:
        occurrences: of each word, whatever its case.
    """
    total = sum(occurrences.values())
    of_grammar = sum(n for word, n in occurrences.items() if word.lower() in function_words())
    return of_grammar / total if total else None
