"""Pictures for a card: deterministic PNGs, readable by colour-blind eyes and on light and dark pages."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evenhand.model_cards.escaping import one_line
from evenhand.model_cards.published_report import published_report
from evenhand.model_cards.seat_tables import natural, seat_tables

# Okabe and Ito's palette; every series has a marker of its own too, so that colour is never the only sign.
STYLES = [("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "D"), ("#CC79A7", "^"), ("#56B4E9", "v"), ("#000000", "P")]
DPI = 150
INTERVAL_WIDTH = 1.6


def draw_seat_figure(report: Any, path: str | Path) -> Path:
    """Dots and whiskers: d per test of the report's headline measure, teacher above student.

    Args:
        report: an `EvaluationReport` or its dict.
        path: the PNG to write; its directory is made if needed.

    Returns:
        `path` as a `Path`. The same report gives the same bytes on one machine.
    """
    table = seat_tables(published_report(report))[0]
    rows = list(reversed(table["rows"]))
    figure, axes = _canvas(7.2, 1.6 + 0.52 * len(rows))
    series = [("student", "student", "interval", *STYLES[1], -0.14)]
    if table["has_teacher"]:
        series.insert(0, ("teacher", "teacher", "teacher_interval", *STYLES[0], 0.14))
    for label, key, interval_key, colour, marker, shift in series:
        points = [(y + shift, row[key], row[interval_key]) for y, row in enumerate(rows) if row[key] is not None]
        for y, _, interval in points:
            if interval and None not in interval:
                axes.plot(interval, [y, y], color=colour, linewidth=INTERVAL_WIDTH, solid_capstyle="butt")
        axes.plot([d for _, d, _ in points], [y for y, _, _ in points], marker, color=colour, markersize=7, label=label)
    axes.axvline(0, color="#444444", linewidth=1, linestyle=(0, (2, 2)), zorder=0)
    axes.set_yticks(range(len(rows)), [_seat_label(row) for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel(f"SEAT effect size d with {table['level']:g} % interval (pooling {_plain(table['pooling'])})")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    _legend_above(axes, len(series))
    return _save(figure, path)


def draw_planted_figure(
    planted: Mapping[str, float], measured: Mapping[str, Mapping[str, float]], path: str | Path
) -> Path:
    """What was planted in a corpus against what SEAT measured on models trained with it.

    Args:
        planted: association strength by test, any unit; the tests stand from left to right by rising strength.
        measured: by model (in the order of the legend), the measured d by test; a test may be missing.
        path: the PNG to write.

    Raises:
        ValueError: nothing planted, nothing measured, or a measured test that was not planted.
    """
    if not planted or not measured:
        raise ValueError("the planted figure needs at least one planted test and one measured model")
    unknown = sorted({test for values in measured.values() for test in values} - set(planted))
    if unknown:
        raise ValueError(
            f"measured test {unknown[0]!r} has no planted strength; planted are {', '.join(sorted(planted))}"
        )
    tests = sorted(planted, key=lambda test: (planted[test], natural(test)))
    figure, axes = _canvas(max(6.0, 2.0 + 0.95 * len(tests)), 4.4)
    width = 0.16
    for index, (model, values) in enumerate(measured.items()):
        colour, marker = STYLES[index % len(STYLES)]
        shift = (index - (len(measured) - 1) / 2) * width
        points = [(x + shift, values[test]) for x, test in enumerate(tests) if values.get(test) is not None]
        for x, d in points:
            axes.plot([x, x], [0, d], color=colour, linewidth=1.2, alpha=0.55)
        axes.plot(
            [x for x, _ in points], [d for _, d in points], marker, color=colour, markersize=7, label=_plain(model)
        )
    axes.axhline(0, color="#444444", linewidth=1, linestyle=(0, (2, 2)), zorder=0)
    axes.set_xticks(range(len(tests)), [f"{_plain(test)}\n{planted[test]:+.2f}" for test in tests])
    axes.set_xlim(-0.6, len(tests) - 0.4)
    axes.set_xlabel("test, and the strength planted in the corpus")
    axes.set_ylabel("SEAT effect size d, measured")
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    _legend_above(axes, len(measured))
    return _save(figure, path)


def _canvas(width: float, height: float):
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    return figure, axes


def _legend_above(axes, columns: int) -> None:
    """A legend over the axes, where it can hide no point."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=min(columns, 4), frameon=False, borderaxespad=0)


def _seat_label(row: Mapping[str, Any]) -> str:
    control = " (control)" if row["control"] else ""
    pair, other = " / ".join(map(_plain, row["targets"])), " / ".join(map(_plain, row["attributes"]))
    return f"{_plain(row['label'])}{control}  {pair}\n{other}"


def _plain(text: Any) -> str:
    """Text for matplotlib: one short line, `$` kept from starting a formula."""
    line = one_line(text)
    line = line if len(line) <= 40 else f"{line[:39]}…"
    return re.sub(r"\$", r"\\$", line)


def _save(figure: Figure, path: str | Path) -> Path:
    """Write the PNG under a temporary name first; no software name or date enters the file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, format="png", metadata={"Software": None})
    os.replace(temporary, path)
    return path
