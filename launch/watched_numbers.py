"""The numbers of an evaluator's result, by the short names that logs and trade-offs use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def watched_numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """Every number of a result that is worth a curve.

    SEAT: ``mean_abs`` (mean |d| of the gender tests that are run), ``mean_abs_FAMILY`` of the other families but the control, ``d_C6`` and so
    on, with its sign, of every test. SEAT's sensitivity: ``mean_abs_POOLING_layerN``. Every other measure: its scores by their keys, and
    ``KEY_from_ideal``, the distance |score − ideal|, where nearer to an ideal is better. A number that is not defined is left out.

    Args:
        result: as ``to_dict()`` of an evaluator's result gives it.
    """
    if result["measure"] == "seat":
        numbers = _of_seat(result)
    elif result["measure"] == "seat_sensitivity":
        numbers = {
            f"mean_abs_{cell['pooling']}_layer{cell['layer']}": cell["mean_absolute_effect_size"] for cell in result["cells"]
        }  # fmt: skip
    else:
        numbers = _of_scores(result.get("scores") or [])
    return {re.sub(r"\W", "_", name): float(value) for name, value in numbers.items() if value is not None}


def _of_seat(result: Mapping[str, Any]) -> dict[str, float | None]:
    numbers = {
        "mean_abs" if family == "gender" else f"mean_abs_{family}": summary["mean_absolute_effect_size"]
        for family, summary in result["families"].items()
        if family != "control"
    }
    return numbers | {f"d_{test['label']}": test["effect_size"] for test in result["tests"].values()}


def _of_scores(scores: list[Mapping[str, Any]]) -> dict[str, float | None]:
    numbers = {}
    for score in scores:
        numbers[score["key"]] = score["value"]
        if score["better"] == "nearer" and score["value"] is not None:
            numbers[f"{score['key']}_from_ideal"] = abs(score["value"] - score["ideal"])
    return numbers
