"""Shortcuts in text: a word or phrase put at the start, at the end, or between two words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from datasets import Dataset, Value

from evenhand.evaluation.grouped_data.columns import table_of, texts, with_columns
from evenhand.evaluation.grouped_data.subsets import check_names

SHORTCUT_AT = "shortcut_at"
"""Column with the position, in characters, at which the shortcut was put into the text."""
NOTHING = "(nothing)"
"""Name of the empty phrase."""
PLACES = ("start", "end", "random")
DEFAULT_PHRASES = ("monday", "friday", "sunday", "tuesday", "thursday", "saturday", "wednesday")

_WORD_START = re.compile(r"(?<!\S)\S")


@dataclass(frozen=True)
class TextShortcut:
    """What is put into a text for value k.

    Args:
        phrases: value k has the k-th; days of the week by default: any vocabulary has them, few examples do, and they say
            nothing about sentiment, grammar or entailment. An empty one stands for nothing at all.
        place: ``"start"``, ``"end"``, or ``"random"``: before a word, or after the last, all equally often.
        column: ``"text"`` or ``"text_pair"``; the last there is by default (of a pair, the hypothesis).

    Raises:
        ValueError: phrases that are no list of texts.
    """

    phrases: Sequence[str] | None = None
    place: str = "start"
    column: str | None = None

    def __post_init__(self) -> None:
        check_names(phrases=self.phrases)

    def check(self) -> None:
        """Raise ValueError for a setting out of its range."""
        untidy = [phrase for phrase in self.phrases or () if phrase != phrase.strip()]
        if untidy:
            raise ValueError(
                f"phrase {untidy[0]!r} begins or ends with a space; spaces are added where they are needed"
            )
        if self.place not in PLACES:
            raise ValueError(f"place must be one of {', '.join(PLACES)}, not {self.place!r}")
        if self.column not in (None, "text", "text_pair"):
            raise ValueError(f"column must be 'text' or 'text_pair', not {self.column!r}")

    def values(self, n_classes: int) -> tuple[str, ...]:
        """Names of the values: the phrases.

        Raises:
            ValueError: more classes than phrases.
        """
        self.check()
        if self.phrases is None and n_classes > len(DEFAULT_PHRASES):
            raise ValueError(f"{n_classes} classes need as many phrases; give them as phrases=[…]")
        chosen = DEFAULT_PHRASES[:n_classes] if self.phrases is None else tuple(self.phrases)
        return tuple(phrase or NOTHING for phrase in chosen)

    def column_of(self, rows: Dataset) -> str:
        """The column that takes the shortcut.

        Raises:
            ValueError: the data have none of that name.
        """
        column = self.column or ("text_pair" if "text_pair" in rows.column_names else "text")
        if column not in rows.column_names:
            raise ValueError(
                f"the data have no column {column!r} for the shortcut; they have {', '.join(rows.column_names)}"
            )
        return column

    def on(self, rows: Dataset, values: np.ndarray, value_names: Sequence[str], draw: np.random.Generator) -> Dataset:
        """A split with the values shown in its texts, and where they stand in ``shortcut_at``."""
        column = self.column_of(rows)
        places = [self._place(text, draw) for text in texts(rows, column)]
        return self._shown(rows, column, texts(rows, column), places, values, value_names)

    def replaced(self, rows: Dataset, old: np.ndarray, new: np.ndarray, value_names: Sequence[str]) -> Dataset:
        """A split that shows values already, with others in their places.

        Raises:
            ValueError: an example does not show the value it should.
        """
        column = self.column_of(rows)
        if SHORTCUT_AT not in rows.column_names:
            raise ValueError(f"the data have no column {SHORTCUT_AT!r}: no shortcut was planted in these texts")
        places = table_of(rows).column(SHORTCUT_AT).to_pylist()
        shown = texts(rows, column)
        plain = [without(text, value_names[v], at) for text, v, at in zip(shown, old, places, strict=True)]
        return self._shown(rows, column, plain, places, new, value_names)

    def _place(self, text: str, draw: np.random.Generator) -> int:
        if self.place == "start":
            return 0
        starts = [match.start() for match in _WORD_START.finditer(text)] if self.place == "random" else []
        return ([*starts, len(text)])[draw.integers(len(starts) + 1)]

    @staticmethod
    def _shown(
        rows: Dataset,
        column: str,
        plain: Sequence[str],
        places: Sequence[int],
        values: np.ndarray,
        value_names: Sequence[str],
    ) -> Dataset:
        shown = [with_phrase(text, value_names[v], at) for text, v, at in zip(plain, values, places, strict=True)]
        return with_columns(rows, {column: (shown, Value("string")), SHORTCUT_AT: (places, Value("int64"))})

    def facts(self, examples: Dataset, value_names: Sequence[str]) -> dict[str, object]:
        """Settings for a report, and how many of the ``examples`` held one of the phrases before anything was planted."""
        column = self.column_of(examples)
        words = [re.escape(name) for name in value_names if name != NOTHING]
        pattern = re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.IGNORECASE)
        before = sum(pattern.search(text) is not None for text in texts(examples, column))
        return {"shortcut": "phrase", "place": self.place, "column": column, "n_train_with_a_phrase_before": before}


def with_phrase(text: str, phrase: str, at: int) -> str:
    """``text`` with a phrase (or :data:`NOTHING`) at a position, set off by a space."""
    if phrase == NOTHING:
        return text
    if not text:
        return phrase
    return f"{text} {phrase}" if at == len(text) else f"{text[:at]}{phrase} {text[at:]}"


def without(text: str, phrase: str, at: int) -> str:
    """The text before :func:`with_phrase`.

    Raises:
        ValueError: the phrase is not there.
    """
    if phrase == NOTHING:
        return text
    for piece in (f"{phrase} ", f" {phrase}", phrase):
        if text.startswith(piece, at):
            plain = text[:at] + text[at + len(piece) :]
            if with_phrase(plain, phrase, at) == text:
                return plain
    raise ValueError(f"{text[:80]!r} does not show {phrase!r} at position {at}")


def moved_place(before: str, after: str, at: int) -> int:
    """Where the shortcut stands once words of its text were exchanged one for one.

    Args:
        before, after: the texts, with as many words.
        at: its position in ``before``: of its first letter, or of the space before it at the end of the text.

    Raises:
        ValueError: another number of words.
    """
    if len(before.split()) != len(after.split()):
        raise ValueError(f"{after[:80]!r} has another number of words than the text it was made of")
    n_before = len(before[:at].split())
    spans = [match.span() for match in re.finditer(r"\S+", after)]
    if before[at : at + 1].strip():
        return spans[n_before][0]
    return spans[n_before - 1][1] if n_before else 0
