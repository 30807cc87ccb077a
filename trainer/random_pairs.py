"""The mixup's control: pairs of unrelated words, as frequent as those of an attribute, drawn from a corpus's own vocabulary.

What a mixup of these pairs does as well as that of the gender pairs is regularisation, and nothing about gender.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from evenhand.trainer.function_words import function_word_share, function_words
from evenhand.trainer.mixup import GenderMixup
from evenhand.trainer.randomness import derive_seed
from evenhand.trainer.word_boundaries import SPACE_MARKS, WordBoundaries
from evenhand.trainer.word_pairs import WordPairs

_NAME = re.compile(r"random(?::(\d{1,9}))?")

NEAR = 1.1
"""A word is as frequent as another if their counts differ by this factor at most."""

AT_LEAST = 4
"""Words to choose from at each place, the nearest ones, where fewer are as frequent."""

TRIES = 300
"""Assignments that are drawn; the one whose occurrences together come nearest is taken."""


def draw_number(pairs: str) -> int | None:
    """Which draw a recipe's ``pairs`` asks for: 0 for ``random``, k for ``random:k``, None for anything else."""
    match = _NAME.fullmatch(str(pairs))
    return match and int(match[1] or 0)


@dataclass(frozen=True)
class RandomPairs:
    """Drawn pairs and what they stand for.

    Args:
        pairs: of unrelated words, in the order of ``matched_to``.
        matched_to: the pairs of the attribute whose frequency each was given.
        occurrences: of each side of ``pairs`` in the corpus.
        occurrences_matched: of each side of ``matched_to``.
        draw: its number.
        excluded: how many words were not to be drawn.
    """

    pairs: WordPairs
    matched_to: tuple[tuple[str, str], ...]
    occurrences: tuple[tuple[int, int], ...]
    occurrences_matched: tuple[tuple[int, int], ...]
    draw: int
    excluded: int

    def report(self) -> dict:
        """Each pair with its occurrences, beside the pair that it stands for, the sums, and how much of the drawn words is grammar."""
        rows = zip(self.pairs.pairs, self.occurrences, self.matched_to, self.occurrences_matched, strict=True)
        of_word = dict(zip(sum(self.pairs.pairs, ()), sum(self.occurrences, ()), strict=True))
        return {
            "draw": self.draw,
            "excluded_words": self.excluded,
            "occurrences": sum(map(sum, self.occurrences)),
            "occurrences_matched": sum(map(sum, self.occurrences_matched)),
            "function_words": [word for word in of_word if word.lower() in function_words()],
            "function_word_share": function_word_share(of_word),
            "pairs": [
                {
                    "pair": list(pair),
                    "occurrences": list(n),
                    "in_place_of": list(other),
                    "occurrences_of_those": list(m),
                }
                for pair, n, other, m in rows
            ],
        }


class RandomPairMixup(GenderMixup):
    """:class:`GenderMixup` at the words of :func:`random_pairs`; the name under which it is reported says that it is the control.

    Args:
        tokenizer: the common tokenizer of student and teacher.
        drawn: the pairs.
        settings: as of :class:`GenderMixup`.
    """

    name = "random_pair_mixup"

    def __init__(self, tokenizer: PreTrainedTokenizerBase, drawn: RandomPairs, **settings) -> None:
        super().__init__(tokenizer, drawn.pairs, **settings)
        self.drawn = drawn

    def report(self) -> dict:
        """As of the mixup, with the counts that were matched."""
        return super().report() | {"random_pairs": self.drawn.report()}


def random_pairs(
    tokenizer: PreTrainedTokenizerBase,
    word_counts: torch.Tensor,
    *,
    like: WordPairs | None = None,
    exclude: Collection[str] = (),
    draw: int = 0,
) -> RandomPairs:
    """Pairs of unrelated words, each side of one token and about as frequent in the corpus as a side of ``like``.

    For each word of ``like`` a word is drawn from those whose count is within a factor :data:`NEAR`, none twice; of
    :data:`TRIES` such assignments that one is taken whose sum of occurrences comes nearest to that of ``like``. A function of the
    tokenizer, the counts and ``draw`` alone. Only words of letters, whole in the vocabulary, are drawn; a pair of ``like`` that is not one
    token on both sides, or does not occur, is not matched.

    Args:
        tokenizer: the common tokenizer of student and teacher.
        word_counts: ``(vocab_size,)`` of the tokenised corpus, see :func:`~evenhand.trainer.token_counts.count_whole_words`; the counts
            of all tokens do for a stream, which is not read beforehand.
        like: default the ten gender pairs built in.
        exclude: words that are not to be drawn, whatever their case (those of a bias measure, say); the words of ``like`` never are.
        draw: number of the draw; another gives other words.

    Raises:
        ValueError: no pair of ``like`` occurs, or too few words are left to draw from.
    """
    like = like or WordPairs.builtin()
    boundaries = WordBoundaries(tokenizer)
    of_word = _ids_of_words(boundaries)
    counts = {word: int(word_counts[ids].sum()) for word, ids in of_word.items()}
    matched, wanted = [], []
    for pair in like.pairs:
        n = tuple(counts.get(word.lower(), 0) for word in pair)
        if sum(n):
            matched.append(pair)
            wanted += n
    if not matched:
        raise ValueError(
            f"mixup.pairs=random: the corpus holds no word of the pairs ({like.source}) that are to be matched in frequency; "
            "use a larger corpus."
        )
    barred = {word.lower() for pair in like.pairs for word in pair} | {word.lower() for word in exclude}
    free = sorted(
        (n, word) for word, n in counts.items() if n and word not in barred and _stands_alone(word, boundaries)
    )
    if len(free) < len(wanted) + AT_LEAST:
        raise ValueError(
            f"mixup.pairs=random: the corpus holds {len(free)} words that may stand in for the {len(wanted)} of the pairs, fewer than "
            f"the {len(wanted) + AT_LEAST} needed to draw them; use a larger corpus."
        )
    nearest = [_nearest(n, free, more=len(wanted)) for n in wanted]
    seed = derive_seed("random pairs", draw)
    chosen = min(
        (_assignment(wanted, nearest, random.Random(f"{seed}/{number}")) for number in range(TRIES)),
        key=lambda words: abs(sum(counts[word] for word in words) - sum(wanted)),
    )
    pairs = tuple(zip(chosen[::2], chosen[1::2], strict=True))
    return RandomPairs(
        WordPairs(pairs, f"random words as frequent as those of {like.source}", ("first", "second")),
        tuple(matched),
        tuple((counts[first], counts[second]) for first, second in pairs),
        tuple(zip(wanted[::2], wanted[1::2], strict=True)),
        draw,
        len(set(map(str.lower, exclude))),
    )


def _ids_of_words(boundaries: WordBoundaries) -> dict[str, list[int]]:
    """Lower-case words of ASCII letters with the ids that begin a word with one of their forms."""
    special = set(boundaries.tokenizer.all_special_tokens)
    found = defaultdict(list)
    for token, index in sorted(boundaries.tokenizer.get_vocab().items(), key=lambda entry: entry[1]):
        begins = not boundaries.marks_spaces or token.startswith(SPACE_MARKS)
        word = token[1:] if boundaries.marks_spaces else token
        if begins and token not in special and word.isascii() and word.isalpha():
            found[word.lower()].append(index)
    return dict(found)


def _stands_alone(word: str, boundaries: WordBoundaries) -> bool:
    """Whether the word, as it usually stands in text, is one token; single letters are not taken for words."""
    (form,) = boundaries.forms(word, "exact")
    return len(word) > 1 and len(boundaries.tokenizer.encode(form, add_special_tokens=False)) == 1


def _nearest(count: int, free: Sequence[tuple[int, str]], more: int) -> tuple[int, list[str]]:
    """How many words may be drawn from for a word of this count, and so many, the nearest first, and ``more`` that take the place of
    those that are drawn already."""
    count = max(count, 1)
    ranked = sorted(free, key=lambda entry: max(entry[0], count) / min(entry[0], count))
    choice = max(sum(max(n, count) <= NEAR * min(n, count) for n, _ in ranked), AT_LEAST)
    return choice, [word for _, word in ranked[: choice + more]]


def _assignment(wanted: Sequence[int], nearest: Sequence[tuple[int, list[str]]], generator: random.Random) -> list[str]:
    """A word for each count, none twice; frequent words, which are few, are chosen first."""
    chosen = [""] * len(wanted)
    for place in sorted(range(len(wanted)), key=lambda i: -wanted[i]):
        choice, ranked = nearest[place]
        left = [word for word in ranked if word not in chosen][:choice]
        chosen[place] = generator.choice(left)
    return chosen
