"""What may not be published without a reason: an association reliably worse than the teacher's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.model_cards.amplification_gate import Gate

CHANGE = st.floats(-1, 1)


def a_report(mean=(-0.2, 0.1), test=(-0.3, 0.2), p=0.5, family="gender"):
    """A report with one test; intervals of the differences from the teacher."""
    tests = {"sent-weat6": {"label": "C6", "family": family, "effect_size": 0.5}}
    changes = {"difference_absolute": sum(test) / 2, "confidence_interval_absolute": list(test), "p_value_holm": p}
    means = {family: {"difference": sum(mean) / 2, "confidence_interval": list(mean)}}
    comparison = {"families": means, "tests": {"sent-weat6": changes}}
    return {"measures": {"seat": [{"model": {"tests": tests}, "comparison": comparison}]}}


def test_no_reliable_change_passes():
    assert Gate().reasons(a_report()) == []
    # far worse as it looks, but the interval reaches zero: little data, no claim
    assert Gate().reasons(a_report(mean=(-0.01, 1.9), test=(-0.01, 1.9), p=0.001)) == []
    assert Gate().reasons(a_report(mean=(-0.9, -0.5), test=(-0.9, -0.5), p=0.001)) == []


def test_a_worse_mean_is_a_reason_with_its_numbers():
    (reason,) = Gate().reasons(a_report(mean=(0.1, 0.3)))
    assert reason == (
        "mean |d| of the gender tests is reliably worse than the teacher's: +0.200, interval [+0.100, +0.300] above 0"
    )
    assert Gate(mean_margin=0.1).reasons(a_report(mean=(0.1, 0.3))) == []
    assert len(Gate(mean_margin=0.0999).reasons(a_report(mean=(0.1, 0.3)))) == 1


@pytest.mark.parametrize(("p", "alpha", "margin", "stopped"), [
    (0.04, 0.05, 0.0, True),
    (0.05, 0.05, 0.0, False),
    (0.04, 0.01, 0.0, False),
    (0.04, 0.05, 0.2, False),
    (None, 0.05, 0.0, False),
])  # fmt: skip
def test_one_worse_test_needs_its_interval_above_the_margin_and_its_p(p, alpha, margin, stopped):
    reasons = Gate(test_margin=margin, alpha=alpha).reasons(a_report(test=(0.2, 0.6), p=p))
    assert bool(reasons) is stopped
    if stopped:
        assert reasons[0].startswith("|d| of C6 is reliably worse") and reasons[0].endswith("above 0, Holm p 0.04")


def test_other_families_count_and_controls_do_not():
    assert len(Gate().reasons(a_report(mean=(0.1, 0.3), family="gender-extended"))) == 1
    report = a_report(mean=(0.1, 0.3), test=(0.1, 0.3), p=0.001, family="control")
    assert Gate().reasons(report) == ["the report compares no association of the student with its teacher's"]


@pytest.mark.parametrize("damage", ["comparison", "families", "interval"])
def test_without_a_comparison_with_the_teacher_it_does_not_pass(damage):
    report = a_report()
    entry = report["measures"]["seat"][0]
    if damage == "comparison":
        entry["comparison"] = None
    elif damage == "families":
        entry["comparison"]["families"] = {}
    else:
        entry["comparison"]["families"]["gender"]["confidence_interval"] = None
    assert Gate().reasons(report) == ["the report compares no association of the student with its teacher's"]


def test_a_family_without_an_interval_is_a_reason_whatever_other_families_have():
    report = a_report()
    comparison = report["measures"]["seat"][0]["comparison"]
    other = {"difference": -0.1, "confidence_interval": [-0.3, 0.1]}
    comparison["families"] |= {"gender-extended": other, "control": {"difference": 0.1, "confidence_interval": None}}
    assert Gate().reasons(report) == []
    for undefined in ({"difference": 0.4, "confidence_interval": None}, {"difference": 0.4}, None):
        comparison["families"]["gender"] = undefined
        assert Gate().reasons(report) == ["the gender tests' difference from the teacher has no interval"]
    del comparison["families"]["gender"]  # the tests are there, their comparison is not
    assert Gate().reasons(report) == ["the gender tests' difference from the teacher has no interval"]


@given(low=CHANGE, width=st.floats(0, 1), wider=st.floats(0, 1), p=st.floats(0, 1))
def test_a_wider_interval_never_stops_what_a_narrower_one_let_pass(low, width, wider, p):
    narrow, wide = (low, low + width), (low - wider, low + width + wider)
    reasons = Gate().reasons(a_report(mean=narrow, test=narrow, p=p))
    assert len(Gate().reasons(a_report(mean=wide, test=wide, p=p))) <= len(reasons)
    assert len(reasons) == (low > 0) + (low > 0 and p < 0.05)


def test_a_number_that_is_none_is_an_error_not_a_pass():
    with pytest.raises(ValueError, match="where a number belongs"):
        Gate().reasons(a_report(mean=(float("nan"), 0.3)))
