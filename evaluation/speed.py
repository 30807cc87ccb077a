"""How many sentences a second a model's encoder takes on this machine."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice

import numpy as np
import torch
from torch import nn

from evenhand.evaluation.encoder import body_of, evaluation_mode
from evenhand.evaluation.hardware import hardware
from evenhand.evaluation.measure_data import check_settings
from evenhand.evaluation.resampling import FEWEST_ITEMS, RESAMPLES, percentile_interval
from evenhand.evaluation.scores import Difference, Score
from evenhand.evaluation.stimuli import builtin_stimuli
from evenhand.evaluation.tokenized import TokenizedSentences

KEY, NAME, UNIT = "sentences_per_second", "sentences per second, encoder", "sentences/s"
BOOTSTRAP = "percentile bootstrap of the median over repeats, 9,999 resamples"
WARM_UP = 3
"""Forward passes before the first that is timed: memory is reserved and kernels are chosen in them."""
FEWEST, MOST = FEWEST_ITEMS + 1, 50
"""Repeats of a slow and of a fast model."""
BUSY = 0.2
"""Spread of the middle half of the repeats, as a share of their median, above which something else took the machine's time."""
NOTE = "repeats on one machine; another one, or another load on it, gives other numbers"


@dataclass(frozen=True)
class SpeedResult:
    """The time of every forward pass of one model.

    Args:
        settings: of the evaluator, as they stand in the report.
        seconds: (n,) of each repeat.
        tokens_per_sentence: of the sentences of the pass, special tokens included; all have as many.
        hardware: of :func:`evenhand.evaluation.hardware.hardware`.
        confidence_level, seed: of intervals.
    """

    settings: dict[str, object]
    seconds: np.ndarray
    tokens_per_sentence: int
    hardware: dict[str, object]
    confidence_level: float
    seed: int

    @property
    def sentences_per_second(self) -> float:
        """Of the median repeat."""
        return float(self.settings["batch_size"] / np.median(self.seconds))

    @cached_property
    def _draws(self) -> np.ndarray:
        """(resamples,) sentences a second of the median of repeats drawn with replacement."""
        n = len(self.seconds)
        drawn = np.random.default_rng(self.seed).integers(n, size=(RESAMPLES, n))
        return self.settings["batch_size"] / np.median(self.seconds[drawn], axis=1)

    @property
    def note(self) -> str:
        """What a reader must know of the number."""
        low, middle, high = np.quantile(self.seconds, [0.25, 0.5, 0.75])
        spread = (high - low) / middle
        if spread <= BUSY:
            return NOTE
        return f"{NOTE}; this machine was busy: the middle half of the times spans {spread:.0%} of their median"

    @property
    def score(self) -> Score:
        interval = percentile_interval(self._draws, len(self.seconds), self.confidence_level)
        return Score(
            *(KEY, NAME, self.sentences_per_second, UNIT, len(self.seconds), interval),
            confidence_level=self.confidence_level,
            interval_method=BOOTSTRAP if interval else None,
            better="higher",
            note=self.note,
        )

    def to_dict(self) -> dict[str, object]:
        """As it stands in report.json."""
        return {
            "measure": "speed",
            **self.settings,
            "seed": self.seed,
            "confidence_level": self.confidence_level,
            "tokens_per_sentence": self.tokens_per_sentence,
            "hardware": self.hardware,
            "scores": [self.score.to_dict()],
            "note": None,
        }

    def compare(self, reference: SpeedResult) -> dict[str, object]:
        """Difference and ratio of two models that were timed one after the other, so that their repeats are not paired; none where they were
        timed on different machines."""
        mine, theirs = self.sentences_per_second, reference.sentences_per_second
        n = min(len(self.seconds), len(reference.seconds))
        same = self.hardware == reference.hardware
        interval = ratio_interval = None
        if same:
            # in another order: equal seeds have drawn the same repeats of both
            own, other = self._draws, np.random.default_rng(self.seed).permutation(reference._draws)
            interval = percentile_interval(own - other, n, self.confidence_level)
            ratio_interval = percentile_interval(own / other, n, self.confidence_level)
        note = (
            (reference.note if self.note == NOTE else self.note)
            if same
            else "timed on different machines, whose speeds cannot be compared"
        )
        if self.tokens_per_sentence != reference.tokens_per_sentence:
            note += f"; {self.tokens_per_sentence} tokens a sentence against {reference.tokens_per_sentence}"
        difference = Difference(
            *(KEY, NAME, mine - theirs if same else None, UNIT, n, interval, self.confidence_level),
            interval_method=BOOTSTRAP if interval else None,
            better="higher",
            note=note,
        )
        ratio = {
            "ratio": mine / theirs if same else None,
            "ratio_confidence_interval": ratio_interval and list(ratio_interval),
        }
        return {"scores": [difference.to_dict() | ratio]}


@dataclass(frozen=True)
class Speed:
    """Sentences per second as an evaluator: ``Speed().run(model, tokenizer)``.

    One batch of built-in sentences goes through the model's body, without a head, again and again; the number is that of the median pass. All
    sentences of the batch have one number of tokens, the most frequent one under the model's tokenizer, so nothing is padded. The model
    runs where it is and in the precision it has; nothing but the forward pass is timed.

    Args:
        batch_size: sentences of one pass.
        seconds: after which no further repeat begins, once there are `FEWEST`; there are `MOST` at most.
        seed: of the resamples.
        confidence_level: of the intervals.

    Raises:
        ValueError: an argument that cannot be used.
    """

    batch_size: int = 32
    seconds: float = 2.0
    seed: int = 0
    confidence_level: float = 0.95

    measure = "speed"

    def __post_init__(self):
        check_settings(self.confidence_level, self.seed, self.batch_size)
        if not 0 < self.seconds < float("inf"):
            raise ValueError(f"seconds must be above 0, not {self.seconds}")

    def settings(self) -> dict[str, object]:
        """What a result of this evaluator is filed under in a report."""
        return {"stimuli": builtin_stimuli().describe(), "batch_size": self.batch_size}

    def run(self, model: nn.Module, tokenizer) -> SpeedResult:
        """Time ``model``, which is left as it was.

        Raises:
            ValueError: the tokenizer makes nothing of the sentences, or more tokens than the model takes.
        """
        sentences, device = builtin_stimuli().distinct_sentences, next(model.parameters()).device
        tokens = TokenizedSentences(model, tokenizer, sentences, special=True)
        most_frequent = max(tokens.batches(len(sentences), max_tokens=sys.maxsize), key=len)
        inputs = tokens.inputs(list(islice(cycle(most_frequent), self.batch_size)))
        inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
        with evaluation_mode(model), torch.no_grad():
            seconds = _timed(body_of(model), inputs, device, self.seconds)
        length = inputs["input_ids"].shape[1]
        return SpeedResult(
            *(self.settings(), np.array(seconds), length, hardware(device), self.confidence_level, self.seed)
        )

    def compare(self, result: SpeedResult, reference: SpeedResult) -> dict[str, object]:
        """``result`` − ``reference``, and their ratio."""
        return result.compare(reference)


def _timed(body: nn.Module, inputs: dict[str, torch.Tensor], device: torch.device, budget: float) -> list[float]:
    """Seconds of each repeat."""
    seconds: list[float] = []
    begun = time.perf_counter()
    for number in range(WARM_UP + MOST):
        started = time.perf_counter()
        body(**inputs)
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        if number >= WARM_UP:
            seconds.append(time.perf_counter() - started)
        if len(seconds) >= FEWEST and time.perf_counter() - begun >= budget:
            break
    return seconds
