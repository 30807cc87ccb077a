"""The SEAT results of a report as a plain-text table for the terminal."""

from evenhand.evaluation.report import EvaluationReport


def seat_table(report: EvaluationReport) -> str:
    """Every SEAT entry of ``report``: per test d with its interval and p-values, the reference's d beside it.

    A star after d marks p ≤ .05 after Holm's correction; ``!`` that d changes its sign when words weigh the same.
    """
    return "\n\n".join(_entry_table(entry, report) for entry in report.measures.get("seat", ()))


def _entry_table(entry: dict, report: EvaluationReport) -> str:
    model, reference = entry["model"], entry["reference"]
    stimuli = f"{entry['stimuli']['name']} ({entry['stimuli']['source']})"
    level = f"{model['confidence_level']:.0%} interval"
    header = ["test", "targets", "attributes", *(["teacher d", level] if reference else [])]
    header += ["student d" if reference else "d", level, "p (words)", "p (Holm)", "p (legacy)"]
    rows = [header]
    for name, test in model["tests"].items():
        row = [test["label"], " / ".join(test["targets"]), " / ".join(test["attributes"])]
        row += _effect(reference["tests"][name]) if reference else []
        row += _effect(test)
        row += [_p(test[key]) for key in ("p_value", "p_value_holm", "p_value_legacy")]
        rows.append(row)
    mean = ["mean |d|", "", "", *([_number(reference["mean_absolute_effect_size"]), ""] if reference else [])]
    mean += [_number(model["mean_absolute_effect_size"]), "", "", "", ""]
    names = f"student {report.model['name']}" + (f", teacher {report.reference['name']}" if reference else "")
    title = f"SEAT, pooling {entry['pooling']}, {stimuli}: {names}"
    notes = [f"{test['label']}: {test['note']}" for test in model["tests"].values() if test["note"]]
    notes += [model["note"]] if model["note"] else []
    return "\n".join([title, *_aligned([*rows, mean]), *notes])


def _aligned(rows: list[list[str]]) -> list[str]:
    """Columns of equal width, a rule under the first row and above the last; text to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    rule = "-" * max(map(len, lines))
    return [lines[0], rule, *lines[1:-1], rule, lines[-1]]


def _effect(test: dict) -> list[str]:
    """d with its marks, and its interval."""
    interval = test["confidence_interval"]
    marks = "*" if test["p_value_holm"] is not None and test["p_value_holm"] <= 0.05 else ""
    marks += "!" if test["sign_disagreement"] else ""
    return [_number(test["effect_size"]) + marks, f"[{interval[0]:+.2f}, {interval[1]:+.2f}]" if interval else "–"]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if value >= 0.0001 else f"{value:.0e}"
