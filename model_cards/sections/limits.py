"""Limits of the measurement: what the numbers do not say, what was not measured, and how many were taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenhand.model_cards.sections.card_source import CardSource
from evenhand.model_cards.sections.score_tables import TITLES
from evenhand.model_cards.sections.seat_tables import FAMILY_TITLES


def context(source: CardSource) -> dict[str, Any]:
    """What `limits.md.jinja` prints."""
    measures = source.published["measures"]
    families = {family["family"] for table in source.seat for family in table["families"]}
    return {
        "absent_measures": [title for name, title in TITLES.items() if not measures.get(name)],
        "absent_families": [FAMILY_TITLES[name] for name in ("race", "age", "health") if name not in families],
        "counts": counted_tests(source),
        "corrected": sum(row["holm"] is not None for table in source.seat for row in table["rows"]),
        "uncorrected": sum(row["p"] is not None for table in source.seat for row in table["rows"]),
    }


def counted_tests(source: CardSource) -> list[dict[str, Any]]:
    """One row a measure: how many numbers of the student and how many p-values were computed, and what of them only report.json has."""
    rows = [
        {
            "measure": f"SEAT, {table['pooling']}, {table['stimuli'].get('source')}",
            "numbers": len(table["rows"]),
            "p_values": _p_values(table["rows"], ("p", "legacy", "change_p")),
            "elsewhere": "d without each word, associations of single words",
        }
        for table in source.seat
    ]
    for entry in source.published["measures"].get("seat_sensitivity") or []:
        if entry.get("model"):
            cells = sum(len(cell["effect_sizes"]) for cell in entry["model"]["cells"])
            rows.append(
                {"measure": "Sensitivity grid", "numbers": cells, "p_values": 0, "elsewhere": "the differences by cell"}
            )
    for table in source.scores:
        shown = [*table["rows"], *table["others"]]
        details = _details(source.published["measures"][table["measure"]])
        rows.append(
            {
                "measure": table["title"],
                "numbers": len(shown),
                "p_values": _p_values(shown, ("change_p",)),
                "elsewhere": f"details by {', '.join(details)}" if details else "nothing",
            }
        )
    return rows


def _p_values(rows: list[dict[str, Any]], keys: tuple[str, ...]) -> int:
    return sum(row[key] is not None for row in rows for key in keys)


def _details(entries: list[Mapping[str, Any]]) -> list[str]:
    """Names of the parts that a measure's `details` are given by."""
    found = {name for entry in entries for name in ((entry.get("model") or {}).get("details") or {})}
    return sorted(str(name).replace("_", " ") for name in found)
