"""Claimed and recomputed SEAT numbers side by side, each within its tolerance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenhand.evaluation.verdict import verdict
from evenhand.model_cards import numbers
from evenhand.model_cards.verification.arithmetic import EXACT, same_tests
from evenhand.model_cards.verification.report_fields import Field, Tolerance, differing, field_text
from evenhand.model_cards.verification.rows import RECOMPUTED, Row

# Another processor adds up float32 products in another order; d moves by about 1e-6 then.
D_TOLERANCE = 1e-4
# An interval's ends are a few standard errors of jackknifed d away from d, and move that much more.
INTERVAL_TOLERANCE = 1e-3
# A partition that nearly ties with the observed one may fall on the other side where d moved.
P_TOLERANCE = 1e-3

_EFFECT_SIZES = ("effect_size", "effect_size_word_balanced")
# What goes with d: leave-one-word-out values, and numbers derived from them.
_DETAILS = (
    *("confidence_interval", "standard_error", "associations", "without_word"),
    *("word_correlation", "detectable_effect_size"),
)
# Shares of relabellings move in steps: where a p-value nearly ties with .05, one relabelling may fall on the other side.
_SUMMARIES = {"families": INTERVAL_TOLERANCE, "anisotropy": D_TOLERANCE, "random_labels": 2e-2}
_P_VALUES = ("p_value", "p_value_word_balanced", "p_value_legacy")
# A difference is of two models, so what each may move by adds up.
_DIFFERENCES = {
    "difference": 2 * D_TOLERANCE,
    "difference_absolute": 2 * D_TOLERANCE,
    "confidence_interval": 2 * INTERVAL_TOLERANCE,
    "confidence_interval_absolute": 2 * INTERVAL_TOLERANCE,
}


def compare_seat(title: str, claimed: Mapping[str, Any], actual: Mapping[str, Any], field: Field = ()) -> list[Row]:
    """One row for each test, one for the mean |d| and the settings, one for what is said of the tests together.

    Args:
        title: what the rows start with.
        claimed: a `SeatResult.to_dict()` from a report.
        actual: the same, recomputed with the same stimuli, pooling, seed and level.
        field: where the claim stands in the report.
    """
    rows, same = [], same_tests(claimed, actual)
    for name in sorted({*claimed["tests"], *actual["tests"]}):
        pair = claimed["tests"].get(name), actual["tests"].get(name)
        of_family = [t for t in claimed["tests"].values() if pair[0] and t["family"] == pair[0]["family"]]
        different = None if None in pair else differing_fields(*pair, len(of_family), same)
        rows.append(_row(f"{title}: {name}", pair, different, _shown_test, (*field, "tests", name)))
    means = [
        f"{numbers.fixed(result['mean_absolute_effect_size'], 4)}, {result['n_distinct_sentences']} sentences"
        for result in (claimed, actual)
    ]
    apart = {"tests", *_SUMMARIES}
    rest = [{key: value for key, value in result.items() if key not in apart} for result in (claimed, actual)]
    different = _keys(
        differing(*rest, _rule({"mean_absolute_effect_size": D_TOLERANCE, "stimuli": _source_only}, same))
    )
    scope = tuple((*field, key) for key in rest[0] if key != "stimuli")
    scope += tuple((*field, "stimuli", key) for key in claimed["stimuli"] if key != "name" or _builtin(claimed))
    rows.append(Row(f"{title}: mean |d|", RECOMPUTED, *means, not different, _note(different), scope))
    actual = _without_newer(claimed, actual)
    summaries = [{key: result[key] for key in _SUMMARIES if key in result} for result in (claimed, actual)]
    different = _paths(differing(*summaries, _rule({**_SUMMARIES, "families": _of_family}, same)))
    scope = tuple((*field, key) for key in _SUMMARIES)
    passed = not different
    return [
        *rows,
        Row(f"{title}: families, controls, anisotropy", RECOMPUTED, None, None, passed, _note(different), scope),
    ]


def _without_newer(claimed: Mapping[str, Any], actual: Mapping[str, Any]) -> Mapping[str, Any]:
    """`actual` without the families' number of sentences where no family of an older report has one."""
    if any("n_sentences" in family for family in claimed["families"].values()):
        return actual
    families = {
        name: {key: value for key, value in family.items() if key != "n_sentences"}
        for name, family in actual["families"].items()
    }
    return {**actual, "families": families}


def differing_fields(
    claimed: Mapping[str, Any], actual: Mapping[str, Any], tests: int = 6, same: bool = False
) -> list[str]:
    """The names of the fields of one test that differ by more than their tolerance.

    Args:
        claimed, actual: `TestResult.to_dict()`.
        tests: of its family: Holm multiplies by so many at most.
        same: the result that the test is of was computed with this machine's arithmetic (`same_tests`).
    """
    tolerances = {**dict.fromkeys(_EFFECT_SIZES, D_TOLERANCE), **dict.fromkeys(_DETAILS, INTERVAL_TOLERANCE)}
    tolerances |= {**dict.fromkeys(_P_VALUES, P_TOLERANCE), "p_value_holm": max(1, tests) * P_TOLERANCE}
    return _keys(differing(claimed, actual, _rule(tolerances, same)))


def compare_differences(
    title: str,
    claimed: Mapping[str, Any],
    actual: Mapping[str, Any],
    field: Field,
    note: str | None = None,
    same: bool = False,
) -> list[Row]:
    """One row for each test's difference from the teacher, and one for each family's.

    Args:
        title: what the rows start with.
        claimed: the `comparison` of a SEAT entry.
        actual: the same, recomputed.
        field: where the claim stands in the report.
        note: what the recomputation rests on.
        same: both models' results were computed with this machine's arithmetic (`same_tests`).
    """
    rows = []
    for kind in ("tests", "families"):
        for name in sorted({*claimed[kind], *actual[kind]}):
            pair = claimed[kind].get(name), actual[kind].get(name)
            different = None if None in pair else _differing_difference(*pair, len(claimed["tests"]), same)
            called = name if kind == "tests" else f"family {name}"
            scope = (*field, kind, name)
            rows.append(_row(f"{title}: {called}", pair, different, _shown_difference, scope, note))
    return rows


def _differing_difference(claimed: Mapping[str, Any], actual: Mapping[str, Any], tests: int, same: bool) -> list[str]:
    """As `differing_fields`, of one entry of a comparison. The verdict must be that of the claimed interval, as an end
    of it that nearly touches zero may fall on the other side."""
    interval = "confidence_interval_absolute" if "confidence_interval_absolute" in actual else "confidence_interval"
    judged = ("verdict", "worst_case")
    p_values = {"p_value": P_TOLERANCE, "p_value_holm": max(1, tests) * P_TOLERANCE}
    tolerances = {**_DIFFERENCES, **p_values, **dict.fromkeys(judged)}
    different = _keys(differing(claimed, actual, _rule(tolerances, same)))
    if any(key in different for key in _DIFFERENCES):
        return different
    expected = verdict(claimed[interval], "lower") if actual["verdict"] is not None else dict.fromkeys(judged)
    return different + [key for key in judged if key not in claimed or claimed[key] != expected[key]]


def _rule(tolerances: Mapping[str, Any], same: bool) -> Tolerance:
    """A tolerance by a field's first key, none above `EXACT` on the same arithmetic; that of a key that is not named is 0."""

    def tolerance(field: Field) -> float | None:
        of_key = tolerances.get(field[0], 0.0) if field else 0.0
        most = of_key(field) if callable(of_key) else of_key
        return min(most, EXACT) if same and most is not None else most

    return tolerance


def _of_family(field: Field) -> float:
    """A mean of d's moves as they do; what stands beside it is an interval or derived from resampling."""
    return D_TOLERANCE if field[-1] == "mean_absolute_effect_size" else INTERVAL_TOLERANCE


def _source_only(field: Field) -> float | None:
    """Where the stimuli lie on another machine they may be called otherwise; hash and kind say what they are."""
    return None if field[-1] == "name" else 0.0


def _builtin(result: Mapping[str, Any]) -> bool:
    return result["stimuli"]["source"] == "builtin"


def _row(claim: str, pair, different: list[str] | None, shown, scope: Field, note: str | None = None) -> Row:
    if different is None:
        where = "the report" if pair[0] is None else "the recomputed result"
        return Row(claim, RECOMPUTED, passed=False, note=f"is not in {where}", scope=(scope,))
    return Row(claim, RECOMPUTED, *map(shown, pair), not different, _note(different) or note, (scope,))


def _note(different: list[str]) -> str | None:
    return f"differs: {', '.join(different)}" if different else None


def _keys(fields: list[Field]) -> list[str]:
    return list(dict.fromkeys(str(field[0]) for field in fields))


def _paths(fields: list[Field]) -> list[str]:
    return [field_text(field) for field in fields]


def _shown_test(test: Mapping[str, Any]) -> str:
    return _shown("d", test.get("effect_size"), test.get("p_value"))


def _shown_difference(change: Mapping[str, Any]) -> str:
    of_test = "difference_absolute" in change
    return _shown("Δd" if of_test else "Δ mean |d|", change.get("difference"), change.get("p_value"))


def _shown(name: str, value: float | None, p_value: float | None) -> str:
    if value is None:
        return f"{name} –"
    return f"{name} {value:+.4f}" + ("" if p_value is None else f", p {p_value:.5f}")
