"""Why: how alike the insides of teacher and student are by depth, and whether they hang on the same components."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.evaluation.distillability import BySeed, seed_mean
from evenhand.evaluation.internals.internals_result import UNMATCHED
from evenhand.launch.distillability.page.inside import ATTENTION, CKA, DEPTHS, Inside
from evenhand.launch.distillability.page.measured_task import MeasuredTask
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
    lines = ["### Why: inside teacher and student", ""]
    lines += [
        f"Distilled students of {methods}, beside their teachers, on {_examples(insides)}. Layers are mapped by relative depth; "
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
        cells = [_number(depths[depth][side]) for side in ("aligned", "conflicting") for depth in DEPTHS]
        rows.append(
            [*pair_cells(task, inside.pair), str(inside.n), *cells, _number(depths["all"]["difference"], signed=True)]
        )
    return table(header, rows, text_columns=3)


def _overlap_lines(task: MeasuredTask, insides: Sequence[Inside]) -> list[str]:
    """How many of the components that matter most are the same ones."""
    rows = []
    for inside in insides:
        for unit, sides in inside.overlaps.items():
            cells = [cell for side in ("aligned", "conflicting") for cell in _overlap_cells(sides.get(side))]
            rows.append([*pair_cells(task, inside.pair), unit, *cells])
    caveat = "Single heads are not compared. They are matched by their number, which means something only where student and teacher began with the same weights."
    left_out = [caveat, ""] if any(inside.heads_left_out for inside in insides) else []
    if not rows:
        return left_out
    header = [*PAIR, "components"]
    for side in ("aligned", "conflicting"):
        header += [f"in common, {side}", f"Jaccard, {side}", f"by chance, {side}"]
    what = (
        "The most important components of the teacher that are the student's too, ranked by what taking them out costs in ln p(true class), on "
        f"{insides[0].examples['ablation_examples']:,} of these examples of either side:"
    )
    return [what, "", *table(header, rows, text_columns=4), *left_out]


def _overlap_cells(numbers: dict | None) -> list[str]:
    if numbers is None:
        return [ABSENT] * 3
    common, top = (seed_mean(numbers[key])["value"] for key in ("common", "top"))
    chance = seed_mean(numbers["jaccard_by_chance"])["value"]
    return [f"{common:.1f} of {top:g}", _number(numbers["jaccard"]), points(chance, digits=2)]


def _number(by_seed: BySeed, signed: bool = False) -> str:
    found = seed_mean(by_seed)
    return points(found["value"], found["confidence_interval"], signed, digits=2)
