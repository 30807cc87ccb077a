"""What becomes of one entry of a report's measures: computed again on the student, on the teacher where it is at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenhand.model_cards.escaping import one_line
from evenhand.model_cards.verification.arithmetic import EXACT, same_grid, same_tests
from evenhand.model_cards.verification.claimed_evaluators import RESULTS, PlannedEntry, as_published
from evenhand.model_cards.verification.measure_comparison import compare_part
from evenhand.model_cards.verification.report_fields import Field, differing, field_text
from evenhand.model_cards.verification.rows import HASH_ONLY, RECOMPUTED, UNCHECKED, Row
from evenhand.model_cards.verification.seat_comparison import D_TOLERANCE, compare_differences, compare_seat

NO_TEACHER = "the teacher is not in the folder: name it, --teacher"
FROM_CLAIMS = "from the recomputed student and the teacher's values as claimed"

Loaded = tuple[Any, Any]
"""A model and its tokenizer."""


def entry_rows(planned: PlannedEntry, student: Loaded, teacher: Loaded | None) -> list[Row]:
    """All rows of one entry; every field of it falls under one of them.

    Args:
        planned: of `plan_entries`.
        student: of the folder.
        teacher: None where it is not at hand.
    """
    title = _title(planned)
    if planned.damaged:
        return [Row(title, RECOMPUTED, passed=False, note=planned.reason, scope=(planned.field,))]
    if planned.evaluator is None:
        return [Row(title, UNCHECKED, note=planned.reason, scope=(planned.field,))]
    try:
        return _checked_rows(title, planned, student, teacher)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        note = f"cannot be computed with what was published: {one_line(error)[:200]}"
        return [Row(title, RECOMPUTED, passed=False, note=note, scope=(planned.field,))]


def _checked_rows(title: str, planned: PlannedEntry, student: Loaded, teacher: Loaded | None) -> list[Row]:
    rows = [_settings_row(title, planned)]
    result, reason = _run(planned.evaluator, student)
    against, against_reason = (None, None) if teacher is None else _run(planned.evaluator, teacher)
    actual = {
        "model": _published(result),
        "reference": _published(against),
        "comparison": None,
        "not_applicable": {"model": reason, "reference": against_reason},
    }
    if result is not None and against is not None:
        actual["comparison"] = as_published(planned.evaluator.compare(result, against))
    rows.append(_reasons_row(title, planned, actual["not_applicable"], teacher is not None))
    if planned.measure == "seat":
        return rows + _seat_rows(title, planned, actual)
    if planned.measure == "seat_sensitivity":
        return rows + _sensitivity_rows(title, planned, actual, result)
    return rows + _measure_rows(title, planned, actual, teacher is not None)


def _title(planned: PlannedEntry) -> str:
    entry = planned.entry
    if planned.measure == "seat":
        return f"SEAT {entry['pooling']}, {entry['stimuli']['source']}"
    if planned.measure == "seat_sensitivity":
        return "SEAT by pooling and layer"
    return f"measure {planned.measure}"


def _run(evaluator: Any, loaded: Loaded) -> tuple[Any, str | None]:
    """The result, or why there is none."""
    from evenhand.evaluation.evaluator import NotApplicable

    try:
        return evaluator.run(*loaded), None
    except NotApplicable as reason:
        return None, as_published(str(reason))


def _published(result: Any) -> dict[str, Any] | None:
    return None if result is None else as_published(result.to_dict())


def _settings_row(title: str, planned: PlannedEntry) -> Row:
    """The data or stimuli by their hash, and the settings that are not used but follow from them."""
    entry, wrong = planned.entry, list(planned.settings_differ)
    kind = next((key for key in ("stimuli", "data") if key in entry), None)
    settings = tuple((*planned.field, key) for key in entry if key not in RESULTS)
    if kind is None:
        return Row(f"{title}: settings", RECOMPUTED, None, None, not wrong, "; ".join(wrong) or None, settings)
    for side in ("model", "reference"):
        held = entry[side]
        if held is not None and any(
            held.get(key, entry[key]) != entry[key] for key in (kind, "pooling") if key in entry
        ):
            wrong.append(f"{side} names other {kind} or pooling")
    actual = planned.evaluator.settings()[kind]["sha256"]
    hashes = [_hash_text(entry[kind]["sha256"]), _hash_text(actual)]
    return Row(f"{title}: {kind} and settings", HASH_ONLY, *hashes, not wrong, "; ".join(wrong) or None, settings)


def _hash_text(sha256: Any) -> str:
    """GLUE has a hash for each task."""
    if isinstance(sha256, Mapping):
        task, first = min(sha256.items(), default=("", ""))
        return f"{task} {str(first)[:12]}…" + (f" and {len(sha256) - 1} more" if len(sha256) > 1 else "")
    return str(sha256)


def _reasons_row(title: str, planned: PlannedEntry, actual: Mapping[str, str | None], with_teacher: bool) -> Row:
    """Why a side has no numbers; the teacher's reason only where the teacher is at hand, else it is as claimed."""
    claimed = planned.entry["not_applicable"]
    sides = ("model", "reference") if with_teacher else ("model",)
    different = [side for side in sides if claimed[side] != actual[side]]
    shown = ["; ".join(str(held[side]) for side in sides if held[side]) or "applies" for held in (claimed, actual)]
    scope = tuple((*planned.field, "not_applicable", side) for side in sides)
    if claimed["reference"] is None and planned.entry["reference"] is None and not with_teacher:
        scope = ((*planned.field, "not_applicable"),)
    note = f"differs: {', '.join(different)}" if different else None
    return Row(f"{title}: whether it applies", RECOMPUTED, *shown, not different, note, scope)


def _seat_rows(title: str, planned: PlannedEntry, actual: Mapping[str, Any]) -> list[Row]:
    entry, field = planned.entry, planned.field
    if actual["model"] is None:
        return [Row(f"{title}: tests", RECOMPUTED, passed=False, note="cannot be computed", scope=(field,))]
    rows = compare_seat(title, entry["model"], actual["model"], (*field, "model"))
    if entry["reference"] is None:
        return [*rows, _no_teacher_row(title, planned)]
    of_teacher, note, same = (*field, "reference"), None, same_tests(entry["model"], actual["model"])
    if actual["reference"] is not None:
        rows += compare_seat(f"{title}, teacher", entry["reference"], actual["reference"], of_teacher)
        comparison, same = actual["comparison"], same and same_tests(entry["reference"], actual["reference"])
    else:
        rows.append(_unchecked_teacher(title, planned))
        comparison, note = _against_claims(actual["model"], entry["reference"])
    field = (*field, "comparison")
    if entry["comparison"] is None or comparison is None:
        reason = note if comparison is None else "the report leaves the comparison out"
        return [*rows, Row(f"{title}, change", RECOMPUTED, passed=False, note=reason, scope=(field,))]
    unknown = [key for key in entry["comparison"] if key not in ("tests", "families")]
    if unknown:
        rows.append(
            Row(f"{title}, change: {unknown[0]}", RECOMPUTED, passed=False, note="no such field", scope=(field,))
        )
    return rows + compare_differences(f"{title}, change", entry["comparison"], comparison, field, note, same)


def _against_claims(model: Mapping[str, Any], reference: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The comparison that follows from the recomputed student and what is claimed of the teacher's words, with a note."""
    from evenhand.evaluation.paired_difference import compare_results

    try:
        return as_published(compare_results(model, reference)), FROM_CLAIMS
    except (ValueError, KeyError, TypeError) as error:
        return None, f"the teacher's claimed values give no comparison ({error!r})"


def _sensitivity_rows(title: str, planned: PlannedEntry, actual: Mapping[str, Any], result: Any) -> list[Row]:
    """The grids of effect sizes, and how the student's differs from the teacher's."""
    entry, field, note, rows = planned.entry, planned.field, None, []
    compared = {"model": D_TOLERANCE}
    comparison = actual["comparison"]
    if entry["reference"] is None:
        rows.append(_no_teacher_row(title, planned))
    elif actual["reference"] is not None:
        compared |= {"reference": D_TOLERANCE, "comparison": 2 * D_TOLERANCE}
    else:
        rows.append(_unchecked_teacher(title, planned))
        comparison, note = _grid_against_claims(planned, result), FROM_CLAIMS
        compared["comparison"] = 2 * D_TOLERANCE
    sides = [side for side in ("model", "reference") if side in compared]
    if all(same_grid(entry[side], actual[side]) for side in sides):
        compared = dict.fromkeys(compared, EXACT)
    for part, tolerance in compared.items():
        found = comparison if part == "comparison" else actual[part]
        of_part = note if part == "comparison" else None
        rows.append(_grid_row(title, part, entry[part], found, tolerance, (*field, part), of_part))
    return rows


def _grid_against_claims(planned: PlannedEntry, result: Any) -> dict[str, Any] | None:
    """As `_against_claims`, of the grid; None where the teacher's claimed grid is none."""
    from evenhand.evaluation.sensitivity import SensitivityResult

    held = planned.entry["reference"]
    try:
        reference = SensitivityResult(
            stimuli=held["stimuli"],
            headline=(held["headline"]["pooling"], held["headline"]["layer"]),
            poolings=tuple(held["poolings"]),
            layers=tuple(held["layers"]),
            tests=held["tests"],
            effect_sizes={(cell["pooling"], cell["layer"]): cell["effect_sizes"] for cell in held["cells"]},
            n_sentences=held["n_sentences"],
        )
        return as_published(planned.evaluator.compare(result, reference))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _grid_row(
    title: str, part: str, claimed: Any, actual: Any, tolerance: float, field: Field, note: str | None
) -> Row:
    names = {"model": "student", "reference": "teacher", "comparison": "change"}

    def rule(found: Field) -> float | None:
        return None if found[-2:] == ("stimuli", "name") and not _builtin(claimed) else tolerance

    different = [field_text(found) for found in differing(claimed, actual, rule)]
    shown = [f"{len((grid or {}).get('cells') or [])} cells" for grid in (claimed, actual)]
    if different:
        note = f"differs: {', '.join(different[:3])}" + (
            f" and {len(different) - 3} more" if len(different) > 3 else ""
        )
    return Row(f"{title}: {names[part]}", RECOMPUTED, *shown, not different, note, (field,))


def _builtin(grid: Any) -> bool:
    return isinstance(grid, Mapping) and (grid.get("stimuli") or {}).get("source") == "builtin"


def _measure_rows(title: str, planned: PlannedEntry, actual: Mapping[str, Any], with_teacher: bool) -> list[Row]:
    entry, field = planned.entry, planned.field
    note = _stored(planned)
    rows = compare_part(f"{title}, student", entry["model"], actual["model"], (*field, "model"), note)
    if with_teacher:
        rows += compare_part(f"{title}, teacher", entry["reference"], actual["reference"], (*field, "reference"), note)
        return rows + compare_part(
            f"{title}, change", entry["comparison"], actual["comparison"], (*field, "comparison")
        )
    if entry["reference"] is None and entry["not_applicable"]["reference"] is None:
        return [*rows, _no_teacher_row(title, planned)]
    scope = tuple((*field, *part) for part in (("reference",), ("comparison",), ("not_applicable", "reference")))
    return [*rows, Row(f"{title}: teacher and change", UNCHECKED, note=NO_TEACHER, scope=scope)]


def _stored(planned: PlannedEntry) -> str | None:
    """A store gives finished parts back: what was computed there, then or now."""
    store = getattr(planned.evaluator, "store", None)
    return None if store is None else f"parts that {store} holds were not computed again"


def _no_teacher_row(title: str, planned: PlannedEntry) -> Row:
    """An entry without a teacher compares nothing."""
    passed = planned.entry["comparison"] is None
    note = None if passed else "a comparison without a teacher"
    scope = tuple((*planned.field, key) for key in ("reference", "comparison"))
    return Row(f"{title}: no teacher", RECOMPUTED, passed=passed, note=note, scope=scope)


def _unchecked_teacher(title: str, planned: PlannedEntry) -> Row:
    scope = ((*planned.field, "reference"), (*planned.field, "not_applicable", "reference"))
    return Row(f"{title}: teacher", UNCHECKED, note=NO_TEACHER, scope=scope)
