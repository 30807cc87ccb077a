"""The sentences of context-debias, chosen from a tokenised corpus, and batches of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm.auto import tqdm

from evenhand.trainer.batches import PaddingCollator, has_stored_ids
from evenhand.trainer.context_debias_words import KINDS, STEREOTYPES, CompiledWords
from evenhand.trainer.randomness import generator_for

BLOCK = 1000
"""Sequences that are read together; blocks are visited in a random order, until there is enough of each kind."""


@dataclass(frozen=True)
class DebiasSentence:
    """One sequence.

    Args:
        ids: ``(length,)`` token ids, special tokens included.
        kind: number of the list in :data:`~evenhand.trainer.context_debias_words.KINDS` whose words it holds.
        spans: start and stop of each of these words.
    """

    ids: np.ndarray
    kind: int
    spans: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class DebiasSentences:
    """``train`` and ``dev``, with equally many sentences of each kind, and the ``report`` of how they were found."""

    train: list[DebiasSentence]
    dev: list[DebiasSentence]
    report: dict


def choose_sentences(
    dataset, words: CompiledWords, *, max_sentences: int, dev_fraction: float, seed: int
) -> DebiasSentences:
    """Sentences with words of one side alone, and sentences with stereotype words and none of either side.

    Of each kind as many are kept as the rarest has, so that no kind fills the batches.

    Args:
        dataset: map-style, examples with ``input_ids``.
        words: the lists.
        max_sentences: of each kind.
        dev_fraction: share of each kind for the dev loss, at least one sentence.
        seed: of the choice.

    Raises:
        ValueError: fewer than two sentences of a kind; the message says of which.
    """
    found: tuple[list[DebiasSentence], ...] = ([], [], [])
    looked_at = mixed = 0
    with tqdm(total=len(dataset), desc="Looking for sentences", unit="sequence", leave=False) as bar:
        for block in _blocks(dataset, seed):
            for ids in block:
                spans = words.find(ids)
                kind = _kind(spans)
                mixed += kind is None and bool(spans)
                if kind is not None and len(found[kind]) < max_sentences:
                    own = tuple((start, stop) for start, stop, of in spans if of == kind)
                    found[kind].append(DebiasSentence(ids, kind, own))
            looked_at += len(block)
            bar.update(len(block))
            if all(len(kept) == max_sentences for kept in found):
                break
    each = min(map(len, found))
    if each < 2:
        counts = ", ".join(f"{len(kept)} {name}" for name, kept in zip(KINDS, found, strict=True))
        raise ValueError(
            f"The corpus holds too few sentences to debias with ({counts}; at least 2 of each kind are needed): use a larger corpus or "
            "other lists, debias.male_words, female_words and stereotype_words."
        )
    n_dev = min(each - 1, max(1, round(dev_fraction * each)))
    train, dev = [], []
    for kind, kept in enumerate(found):
        order = torch.randperm(len(kept), generator=generator_for(seed, "debias sentences", kind)).tolist()
        chosen = [kept[i] for i in order[:each]]
        dev += chosen[:n_dev]
        train += chosen[n_dev:]
    report = {
        "looked_at": looked_at,
        "of_sequences": len(dataset),
        "with_both_sides": mixed,
        "found": dict(zip(KINDS, map(len, found), strict=True)),
        "kept_of_each_kind": each,
        "train": len(train),
        "dev": len(dev),
        "words_in_train": {name: sum(len(s.spans) for s in train if s.kind == kind) for kind, name in enumerate(KINDS)},
    }
    return DebiasSentences(train, dev, report)


def _kind(spans: list[tuple[int, int, int]]) -> int | None:
    """Whose sentence it is; None where both sides stand in it, or nothing does."""
    kinds = {kind for _, _, kind in spans}
    sides = kinds - {STEREOTYPES}
    if len(sides) == 1:
        return sides.pop()
    return STEREOTYPES if kinds == {STEREOTYPES} else None


def _blocks(dataset, seed: int) -> Iterator[list[np.ndarray]]:
    starts = range(0, len(dataset), BLOCK)
    stored = dataset.with_format("arrow") if has_stored_ids(dataset) else None
    for number in torch.randperm(len(starts), generator=generator_for(seed, "debias blocks")).tolist():
        start, stop = starts[number], min(starts[number] + BLOCK, len(dataset))
        if stored is None:
            yield [np.asarray(dataset[i]["input_ids"], dtype=np.int32) for i in range(start, stop)]
        else:
            rows = stored[start:stop].column("input_ids")
            yield [row.values.to_numpy().astype(np.int32) for row in rows]


class DebiasCollator:
    """Pads sentences to the longest of the batch and says where their words are.

    Args:
        pad_token_id: the filler.

    Returns (when called with a list of :class:`DebiasSentence`): ``input_ids`` and ``attention_mask`` ``(batch, length)``; ``kinds`` ``(batch,)``;
    of the words of all sentences ``positions`` and ``words`` ``(pieces,)`` as :func:`~evenhand.trainer.context_debias.word_vectors` takes them, and
    ``word_kinds`` ``(n_words,)``.
    """

    def __init__(self, pad_token_id: int) -> None:
        self._pad = PaddingCollator(pad_token_id)

    def __call__(self, sentences: Sequence[DebiasSentence]) -> dict[str, torch.Tensor]:
        batch = self._pad([{"input_ids": sentence.ids} for sentence in sentences])
        length = batch["input_ids"].shape[1]
        positions, words, kinds = [], [], []
        for row, sentence in enumerate(sentences):
            for start, stop in sentence.spans:
                positions += range(row * length + start, row * length + stop)
                words += [len(kinds)] * (stop - start)
                kinds.append(sentence.kind)
        return batch | {
            "kinds": torch.tensor([sentence.kind for sentence in sentences]),
            "positions": torch.tensor(positions, dtype=torch.long),
            "words": torch.tensor(words, dtype=torch.long),
            "word_kinds": torch.tensor(kinds, dtype=torch.long),
        }


def words_of(batch: dict[str, torch.Tensor], kind: int) -> tuple[torch.Tensor, torch.Tensor, int]:
    """``positions``, ``words`` (numbered anew from 0) and their number, of the words of one kind of a batch."""
    chosen = batch["word_kinds"] == kind
    numbers = chosen.cumsum(0) - 1
    of_kind = chosen[batch["words"]]
    return batch["positions"][of_kind], numbers[batch["words"][of_kind]], int(chosen.sum())
