"""Claimed and recomputed SEAT numbers side by side, each within its tolerance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenhand.model_cards import numbers
from evenhand.model_cards.verification.rows import RECOMPUTED, Row

# Another processor adds up float32 products in another order; d moves by about 1e-6 then.
D_TOLERANCE = 1e-4
# An interval's ends are a few standard errors of jackknifed d away from d, and move that much more.
INTERVAL_TOLERANCE = 1e-3
# On the same arithmetic an exact p-value is a ratio of the same two integers, and partitions drawn with the same seed
# are the same. Where d moved, a partition that nearly ties with the observed one may fall on the other side.
EXACT_P_TOLERANCE = 1e-9
MOVED_P_TOLERANCE = 1e-3
SAME_ARITHMETIC = 1e-12

_EQUAL = (
    *("label", "family", "targets", "attributes", "n_sentences", "n_words", "interval_method", "note"),
    *("p_value_method", "p_value_permutations", "p_value_legacy_method", "p_value_legacy_permutations"),
    "sign_disagreement",
)
# What goes with d: leave-one-word-out values, and numbers derived from them.
_DETAILS = ("standard_error", "associations", "without_word", "word_correlation", "detectable_effect_size")
# Shares of relabellings move in steps: where a p-value nearly ties with .05, one relabelling may fall on the other side.
_SUMMARIES = {"families": 5 * INTERVAL_TOLERANCE, "anisotropy": D_TOLERANCE, "random_labels": 2e-2}
_P_VALUES = {
    "p_value": "p_value_method",
    "p_value_holm": "p_value_method",
    "p_value_word_balanced": "p_value_method",
    "p_value_legacy": "p_value_legacy_method",
}


def compare_seat(title: str, claimed: Mapping[str, Any], actual: Mapping[str, Any]) -> list[Row]:
    """One row for each test and one for the mean |d| and the counts.

    Args:
        title: what the rows start with.
        claimed: a `SeatResult.to_dict()` from a report.
        actual: the same, recomputed with the same stimuli, pooling, seed and level.
    """
    names = sorted(set(claimed["tests"]) | set(actual["tests"]))
    rows = [_test_row(title, name, claimed["tests"].get(name), actual["tests"].get(name)) for name in names]
    means = [result["mean_absolute_effect_size"] for result in (claimed, actual)]
    same_counts = all(
        claimed[key] == actual[key] for key in ("n_distinct_sentences", "mean_absolute_effect_size_tests", "note")
    )
    passed = _near(*means, D_TOLERANCE) and same_counts
    shown = [
        f"{numbers.fixed(result['mean_absolute_effect_size'], 4)}, {result['n_distinct_sentences']} sentences"
        for result in (claimed, actual)
    ]
    rows.append(Row(f"{title}: mean |d|", RECOMPUTED, *shown, passed))
    different = [key for key in _SUMMARIES if not alike(claimed.get(key), actual.get(key), _SUMMARIES[key])]
    note = f"differs: {', '.join(different)}" if different else None
    return [*rows, Row(f"{title}: families, controls, anisotropy", RECOMPUTED, passed=not different, note=note)]


def alike(claimed: Any, actual: Any, tolerance: float) -> bool:
    """Whether two JSON values are the same but for numbers that differ by ``tolerance`` at most."""
    if isinstance(claimed, Mapping) and isinstance(actual, Mapping):
        return claimed.keys() == actual.keys() and all(alike(claimed[k], actual[k], tolerance) for k in claimed)
    if isinstance(claimed, list) and isinstance(actual, list):
        return len(claimed) == len(actual) and all(
            alike(*pair, tolerance) for pair in zip(claimed, actual, strict=True)
        )
    if isinstance(claimed, float) and isinstance(actual, float):
        return abs(claimed - actual) <= tolerance
    return claimed == actual


def _test_row(title: str, name: str, claimed: Mapping[str, Any] | None, actual: Mapping[str, Any] | None) -> Row:
    if claimed is None or actual is None:
        where = "the report" if claimed is None else "the recomputed result"
        return Row(f"{title}: {name}", RECOMPUTED, passed=False, note=f"the test is not in {where}")
    different = differing_fields(claimed, actual)
    note = f"differs: {', '.join(different)}" if different else None
    return Row(f"{title}: {name}", RECOMPUTED, _shown(claimed), _shown(actual), not different, note)


def differing_fields(claimed: Mapping[str, Any], actual: Mapping[str, Any]) -> list[str]:
    """The names of the fields of one test that differ by more than their tolerance."""
    different = [key for key in _EQUAL if claimed.get(key) != actual.get(key)]
    d, again = claimed.get("effect_size"), actual.get("effect_size")
    for key in ("effect_size", "effect_size_word_balanced"):
        if not _near(claimed.get(key), actual.get(key), D_TOLERANCE):
            different.append(key)
    ends = [test.get("confidence_interval") or [None, None] for test in (claimed, actual)]
    if len(ends[0]) != 2 or not all(_near(a, b, INTERVAL_TOLERANCE) for a, b in zip(*ends, strict=True)):
        different.append("confidence_interval")
    different += [key for key in _DETAILS if not alike(claimed.get(key), actual.get(key), INTERVAL_TOLERANCE)]
    moved = not _near(d, again, SAME_ARITHMETIC)
    for key, method in _P_VALUES.items():
        exact = actual.get(method) == "exact" and not moved
        factor = 6 if key == "p_value_holm" else 1  # Holm multiplies by up to the six tests of the family
        tolerance = EXACT_P_TOLERANCE if exact else MOVED_P_TOLERANCE
        if not _near(claimed.get(key), actual.get(key), factor * tolerance):
            different.append(key)
    return different


def _near(claimed: float | None, actual: float | None, tolerance: float) -> bool:
    if claimed is None or actual is None:
        return claimed is actual
    return abs(claimed - actual) <= tolerance


def _shown(test: Mapping[str, Any]) -> str:
    d, p = test.get("effect_size"), test.get("p_value")
    return "d –" if d is None else f"d {d:+.4f}, p {'–' if p is None else f'{p:.5f}'}"
