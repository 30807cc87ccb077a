"""What a study's reports were made with: one environment, or several with the number of models that each measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evenhand.evaluation import EvaluationReport
from evenhand.launch.page_text import plural
from evenhand.model_cards.escaping import markdown


def environments(reports: Iterable[EvaluationReport]) -> list[dict[str, Any]]:
    """``evenhand_version`` and ``environment`` of the reports, each with its number of ``models``; that of the most models first."""
    found: dict[tuple, dict[str, Any]] = {}
    for report in reports:
        version, environment = report.data["evenhand_version"], report.data["environment"]
        new = {"models": 0, "evenhand_version": version, "environment": dict(environment)}
        found.setdefault((version, *sorted(environment.items())), new)["models"] += 1
    return sorted(found.values(), key=lambda one: -one["models"])


def environment_lines(found: Sequence[Mapping[str, Any]], models: str = "model") -> list[str]:
    """List items of a page's head.

    Args:
        found: of :func:`environments`.
        models: what was measured, in the singular.
    """
    if len(found) == 1:
        return [f"- Environment: {environment_text(found[0])}."]
    first = f"- Environments: {len(found)}, which may be part of a difference between {models}s of two of them:"
    return [first, *(f"  - {plural(one['models'], models)}: {environment_text(one)}." for one in found)]


def environment_text(data: Mapping[str, Any]) -> str:
    """``python 3.11, torch 2.13; evenhand 0.1.0`` of a report's data."""
    versions = ", ".join(f"{markdown(key)} {markdown(value)}" for key, value in data["environment"].items())
    return f"{versions}; evenhand {markdown(data['evenhand_version'])}"
