"""The forest plot: SEAT effect sizes with their intervals, teacher beside student."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evenhand.model_cards.figures.canvas import LINE_WIDTH, STYLES, canvas, legend_above, plain, save
from evenhand.model_cards.published_report import published_report
from evenhand.model_cards.sections.seat_tables import seat_tables

_ROW_HEIGHT = 0.42


def draw_seat_figure(report: Any, path: str | Path) -> Path:
    """Dots and whiskers: d per test of the report's headline measure, family by family, teacher above student.

    Args:
        report: an `EvaluationReport` or its dict.
        path: the PNG to write; its directory is made if needed.

    Returns:
        `path` as a `Path`. The same report gives the same bytes on one machine.
    """
    table = seat_tables(published_report(report))[0]
    places, titles, rows = _places(table["families"])
    top = max([*places, *titles.values()])
    figure, axes = canvas(7.6, 1.5 + _ROW_HEIGHT * (top + 1))
    for label, key, interval_key, colour, marker, shift in _series(table):
        points = [(y + shift, row[key], row[interval_key]) for y, row in zip(places, rows, strict=True)]
        points = [point for point in points if point[1] is not None]
        for y, _, interval in points:
            if interval and None not in interval:
                axes.plot(interval, [y, y], color=colour, linewidth=LINE_WIDTH, solid_capstyle="butt")
        axes.plot([d for _, d, _ in points], [y for y, _, _ in points], marker, color=colour, markersize=6, label=label)
    axes.axvline(0, color="#444444", linewidth=1, linestyle=(0, (2, 2)), zorder=0)
    axes.set_yticks(places, [_label(row) for row in rows], fontsize=8)
    for title, y in titles.items():
        axes.annotate(
            plain(title), (0, y), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
            fontsize=9, fontweight="bold", va="center",
        )  # fmt: skip
    axes.set_ylim(-0.7, top + 0.6)
    axes.set_xlabel(f"SEAT effect size d with {table['level']:g} % interval (pooling {plain(table['pooling'])})")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    legend_above(axes, 2)
    return save(figure, path)


def _places(families: list[Mapping[str, Any]]) -> tuple[list[float], dict[str, float], list[Mapping[str, Any]]]:
    """Heights of the rows, heights of the families' titles, and the rows, from the top of the picture down."""
    titled = len(families) > 1
    height = sum(len(family["rows"]) + titled for family in families) - 1
    places, titles, rows = [], {}, []
    for family in families:
        if titled:
            titles[family["title"]] = height
            height -= 1
        for row in family["rows"]:
            places.append(height)
            rows.append(row)
            height -= 1
    return places, titles, rows


def _series(table: Mapping[str, Any]) -> list[tuple]:
    """(label, key of d, key of its interval, colour, marker, shift in height) of each model."""
    student = ("student", "student", "interval", *STYLES[1], -0.16 if table["has_teacher"] else 0.0)
    teacher = [("teacher", "teacher", "teacher_interval", *STYLES[0], 0.16)] if table["has_teacher"] else []
    return [*teacher, student]


def _label(row: Mapping[str, Any]) -> str:
    pair, other = " / ".join(map(plain, row["targets"])), " / ".join(map(plain, row["attributes"]))
    return f"{plain(row['label'])}  {pair}\n{other}"
