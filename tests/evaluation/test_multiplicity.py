import pytest

from evenhand.evaluation.multiplicity import holm, holm_by_family


def test_holm_by_hand():
    # sorted .01 .02 .03 .04: times 4, 3, 2, 1 = .04 .06 .06 .04, made monotone
    adjusted = holm({"d": 0.04, "b": 0.02, "a": 0.01, "c": 0.03})
    assert adjusted == pytest.approx({"a": 0.04, "b": 0.06, "c": 0.06, "d": 0.06})


def test_holm_stops_at_one_and_leaves_out_what_has_no_p_value():
    adjusted = holm({"a": 0.6, "b": None, "c": 0.3})
    assert adjusted["b"] is None
    assert (adjusted["a"], adjusted["c"]) == pytest.approx((0.6, 0.6))
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_families_are_corrected_each_on_its_own_and_controls_not_at_all():
    p_values = {"a": 0.01, "b": 0.04, "c": 0.04, "k": 0.001, "n": None}
    families = {"a": "gender", "b": "gender", "c": "age", "k": "control", "n": "gender"}
    assert holm_by_family(p_values, families, "control") == pytest.approx(
        {"a": 0.02, "b": 0.04, "c": 0.04, "k": None, "n": None}
    )


def test_tests_still_to_be_made_count_as_if_they_had_found_nothing():
    """The same as with so many further tests at p = 1, so that nothing can be taken back when they are made."""
    made = {"a": 0.01, "b": 0.02, "c": None, "d": 0.4}
    with_nothing = holm(made | {"e": 1.0, "f": 1.0})
    assert holm(made, absent=2) == {name: with_nothing[name] for name in made}
    assert holm(made, absent=2)["a"] == pytest.approx(0.05) and holm(made)["a"] == pytest.approx(0.03)
