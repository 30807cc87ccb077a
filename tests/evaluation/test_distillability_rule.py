"""The rule by which findings are judged: numbers by hand, levels against SciPy."""

import numpy as np
import pytest
from scipy import stats

from evenhand.evaluation.distillability_rule import (
    CANNOT_TELL,
    CONTRADICTS,
    GAIN,
    LOSS,
    NO_DIFFERENCE,
    NO_GAIN,
    SUPPORTS,
    judge,
    level_above,
    level_below,
)


def gains(low, high):
    """Five gains whose interval at 95 % is exactly this."""
    unit = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    reach = stats.t.ppf(0.975, 4) * stats.sem(unit)
    return (low + high) / 2 + unit * (high - low) / 2 / reach


@pytest.mark.parametrize(
    ("low", "high", "gain", "loss", "no_gain"),
    [
        (3.0, 5.0, SUPPORTS, CONTRADICTS, CONTRADICTS),
        (0.1, 2.1, SUPPORTS, CONTRADICTS, CONTRADICTS),
        (-5.0, -3.0, CONTRADICTS, SUPPORTS, SUPPORTS),
        # a gain, but too small to matter: no word for it and none against
        (0.45, 0.54, NO_DIFFERENCE, NO_DIFFERENCE, SUPPORTS),
        (-0.54, -0.45, NO_DIFFERENCE, NO_DIFFERENCE, SUPPORTS),
        (-0.5, 0.5, NO_DIFFERENCE, NO_DIFFERENCE, SUPPORTS),
        # above 0, and whether it matters cannot be told
        (0.1, 1.1, CANNOT_TELL, CANNOT_TELL, CANNOT_TELL),
        # a gain that matters is excluded, a loss is likely
        (-3.0, 0.5, CONTRADICTS, CANNOT_TELL, SUPPORTS),
        (-1.4, 0.6, CANNOT_TELL, CANNOT_TELL, SUPPORTS),
        (-3.0, 3.0, CANNOT_TELL, CANNOT_TELL, CANNOT_TELL),
    ],
)
def test_a_verdict_by_interval_and_claim(low, high, gain, loss, no_gain):
    found = {claim: judge(gains(low, high), claim, 1.0) for claim in (GAIN, LOSS, NO_GAIN)}
    assert {claim: one.verdict for claim, one in found.items()} == {GAIN: gain, LOSS: loss, NO_GAIN: no_gain}
    for one in found.values():
        assert one.interval == pytest.approx((low, high))
        assert one.within_margin == (low > -1 and high < 1)
        assert (one.p_value is None) == (one.verdict == CANNOT_TELL)
        assert one.p_value is None or one.p_value < 0.05


def test_a_wider_interval_about_the_same_mean_never_leads_to_another_claim():
    for mean in np.arange(-3.1, 3.1, 0.25):  # never the margin itself, which rounding would decide
        for claim in (GAIN, LOSS, NO_GAIN):
            words = [judge(gains(mean - reach, mean + reach), claim, 1.0).verdict for reach in np.arange(0.05, 6, 0.1)]
            told = [word for word in words if word != CANNOT_TELL]
            assert words == told + [CANNOT_TELL] * (len(words) - len(told)) and len(set(told)) <= 1


def test_the_level_is_that_at_which_the_interval_touches_what_is_excluded():
    values = gains(0.4, 2.2)
    assert level_above(values, 0.0) == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue)
    assert level_above(values, 0.4) == pytest.approx(0.05) == pytest.approx(level_below(values, 2.2))
    assert level_above(values, 2.0) == level_below(values, 1.0) == 1.0
    assert judge(values, GAIN, 1.0).p_value == judge(values, NO_GAIN, 1.0).p_value == level_above(values, 0.0)
    within = gains(-0.6, 0.9)
    # the end that is nearer to the margin decides
    assert judge(within, GAIN, 1.0).p_value == judge(within, LOSS, 1.0).p_value == level_below(within, 1.0)
    assert judge(within, NO_GAIN, 1.0).p_value == level_below(within, 1.0)
    worse = gains(-3.0, 0.5)
    assert judge(worse, GAIN, 1.0).p_value == level_below(worse, 1.0)


def test_without_an_interval_nothing_is_told_and_another_claim_is_refused():
    for values in ([], [3.0], [3.0, 3.0]):
        found = judge(values, GAIN, 1.0)
        assert (found.verdict, found.p_value, found.interval) == (CANNOT_TELL, None, None)
    with pytest.raises(ValueError, match="claim must be 'gain', 'loss' or 'no gain', not 'rise'"):
        judge([1.0, 2.0], "rise", 1.0)
