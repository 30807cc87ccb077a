"""Word lists of context-debias, and whole words of them in token ids."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from evenhand.trainer.word_boundaries import WordBoundaries

KINDS = ("male", "female", "stereotypes")
"""The lists, in the order of their numbers: two sides of the attribute, and the words that are to be free of it."""
STEREOTYPES = 2


@dataclass(frozen=True)
class DebiasWords:
    """The three lists.

    Args:
        male, female: words of the two sides. stereotypes: words that are to carry neither.
        sources: where each list comes from, for the report.

    Raises:
        ValueError: an empty list, or a word that stands on both sides.
    """

    male: tuple[str, ...]
    female: tuple[str, ...]
    stereotypes: tuple[str, ...]
    sources: tuple[str, str, str] = ("given", "given", "given")

    def __post_init__(self) -> None:
        for name, source in zip(KINDS, self.sources, strict=True):
            if not getattr(self, name):
                raise ValueError(f"The list of {name} words ({source}) is empty; give at least one word.")
        both = sorted({*self.male} & {*self.female})
        if both:
            raise ValueError(
                f"{', '.join(both)} stands in the male and in the female list; keep each word on one side."
            )

    @classmethod
    def load(
        cls,
        male: str | list[str] = "builtin",
        female: str | list[str] = "builtin",
        stereotypes: str | list[str] = "builtin",
    ) -> DebiasWords:
        """Each list as ``builtin``, as the path of a text file with one word a line (``#`` starts a comment), or as the words themselves.

        Raises:
            FileNotFoundError: no such file. ValueError: a file that is no such list.
        """
        loaded = [_load(name, given) for name, given in zip(KINDS, (male, female, stereotypes), strict=True)]
        return cls(*(words for words, _ in loaded), tuple(source for _, source in loaded))

    @property
    def sha256(self) -> str:
        """Hash of the lists in order."""
        lists = [getattr(self, name) for name in KINDS]
        return hashlib.sha256(json.dumps(lists, ensure_ascii=False).encode()).hexdigest()


def _load(name: str, given: str | list[str]) -> tuple[tuple[str, ...], str]:
    if not isinstance(given, str):
        return _distinct(str(word) for word in given), "the recipe"
    if given == "builtin":
        text = resources.files(__package__).joinpath("context_debias_words.json").read_text(encoding="utf-8")
        return _distinct(json.loads(text)[name]), "builtin"
    path = Path(given).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"The list of {name} words, {given}, does not exist; give a file with one word a line.")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(
            f"The list of {name} words, {given}, is not UTF-8 text; give a file with one word a line."
        ) from None
    words = _distinct(line.split("#")[0] for line in lines)
    spaced = next((word for word in words if any(c in word for c in " \t,;{[")), None)
    if spaced is not None:
        raise ValueError(f"The list of {name} words, {given}, holds {spaced!r}; it must have one word a line.")
    return words, path.name


def _distinct(words) -> tuple[str, ...]:
    """Published lists repeat some words."""
    return tuple(dict.fromkeys(word for word in (word.strip() for word in words) if word))


@dataclass
class CompiledWords:
    """The lists as token ids of one tokenizer.

    Case variants count as forms of a word, as in :class:`~evenhand.trainer.word_pairs.WordPairs`. A stereotype that is a word of a side too is left
    out; the ``report`` names it, and the words that the tokenizer does not know.

    Args:
        words: the lists.
        tokenizer: of the teacher.

    Raises:
        ValueError: a list of which no word is known, or two words of different sides with the same ids.
    """

    words: DebiasWords
    tokenizer: PreTrainedTokenizerBase
    report: dict = field(init=False)

    def __post_init__(self) -> None:
        self._boundaries = WordBoundaries(self.tokenizer)
        self._patterns: dict[int, dict[tuple[int, ...], int]] = {}
        self.report = {
            name: self._add(number, name, source)
            for number, (name, source) in enumerate(zip(KINDS, self.words.sources, strict=True))
        }
        self._inner_joins: dict[tuple[int, ...], list[bool]] = {}
        self._starts = np.zeros(self._boundaries.vocab_size, dtype=bool)
        for ids in (ids for table in self._patterns.values() for ids in table):
            self._starts[ids[0]] = True
            self._inner_joins[ids] = self._joined(np.array(ids))[1:]

    def _add(self, number: int, name: str, source: str) -> dict:
        words, unknown, taken = getattr(self.words, name), [], []
        for word in words:
            forms = [
                self.tokenizer.encode(form, add_special_tokens=False)
                for form in self._boundaries.forms(word, "variants")
            ]
            if not forms[0] or self.tokenizer.unk_token_id in forms[0]:
                unknown.append(word)
                continue
            for form in forms:
                if not form or self.tokenizer.unk_token_id in form:
                    continue
                held = self._patterns.setdefault(len(form), {}).setdefault(tuple(form), number)
                if held != number and number != STEREOTYPES:
                    raise ValueError(f"{word!r} has the token ids of a {KINDS[held]} word; keep each word on one side.")
                if held != number and word not in taken:
                    taken.append(word)
        used = len(words) - len(unknown) - len(taken)
        if not used:
            raise ValueError(
                f"The teacher's tokenizer knows none of the {name} words ({source}); give words of its vocabulary."
            )
        report = {"source": source, "n_words": len(words), "n_used": used, "unknown": unknown}
        return report | ({"also_of_a_side": taken} if number == STEREOTYPES else {})

    def _joined(self, ids: np.ndarray) -> list[bool]:
        return self._boundaries.joined_to_previous(torch.from_numpy(ids.astype(np.int64))[None])[0].tolist()

    def find(self, ids: np.ndarray) -> list[tuple[int, int, int]]:
        """Whole words of the lists in one sequence, as ``(start, stop, number of the list)``; longer ones win over shorter ones.

        Args:
            ids: ``(length,)`` token ids.
        """
        candidates = np.flatnonzero(self._starts[ids])
        if not len(candidates):
            return []
        joined, listed, found, free = self._joined(ids), ids.tolist(), [], 0
        for start in candidates.tolist():
            if start < free or joined[start]:
                continue
            for length in sorted(self._patterns, reverse=True):
                stop = start + length
                seen = tuple(listed[start:stop])
                kind = self._patterns[length].get(seen)
                ends = stop >= len(listed) or not joined[stop]
                if kind is not None and ends and joined[start + 1 : stop] == self._inner_joins[seen]:
                    found.append((start, stop, kind))
                    free = stop
                    break
        return found
