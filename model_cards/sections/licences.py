"""Licences: the model's, its teacher's, and those of the data that it was trained and measured on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenhand.model_cards.sections.benchmarks import used_benchmarks
from evenhand.model_cards.sections.card_source import CardSource, part, parts

NOT_RECORDED = "not recorded"


def context(source: CardSource) -> dict[str, Any]:
    """What `licences.md.jinja` prints."""
    teacher = part(source.training, "teacher")
    return {
        "licence": source.licence,
        "teacher": source.teacher,
        "teacher_licence": _stated(teacher.get("licence")),
        "rows": data_rows(source),
    }


def data_rows(source: CardSource) -> list[dict[str, str]]:
    """One row for each source of the corpus and each benchmark: `name`, `use`, `licence` and `origin`, where the licence was read.

    A declared licence stands before what a data set's own card says; what nobody states is "not recorded". Declared licences of data that
    the report does not name stand at the end.
    """
    declared, rows = source.facts.data_licences, []
    for entry in parts(part(source.training, "corpus"), "sources"):
        name = str(entry.get("hub") or entry.get("path"))
        rows.append(_row(name, "training", declared.get(name), _stated(entry.get("licence"))))
    for benchmark in used_benchmarks(source.published["measures"]):
        known = (benchmark.licence, "as its repository states it") if benchmark.licence else None
        rows.append(_row(benchmark.name, "measurement", declared.get(benchmark.name), known))
    told = {row["name"] for row in rows}
    return [*rows, *(_row(name, NOT_RECORDED, licence, None) for name, licence in declared.items() if name not in told)]


def _row(name: str, use: str, declared: str | None, read: tuple[str, str] | None) -> dict[str, str]:
    licence, origin = (declared, "declared by whoever publishes this model") if declared else read or (NOT_RECORDED, "")
    return {"name": name, "use": use, "licence": licence, "origin": origin}


def _stated(record: Any) -> tuple[str, str] | None:
    """Licence and source of what a training record read from somebody's card; None where the card names none."""
    if isinstance(record, str):
        return record, "its own card"
    if not isinstance(record, Mapping) or not record.get("licence"):
        return None
    more = ", ".join(str(record[key]) for key in ("name", "link") if record.get(key))
    return f"{record['licence']} ({more})" if more else str(record["licence"]), str(record.get("source") or "its card")
