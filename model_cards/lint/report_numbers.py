"""Every number of a report with what it is: whose, of which measure and test, and whether it is an estimate."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

ESTIMATE, INTERVAL, PROBABILITY, COUNT, OTHER = "estimate", "interval", "p", "count", "other"
_SIDES = {"model": "student", "reference": "teacher", "comparison": "difference"}
_ESTIMATE_KEYS = {
    *("effect_size", "effect_size_word_balanced", "mean_absolute_effect_size", "value", "difference"),
    *("difference_absolute", "ratio", "retained"),
    # of a task's metric: its mean, its value with each seed, and those of the two sides of a comparison
    *("mean", "values", "model", "reference"),
}
# Single words, cells of a grid and points of a curve: so many that nearly any short number is among them.
_TOO_MANY = {"associations", "without_word", "predictions", "loss_curve", "watch", "cells", "runs"}
_SETTINGS = {"confidence_level", "seed"}


@dataclasses.dataclass(frozen=True)
class ReportNumber:
    """One number of a report.

    Args:
        value: as the report has it.
        kind: `ESTIMATE` (needs an interval and n beside it), `INTERVAL` (one end), `PROBABILITY`, `COUNT` or `OTHER`.
        side: `student`, `teacher`, `difference`, or None for what belongs to none of them, such as a setting.
        measure: key in the report, None outside of the measures.
        names: what a sentence may call the test or score: `sent-weat6`, `C6`, `CoLA`, `mean`.
        where: place in the report; both ends of an interval have the same.
        unit: as the report has it beside the number, such as `points` or `%`; None where there is none.
    """

    value: float
    kind: str
    side: str | None
    measure: str | None
    names: frozenset[str]
    where: str
    unit: str | None = None


def leaves(value: Any) -> Iterator[float | int]:
    """Every number in JSON data."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value


def report_numbers(report: Mapping[str, Any]) -> list[ReportNumber]:
    """All of them but those of single words, of the cells of a grid and of the curves.

    Args:
        report: a published report.
    """
    found = []
    for measure, entries in report["measures"].items():
        for i, entry in enumerate(entries):
            for key, part in entry.items():
                where, side = f"measures.{measure}[{i}].{key}", _SIDES.get(key)
                found += _walk(part, ReportNumber(0.0, OTHER, side, measure, frozenset(), where), key)
    for part, side in (("model", "student"), ("reference", "teacher"), ("training", None)):
        found += _walk(report.get(part), ReportNumber(0.0, OTHER, side, None, frozenset(), part), part)
    return found


def _walk(value: Any, at: ReportNumber, key: str) -> Iterator[ReportNumber]:
    if isinstance(value, Mapping):
        # A metric's name, such as accuracy, says not which task's it is.
        names = at.names | (frozenset() if at.where.rpartition(".")[0].endswith(".metrics") else _own_names(value))
        unit = value["unit"] if isinstance(value.get("unit"), str) else at.unit
        for inner, item in value.items():
            if inner in _TOO_MANY:
                continue
            more = _names_of_key(key, inner, item)
            side = _SIDES.get({"student": "model", "teacher": "reference"}.get(inner, ""), at.side)
            yield from _walk(
                item, ReportNumber(0.0, OTHER, side, at.measure, names | more, f"{at.where}.{inner}", unit), inner
            )
        yield from _counts(value, at, names)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            where = at.where if _kind(key, 0.5) == INTERVAL else f"{at.where}[{i}]"
            yield from _walk(item, dataclasses.replace(at, where=where), key)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        names = at.names | ({"mean"} if key.startswith("mean_") else frozenset())
        yield dataclasses.replace(at, value=float(value), kind=_kind(key, value), names=names)


def _kind(key: str, value: float) -> str:
    if key.startswith(("confidence_interval", "ratio_confidence_interval")):
        return INTERVAL
    if key.startswith("p_value") and isinstance(value, float):
        return PROBABILITY
    if key in _ESTIMATE_KEYS:
        return ESTIMATE
    return COUNT if isinstance(value, int) and key not in _SETTINGS else OTHER


def _own_names(record: Mapping[str, Any]) -> frozenset[str]:
    """A record's label, key and short name: `CoLA` of "CoLA, Matthews correlation"."""
    texts = [record.get(key) for key in ("label", "key", "name") if isinstance(record.get(key), str)]
    return frozenset(text.split(",")[0].strip() for text in texts if text.strip())


def _names_of_key(group: str, key: str, item: Any) -> frozenset[str]:
    if group == "families" and isinstance(item, Mapping):
        return frozenset({"mean"})
    return frozenset({key}) if group in ("tests", "tasks") and isinstance(item, Mapping) else frozenset()


def _counts(record: Mapping[str, Any], at: ReportNumber, names: frozenset[str]) -> Iterator[ReportNumber]:
    """Counts that follow from the report: words and sentences of two sides or four, how many tests a mean has."""
    totals: list[int] = []
    for key in ("n_words", "n_sentences"):
        sides = record.get(key)
        if isinstance(sides, Mapping) and set(sides) == set("XYAB"):
            totals += [sides["X"] + sides["Y"], sides["A"] + sides["B"], sum(sides.values())]
    totals += [
        len(record[key])
        for key in ("tests", "mean_absolute_effect_size_tests")
        if isinstance(record.get(key), (list, Mapping))
    ]
    for total in totals:
        yield ReportNumber(float(total), COUNT, at.side, at.measure, names, at.where)


def mentions(sentence: str, name: str) -> bool:
    """Whether a sentence speaks of a test, score or measure; `crows_pairs` is also spelt CrowS-Pairs and crows pairs."""
    words = [re.escape(word) for word in re.split(r"[\s_-]+", name) if word]
    return bool(words) and re.search(rf"(?<![\w-]){'[ _-]?'.join(words)}(?![\w])", sentence, re.IGNORECASE) is not None
