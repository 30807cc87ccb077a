"""How many sentences a second a model's encoder takes on this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice

import numpy as np
import torch
from scipy import stats
from torch import nn

from evenhand.evaluation.encoder import body_of, evaluation_mode
from evenhand.evaluation.hardware import hardware
from evenhand.evaluation.measure_data import check_settings
from evenhand.evaluation.pass_times import BUSY, PassTimes, pass_times
from evenhand.evaluation.resampling import FEWEST_ITEMS, RESAMPLES, percentile_interval
from evenhand.evaluation.scores import Difference, Score
from evenhand.evaluation.stimuli import builtin_stimuli
from evenhand.evaluation.tokenized import TokenizedSentences

KEY, NAME, UNIT = "sentences_per_second", "sentences per second, encoder", "sentences/s"
BOOTSTRAP = "percentile bootstrap of the median over repeats, 9,999 resamples"
BINOMIAL = "exact binomial interval of the median ratio over repeats, both models timed in turns"
NOTE = "repeats on one machine; another one, or another load on it, gives other numbers"


@dataclass(frozen=True)
class SpeedResult:
    """The time of every repeat of one model.

    Args:
        settings: of the evaluator, as they stand in the report.
        seconds: (n,) of a pass, by repeat.
        tokens_per_sentence: of the sentences of the pass, special tokens included; all have as many.
        hardware: of :func:`evenhand.evaluation.hardware.hardware`.
        confidence_level, seed: of intervals.
        beside: (n,) seconds of the model that was timed in turns with this one, in the same repeats; ``None`` of a model timed alone.
        disturbances: what else took the machine's time, in words.
    """

    settings: dict[str, object]
    seconds: np.ndarray
    tokens_per_sentence: int
    hardware: dict[str, object]
    confidence_level: float
    seed: int
    beside: np.ndarray | None = None
    disturbances: tuple[str, ...] = ()

    @property
    def sentences_per_second(self) -> float:
        """Of the median repeat."""
        return float(self.settings["batch_size"] / _median(self.seconds, self.beside))

    @cached_property
    def _draws(self) -> np.ndarray:
        """(resamples,) sentences a second of repeats drawn with replacement."""
        n = len(self.seconds)
        drawn = np.random.default_rng(self.seed).integers(n, size=(RESAMPLES, n))
        beside = None if self.beside is None else self.beside[drawn]
        return self.settings["batch_size"] / _median(self.seconds[drawn], beside)

    @property
    def note(self) -> str:
        """What a reader must know of the number."""
        low, middle, high = np.quantile(self.seconds, [0.25, 0.5, 0.75])
        spread = (high - low) / middle
        reasons = [f"the middle half of the times spans {spread:.0%} of their median"] if spread > BUSY else []
        reasons += self.disturbances
        return f"{NOTE}; this machine was busy: {', '.join(reasons)}" if reasons else NOTE

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
        """Difference and ratio of two models that were timed in turns; none of models timed apart, whose times tell the loads of the machine as
        much as the models.

        The interval of the ratio is that of the median over repeats of the ratio within a repeat; that of the difference holds for the median
        speed of both, so that both intervals give one verdict.
        """
        mine, theirs = self.sentences_per_second, reference.sentences_per_second
        apart = self._apart_from(reference)
        interval = ratio_interval = None
        if apart is None:
            ratio_interval = _median_interval(reference.seconds / self.seconds, self.confidence_level)
        if ratio_interval:
            middle, roots = np.sqrt(mine * theirs), np.sqrt(ratio_interval)
            interval = tuple(float(end) for end in middle * (roots - 1 / roots))
        note = apart or (reference.note if self.note == NOTE else self.note)
        if self.tokens_per_sentence != reference.tokens_per_sentence:
            note += f"; {self.tokens_per_sentence} tokens a sentence against {reference.tokens_per_sentence}"
        difference = Difference(
            *(KEY, NAME, None if apart else mine - theirs, UNIT, min(len(self.seconds), len(reference.seconds))),
            *(interval, self.confidence_level),
            interval_method=BINOMIAL if interval else None,
            better="higher",
            note=note,
        )
        ratio = {
            "ratio": None if apart else mine / theirs,
            "ratio_confidence_interval": ratio_interval and list(ratio_interval),
        }
        return {"scores": [difference.to_dict() | ratio]}

    def _apart_from(self, reference: SpeedResult) -> str | None:
        """Why the two cannot be compared, in words."""
        if self.hardware != reference.hardware:
            return "timed on different machines, whose speeds cannot be compared"
        if self.beside is None or not np.array_equal(self.beside, reference.seconds):
            return "timed one after the other, under loads of the machine that may differ, so the speeds cannot be compared"
        return None


def _median(seconds: np.ndarray, beside: np.ndarray | None) -> np.ndarray:
    """Seconds of the median repeat along the last axis.

    Of two models timed in turns: at the load of the median repeat, and so that the ratio of the two models' medians is the median of the
    repeats' ratios (a median polish of the logarithms; Tukey 1977). A load that changes half way leaves that ratio alone, but not the
    ratio of two medians.
    """
    if beside is None:
        return np.median(seconds, axis=-1)
    load, share = np.sqrt(seconds * beside), np.sqrt(seconds / beside)
    return np.exp(np.median(np.log(load), axis=-1) + np.median(np.log(share), axis=-1))


def _median_interval(ratios: np.ndarray, confidence_level: float) -> tuple[float, float] | None:
    """The exact interval of the median; none of too few values, or of values that are all the same."""
    if len(ratios) < FEWEST_ITEMS or np.ptp(ratios) < 1e-12:
        return None
    interval = stats.quantile_test(ratios, p=0.5).confidence_interval(confidence_level)
    ends = float(interval.low), float(interval.high)
    return ends if np.isfinite(ends).all() else None


@dataclass(frozen=True)
class Speed:
    """Sentences per second as an evaluator: ``Speed().run(model, tokenizer)``.

    One batch of built-in sentences goes through the model's body, without a head, again and again; the number is that of the median pass. All
    sentences of the batch have one number of tokens, the most frequent one under the model's tokenizer, so nothing is padded. The model
    runs where it is and in the precision it has; nothing but the forward pass is timed. Only models timed in turns (`run_pair`) are compared.

    Args:
        batch_size: sentences of one pass.
        seconds: for each model, after which no further repeat begins, once there are 11; there are 50 at most.
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
        """Time ``model`` alone; it is left as it was.

        Raises:
            ValueError: the tokenizer makes nothing of the sentences, or more tokens than the model takes.
        """
        timed = self._prepared(model, tokenizer)
        with evaluation_mode(model), torch.no_grad():
            times = pass_times([timed.one_pass], self.seconds)
        return self._result(timed, times, 0)

    def run_pair(
        self, model: nn.Module, tokenizer, reference: nn.Module, reference_tokenizer
    ) -> tuple[SpeedResult, SpeedResult]:
        """Time both models in turns, which is what makes their speeds comparable; they are left as they were.

        Raises:
            ValueError: as `run`.
        """
        pair = [self._prepared(model, tokenizer), self._prepared(reference, reference_tokenizer)]
        with evaluation_mode(model), evaluation_mode(reference), torch.no_grad():
            times = pass_times([timed.one_pass for timed in pair], self.seconds)
        return self._result(pair[0], times, 0), self._result(pair[1], times, 1)

    def _prepared(self, model: nn.Module, tokenizer) -> _Prepared:
        sentences, device = builtin_stimuli().distinct_sentences, next(model.parameters()).device
        tokens = TokenizedSentences(model, tokenizer, sentences, special=True)
        most_frequent = max(tokens.batches(len(sentences), max_tokens=sys.maxsize), key=len)
        inputs = tokens.inputs(list(islice(cycle(most_frequent), self.batch_size)))
        inputs, body = {name: tensor.to(device) for name, tensor in inputs.items()}, body_of(model)

        def one_pass() -> None:
            body(**inputs)
            if device.type != "cpu":
                torch.accelerator.synchronize(device)

        return _Prepared(one_pass, inputs["input_ids"].shape[1], device)

    def _result(self, timed: _Prepared, times: PassTimes, index: int) -> SpeedResult:
        return SpeedResult(
            *(self.settings(), times.seconds[index], timed.tokens_per_sentence, hardware(timed.device)),
            *(self.confidence_level, self.seed, times.seconds[1 - index] if len(times.seconds) == 2 else None),
            times.disturbances(on_cpu=timed.device.type == "cpu"),
        )

    def compare(self, result: SpeedResult, reference: SpeedResult) -> dict[str, object]:
        """``result`` − ``reference``, and their ratio."""
        return result.compare(reference)


@dataclass(frozen=True)
class _Prepared:
    """One model with its batch: a forward pass that is done when it returns."""

    one_pass: Callable[[], None]
    tokens_per_sentence: int
    device: torch.device
