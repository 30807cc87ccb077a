"""One page for several students: all beside their teacher, with intervals, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evenhand.model_cards import numbers
from evenhand.model_cards.escaping import code, markdown
from evenhand.model_cards.figures.tradeoff_figure import tradeoff_points
from evenhand.model_cards.page.compared_students import (
    Column,
    Student,
    columns,
    compared_students,
    entry_of,
    measured_with,
    shared_seat,
)
from evenhand.model_cards.page.comparison_tables import (
    difference,
    differing_settings,
    score_comparison,
    seat_comparison,
    table,
)
from evenhand.model_cards.published_report import canonical_sha256
from evenhand.model_cards.sections.score_tables import TITLES


def comparison_markdown(
    reports: Sequence[Any], names: Sequence[str], cards: Sequence[str | None] | None = None, picture: str | None = None
) -> str:
    """A page of Markdown; the same arguments always give the same text.

    Numbers that were measured with other settings (pooling, stimuli, data, sizes of training sets, machine of a speed) never share a table.

    Args:
        reports: `EvaluationReport` s or the dicts of report.json files, each with its teacher as reference or with none.
        names: what to call each student.
        cards: address of each student's card, linked where there is one.
        picture: address of the trade-off plot; see `tradeoff_of`.

    Raises:
        ValueError: as for `compared_students.compared_students`.
    """
    students = compared_students(reports, names, cards)
    models = columns(students)
    count = f"{len(students)} students" if len(students) > 1 else "1 student"
    teachers = sum(model.is_teacher for model in models)
    beside = {0: "", 1: " beside their teacher"}.get(teachers, f" beside their {teachers} teachers")
    parts = [f"# {count}{beside}", _how_to_read(students), "## In short", _overview(students, models)]
    if picture:
        parts += [
            "## Bias against quality",
            f"![Scatter plot of mean |d| over the gender tests against the mean GLUE score; its numbers are in the table above]({picture})",
            "*Quality to the right, association upwards. Models called NAME-seed0, NAME-seed1, … form one series. The numbers are in the table above.*",
        ]
    elif reason := tradeoff_of(students)[1]:
        parts += [f"No plot of bias against quality: {reason}."]
    parts += _teachers_measured_again(models, students)
    parts += _seat(students, models)
    for measure in dict.fromkeys(measure for student in students for measure, _, _ in student.entries()):
        if measure not in ("seat", "seat_sensitivity"):
            parts += _scores(students, models, measure)
    return "\n\n".join([*parts, *_made_and_measured(students)]) + "\n"


def tradeoff_of(students: Sequence[Student]) -> tuple[tuple[list, str] | None, str | None]:
    """The points of the trade-off plot and the tasks that their quality is a mean of; or ``None``, and why they cannot stand in one picture."""
    if not any(student.report["measures"].get("glue") for student in students):
        return None, "no report has GLUE"
    if len(measured_with(students, "glue")) > 1:
        return None, "GLUE was measured with different settings"
    # The plot takes the first SEAT entry of each report, so that must be the same measure.
    if any(next(student.entries())[:2] != ("seat", shared_seat(students)) for student in students):
        return None, "the reports have different headline measures of SEAT"
    try:
        points, tasks = tradeoff_points([s.report for s in students], [s.name for s in students])
    except ValueError as error:
        return None, str(markdown(error))
    return ((points, tasks), None) if points else (None, "no report has both means")


def _teachers_measured_again(models: Sequence[Column], students: Sequence[Student]) -> list[str]:
    """A sentence for each teacher that the reports have different numbers of: it was measured more than once."""
    said = []
    for model in (model for model in models if model.is_teacher):
        weights = model.record.get("weights_sha256")
        same = [student for student in students if (student.teacher or {}).get("weights_sha256") == weights]
        shown = {
            (measure, settings): _values(entry["reference"]) for measure, settings, entry in model.student.entries()
        }
        differing = {
            measure
            for student in same
            for measure, settings, entry in student.entries()
            if _values(entry["reference"]) != shown.get((measure, settings), _values(entry["reference"]))
        }
        if differing:
            titles = ", ".join(str(markdown(TITLES.get(measure, measure.upper()))) for measure in sorted(differing))
            said.append(
                f"The reports have different numbers of the {markdown(model.name)} ({titles}), so it was measured more than once; "
                f"those of {markdown(model.student.name)}'s report are shown, and every Δ is to the teacher of its own report."
            )
    return said


def _values(result: Mapping[str, Any] | None) -> dict[str, Any]:
    """The numbers of a side by which two measurements of it are told apart."""
    result = result or {}
    scores = {score["key"]: score.get("value") for score in result.get("scores") or []}
    return scores or {
        name: test.get("effect_size") for name, test in (result.get("tests") or {}).items() if isinstance(test, Mapping)
    }


def _how_to_read(students: Sequence[Student]) -> str:
    entry = entry_of(students[0], "seat", shared_seat(students))
    stimuli, level = entry.get("stimuli") or {}, 100 * (numbers.checked(entry["model"].get("confidence_level")) or 0.95)
    return (
        f"Every number stands with its {numbers.short(level)} % interval, as each student's report has it. Δ is student − teacher, with the verdict "
        "that its interval allows: *better* or *worse* where the whole interval lies on one side of zero. Each student is one training run, so the "
        "chance of its seed is in no interval; no number is corrected for how many students are compared, and there is no test of one student "
        f"against another here. Association: SEAT's effect size d, pooling {code(entry.get('pooling'))}, stimuli {code(stimuli.get('source'))} "
        f'(SHA-256 {code(stimuli.get("sha256"))}). An association is not harm, and zero is not "unbiased": each card says what was not measured.'
    )


def _overview(students: Sequence[Student], models: Sequence[Column]) -> str:
    """Mean |d| and the GLUE mean of every model."""
    seat, glue = shared_seat(students), measured_with(students, "glue")
    header = ["model", "layers", "parameters", "mean \\|d\\|, gender tests"]
    header += ["mean of the GLUE tasks run"] if len(glue) == 1 else []
    rows = []
    for model in models:
        card = f"[{markdown(model.name)}]({model.student.card})" if model.student.card else markdown(model.name)
        name = f"*{markdown(model.name)}*" if model.is_teacher else f"**{card}**"
        cells = [numbers.count(model.record.get(key)) for key in ("layers", "parameters")]
        cells.append(_mean_association(model, entry_of(model.student, "seat", seat)))
        cells += [_mean_quality(model, entry_of(model.student, "glue", glue[0]))] if len(glue) == 1 else []
        rows.append([name, *cells])
    return table(header, rows)


def _mean_association(model: Column, entry: Mapping[str, Any]) -> str:
    family = ((entry.get(model.side) or {}).get("families") or {}).get("gender") or {}
    cell = str(numbers.estimate(family.get("mean_absolute_effect_size"), family.get("confidence_interval")))
    if family.get("mean_absolute_effect_size") is not None and family.get("tests"):
        cell += f", {len(family['tests'])} tests"
    change = ((entry.get("comparison") or {}).get("families") or {}).get("gender")
    return cell if model.is_teacher else cell + difference(change)


def _mean_quality(model: Column, entry: Mapping[str, Any] | None) -> str:
    mean = ((entry or {}).get(model.side) or {}).get("mean_of_tasks_run") or {}
    cell = str(numbers.scored(mean.get("value"), mean.get("confidence_interval")))
    cell += f", {len(mean['tasks'])} tasks" if mean.get("value") is not None else ""
    change = ((entry or {}).get("comparison") or {}).get("mean_of_tasks_run")
    return cell if model.is_teacher else cell + difference(change, numbers.scored)


def _seat(students: Sequence[Student], models: Sequence[Column]) -> list[str]:
    """The headline's tests, and those of other poolings and stimuli folded away."""
    headline = shared_seat(students)
    parts = ["## Gender association by test", "The number is d with its interval; p-values stand in each card."]
    parts.append(seat_comparison(models, headline))
    for settings in measured_with(students, "seat"):
        if settings != headline:
            having = _having(models, "seat", settings)
            entry = entry_of(having[0].student, "seat", settings)
            title = f"Pooling {markdown(entry.get('pooling'))}, stimuli {markdown((entry.get('stimuli') or {}).get('source'))}"
            parts += _folded(title, seat_comparison(having, settings))
    return parts


def _scores(students: Sequence[Student], models: Sequence[Column], measure: str) -> list[str]:
    """The scores of one measure; a table for each way in which it was measured."""
    parts, ways = [], measured_with(students, measure)
    for number, settings in enumerate(ways, start=1):
        scores = score_comparison(_having(models, measure, settings), measure, settings)
        if not scores:
            continue
        if len(ways) > 1:
            parts.append(
                f"Settings {number} of {len(ways)}: these numbers compare with each other, not with those of the other settings."
            )
        parts.append(scores)
    return [f"## {markdown(TITLES.get(measure, measure))}", *parts] if parts else []


def _having(models: Sequence[Column], measure: str, settings: str) -> list[Column]:
    return [model for model in models if entry_of(model.student, measure, settings) is not None]


def _folded(title: str, text: str) -> list[str]:
    return [f"<details>\n<summary>{title}</summary>", text, "</details>"]


def _made_and_measured(students: Sequence[Student]) -> list[str]:
    """What differs between the recipes, and hashes."""
    settings = differing_settings(students)
    rows = []
    for student in students:
        training = student.report.get("training") or {}
        hashes = [
            canonical_sha256(student.report),
            student.report["model"].get("weights_sha256"),
            training.get("recipe_sha256"),
        ]
        version = student.report.get("evenhand_version")
        rows.append([markdown(student.name), *(code(value) if value else "–" for value in (*hashes, version))])
    header = ["student", "canonical report, SHA-256", "weights, SHA-256", "recipe, SHA-256", "evenhand"]
    parts = ["## What differs between their recipes", settings] if settings else []
    return [*parts, "## Provenance", table(header, rows)]
