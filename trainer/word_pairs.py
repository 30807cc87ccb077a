"""Word pairs of a two-sided attribute (he/she, …) and their occurrences in token ids."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import torch
from torch.utils.data import IterableDataset
from transformers import PreTrainedTokenizerBase

from evenhand.trainer.word_boundaries import WordBoundaries

GENDERED_WORDS = "gendered_words"
"""Name of the packaged long list of pairs."""

PACKAGED_PAIRS = ("builtin", GENDERED_WORDS)
"""Names under which :meth:`WordPairs.load` has a list without any file."""


@dataclass(frozen=True)
class WordPairs:
    """Pairs (first side, second side) of one attribute; for gender the first side is the male one.

    λ of the mixup multiplies the first side, so a file's column order matters for reading λ, not for the result: Beta(α, α)
    is symmetric.

    Args:
        pairs: ``((first, second), …)``.
        source: where they come from, for the report.
        sides: names of the two sides.

    Raises:
        ValueError: no pair, an empty word, a pair of equal words, a word that stands on both sides.
    """

    pairs: tuple[tuple[str, str], ...]
    source: str = "given"
    sides: tuple[str, str] = ("male", "female")

    def __post_init__(self) -> None:
        if not self.pairs:
            raise ValueError(f"Word pairs ({self.source}): the list is empty; give at least one pair.")
        for first, second in self.pairs:
            if not first.strip() or not second.strip() or first == second:
                raise ValueError(
                    f"Word pairs ({self.source}): {first!r} / {second!r} is not a pair of two different words."
                )
        both = {first for first, _ in self.pairs} & {second for _, second in self.pairs}
        if both:
            raise ValueError(
                f"Word pairs ({self.source}): {', '.join(sorted(both))} stands on both sides; keep each word on one side."
            )

    @classmethod
    def builtin(cls) -> WordPairs:
        """The ten definitional pairs of Bolukbasi et al. 2016, which Ahn et al. 2022 use."""
        data = json.loads(resources.files(__package__).joinpath("word_pairs.json").read_text(encoding="utf-8"))
        return cls(tuple(map(tuple, data["pairs"])), data["name"], tuple(data["sides"]))

    @classmethod
    def gendered_words(cls) -> WordPairs:
        """A long list: the built-in pairs, and those of the built-in lists of context-debias (``context_debias_words.json``, aligned) of
        which they hold neither word."""
        pairs = list(cls.builtin().pairs)
        words = {word.lower() for pair in pairs for word in pair}
        lists = json.loads(resources.files(__package__).joinpath("context_debias_words.json").read_text("utf-8"))
        for pair in zip(lists["male"], lists["female"], strict=True):
            if not words & {*pair}:
                pairs.append(pair)
                words.update(pair)
        return cls(tuple(pairs), GENDERED_WORDS, cls.builtin().sides)

    @classmethod
    def from_file(cls, path: str | Path, sides: tuple[str, str] = ("first", "second")) -> WordPairs:
        """Read a JSON list of two-word lists, or text with two columns (tab, comma or spaces; ``#`` starts a comment).

        Raises:
            FileNotFoundError: no such file.
            ValueError: the file is neither; the message names the line or entry.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f"Word-pair file {path} does not exist; give a JSON list of pairs or two-column text."
            )
        text = path.read_text(encoding="utf-8")
        pairs = _pairs_from_json(text, path) if text.lstrip().startswith(("[", "{")) else _pairs_from_text(text, path)
        return cls(tuple(pairs), path.name, sides)

    @classmethod
    def load(cls, pairs: str | Path) -> WordPairs:
        """``"builtin"``, ``"gendered_words"`` (the long list) or a file."""
        packaged = dict(zip(PACKAGED_PAIRS, (cls.builtin, cls.gendered_words), strict=True))
        return packaged[str(pairs)]() if str(pairs) in packaged else cls.from_file(pairs)

    @property
    def sha256(self) -> str:
        """Hash of the pairs in order."""
        return hashlib.sha256(json.dumps(self.pairs, ensure_ascii=False).encode()).hexdigest()

    def compile(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        forms: str = "variants",
        unequal: str = "refuse",
        section: str = "mixup",
    ) -> CompiledPairs:
        """Turn words into token-id patterns of one tokenizer.

        Args:
            tokenizer: the tokenizer of student and teacher.
            forms: ``variants`` (default): case and, for byte-level BPE, leading-space variants count as forms of the word,
                each paired with its like; ``exact``: the word as written only.
            unequal: what to do with a pair whose sides have different numbers of tokens: ``refuse`` (default) or ``skip``.
            section: of a recipe, that has these options; named in errors.

        Raises:
            ValueError: unequal pairs under ``refuse``, with the list; no pair left; an unknown option.
        """
        return _compile(self, tokenizer, forms, unequal, section)


@dataclass
class CompiledPairs:
    """Patterns of token ids, each with its twin, and the report of how they came about.

    ``patterns[length]`` maps a tuple of ids to ``(twin ids, is first side)``.
    """

    pairs: WordPairs
    boundaries: WordBoundaries
    patterns: dict[int, dict[tuple[int, ...], tuple[tuple[int, ...], bool]]]
    matched: list[list[str]] = field(default_factory=list)
    multi_token: list[list[str]] = field(default_factory=list)
    skipped: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        size = self.boundaries.vocab_size
        self.starts = torch.zeros(size, dtype=torch.bool)
        # a pattern's inner tokens must join in the text as they do in the pattern: all of them in "grand ##father", none in "step - son"
        self.inner_joins: dict[tuple[int, ...], list[bool]] = {}
        for table in self.patterns.values():
            for ids in table:
                self.starts[ids[0]] = True
                self.inner_joins[ids] = self.boundaries.joined_to_previous(torch.tensor([ids]))[0, 1:].tolist()

    def report(self) -> dict:
        """Which pairs were matched as one token, which span several tokens, which were skipped and why; ``n_patterns`` counts all forms."""
        return {
            "source": self.pairs.source,
            "sides": list(self.pairs.sides),
            "n_pairs": len(self.pairs.pairs),
            "sha256": self.pairs.sha256,
            "n_patterns": sum(len(table) for table in self.patterns.values()) // 2,
            "matched": self.matched,
            "multi_token": self.multi_token,
            "skipped": self.skipped,
        }

    def occurrences(self, input_ids: torch.Tensor, text_ids: torch.Tensor, attention_mask: torch.Tensor) -> Occurrences:
        """Whole words of a pair in a batch.

        Args:
            input_ids: ``(batch, length)`` in which words are sought (after corruption, by default of the mixup).
            text_ids: ``(batch, length)`` of the text as it was; where words begin and end is read here, so that a piece
                of another word (``gal ##ore``) stays one when its neighbour is masked.
            attention_mask: ``(batch, length)``.

        Returns:
            The occurrences; longer patterns win over shorter ones at the same place, and no position is taken twice.
        """
        length = input_ids.shape[1]
        candidates = (self.starts[input_ids] & attention_mask.bool()).nonzero().tolist()
        if not candidates:
            return Occurrences.empty()
        joined = self.boundaries.joined_to_previous(text_ids)
        found: list[tuple[int, tuple[int, ...], bool]] = []
        taken_row, taken_until = -1, 0
        rows = {
            row: (input_ids[row].tolist(), joined[row].tolist(), int(attention_mask[row].sum()))
            for row, _ in candidates
        }
        for row, start in candidates:
            if row == taken_row and start < taken_until:
                continue
            ids, joins, real = rows[row]
            for span in sorted(self.patterns, reverse=True):
                stop = start + span
                seen = tuple(ids[start:stop])
                hit = self.patterns[span].get(seen) if stop <= real else None
                alone = hit and not joins[start] and not (stop < real and joins[stop])
                if alone and joins[start + 1 : stop] == self.inner_joins[seen]:
                    found.append((row * length + start, *hit))
                    taken_row, taken_until = row, stop
                    break
        return Occurrences.of(found, length)

    def occur_in(self, dataset, token_counts: torch.Tensor) -> bool:
        """Whether a data set holds any whole word of the pairs; a stream is judged by its ``(vocab_size,)`` token counts."""
        if int(token_counts[self.starts[: len(token_counts)]].sum()) == 0:
            return False
        if isinstance(dataset, IterableDataset):
            return True
        for example in dataset:
            ids = torch.as_tensor(example["input_ids"]).unsqueeze(0)
            if self.occurrences(ids, ids, torch.ones_like(ids)).n_words:
                return True
        return False


@dataclass(frozen=True)
class Occurrences:
    """Positions that hold a pair's word. One row a *position*; a word of k tokens has k rows of one ``word``.

    Args:
        positions: ``(n,)`` flat positions of the (batch · length) grid, ascending.
        twin_ids: ``(n,)`` the other side's token at that position.
        is_first: ``(n,)`` whether the observed word is of the first (male) side.
        word: ``(n,)`` number of the occurrence, counted from 0.
        sequence: ``(n,)`` row of the batch.
    """

    positions: torch.Tensor
    twin_ids: torch.Tensor
    is_first: torch.Tensor
    word: torch.Tensor
    sequence: torch.Tensor

    @classmethod
    def of(cls, found: list[tuple[int, tuple[int, ...], bool]], length: int) -> Occurrences:
        flat = [
            (start + k, twin, is_first, word)
            for word, (start, twins, is_first) in enumerate(found)
            for k, twin in enumerate(twins)
        ]
        if not flat:
            return cls.empty()
        positions, twins, first, word = (torch.tensor(column) for column in zip(*flat, strict=True))
        return cls(positions, twins, first, word, positions // length)

    @classmethod
    def empty(cls) -> Occurrences:
        none = torch.zeros(0, dtype=torch.long)
        return cls(none, none, none.bool(), none, none)

    @property
    def n_words(self) -> int:
        return int(self.word[-1]) + 1 if len(self.word) else 0


def _compile(
    pairs: WordPairs, tokenizer: PreTrainedTokenizerBase, forms: str, unequal: str, section: str
) -> CompiledPairs:
    for name, value, allowed in (
        ("forms", forms, ("variants", "exact")),
        ("unequal_pairs", unequal, ("refuse", "skip")),
    ):
        if value not in allowed:
            raise ValueError(f"{section}.{name} must be one of {', '.join(allowed)}, not {value!r}.")
    boundaries = WordBoundaries(tokenizer)
    patterns: dict[int, dict] = {}
    matched, multi_token, skipped, refused = [], [], [], []
    for first, second in pairs.pairs:
        variants = zip(*(boundaries.forms(word, forms) for word in (first, second)), strict=True)
        sides = [tuple(tuple(tokenizer.encode(w, add_special_tokens=False)) for w in variant) for variant in variants]
        problem = _problem(sides[0], tokenizer)
        added = [_add_pattern(patterns, *ids) for ids in sides if problem is None and _problem(ids, tokenizer) is None]
        if problem is None and not added[0]:
            problem = "a word stands in an earlier pair"
        if problem is not None:
            skipped.append({"pair": [first, second], "reason": problem})
            if problem.endswith(" tokens"):
                refused.append(f"{first}/{second} ({problem})")
        else:
            (multi_token if len(sides[0][0]) > 1 else matched).append([first, second])
    if refused and unequal == "refuse":
        raise ValueError(
            f"Word pairs with unequal numbers of tokens cannot be exchanged position by position: {'; '.join(refused)}. "
            f"Remove them or set {section}.unequal_pairs=skip."
        )
    if not patterns:
        raise ValueError(
            f"No word pair of {pairs.source} can be matched with this tokenizer; check the word-pair list."
        )
    return CompiledPairs(pairs, boundaries, patterns, matched, multi_token, skipped)


def _problem(sides: tuple[tuple[int, ...], tuple[int, ...]], tokenizer: PreTrainedTokenizerBase) -> str | None:
    first, second = sides
    if not first or not second or tokenizer.unk_token_id in (*first, *second):
        return "not in the vocabulary"
    if first == second:
        return "both sides have the same token ids"
    if len(first) != len(second):
        return f"{len(first)} and {len(second)} tokens"
    return None


def _add_pattern(patterns: dict, first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    table = patterns.get(len(first), {})
    if table.get(first, (second,))[0] != second or table.get(second, (first,))[0] != first:
        return False
    table = patterns.setdefault(len(first), {})
    table[first], table[second] = (second, True), (first, False)
    return True


def _pairs_from_json(text: str, path: Path) -> list[tuple[str, str]]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"Word-pair file {path} is not valid JSON: {error}.") from None
    if not isinstance(data, list):
        raise ValueError(f"Word-pair file {path} must hold a JSON list of two-word lists.")
    for number, entry in enumerate(data):
        if not (isinstance(entry, list) and len(entry) == 2 and all(isinstance(word, str) for word in entry)):
            raise ValueError(f"Word-pair file {path}: entry {number} is {entry!r}, not a list of two words.")
    return [(a.strip(), b.strip()) for a, b in data]


def _pairs_from_text(text: str, path: Path) -> list[tuple[str, str]]:
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        separator = "\t" if "\t" in line else "," if "," in line else None
        words = [word.strip() for word in re.split(r"\s+", line)] if separator is None else line.split(separator)
        if len(words) != 2:
            raise ValueError(f"Word-pair file {path}, line {number}: {line!r} does not have two columns.")
        pairs.append((words[0].strip(), words[1].strip()))
    return pairs
