"""GLUE by task: the score of each with its interval, teacher beside student."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evenhand.model_cards import numbers
from evenhand.model_cards.figures.canvas import LINE_WIDTH, STYLES, canvas, legend_above, plain, save

_ROW_HEIGHT = 0.46
_SHIFT = 0.16


def glue_rows(entry: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One row a task that the student was scored on, in the report's order, and their mean last where there is one.

    Args:
        entry: the report's first entry of the measure ``glue``, or ``None``.

    Returns:
        Rows of ``name``, ``n`` (examples; ``None`` for the mean), and for ``model`` and ``reference`` a pair of the score in points and its
        interval, each ``None`` where the report has none.
    """
    sides = {side: (entry or {}).get(side) or {} for side in ("model", "reference")}
    scores = {side: {score["key"]: score for score in result.get("scores") or []} for side, result in sides.items()}
    rows = [
        {"name": score["name"], "n": score.get("n"), **{side: _value(scores[side].get(key)) for side in scores}}
        for key, score in scores["model"].items()
        if numbers.checked(score.get("value")) is not None
    ]
    means = {side: result.get("mean_of_tasks_run") or {} for side, result in sides.items()}
    values = {side: _value(mean) for side, mean in means.items()}
    if len(rows) > 1 and values["model"][0] is not None:
        rows.append({"name": f"mean of {len(means['model']['tasks'])} tasks", "n": None, **values})
    return rows


def _value(record: Mapping[str, Any] | None) -> tuple[float | None, list[float] | None]:
    interval = (record or {}).get("confidence_interval") or [None]
    return numbers.checked((record or {}).get("value")), None if None in interval else list(interval)


def draw_glue_figure(entry: Mapping[str, Any], path: str | Path) -> Path:
    """Dots and whiskers by task, teacher above student; the mean stands below a line.

    Args:
        entry: the report's first entry of the measure ``glue``.
        path: the PNG to write; its directory is made if needed.

    Returns:
        `path` as a `Path`. The same entry gives the same bytes on one machine.

    Raises:
        ValueError: no task has a score.
    """
    rows = glue_rows(entry)
    if not rows:
        raise ValueError("the GLUE figure needs at least one task with a score")
    figure, axes = canvas(7.6, 1.35 + _ROW_HEIGHT * len(rows))
    heights = [len(rows) - 1 - index for index in range(len(rows))]
    with_teacher = any(row["reference"][0] is not None for row in rows)
    series = [("teacher", "reference", *STYLES[0], _SHIFT)] if with_teacher else []
    for label, side, colour, marker, shift in [*series, ("student", "model", *STYLES[1], -_SHIFT * with_teacher)]:
        points = [(y + shift, *row[side]) for y, row in zip(heights, rows, strict=True) if row[side][0] is not None]
        for y, _, interval in points:
            if interval:
                axes.plot(interval, [y, y], color=colour, linewidth=LINE_WIDTH, solid_capstyle="butt")
        axes.plot([v for _, v, _ in points], [y for y, _, _ in points], marker, color=colour, markersize=6, label=label)
    if rows[-1]["n"] is None and len(rows) > 1:
        axes.axhline(0.5, color="#444444", linewidth=1)
    axes.set_yticks(heights, [_label(row) for row in rows], fontsize=9)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    level = 100 * (numbers.checked(entry["model"].get("confidence_level")) or 0.95)
    axes.set_xlabel(f"score in points, with {level:g} % interval")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    legend_above(axes, 2)
    return save(figure, path)


def _label(row: Mapping[str, Any]) -> str:
    return plain(row["name"]) if row["n"] is None else f"{plain(row['name'])}\nn = {row['n']:,}"
