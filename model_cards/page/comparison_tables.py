"""Markdown tables with models side by side: a number with its interval, and under it the difference from the teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evenhand.evaluation.report_order import ordered_families, ordered_tests
from evenhand.model_cards import numbers
from evenhand.model_cards.escaping import markdown
from evenhand.model_cards.page.compared_students import Column, Student, entry_of
from evenhand.model_cards.sections.seat_tables import FAMILY_TITLES


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def difference(
    change: Mapping[str, Any] | None, write: Callable = numbers.estimate, interval: str = "confidence_interval"
) -> str:
    """A second line of a cell: ``Δ -0.060 [-0.27, +0.15] **worse**``, or ``× 1.94 [1.90, 1.98]`` where the report has a ratio; empty without either.

    Args:
        change: an entry of the report's comparison.
        write: `numbers.estimate` for effect sizes, `numbers.scored` for scores of any unit.
        interval: key of the interval.
    """
    change = change or {}
    word = change.get("verdict")
    said = f" **{markdown(word)}**" if word in ("better", "worse") else f" {markdown(word)}" if word else ""
    if change.get("ratio") is not None:
        return f"<br>× {numbers.estimate(change['ratio'], change.get('ratio_confidence_interval'))}{said}"
    if change.get("difference") is None:
        return ""
    return f"<br>Δ {write(change['difference'], change.get(interval), sign=True)}{said}"


def seat_comparison(models: Sequence[Column], settings: str) -> str:
    """One row a test, family by family, and the mean |d| of each family at its end.

    Args:
        models: the columns.
        settings: which SEAT entry, as `compared_students.measured_with` names it.
    """
    entries = [entry_of(model.student, "seat", settings) for model in models]
    tests = {name: test for entry in entries if entry for name, test in ordered_tests(entry["model"])}
    families = ordered_families(dict.fromkeys(str(test.get("family")) for test in tests.values()))
    rows = []
    for family in families:
        own = [name for name, test in tests.items() if str(test.get("family")) == family]
        for name in own:
            cells = [_test_cell(model, entry, name) for model, entry in zip(models, entries, strict=True)]
            rows.append([*_what_test(tests[name]), *cells])
        if family != "control" and len(own) > 1:
            cells = [_mean_cell(model, entry, family) for model, entry in zip(models, entries, strict=True)]
            title = markdown(FAMILY_TITLES.get(family, family))
            rows.append([f"**mean \\|d\\|**, {title}", f"{len(own)} tests", "", "", *cells])
    names = [markdown(model.name) for model in models]
    return table(["test", "X / Y", "A / B", "words X/Y, A/B", *names], rows)


def _what_test(test: Mapping[str, Any]) -> list[str]:
    words = [numbers.count((test.get("n_words") or {}).get(side)) for side in "XYAB"]
    pairs = [" / ".join(str(markdown(name)) for name in test.get(key) or []) for key in ("targets", "attributes")]
    control = " (control)" if test.get("family") == "control" else ""
    return [f"{markdown(test.get('label'))}{control}", *pairs, f"{words[0]}/{words[1]}, {words[2]}/{words[3]}"]


def _test_cell(model: Column, entry: Mapping[str, Any] | None, name: str) -> str:
    test = (((entry or {}).get(model.side) or {}).get("tests") or {}).get(name) or {}
    cell = str(numbers.estimate(test.get("effect_size"), test.get("confidence_interval"), sign=True))
    change = (((entry or {}).get("comparison") or {}).get("tests") or {}).get(name) or {}
    # The verdict of the report is on |d|; beside the signed Δd it would be read of that.
    return cell if model.is_teacher else cell + difference({**change, "verdict": None})


def _mean_cell(model: Column, entry: Mapping[str, Any] | None, family: str) -> str:
    own = (((entry or {}).get(model.side) or {}).get("families") or {}).get(family) or {}
    cell = str(numbers.estimate(own.get("mean_absolute_effect_size"), own.get("confidence_interval")))
    change = (((entry or {}).get("comparison") or {}).get("families") or {}).get(family)
    return cell if model.is_teacher else cell + difference(change)


def score_comparison(models: Sequence[Column], measure: str, settings: str) -> str:
    """One row a score of a measure that has ``scores``; empty where no report has one.

    Args:
        models: the columns.
        measure, settings: which entry, as `compared_students.measured_with` names it.
    """
    entries = [entry_of(model.student, measure, settings) for model in models]
    scores = {score["key"]: score for entry in entries if entry for score in entry["model"].get("scores") or []}
    rows = []
    for key, score in scores.items():
        cells = [_score_cell(model, entry, key) for model, entry in zip(models, entries, strict=True)]
        rows.append([f"{markdown(score['name'])}{_ideal(score)}", markdown(score.get("unit")), *cells])
    names = [markdown(model.name) for model in models]
    return table(["score", "unit", *names], rows) if rows else ""


def _ideal(score: Mapping[str, Any]) -> str:
    if score.get("ideal") is None:
        return ""
    of_distance = "; Δ of the distances from it" if score.get("better") == "nearer" else ""
    return f" (ideal {numbers.short(score['ideal'])}{of_distance})"


def _score_cell(model: Column, entry: Mapping[str, Any] | None, key: str) -> str:
    score = _by_key(entry, model.side).get(key) or {}
    signed = score.get("ideal") == 0 and score.get("better") == "nearer"
    cell = str(numbers.scored(score.get("value"), score.get("confidence_interval"), sign=signed))
    cell += (
        f", n = {numbers.count(score['n'])}" if score.get("value") is not None and score.get("n") is not None else ""
    )
    return cell if model.is_teacher else cell + difference(_by_key(entry, "comparison").get(key), numbers.scored)


def _by_key(entry: Mapping[str, Any] | None, side: str) -> dict[str, Mapping[str, Any]]:
    return {score["key"]: score for score in ((entry or {}).get(side) or {}).get("scores") or []}


def differing_settings(students: Sequence[Student], ignored: Sequence[str] = ("evaluation", "publish")) -> str:
    """What the recipes do not have in common, one row a setting; empty where there is nothing."""
    flat = [_flat(_recipe(student, ignored)) for student in students]
    keys = sorted({key for one in flat for key in one})
    differing = [key for key in keys if any(one.get(key) != flat[0].get(key) for one in flat)]
    rows = [[markdown(key), *(markdown(one[key]) if key in one else "–" for one in flat)] for key in differing]
    return table(["setting", *(markdown(student.name) for student in students)], rows) if rows else ""


def _recipe(student: Student, ignored: Sequence[str]) -> dict[str, Any]:
    recipe = (student.report.get("training") or {}).get("recipe") or {}
    return {key: value for key, value in recipe.items() if key not in ignored}


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {prefix: str(value)}
    return {
        key: text
        for name, item in value.items()
        for key, text in _flat(item, f"{prefix}.{name}" if prefix else str(name)).items()
    }
