"""The tables of a page on paired runs: SEAT over words and seeds, every other measure over seeds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evenhand.evaluation import EvaluationReport
from evenhand.evaluation.over_seeds import aggregate_differences, aggregate_results
from evenhand.evaluation.paired_seeds import t_interval
from evenhand.evaluation.report_order import ordered_families, ordered_measures, ordered_tests
from evenhand.evaluation.report_table import judged
from evenhand.model_cards.sections.score_tables import TITLES

Runs = Mapping[str, Mapping[int, EvaluationReport]]
"""Reports by arm (``"plain"``, ``"mixup"``) and seed."""


def seat_sections(runs: Runs) -> list[str]:
    """One section for each SEAT entry: teacher, arms and their difference over words and seeds."""
    lines = []
    for which, entry in enumerate(first_report(runs).measures["seat"]):
        results = {arm: [r.measures["seat"][which]["model"] for r in reports.values()] for arm, reports in runs.items()}
        means = {arm: aggregate_results(of_arm) for arm, of_arm in results.items()}
        against = {
            "plain − teacher": aggregate_differences(results["plain"], [entry["reference"]]),
            "mixup − plain": aggregate_differences(results["mixup"], results["plain"]),
        }
        stimuli = entry["stimuli"]
        source = {"builtin": "built-in sentences", "sent-bias": "sent-bias files"}.get(
            stimuli["source"], stimuli["name"]
        )
        lines += [f"## SEAT, {source}, pooling `{entry['pooling']}`", ""]
        lines += _seat_table(entry["reference"], means, against)
        lines += ["", *_seat_verdicts(entry["reference"], against), ""]
    return lines


def _seat_table(teacher: dict, means: dict, against: dict) -> list[str]:
    header = ["test", "teacher d", *(f"{arm} d" for arm in means)]
    header += [cell for title in against for cell in (f"Δd, {title}", "p (flips)")]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for name, test in ordered_tests(teacher):
        cells = [test["label"].replace("|", "\\|"), number(test["effect_size"])]
        cells += [_with_interval(mean["tests"][name], "effect_size") for mean in means.values()]
        for change in against.values():
            cells += [
                _with_interval(change["tests"][name], "difference"),
                probability(change["tests"][name]["p_value"]),
            ]
        lines.append("| " + " | ".join(cells) + " |")
    for family in ordered_families(teacher["families"]):
        of_teacher = teacher["families"][family]
        if family == "control":
            continue
        key = "mean_absolute_effect_size"
        cells = [f"**mean \\|d\\|**, {family}", number(of_teacher[key], False)]
        cells += [_with_interval(mean["families"][family], key, False) for mean in means.values()]
        for change in against.values():
            cells += [_with_interval(change["families"][family], "difference"), ""]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _seat_verdicts(teacher: dict, against: dict) -> list[str]:
    lines = []
    for family in ordered_families(teacher["families"]):
        of_teacher = teacher["families"][family]
        if family == "control":
            continue
        verdicts = "; ".join(f"{title}: **{judged(change['families'][family])}**" for title, change in against.items())
        line = f"- {family}: {verdicts}."
        floor, reach = of_teacher["noise_floor"], of_teacher["detectable_effect_size"]
        if floor:
            line += f" By chance alone the teacher's mean |d| would be {number(floor['expected'], False)} (95 % below {number(floor['quantile_95'], False)})."
        if reach is not None:
            line += f" One test sees |d| ≥ {number(reach, False, 2)} with 80 % power."
        lines.append(line)
    return lines


def _with_interval(record: dict, key: str, signed: bool = True) -> str:
    ends = record["confidence_interval"]
    if record[key] is None:
        return "–"
    shown = number(record[key], signed)
    return f"{shown} [{number(ends[0], digits=2)}, {number(ends[1], digits=2)}]" if ends else shown


def score_sections(runs: Runs) -> list[str]:
    """One section for each other measure: mean and spread over seeds, and the paired difference of the arms."""
    lines = []
    names = {name: None for reports in runs.values() for r in reports.values() for name in r.measures}
    for measure in ordered_measures(names):
        measured = _holding(runs, measure)
        if measure in ("seat", "seat_sensitivity") or not measured["plain"]:
            continue
        for which, entry in enumerate(first_report(measured).measures[measure]):
            lines += [f"## {TITLES.get(measure, measure)}", ""]
            lines += [f"Not applicable to the {s}: {why}" for s, why in entry["not_applicable"].items() if why]
            if entry["model"] is None:
                lines.append("")
                continue
            lines += _score_table(measured, measure, which)
            notes = [score["note"] and f"{score['name']}: {score['note']}" for score in entry["model"]["scores"]]
            notes.append(entry["model"].get("note"))
            lines += ["", *(f"- {note}" for note in dict.fromkeys(notes) if note), ""]
    return lines


def _score_table(runs: Runs, measure: str, which: int) -> list[str]:
    lines = [
        "| score | unit | n | teacher | plain, mean ± s.d. | mixup, mean ± s.d. | mixup − plain, paired over seeds | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    first = first_report(runs).measures[measure][which]
    teachers = {score["key"]: score["value"] for score in (first["reference"] or {"scores": []})["scores"]}
    for score in first["model"]["scores"]:
        values = {
            arm: [_value(r.measures[measure][which]["model"], score["key"]) for r in reports.values()]
            for arm, reports in runs.items()
        }
        cells = [
            score["name"].replace("|", "\\|"),
            score["unit"],
            f"{score['n']:,}",
            number(teachers.get(score["key"]), False),
        ]
        if any(None in of_arm for of_arm in values.values()):
            cells += ["–", "–", "– (not defined for every run)", str(len(values["plain"]))]
        else:
            cells += [spread(of_arm, signed=False) for of_arm in values.values()]
            differences = [m - p for m, p in zip(values["mixup"], values["plain"], strict=True)]
            cells += [_paired(differences), str(len(differences))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _value(result: Mapping | None, key: str) -> float | None:
    """The score ``key`` of a result, ``None`` where it has none."""
    return next((score["value"] for score in (result or {"scores": []})["scores"] if score["key"] == key), None)


def _paired(differences: list[float]) -> str:
    if len(differences) < 2:
        return number(differences[0])
    i = t_interval(differences)
    return f"{number(i.mean)} [{number(i.low)}, {number(i.high)}]"


def _holding(runs: Runs, measure: str) -> Runs:
    """The pairs of runs in which both were measured so."""
    seeds = [s for s in runs["plain"] if all(measure in reports[s].measures for reports in runs.values())]
    return {arm: {seed: reports[seed] for seed in seeds} for arm, reports in runs.items()}


def first_report(runs: Runs) -> EvaluationReport:
    """The plain run of the first seed."""
    return next(iter(runs["plain"].values()))


def number(value: float | None, signed: bool = True, digits: int = 3) -> str:
    if value is None:
        return "–"
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def probability(p: float | None) -> str:
    if p is None:
        return "–"
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def spread(values: list[float], digits: int = 3, signed: bool = True) -> str:
    mean = number(float(np.mean(values)), signed, digits)
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else mean
