"""How much SEAT moves with pooling and layer: the heat maps' numbers as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenhand.model_cards import numbers
from evenhand.model_cards.sections.card_source import CardSource
from evenhand.model_cards.sections.pictures import pictures_of


def context(source: CardSource) -> dict[str, Any] | None:
    """What `sensitivity.md.jinja` prints; None where the grid was not measured."""
    entry = next(iter(source.published["measures"].get("seat_sensitivity") or []), {})
    grids = [
        (side, sensitivity_grid(entry[key]))
        for key, side in (("model", "student"), ("reference", "teacher"))
        if entry.get(key)
    ]
    if not grids:
        return None
    return {"grids": grids, "pictures": pictures_of("sensitivity", source.figures)}


def sensitivity_grid(grid: Mapping[str, Any]) -> dict[str, Any]:
    """One model's grid: `labels` of the tests, `rows` of (pooling, layer, mean |d|, d by test), `headline`, `flips` and `note`.

    `flips` lists the tests whose sign differs from the headline's in some cells, as (label, cells, of how many).
    """
    tests, flips = grid["tests"], grid.get("sign_flips") or {}
    rows = [
        {
            "pooling": cell["pooling"],
            "layer": cell["layer"],
            "mean": numbers.checked(cell.get("mean_absolute_effect_size")),
            "sizes": [numbers.checked((cell.get("effect_sizes") or {}).get(name)) for name in tests],
        }
        for cell in grid["cells"]
    ]
    return {
        "labels": list(tests.values()),
        "rows": rows,
        "headline": grid.get("headline") or {},
        "n_sentences": grid.get("n_sentences"),
        "flips": [(label, flips[name]["cells"], flips[name]["of"]) for name, label in tests.items() if name in flips],
        "note": grid.get("note"),
    }
