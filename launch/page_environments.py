"""What a study's reports were made with: one environment, or several with the number of models that each measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evenhand.evaluation import EvaluationReport
from evenhand.launch.page_text import plural
from evenhand.model_cards.escaping import markdown

MOST = 4
"""Machines or commits that a page names; results.json has them all."""


def environments(reports: Iterable[EvaluationReport]) -> list[dict[str, Any]]:
    """``evenhand_version`` and ``environment`` of the reports, each with its number of ``models``; that of the most models first.

    Beside them ``commits`` (of the code that trained) and ``machines`` (that it ran on), each with its number of models, where the reports
    tell; the most models first.
    """
    found: dict[tuple, dict[str, Any]] = {}
    made: dict[tuple, tuple[Counter[str], Counter[str]]] = {}
    for report in reports:
        version, environment = report.data["evenhand_version"], report.data["environment"]
        key = (version, *sorted(environment.items()))
        new = {"models": 0, "evenhand_version": version, "environment": dict(environment)}
        found.setdefault(key, new)["models"] += 1
        commits, machines = made.setdefault(key, (Counter(), Counter()))
        training = report.training or {}
        code, hardware = training.get("code") or {}, training.get("hardware") or {}
        if code.get("commit"):
            commits[code["commit"] + (" with changes" if code.get("modified") else "")] += 1
        if hardware.get("name"):
            machines[_machine(hardware)] += 1
    for key, (commits, machines) in made.items():
        found[key] |= {"commits": dict(commits.most_common()), "machines": dict(machines.most_common())}
    return sorted(found.values(), key=lambda one: -one["models"])


def _machine(hardware: Mapping[str, Any]) -> str:
    """``AMD EPYC, cpu, 1 process of 1 thread``."""
    threads = hardware.get("threads")
    of_threads = f" of {plural(threads, 'thread')}" if threads else ""
    processes = hardware.get("processes") or 1
    return f"{hardware['name']}, {hardware.get('device', 'unknown device')}, {processes} process{'es' * (processes > 1)}{of_threads}"


def environment_lines(found: Sequence[Mapping[str, Any]], models: str = "model") -> list[str]:
    """List items of a page's head.

    Args:
        found: of :func:`environments`.
        models: what was measured, in the singular.
    """
    if len(found) == 1:
        return [f"- Environment: {environment_text(found[0])}.", *_made_lines(found)]
    first = f"- Environments: {len(found)}, which may be part of a difference between {models}s of two of them:"
    return [
        first,
        *(f"  - {plural(one['models'], models)}: {environment_text(one)}." for one in found),
        *_made_lines(found),
    ]


def _made_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Machines and commits, with the number of models of each where there are several."""
    lines = []
    for key, title in (("machines", "Trained on"), ("commits", "Trained by the code of commit")):
        counts: Counter[str] = Counter()
        for one in found:
            counts.update(one.get(key) or {})
        shown = [
            (name if key == "machines" else name.replace(name[:40], name[:7]), n) for name, n in counts.most_common()
        ]
        if len(shown) == 1:
            lines.append(f"- {title} {markdown(shown[0][0])}.")
        elif shown:
            parts = [f"{markdown(name)} ({n})" for name, n in shown[:MOST]]
            rest = f" and {len(shown) - MOST} more, which results.json names" if len(shown) > MOST else ""
            several = f"{title}s" if key == "commits" else title
            lines.append(f"- {several}: {', '.join(parts)}{rest}.")
    return lines


def environment_text(data: Mapping[str, Any]) -> str:
    """``python 3.11, torch 2.13; evenhand 0.1.0`` of a report's data."""
    versions = ", ".join(f"{markdown(key)} {markdown(value)}" for key, value in data["environment"].items())
    return f"{versions}; evenhand {markdown(data['evenhand_version'])}"
