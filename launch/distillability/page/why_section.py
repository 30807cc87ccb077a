"""Why: how alike the insides of teacher and student are by depth, and whether they hang on the same components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from evenhand.evaluation.distillability import BySeed, seed_mean
from evenhand.evaluation.internals.component_overlap import UNITS
from evenhand.evaluation.internals.internals_result import UNMATCHED
from evenhand.launch.distillability.models import NO_REMEDY
from evenhand.launch.distillability.page.importance_ranks import SIDES, Agreement, rank_sentence
from evenhand.launch.distillability.page.inside import ATTENTION, CKA, DEPTH_BOUNDS, DEPTHS, Inside
from evenhand.launch.distillability.page.measured_task import MeasuredTask, Pair
from evenhand.launch.distillability.page.own_numbers import CORRELATION, CORRELATION_DIFFERENCE, SHARE, Bounds, own_mean
from evenhand.launch.distillability.page.points import PAIR, pair_cells, points
from evenhand.launch.page_text import ABSENT, listed, table
from evenhand.model_cards.escaping import markdown

TITLES = {
    CKA: "1 − CKA of mapped layers: 0 where a layer of the student is a rotation of the teacher's",
    ATTENTION: "Jensen–Shannon divergence of head-averaged attention maps, bits: 0 where both look at the same places",
}


def why_lines(task: MeasuredTask, insides: Sequence[Inside], drawn: Sequence[str] = ()) -> list[str]:
    """The section; empty where no student was looked into.

    Args:
        insides: of the task.
        drawn: lines of the heat maps.
    """
    if not insides:
        return []
    methods = listed([str(markdown(task.results.grid.methods[name].label)) for name in task.settings.why_methods])
    copies = any(inside.pair.remedy != NO_REMEDY for inside in insides)
    by = " (those of a student that began with its teacher's weights to the ones that it was made of)" if copies else ""
    lines = ["## Why: inside teacher and student", ""]
    lines += [
        f"Distilled students of {methods}, beside their teachers, on {_examples(insides)}. Layers are mapped by relative depth{by}; "
        "early, middle and late are thirds of the mapped layers, and fewer than three have no early third. Means over seeds with their intervals; a diagnosis, so nothing here is better or worse.",
        "",
        *drawn,
    ]
    for measure, title in TITLES.items():
        if any(measure in inside.depths for inside in insides):
            lines += [f"{title}:", "", *_depth_table(task, insides, measure)]
    reasons = sorted({inside.no_attention for inside in insides if inside.no_attention})
    lines += [
        line for reason in reasons for line in (f"Attention maps were not compared everywhere: {markdown(reason)}.", "")
    ]
    return [*lines, *_overlap_lines(task, insides)]


def _examples(insides: Sequence[Inside]) -> str:
    """Split, number and whether labels were matched; the same of all students of a task."""
    facts = insides[0].examples
    text = f"{facts['examples_of_a_side']:,} bias-aligned and as many bias-conflicting examples of {markdown(facts['split'])}"
    return f"{text}, each label as often on either side" if facts["labels_matched"] else f"{text}: {UNMATCHED}"


def _depth_table(task: MeasuredTask, insides: Sequence[Inside], measure: str) -> list[str]:
    header = [*PAIR, "seeds"]
    header += [f"{depth}, {side}" for side in ("aligned", "conflicting") for depth in DEPTHS]
    header.append("all, aligned − conflicting")
    rows = []
    for inside in insides:
        depths = inside.depths.get(measure)
        if depths is None:
            continue
        bounds = DEPTH_BOUNDS[measure]
        cells = [_number(depths[depth][side], bounds[side]) for side in ("aligned", "conflicting") for depth in DEPTHS]
        cells.append(_number(depths["all"]["difference"], bounds["difference"], signed=True))
        rows.append([*_looked_into(task, inside.pair), str(inside.n), *cells])
    return table(header, rows, text_columns=3)


def _overlap_lines(task: MeasuredTask, insides: Sequence[Inside]) -> list[str]:
    """How many of the components that matter most are the same ones, and whether all of them are ranked alike."""
    rows = []
    for inside in insides:
        for unit, sides in inside.overlaps.items():
            cells = [cell for side in SIDES for cell in _overlap_cells(sides.get(side))]
            rows.append([*_looked_into(task, inside.pair), _of(unit, sides), *cells])
    caveat = "Single heads are compared only of students that began with their teacher's weights. They are matched by their number, which means something only there."
    left_out = [caveat, ""] if any(inside.heads_left_out for inside in insides) else []
    if not rows:
        return left_out
    header = [*PAIR, "components"]
    for side in SIDES:
        header += [f"in common, {side}", f"Jaccard, {side}", f"by chance, {side}"]
    what = (
        "The most important components of the teacher that are the student's too, ranked by what taking them out costs in ln p(true class), on "
        f"{insides[0].examples['ablation_examples']:,} of these examples of either side:"
    )
    return [what, "", *table(header, rows, text_columns=4), *_rank_lines(task, insides), *left_out]


def _of(unit: str, sides: Mapping[str, Mapping[str, BySeed]]) -> str:
    """The unit and how many the two models share: the same in all seeds and on either side."""
    numbers = seed_mean(next(iter(sides.values()))["shared"])
    return f"{unit}, N = {numbers['value']:g}"


def _overlap_cells(numbers: dict | None) -> list[str]:
    if numbers is None:
        return [ABSENT] * 3
    common, top = (seed_mean(numbers[key])["value"] for key in ("common", "top"))
    chance = seed_mean(numbers["jaccard_by_chance"])["value"]
    return [f"{common:.1f} of {top:g}", _number(numbers["jaccard"], SHARE), points(chance, digits=2)]


def _rank_lines(task: MeasuredTask, insides: Sequence[Inside]) -> list[str]:
    """The order of all shared components, beside teachers that did not teach the student."""
    rows = [
        [*_looked_into(task, inside.pair), f"{unit}, N = {sides[SIDES[0]].shared}", *_rank_cells(sides)]
        for inside in insides
        for unit, sides in inside.agreements.items()
    ]
    if not rows:
        return []
    header = [*PAIR, "components"]
    for side in SIDES:
        header += [f"own teacher, {side}", f"others, {side}", f"difference, {side}"]
    lines = [
        "Of few components the top ones are largely chance; their whole order says more. Spearman's rank correlation of these falls over all N components, from "
        "−1 to 1 (of two components one or the other). Models of one design may agree without one having taught the other, so beside the student's own teacher "
        "stand the others, the teachers of the other seeds, by their mean. A student has the order from its teacher where the difference lies above 0; "
        "its interval is over seeds, which share those other teachers, and so only approximate.",
        "",
        *table(header, rows, text_columns=4),
    ]
    for copies, words in ((False, ""), (True, " of students that began with their teacher's weights")):
        chosen = [inside.agreements for inside in insides if (inside.pair.remedy != NO_REMEDY) == copies]
        for unit, side in product(UNITS, SIDES):
            said = rank_sentence([units[unit][side] for units in chosen if unit in units])
            lines += [f"- Bias-{side} examples, {unit}{words}: {said}."] if said else []
    return [*lines, ""]


def _rank_cells(sides: Mapping[str, Agreement]) -> list[str]:
    return [
        _number(numbers, bounds, signed=True)
        for side in SIDES
        for numbers, bounds in (
            (sides[side].own, CORRELATION),
            (sides[side].others, CORRELATION),
            (sides[side].difference, CORRELATION_DIFFERENCE),
        )
    ]


def _looked_into(task: MeasuredTask, pair: Pair) -> list[str]:
    """As `pair_cells`, with the remedy that the student had."""
    *cells, student = pair_cells(task, pair)
    remedy = "" if pair.remedy == NO_REMEDY else str(markdown(task.results.grid.remedies[pair.remedy].label))
    return [*cells, ", ".join(part for part in (student if student != ABSENT else "", remedy) if part) or ABSENT]


def _number(by_seed: BySeed, bounds: Bounds, signed: bool = False) -> str:
    found = own_mean(by_seed, bounds)
    return points(found["value"], found["confidence_interval"], signed, digits=2)
