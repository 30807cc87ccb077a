"""The rules by which advice follows from a classifier's results by group."""

from __future__ import annotations

from markupsafe import Markup

from evenhand.model_cards import numbers
from evenhand.model_cards.sections.card_source import CardSource
from evenhand.model_cards.sections.recommendation_rules import Advice, joined, say


def on_gap(source: CardSource) -> Advice | None:
    """By the interval of the student's spurious gap on the splits of the headline."""
    leaning = [
        _gap(split)
        for split in _headline(source)
        if (ends := split["metrics"]["spurious_gap"]["interval"]) and (ends[0] > 0 or ends[1] < 0)
    ]
    if not leaning:
        return None
    return Advice(
        say(
            "Do not use it where the shortcut of these data may mislead: its answers depend on it: {gaps}.",
            gaps=joined(leaning),
        ),
        say("the interval of the spurious gap excludes 0"),
    )


def on_risen_reliance(source: CardSource) -> Advice | None:
    """By the verdicts on gap and worst group against the teacher; nothing is advised of a model without one."""
    rows = [split["metrics"][metric] for split in _headline(source) for metric in ("spurious_gap", "worst_group")]
    compared = [row for row in rows if row["change"] is not None and row["change_interval"]]
    if not compared and source.teacher is None:
        return None
    if not compared:
        return Advice(
            say("Compare it with its teacher by group before it takes its place: the report holds no such comparison."),
            say("no interval of a difference from the teacher"),
        )
    worse = [row for row in compared if row["verdict"] == "worse"]
    if worse:
        return Advice(
            say(
                "Do not put it in its teacher's place where the shortcut may mislead: {worse}.",
                worse=joined(_change(row) for row in worse),
            ),
            say("the verdict on a gap or on a worst group is worse"),
        )
    if any(row["verdict"] == "better" for row in compared):
        better = [row for row in compared if row["verdict"] == "better"]
        return Advice(
            say(
                "Take the gain over its teacher ({better}) for no clearance: look at the gap that is left.",
                better=joined(_change(row) for row in better),
            ),
            say("the verdict on a gap or on a worst group is better, and none is worse"),
        )
    return Advice(
        say(
            "Treat it as leaning on the shortcut as its teacher does: no difference was shown ({rows}).",
            rows=joined(_change(row) for row in compared),
        ),
        say("no verdict on a gap or on a worst group is better or worse"),
    )


def on_moved_groups(source: CardSource) -> Advice | None:
    """By the single groups whose accuracy fell reliably, with the thresholds of the gate."""
    gate = source.facts.gate
    fallen = [
        say(
            "{group} on {split} ({change} percentage points, n = {n})",
            group=row["group"],
            split=split["split"],
            change=numbers.scored(row["change"], row["change_interval"], row["digits"], True),
            n=numbers.count(row["n"]),
        )
        for table in source.groups[:1]
        for split in table["splits"]
        for row in split["groups"]
        if row["change_interval"]
        and row["change_holm"] is not None
        and row["change_interval"][1] < -gate["test_margin"]
        and row["change_holm"] < gate["alpha"]
    ]
    if not fallen:
        return None
    return Advice(
        say("Prefer the teacher for these groups, on which it is more often right: {fallen}.", fallen=joined(fallen)),
        say(
            "interval of the difference below {margin} and Holm-corrected p below {alpha}",
            margin=numbers.short(-gate["test_margin"] + 0.0),
            alpha=numbers.short(gate["alpha"]),
        ),
    )


def on_small_groups(source: CardSource) -> Advice | None:
    """By groups that are too small for a verdict to say much."""
    small = [
        say("{group} on {split} (n = {n})", group=row["group"], split=split["split"], n=numbers.count(row["n"]))
        for table in source.groups[:1]
        for split in table["splits"]
        for row in split["groups"]
        if row["n"] < FEW
    ]
    if not small:
        return None
    return Advice(
        say("Measure these groups on more examples before you rely on their numbers: {small}.", small=joined(small)),
        say("fewer than {few} examples in a group", few=FEW),
    )


FEW = 50
"""With fewer examples the interval of an accuracy is wider than about ± 14 points."""

GROUP_RULES = (on_gap, on_risen_reliance, on_moved_groups, on_small_groups)
"""In the card's order; a new one is a function and a name here."""


def _headline(source: CardSource) -> list[dict]:
    return [split for table in source.groups[:1] for split in table["splits"] if split["split"] in table["headline"]]


def _gap(split: dict) -> Markup:
    row = split["metrics"]["spurious_gap"]
    return say(
        "{name} {value} percentage points, n = {n}",
        name=row["name"],
        value=numbers.scored(row["student"], row["interval"], row["digits"], True),
        n=numbers.count(row["n"]),
    )


def _change(row: dict) -> Markup:
    return say(
        "{name}, difference {change}, n = {n}",
        name=row["name"],
        change=numbers.scored(row["change"], row["change_interval"], row["digits"], True),
        n=numbers.count(row["n"]),
    )
