r"""The one rule by which a finding is judged: the mean gain and its interval over seeds, against 0 and the smallest change that matters.

A **gain** is a difference counted so that positive is better; m is the **margin**, the smallest change that matters; the interval is Student's
t at 95 % over seeds.

- A claim of a gain is *supported* where the whole interval lies above 0 and the mean reaches m; *contradicted* where the mean is −m or less
  and the whole interval lies below m, so that a gain that matters is excluded; *no difference* where the whole interval lies within ± m, on
  whichever side of 0; else *nothing can be told*. A claim of a loss is judged likewise, with the signs turned round.
- A claim that there is no gain of m or more is *supported* where the whole interval lies below m; *contradicted* where a gain is supported;
  else nothing can be told.

The mean decides the side and the interval whether it is certain, so a wider interval about the same mean never leads to another word than
"cannot tell".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from evenhand.evaluation.distillability import interval_at
from evenhand.evaluation.paired_seeds import CONFIDENCE

SUPPORTS, CONTRADICTS, NO_DIFFERENCE, CANNOT_TELL = "supports", "contradicts", "no difference", "cannot tell"
GAIN, LOSS, NO_GAIN = "gain", "loss", "no gain"
"""What a finding claims: that there is a gain, that there is a loss, or that there is no gain of the margin or more."""


@dataclass(frozen=True)
class Judgement:
    """What the rule says.

    Args:
        verdict: ``"supports"``, ``"contradicts"``, ``"no difference"`` (of a claim of a gain or loss) or ``"cannot tell"``.
        p_value: the level below which the verdict would no longer be reached: an interval at 1 − p_value just touches what the verdict
            excludes. ``None`` where nothing can be told. For corrections over several tests.
        interval: (low, high) of the mean gain at 95 %; ``None`` for fewer than two values or equal ones.
        within_margin: whether the whole interval lies within ± margin.
    """

    verdict: str
    p_value: float | None
    interval: tuple[float, float] | None
    within_margin: bool


def judge(gains: Sequence[float], claim: str, margin: float) -> Judgement:
    """The rule of this file.

    Args:
        gains: one for each seed, positive is better.
        claim: ``"gain"``, ``"loss"`` or ``"no gain"``.
        margin: the smallest change that matters, at least 0, in the unit of the gains.

    Raises:
        ValueError: another claim.
    """
    if claim not in (GAIN, LOSS, NO_GAIN):
        raise ValueError(f"claim must be {GAIN!r}, {LOSS!r} or {NO_GAIN!r}, not {claim!r}")
    interval = interval_at(gains, CONFIDENCE)
    if interval is None:
        return Judgement(CANNOT_TELL, None, None, False)
    claimed = [-gain for gain in gains] if claim == LOSS else list(gains)
    low, high = (-interval[1], -interval[0]) if claim == LOSS else interval
    mean, within = float(np.mean(claimed)), -margin < low and high < margin
    no_gain = level_below(claimed, margin)
    if low > 0 and mean >= margin:
        verdict, p_value = (CONTRADICTS if claim == NO_GAIN else SUPPORTS), level_above(claimed, 0.0)
    elif claim == NO_GAIN and high < margin:
        verdict, p_value = SUPPORTS, no_gain
    elif claim != NO_GAIN and within:
        verdict, p_value = NO_DIFFERENCE, max(no_gain, level_above(claimed, -margin))
    elif claim != NO_GAIN and mean <= -margin and high < margin:
        verdict, p_value = CONTRADICTS, no_gain
    else:
        verdict, p_value = CANNOT_TELL, None
    return Judgement(verdict, p_value, interval, within)


def level_above(values: Sequence[float], bound: float) -> float:
    """The smallest α for which the two-sided Student-t interval of the mean at 1 − α lies wholly above ``bound``; 1 where the mean does not.

    Args:
        values: at least two, not all equal.
        bound: in their unit.
    """
    data = np.asarray(values, dtype=np.float64)
    errors = (data.mean() - bound) / (data.std(ddof=1) / math.sqrt(len(data)))
    return min(1.0, 2 * float(stats.t.sf(errors, len(data) - 1)))


def level_below(values: Sequence[float], bound: float) -> float:
    """`level_above` for an interval wholly below ``bound``."""
    return level_above([-value for value in values], -bound)
