"""Claimed and recomputed numbers of a scored measure (GLUE, CrowS-Pairs, …) side by side, each within its tolerance.

Where a score that is no count comes out as claimed to the last digit, the arithmetic is the same and all else must be too.
Where it is not and a score moved, it fails outside of what another machine can move; inside it is not checkable, and
neither is what hangs on single predictions (p-values, verdicts, counts).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from evenhand.model_cards import numbers
from evenhand.model_cards.verification.arithmetic import OF_HUNDRED, same_scores
from evenhand.model_cards.verification.claimed_evaluators import is_local_name
from evenhand.model_cards.verification.report_fields import Field, Tolerance, differing, field_text
from evenhand.model_cards.verification.rows import RECOMPUTED, UNCHECKED, Row

# Log-probabilities in float32 move by about 1e-6 from one processor to another; relative to the number, 1 at least.
TOLERANCE = 1e-4
# A pair or an item whose two scores nearly tie may fall on the other side: one in two hundred.
PERCENT_TOLERANCE = 0.5
RELATIVE_TOLERANCE = 1e-2
# Fine-tuning multiplies rounding: trainings of one seed on two kinds of processors may disagree on one example in ten,
# which moves an accuracy by 100·√(0.1/n) points (one standard error; three are let through), and a correlation or F1,
# which is steeper, by up to twice that.
FINE_TUNED = ("glue", "counterfactual_consistency")
DISAGREEMENT = 0.1
STANDARD_ERRORS = 3
STEEPER = 2

_FIXED = ("key", "name", "unit", "n", "confidence_level", "ideal", "better")


def compare_part(
    title: str,
    claimed: Mapping[str, Any] | None,
    actual: Mapping[str, Any] | None,
    field: Field,
    note: str | None = None,
) -> list[Row]:
    """One row for each score of a result or of a comparison, and one for all else in it.

    Args:
        title: what the rows start with.
        claimed: the `model`, `reference` or `comparison` of an entry.
        actual: the same, recomputed.
        field: where the claim stands in the report, `("measures", NAME, INDEX, PART)`.
        note: what the recomputation rests on.
    """
    if claimed is None or actual is None:
        where = "the report" if claimed is None else "the recomputed result"
        missing = None if claimed is actual else f"is not in {where}"
        return [Row(f"{title}: no numbers", RECOMPUTED, passed=claimed is actual, note=missing, scope=(field,))]
    ours, theirs = (result.get("scores") or [] for result in (claimed, actual))
    keys = [[score.get("key") for score in scores] for scores in (ours, theirs)]
    if keys[0] != keys[1]:
        shown = [", ".join(map(str, names)) for names in keys]
        return [Row(f"{title}: scores", RECOMPUTED, *shown, False, "other scores than the recomputed", (field,))]
    tight = [_exact_but_for_rounding(score) for score in ours]
    moved = any(differing(_value(a), _value(b), rule) for a, b, rule in zip(ours, theirs, tight, strict=True))
    if moved and not same_scores(ours, theirs, field[1] in FINE_TUNED):
        return _moved(title, ours, theirs, field, note)
    rows = []
    for index, pair in enumerate(zip(ours, theirs, strict=True)):
        different = [field_text(found) for found in differing(*pair, tight[index])]
        rows.append(_score_row(title, pair, different, ((*field, "scores", index),), note))
    rest = [{key: value for key, value in result.items() if key != "scores"} for result in (claimed, actual)]
    different = [field_text(found) for found in differing(*rest, _exact_but_for_rounding(rest[0]))]
    return [*rows, Row(f"{title}: all else", RECOMPUTED, None, None, not different, _note(different) or note, (field,))]


def _moved(title: str, ours: list, theirs: list, field: Field, note: str | None) -> list[Row]:
    """The rows where a score is not what was claimed, and the arithmetic may be another: those that agree, those that do
    not, and those of which this machine cannot say."""
    rows = []
    for index, (claimed, actual) in enumerate(zip(ours, theirs, strict=True)):
        of_score = (*field, "scores", index)
        compared = [*_FIXED, "value" if "value" in claimed else "difference"]
        if claimed.get("confidence_interval") and actual.get("confidence_interval"):
            compared.append("confidence_interval")
        pair = [{key: score[key] for key in compared if key in score} for score in (claimed, actual)]
        tolerance = loose_tolerance(field[1], claimed)
        different = [field_text(found) for found in differing(*pair, lambda _, most=tolerance: most)]
        scope = tuple((*of_score, key) for key in pair[0])
        if different or not differing(*pair, _exact_but_for_rounding(pair[0])):
            rows.append(_score_row(title, (claimed, actual), different, scope, note))
            continue
        why = f"within {tolerance:.2g}, which another machine may move" + (f"; {note}" if note else "")
        claim = f"{title}: {claimed.get('key')}"
        rows.append(Row(claim, UNCHECKED, _shown(claimed), _shown(actual), None, why, scope, missed=True))
    why = "a score moved on this machine, and these numbers hang on every single prediction"
    return [*rows, Row(f"{title}: all else", UNCHECKED, note=why, scope=(field,))]


def loose_tolerance(measure: str, score: Mapping[str, Any]) -> float:
    """By how much a score, or a difference of scores, may move from one machine to another."""
    models = 1 if "value" in score else 2
    n, value = max(1, score.get("n") or 1), score.get("value", score.get("difference")) or 0.0
    if measure in FINE_TUNED:
        points = STANDARD_ERRORS * 100 * math.sqrt(DISAGREEMENT / n)
        steepness = 1 if "accuracy" in str(score.get("name")) or measure != "glue" else STEEPER
        return models * steepness * points * (1 if score.get("unit") in OF_HUNDRED else 0.01)
    if score.get("unit") in OF_HUNDRED:
        return models * max(PERCENT_TOLERANCE, 100 / n)
    return models * RELATIVE_TOLERANCE * max(1.0, abs(value))


def _exact_but_for_rounding(claimed: Any) -> Tolerance:
    """`TOLERANCE` relative to the claimed number; what data were called elsewhere is not compared."""

    def tolerance(field: Field) -> float | None:
        if is_local_name(claimed, field):
            return None
        value = claimed
        for key in field:
            value = value[key] if isinstance(value, list) else value.get(key) if isinstance(value, Mapping) else None
        return TOLERANCE * max(1.0, abs(value)) if isinstance(value, float) else TOLERANCE

    return tolerance


def _value(score: Mapping[str, Any]) -> dict[str, Any]:
    return {key: score[key] for key in ("value", "difference") if key in score}


def _score_row(title: str, pair, different: list[str], scope: tuple[Field, ...], note: str | None) -> Row:
    claim = f"{title}: {pair[0].get('key')}"
    return Row(claim, RECOMPUTED, *map(_shown, pair), not different, _note(different) or note, scope)


def _shown(score: Mapping[str, Any]) -> str:
    value = score.get("value") if "value" in score else score.get("difference")
    return f"{'' if 'value' in score else 'Δ '}{numbers.fixed(value, 4)} {score.get('unit')}"


def _note(different: list[str]) -> str | None:
    more = f" and {len(different) - 3} more" if len(different) > 3 else ""
    return f"differs: {', '.join(different[:3])}{more}" if different else None
