"""How differently does a model hold a sentence about a man and the same sentence about a woman?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from evenhand.evaluation.effect_parts import effect_parts
from evenhand.evaluation.encoder import (
    POOLINGS,
    TOKENS_PER_FORWARD,
    encode,
    evaluation_mode,
    hidden_states,
    number_of_layers,
)
from evenhand.evaluation.evaluator import NotApplicable
from evenhand.evaluation.gender_twins import TWIN_TEST, AlignedTwins, align, builtin_twins
from evenhand.evaluation.measure_data import check_settings
from evenhand.evaluation.onednn_linear import onednn_linear
from evenhand.evaluation.stimuli import GENDER_TESTS, Stimuli, builtin_stimuli
from evenhand.evaluation.tokenized import TokenizedSentences
from evenhand.evaluation.twin_distance_result import PlaceStates, TwinDistanceResult
from evenhand.evaluation.unknown_words import check_known_words

FEWEST_PAIRS = 3


@dataclass(frozen=True)
class TwinDistance:
    """Twin distances as an evaluator: ``TwinDistance().run(model, tokenizer)``.

    The built-in sentences hold 24 pairs of gendered words (man, woman; he, she; uncle, aunt …) in eight frames each. A sentence and its
    twin differ in that word alone, and their hidden states of the last layer are compared

    - at the exchanged word (the mean of its tokens where there are several),
    - at each of the other words, where gender stands only as far as the model carried it there,
    - pooled to sentence vectors, as SEAT compares them,

    by cosine distance and by Euclidean distance over their mean length. Beside them stands the mean cosine between vectors of different
    pairs of words: where a model's vectors fill a narrow cone (Ethayarajh 2019), twins are close because everything is, and the share,
    twins' distance over that of different words, allows for it. Means give every pair of words the same weight.

    Besides, ``tests`` holds for SEAT's six gender tests what their d is made of (`effect_parts`), under the same pooling.

    It is a diagnosis and no measure of bias: what is far or near here is neither good nor bad.

    Args:
        pooling: of the sentence vectors, one of `POOLINGS`.
        batch_size: sentences per forward; it does not change the numbers but by rounding.
        confidence_level: of the intervals.
        progress: show a bar where it takes more than two seconds.

    Raises:
        ValueError: an argument that cannot be used.
    """

    pooling: str = "mean"
    batch_size: int = 64
    confidence_level: float = 0.95
    progress: bool = False

    measure = "twin_distance"

    def __post_init__(self):
        check_settings(self.confidence_level, 0, self.batch_size)
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling {self.pooling!r} is unknown; use one of {', '.join(POOLINGS)}")

    @cached_property
    def loaded_stimuli(self) -> Stimuli:
        """The tests that are taken apart, and the one whose words are the twins."""
        return builtin_stimuli().select([*GENDER_TESTS, TWIN_TEST])

    def settings(self) -> dict[str, object]:
        """What a result of this evaluator is filed under in a report."""
        return {"pooling": self.pooling, "stimuli": self.loaded_stimuli.describe()}

    def run(self, model: nn.Module, tokenizer) -> TwinDistanceResult:
        """Measure ``model``, which is left as it was.

        Raises:
            NotApplicable: it gives no hidden state per token, its tokenizer no offsets, or it does not know enough of the words.
            ValueError: the model gives NaN or zero vectors.
        """
        last = number_of_layers(model)
        aligned, left_out = align(builtin_twins(), tokenizer)
        counts = Counter(one.twins.name for one in aligned)
        if len(counts) < FEWEST_PAIRS:
            raise NotApplicable(
                f"only {len(counts)} pairs of gendered words have one length and are known to the tokenizer"
            )
        tests = self.loaded_stimuli.select(GENDER_TESTS)
        try:
            check_known_words(tests, tokenizer)
        except ValueError as unknown:
            raise NotApplicable(str(unknown)) from None
        twins = [sentence for one in aligned for sentence in one.twins.sentences]
        distinct = list(dict.fromkeys([*tests.distinct_sentences, *twins]))
        pooled = encode(
            model, tokenizer, distinct, pooling=self.pooling, batch_size=self.batch_size, progress=self.progress
        )
        vectors = dict(zip(distinct, pooled, strict=True))
        states = token_states(model, tokenizer, twins, last, self.batch_size, self.progress)
        return TwinDistanceResult(
            places=_places(aligned, states, vectors),
            n_twins=dict(counts),
            left_out=left_out,
            tests={
                test.name: effect_parts(
                    test, {role: np.array([vectors[s] for s in of.sentences]) for role, of in test.sets.items()}
                )
                for test in tests.tests
            },
            pooling=self.pooling,
            confidence_level=self.confidence_level,
        )

    def compare(self, result: TwinDistanceResult, reference: TwinDistanceResult) -> dict[str, object]:
        """``result`` − ``reference``, paired by pair of words."""
        return result.compare(reference)


def token_states(
    model: nn.Module, tokenizer, sentences: Sequence[str], layer: int, batch_size: int = 64, progress: bool = False
) -> dict[str, np.ndarray]:
    """Hidden states of every token of distinct sentences, special tokens included: by sentence, (tokens, hidden) float32.

    Raises:
        NotApplicable, ValueError: as `encode`.
    """
    tokens = TokenizedSentences(model, tokenizer, sentences, special=True)
    found: dict[str, np.ndarray] = {}
    batches = tokens.batches(batch_size, TOKENS_PER_FORWARD)
    with evaluation_mode(model), torch.no_grad(), onednn_linear():
        for rows in tqdm(batches, desc="twins", unit="batch", delay=2, disable=not progress):
            ((_, hidden),) = hidden_states(model, tokens.inputs(rows), [layer], number_of_layers(model))
            found |= {sentences[row]: states.float().numpy() for row, states in zip(rows, hidden, strict=True)}
    return found


def _places(
    aligned: Sequence[AlignedTwins], states: dict[str, np.ndarray], vectors: dict[str, np.ndarray]
) -> dict[str, PlaceStates]:
    """The states of all twins at each place."""
    names = [one.twins.name for one in aligned]
    sides: dict[str, tuple[list, list]] = {place: ([], []) for place in ("word", "other", "pooled")}
    for one in aligned:
        for side, sentence in enumerate(one.twins.sentences):
            hidden = states[sentence].astype(np.float64)
            sides["word"][side].append(hidden[list(one.word)].mean(axis=0, keepdims=True))
            sides["other"][side].append(hidden[list(one.others)])
            sides["pooled"][side].append(vectors[sentence][None])
    return {place: PlaceStates.of(names, *both) for place, both in sides.items()}
