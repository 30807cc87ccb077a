"""Sentences about a man and the same sentences about a woman, with the exchanged word found among the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evenhand.evaluation.evaluator import NotApplicable
from evenhand.evaluation.stimuli import Stimulus, builtin_stimuli
from evenhand.evaluation.templates import PLACEHOLDERS

TWIN_TEST = "extended-weat6b"
"""Its two target sets are 24 pairs of words in one order (man, woman), each word in the same eight frames as its partner."""


@dataclass(frozen=True)
class Twins:
    """Two sentences that differ in one word.

    Args:
        words: male and female, e.g. ``("man", "woman")``.
        sentences: with the male and with the female word.
        spans: (first, one past the last) character of the word in each.
    """

    words: tuple[str, str]
    sentences: tuple[str, str]
    spans: tuple[tuple[int, int], tuple[int, int]]

    @property
    def name(self) -> str:
        return "/".join(self.words)


@dataclass(frozen=True)
class AlignedTwins:
    """Twins as tokens: both have the same number, and the same token in every place but the word's.

    Args:
        twins: the sentences.
        word: places of the word's tokens, special tokens counted.
        others: places of the other tokens, without special ones.
    """

    twins: Twins
    word: tuple[int, ...]
    others: tuple[int, ...]


def builtin_twins() -> tuple[Twins, ...]:
    """The twins of the built-in sentences, 24 pairs of words in 8 frames, made from the frames and so without a rule for
    *her* (him or his)."""
    test = next(test for test in builtin_stimuli().tests if test.name == TWIN_TEST)
    return tuple(_twins(male, female) for male, female in zip(test.X.stimuli, test.Y.stimuli, strict=True))


def _twins(male: Stimulus, female: Stimulus) -> Twins:
    if male.template != female.template:
        raise ValueError(f"{TWIN_TEST}: {male.word!r} and {female.word!r} do not stand in the same frames")
    both = (male, female)
    return Twins((male.word, female.word), tuple(one.sentence for one in both), tuple(map(_span, both)))


def _span(stimulus: Stimulus) -> tuple[int, int]:
    """Characters of the word; an article that the frame adds stands before it."""
    after = next(
        end for name in PLACEHOLDERS for _, found, end in [stimulus.template.partition(f"{{{name}}}")] if found
    )
    end = len(stimulus.sentence) - len(after)
    return end - len(stimulus.word), end


def align(twins: Sequence[Twins], tokenizer) -> tuple[list[AlignedTwins], dict[str, object]]:
    """Twins whose tokens can be compared one by one.

    Left out are words that the tokenizer does not know, and sentences that have another number of tokens than their twin: their other
    words then stand at other positions, which alone makes their hidden states differ.

    Args:
        twins: as `builtin_twins`.
        tokenizer: of the model, with character offsets.

    Returns:
        The twins that remain, and what was left out: ``unknown_words`` and ``n_unaligned`` twins.

    Raises:
        NotApplicable: the tokenizer gives no character offsets.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise NotApplicable(
            "the tokenizer gives no character offsets, so the exchanged word cannot be found in its tokens"
        )
    sentences = [sentence for one in twins for sentence in one.sentences]
    encoded = tokenizer(sentences, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False)
    rows = list(zip(encoded["input_ids"], encoded["offset_mapping"], encoded["special_tokens_mask"], strict=True))
    aligned, unknown, unaligned = [], {}, 0
    for index, one in enumerate(twins):
        sides = [_places(row, span) for row, span in zip(rows[2 * index : 2 * index + 2], one.spans, strict=True)]
        ids = [row[0] for row in rows[2 * index : 2 * index + 2]]
        for word, of_side, (places, _) in zip(one.words, ids, sides, strict=True):
            if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in (of_side[place] for place in places):
                unknown[word] = one.name
        same = sides[0] == sides[1] and all(ids[0][place] == ids[1][place] for place in sides[0][1])
        unaligned += not same
        if same:
            aligned.append(AlignedTwins(one, *sides[0]))
    kept = [one for one in aligned if one.twins.name not in unknown.values()]
    return kept, {"unknown_words": sorted(unknown), "n_unaligned": unaligned}


def _places(row: tuple[list, list, list], span: tuple[int, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Places of the word's tokens and of the others' in one sentence (ids, offsets, marks of special tokens)."""
    ordinary = [place for place, special in enumerate(row[2]) if not special]
    word = [place for place in ordinary if max(row[1][place][0], span[0]) < min(row[1][place][1], span[1])]
    return tuple(word), tuple(place for place in ordinary if place not in word)
