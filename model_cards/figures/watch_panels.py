"""What of a training's curve is shown, in the picture and in the table: numbers of one unit together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evenhand.model_cards.numbers import checked

MAX_SERIES = 6
"""Lines of one panel that can be told apart; the others stand in report.json."""
MAX_ROWS = 40
"""Rows of the table; of a longer curve every so many are shown."""


@dataclass(frozen=True)
class Series:
    """One number over training.

    Args:
        key: its name in the curve, e.g. ``"seat_mean_abs"``.
        label: what to call it within its panel.
        steps, values: (n,) optimiser steps at which it was measured, and the numbers.
        teacher: the teacher's number, or ``None``.
    """

    key: str
    label: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    teacher: float | None


@dataclass(frozen=True)
class Panel:
    """Series of one unit.

    Args:
        title: the unit.
        series: at least one, at most `MAX_SERIES`.
    """

    title: str
    series: tuple[Series, ...]


def watch_panels(watch: Mapping[str, Any] | None) -> list[Panel]:
    """The panels of the record ``watch`` of training.json, bias first; empty where no measure was taken twice.

    Args:
        watch: the record, or ``None`` for a training that was not watched.
    """
    if not watch or len(watch.get("curve") or []) < 2:
        return []
    own = _numbers_of_measures(watch)
    of_seat = {name: keys for name, keys in own.items() if watch["measures"][name]["measure"] == "seat"}
    means, panels = {}, []
    for name, keys in of_seat.items():
        means |= {f"{name}_{key}": _mean_of(key, name) for key in keys if key.startswith("mean_abs")}
    panels.append(_panel(watch, "SEAT, mean |d|", means))
    for name, keys in of_seat.items():
        tests = {f"{name}_{key}": key.removeprefix("d_") for key in keys if key.startswith("d_")}
        panels.append(_panel(watch, f"{name}: d by test", tests))
    for name, keys in own.items():
        if name not in of_seat:
            shown = {f"{name}_{key}": key.replace("_", " ") for key in keys if not key.endswith("_from_ideal")}
            panels.append(_panel(watch, name, shown))
    bias = [panel for panel in panels if panel is not None]
    rest = [("held-out masked-LM loss (nats)", "mlm"), ("trade-off, lower is better", "tradeoff")]
    return bias and bias + [panel for title, key in rest if (panel := _panel(watch, title, {key: key})) is not None]


def _numbers_of_measures(watch: Mapping[str, Any]) -> dict[str, list[str]]:
    """Measure to its numbers' names without its own; a measure ``seat`` has none of those of ``seat_cls``."""
    names = sorted(watch.get("measures") or {}, key=len, reverse=True)
    own: dict[str, list[str]] = {name: [] for name in watch.get("measures") or {}}
    for key in dict.fromkeys(key for entry in watch["curve"] for key in entry):
        name = next((name for name in names if key.startswith(f"{name}_")), None)
        if name is not None:
            own[name].append(key.removeprefix(f"{name}_"))
    return own


def _mean_of(key: str, name: str) -> str:
    family = key.removeprefix("mean_abs").strip("_").replace("_", " ")
    return f"{name}, {family}" if family else name


def _panel(watch: Mapping[str, Any], title: str, labels: Mapping[str, str]) -> Panel | None:
    """The series that have numbers, or ``None`` where none has."""
    series = []
    for key, label in labels.items():
        points = [(entry["step"], checked(entry.get(key))) for entry in watch["curve"]]
        points = [(step, value) for step, value in points if value is not None]
        if points:
            steps, values = zip(*points, strict=True)
            series.append(Series(key, label, steps, values, checked((watch.get("teacher") or {}).get(key))))
    return Panel(title, tuple(series[:MAX_SERIES])) if series else None


def watch_table(watch: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The numbers of `watch_panels`: ``columns``, ``rows`` of (step, values, whether it is the kept student), ``teacher`` and ``of``, how many
    rows there are in all; ``None`` where there is nothing to show."""
    panels = watch_panels(watch)
    if not panels:
        return None
    series = [one for panel in panels for one in panel.series]
    chosen = (watch.get("chosen") or {}).get("step")
    curve = watch["curve"]
    every = -(-len(curve) // MAX_ROWS)
    rows = [
        (entry["step"], [checked(entry.get(one.key)) for one in series], entry["step"] == chosen)
        for number, entry in enumerate(curve)
        if number % every == 0 or number == len(curve) - 1 or entry["step"] == chosen
    ]
    return {
        "columns": [one.key for one in series],
        "rows": rows,
        "teacher": [one.teacher for one in series],
        "of": len(curve),
    }


def chosen_student(watch: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """How the numbers decided which student came out, as training.json has it, with ``formula``, e.g. ``"1 × seat_mean_abs + 0.5 × mlm"``;
    ``None`` where they decided nothing."""
    chosen = (watch or {}).get("chosen")
    if not chosen:
        return None
    weights = watch.get("tradeoff") if chosen["metric"] == "tradeoff" else None
    terms = [f"{checked(weight):g} × {name.removeprefix('eval_')}" for name, weight in (weights or {}).items()]
    return {**chosen, "formula": " + ".join(terms) or chosen["metric"]}
