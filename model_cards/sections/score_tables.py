"""The scores of a report's measures other than SEAT as rows that a template can use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenhand.evaluation.report_order import ordered_measures
from evenhand.model_cards import numbers

TITLES = {
    "glue": "GLUE",
    "crows_pairs": "CrowS-Pairs",
    "aul": "All Unmasked Likelihood",
    "stereoset": "StereoSet, intrasentence",
    "pronoun_gap": "Masked-pronoun gap on occupations",
    "pseudo_perplexity": "Pseudo-perplexity",
    "counterfactual_consistency": "Counterfactual consistency",
}


def score_tables(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One table for each entry of a measure with scores, in the order of a report.

    Each has `measure`, `title`, `data` (name and hash of what it was computed on, where the entry has one), `rows` as
    `_row` makes them, `notes`, and `not_applicable` (why a side has no numbers) by side.
    """
    names = [name for name in ordered_measures(report["measures"]) if name not in ("seat", "seat_sensitivity")]
    return [_table(name, entry) for name in names for entry in report["measures"][name]]


def _table(measure: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    model, reference, comparison = (entry.get(key) or {} for key in ("model", "reference", "comparison"))
    others = {score["key"]: score for score in reference.get("scores") or []}
    changes = {change["key"]: change for change in comparison.get("scores") or []}
    scores = model.get("scores") or []
    return {
        "measure": measure,
        "title": TITLES.get(measure, measure),
        "data": model.get("data") or {},
        "rows": [_row(score, others.get(score["key"]), changes.get(score["key"])) for score in scores],
        "notes": [text for text in (model.get("note"), comparison.get("note")) if text],
        "averages": model.get("averages") or [],
        "not_applicable": {
            side: reason for side, reason in (entry.get("not_applicable") or {}).items() if reason is not None
        },
    }


def _row(score: Mapping[str, Any], other: Mapping[str, Any] | None, change: Mapping[str, Any] | None) -> dict[str, Any]:
    other, change = other or {}, change or {}
    return {
        "name": score["name"],
        "unit": score.get("unit"),
        "n": score.get("n"),
        "ideal": numbers.checked(score.get("ideal")),
        "student": numbers.checked(score.get("value")),
        "interval": score.get("confidence_interval"),
        "teacher": numbers.checked(other.get("value")),
        "change": numbers.checked(change.get("difference")),
        "change_interval": change.get("confidence_interval"),
        "change_p": numbers.checked(change.get("p_value")),
        "verdict": change.get("verdict"),
        "worst_case": numbers.checked(change.get("worst_case")),
        "distance": score.get("better") == "nearer",
        "note": score.get("note") or change.get("note"),
    }
