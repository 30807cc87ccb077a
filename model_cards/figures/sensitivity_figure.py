"""The heat map of the sensitivity grid: how much mean |d| and each test move with pooling and layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from evenhand.model_cards.figures.canvas import canvas, plain, save


def draw_sensitivity_figure(grid: Mapping[str, Any], path: str | Path) -> Path:
    """One row a test and pooling, one column a layer; colour and number are d, a frame marks a flipped sign.

    Args:
        grid: `SeatSensitivity`'s result for one model, as it stands in report.json.
        path: the PNG to write.

    Raises:
        ValueError: a grid without a test or a cell.
    """
    if not grid["tests"] or not grid["cells"]:
        raise ValueError("the sensitivity figure needs at least one test and one cell")
    cells = {(cell["pooling"], cell["layer"]): cell["effect_sizes"] for cell in grid["cells"]}
    poolings, layers, tests = grid["poolings"], grid["layers"], grid["tests"]
    head = cells[grid["headline"]["pooling"], grid["headline"]["layer"]]
    rows = [(name, pooling) for name in tests for pooling in poolings]
    values = np.array([[_d(cells, p, layer, name) for layer in layers] for name, p in rows], dtype=float)
    figure, axes = canvas(2.6 + 0.62 * len(layers), 1.3 + 0.25 * len(rows))
    image = axes.imshow(values, cmap="PuOr", vmin=-2, vmax=2, aspect="auto")
    for (y, x), d in np.ndenumerate(values):
        if np.isnan(d):  # all sentences alike, as [CLS] before the first layer
            axes.text(x, y, "–", ha="center", va="center", fontsize=7)
            continue
        text_colour = ink(image.cmap(image.norm(d)))
        axes.text(x, y, f"{d:+.2f}", ha="center", va="center", fontsize=7, color=text_colour)
        of_headline = head.get(rows[y][0])
        if of_headline is not None and d * of_headline < 0:
            axes.add_patch(_frame(x, y))
    for edge in range(len(poolings), len(rows), len(poolings)):
        axes.axhline(edge - 0.5, color="black", linewidth=1)
    axes.set_xticks(range(len(layers)), [str(layer) for layer in layers])
    axes.set_yticks(range(len(rows)), [f"{plain(tests[n])}  {plain(p)}" for n, p in rows])
    axes.tick_params(axis="y", labelsize=7, length=0)
    axes.set_xlabel("layer (0: embeddings); framed: the sign differs from the headline's")
    headline = grid["headline"]
    axes.set_title(
        f"d by pooling and layer; headline: {plain(headline['pooling'])}, layer {headline['layer']}", fontsize=9
    )
    figure.colorbar(image, ax=axes, label="effect size d")
    return save(figure, path)


def _d(cells: Mapping, pooling: str, layer: int, name: str) -> float:
    d = cells.get((pooling, layer), {}).get(name)
    return float("nan") if d is None else d


def ink(colour: tuple[float, float, float, float]) -> str:
    """Black or white, whichever has the greater contrast with a cell (relative luminance of WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"


def _frame(x: int, y: int) -> Rectangle:
    return Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, fill=False, edgecolor="#000000", linewidth=1.4)
