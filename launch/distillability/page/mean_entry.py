"""The comparison of a student's inside with its teacher's, averaged over seeds, in the form that the pictures of one report take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evenhand.launch.distillability.page.own_numbers import (
    CORRELATION,
    CORRELATION_DIFFERENCE,
    SHARE,
    SHARE_DIFFERENCE,
    Bounds,
    own_mean,
)

SIDES = ("aligned", "conflicting", "difference")
_CKA = dict.fromkeys(SIDES, CORRELATION) | {"difference": CORRELATION_DIFFERENCE}
_ATTENTION = dict.fromkeys(SIDES, SHARE) | {"difference": SHARE_DIFFERENCE}
_ENDS = ("values", "low", "high")
DEPTHS = ("all", "early", "middle", "late")


def mean_entry(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An entry of the measure ``internals``: means over seeds, and intervals over seeds in the place of those over examples.

    Args:
        found: ``comparison`` of every seed's entry; the models have the same layers.
    """
    first = found[0]["similarity"]
    similarity = {key: first[key] for key in ("teacher_layers", "student_layers")}
    similarity |= {side: _table([one["similarity"][side] for one in found], _CKA[side]) for side in SIDES}
    similarity["by_depth"] = _by_depth([one["similarity"]["by_depth"] for one in found], _CKA)
    attention = [one["attention"]["kinds"] for one in found if one.get("attention")]
    kinds = {kind: _kind([one[kind] for one in attention]) for kind in (attention[0] if attention else ())}
    comparison = {
        "layer_map": found[0]["layer_map"],
        "similarity": similarity,
        "attention": {"kinds": kinds} if kinds else None,
    }
    return {"comparison": comparison}


def _kind(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One kind of attention. Which head stands beside which differs from seed to seed; the mean of the matched ones is averaged."""
    first = tables[0]
    heads = [
        {
            "teacher_layer": pair["teacher_layer"],
            "student_layer": pair["student_layer"],
            **{
                side: _number([one["best_matched_heads"][place][side] for one in tables], SHARE)[0]
                for side in ("aligned", "conflicting")
            },
        }
        for place, pair in enumerate(first["best_matched_heads"])
    ]
    return {
        "teacher_layers": first["teacher_layers"],
        "student_layers": first["student_layers"],
        **{side: _table([one[side] for one in tables], _ATTENTION[side]) for side in SIDES},
        "best_matched_heads": heads,
        "by_depth": _by_depth([one["by_depth"] for one in tables], _ATTENTION),
    }


def _table(tables: Sequence[Mapping[str, Any]], bounds: Bounds) -> dict[str, list[list[float | None]]]:
    """Place by place: mean and interval over seeds."""
    matrices = zip(*(table["values"] for table in tables), strict=True)
    numbers = [[_number(values, bounds) for values in zip(*rows, strict=True)] for rows in matrices]
    return {end: [[number[place] for number in row] for row in numbers] for place, end in enumerate(_ENDS)}


def _by_depth(found: Sequence[Mapping[str, Any]], bounds: Mapping[str, Bounds]) -> dict[str, dict[str, Any]]:
    means: dict[str, dict[str, Any]] = {}
    for depth in DEPTHS:
        means[depth] = {}
        for side in SIDES:
            cells = [one[depth][side] for one in found]
            value, *ends = _number([None if cell is None else cell["value"] for cell in cells], bounds[side])
            means[depth][side] = {"value": value, "confidence_interval": None if None in ends else ends}
    return means


def _number(values: Sequence[float | None], bounds: Bounds) -> tuple[float | None, float | None, float | None]:
    """Mean and ends of its interval over seeds."""
    found = own_mean(dict(enumerate(values)), bounds)
    low, high = found["confidence_interval"] or (None, None)
    return found["value"], low, high
