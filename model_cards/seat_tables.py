"""The SEAT results of a report as rows that a template or a picture can use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from evenhand.model_cards import numbers


def seat_tables(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One table for each SEAT measure of the report, the headline first.

    Each has `pooling`, `stimuli` (source, name, sha256), `seed`, `level` (of the intervals, percent), `n_sentences`,
    `mean_student`, `mean_teacher`, `mean_tests`, `reason` (why a mean is missing), `interval_method`, `p_method`,
    `legacy_method` and `rows` as `seat_row` makes them: gender tests first, then controls.
    """
    return [_table(entry) for entry in report["measures"]["seat"]]


def _table(entry: Mapping[str, Any]) -> dict[str, Any]:
    result, reference = entry["model"], entry.get("reference") or {}
    others = reference.get("tests") or {}
    tests = ordered_tests(result)
    return {
        "pooling": entry.get("pooling"),
        "stimuli": entry.get("stimuli") or {},
        "seed": result.get("seed"),
        "level": 100 * (numbers.checked(result.get("confidence_level")) or 0.95),
        "n_sentences": result.get("n_distinct_sentences"),
        "mean_student": numbers.checked(result.get("mean_absolute_effect_size")),
        "mean_teacher": numbers.checked(reference.get("mean_absolute_effect_size")),
        "mean_tests": result.get("mean_absolute_effect_size_tests") or [],
        "reason": result.get("note"),
        "interval_method": _distinct(tests, "interval_method"),
        "p_method": _methods(tests, "p_value"),
        "legacy_method": _methods(tests, "p_value_legacy"),
        "has_teacher": bool(others),
        "rows": [seat_row(name, test, others.get(name)) for name, test in tests],
    }


def seat_row(name: str, test: Mapping[str, Any], other: Mapping[str, Any] | None) -> dict[str, Any]:
    """One test: its sets, counts, and numbers for the student and (d only) for the teacher.

    Args:
        name: key of the test, such as `sent-weat6`.
        test: the student's entry of `SeatResult.to_dict()["tests"]`.
        other: the teacher's entry, or None.
    """
    words, sentences = test.get("n_words") or {}, test.get("n_sentences") or {}
    return {
        "name": name,
        "label": test.get("label") or name,
        "control": test.get("family") != "gender",
        "targets": list(test.get("targets") or [None, None]),
        "attributes": list(test.get("attributes") or [None, None]),
        "words": [words.get(side) for side in "XYAB"],
        "sentences": [sentences.get(side) for side in "XYAB"],
        "teacher": numbers.checked((other or {}).get("effect_size")),
        "teacher_interval": (other or {}).get("confidence_interval"),
        "student": numbers.checked(test.get("effect_size")),
        "interval": test.get("confidence_interval"),
        "p": numbers.checked(test.get("p_value")),
        "holm": numbers.checked(test.get("p_value_holm")),
        "legacy": numbers.checked(test.get("p_value_legacy")),
        "note": test.get("note"),
    }


def ordered_tests(result: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(name, test) pairs of a SEAT result: the gender family first, each group in natural order."""
    return sorted(result["tests"].items(), key=lambda item: (item[1].get("family") != "gender", natural(item[0])))


def natural(name: str) -> list[tuple[int, int | str]]:
    """Sort key that puts `sent-weat6` before `sent-weat10`."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", str(name))]


def _distinct(tests: list, key: str) -> list[str]:
    return sorted({str(test[key]) for _, test in tests if test.get(key) is not None})


def _methods(tests: list, key: str) -> list[str]:
    """`exact, 12,870 permutations` for each distinct pair of method and count."""
    pairs = {(str(test.get(f"{key}_method")), test.get(f"{key}_permutations")) for _, test in tests}
    return [f"{method}, {numbers.count(n)} partitions" for method, n in sorted(pairs, key=str) if method != "None"]
