"""The plain-language summary, generated: every sentence is chosen by the numbers, none was written for them."""

from __future__ import annotations

from collections.abc import Iterator

from evenhand.evaluation.distillability import DISTILLABILITY, Metric, with_holm
from evenhand.evaluation.distillability_findings import Finding
from evenhand.evaluation.distillability_rule import CANNOT_TELL, CONTRADICTS, NO_DIFFERENCE, SUPPORTS
from evenhand.launch.distillability.models import TEACHER
from evenhand.launch.distillability.page.comparisons import DEBIASED, Comparison, Judged, pooled_effect
from evenhand.launch.distillability.page.findings import MATTERS, TaskFinding, detectable
from evenhand.launch.distillability.page.inside import MEASURES
from evenhand.launch.distillability.page.measured_grid import MeasuredGrid, TaskPage
from evenhand.launch.distillability.page.over_tasks import OverTasks
from evenhand.launch.distillability.page.points import method_label, points
from evenhand.launch.page_text import listed, plural
from evenhand.model_cards.escaping import markdown

TITLE = "What the numbers say"
_WITHIN = f"no difference of {MATTERS}"
_WORDS = {SUPPORTS: "supported", CONTRADICTS: "contradicted", NO_DIFFERENCE: _WITHIN, CANNOT_TELL: "cannot be told"}
NOT_AFTER_HOLM = "not after Holm"
TOLD_IN_WORDS = ("stable_while_groups_move", "larger_teacher_not_always_better")
"""Findings that no one number decides."""
DIGITS = 2
"""Of means over all cells, which are more exact than the numbers of one."""
_VERBS = {
    SUPPORTS: "supports it",
    CONTRADICTS: "contradicts it",
    NO_DIFFERENCE: f"finds {_WITHIN}",
    CANNOT_TELL: "cannot tell",
}


def summary_lines(measured: MeasuredGrid) -> list[str]:
    """The section ``What the numbers say``: what debiasing does against ERM, then each of the paper's findings, task by task."""
    lines = [*_unfinished(measured), *_debiasing(measured)]
    for key in measured.findings:
        lines += _finding(measured, key)
    return [f"## {TITLE}", "", *lines, ""]


def sentences_of(lines: list[str]) -> list[str]:
    """The items of a summary, of all levels, without their marks."""
    return [line.strip()[2:] for line in lines if line.strip().startswith("- ")]


def _unfinished(measured: MeasuredGrid) -> list[str]:
    counts = measured.counts
    parts = [f"{counts['failed']:,} failed"] if counts["failed"] else []
    parts += [f"{counts['missing']:,} have not been run yet"] if counts["missing"] else []
    if not parts:
        return []
    return [f"- **Not finished**: of {counts['wanted']:,} models {' and '.join(parts)}. What follows is of the others."]


def _debiasing(measured: MeasuredGrid) -> list[str]:
    """Do the methods debias at all?"""
    lines = [f"  - {sentence}" for page in measured.tasks.values() for sentence in _debiased(page)]
    if not lines:
        return []
    return [
        "- Does debiasing work at all, against ERM? In the teachers, before anything is distilled; a method of the distillation alone in distilled students, "
        "against the same distillation without it. The mean over sizes, over paired seeds, corrected by Holm over the methods of a task:",
        *lines,
    ]


def _debiased(page: TaskPage) -> Iterator[str]:
    task = page.task
    if not task.reports:
        return
    metric = task.gap or task.worst_group
    kinds: dict[str, list[str]] = {}
    for method, judged in _gains_over_erm(page, metric).items():
        if judged.effect.difference is None:
            kinds.setdefault("none", []).append(method_label(task, method))
            continue
        where = "distilled students, " if task.acts_on_distillation(method) else ""
        kinds.setdefault(judged.verdict, []).append(f"{method_label(task, method)} ({where}{_gain(judged)})")
    if not kinds:
        return
    what = "lower the spurious gap" if task.gap else "raise the worst group"
    parts = {
        "better": f"{what}: ",
        "not distinguishable": f"**do not {what}**, as far as can be told: ",
        "worse": f"**do the opposite** ({'raise the spurious gap' if task.gap else 'lower the worst group'}): ",
        "none": "not measured: ",
    }
    told = [f"{words}{listed(kinds[kind])}" for kind, words in parts.items() if kind in kinds]
    yield f"{markdown(task.settings.label)} ({markdown(task.titles[metric.key])}): {'; '.join(told)}."


def _gains_over_erm(page: TaskPage, metric: Metric) -> dict[str, Judged]:
    """By method: the gain of its teachers, or of the students distilled by it, over those of ERM, the mean over sizes."""
    task = page.task
    places = [place for place in task.trained if place.role == TEACHER and task.is_debiased(place.method)]
    places += [pair for pair in task.pairs if task.acts_on_distillation(pair.method)]
    rows: dict[str, list] = {}
    for place in places:
        rows.setdefault(place.method, []).append(page.comparisons.cells[Comparison(DEBIASED, place)][0])
    raw = [pooled_effect(cells, metric, DISTILLABILITY) for cells in rows.values()]
    return {
        method: Judged(effect, before.detectable)
        for method, effect, before in zip(rows, with_holm(raw), raw, strict=True)
    }


def _gain(judged: Judged) -> str:
    effect = judged.effect
    text = f"gain {points(effect.difference, effect.confidence_interval, signed=True)} points, n = {effect.n}"
    text += "" if judged.alone is None else f", detectable {points(judged.alone)}"
    return f"{text}, {NOT_AFTER_HOLM}" if judged.verdict != "not distinguishable" and judged.holds is False else text


def _finding(measured: MeasuredGrid, key: str) -> list[str]:
    """One finding: what all tasks say, then each with its numbers."""
    over = measured.findings[key]
    labels = {name: str(markdown(page.task.settings.label)) for name, page in measured.tasks.items()}
    lines = [f"- {markdown(over.claim)}: {_together(over)}."]
    for name, page in measured.tasks.items():
        for finding in page.findings:
            if finding.key == key:
                lines.append(f"  - {labels[name]} {_said(finding)}{_taken_back(over, name)}: {_numbers(finding)}.")
    return lines


def _said(finding: TaskFinding) -> str:
    exact = _exactly(finding.decides, finding.key) if finding.decides else ""
    return f"{_VERBS[finding.word]}{exact}"


def _exactly(one: Finding, key: str) -> str:
    """That nothing is gained may be known more exactly: that nothing is lost either."""
    return f" ({_WITHIN})" if one.within_margin and one.verdict == SUPPORTS and key not in TOLD_IN_WORDS else ""


def _taken_back(over: OverTasks, task: str) -> str:
    return "" if over.holds(task) else f" ({NOT_AFTER_HOLM})"


def _together(over: OverTasks) -> str:
    """How many tasks say what, after the correction; in bold what all of them say."""
    tasks = len(over.words)
    left = {word: [name for name, said in over.words.items() if said == word and over.holds(name)] for word in _WORDS}
    lost = {word: sum(said == word for said in over.words.values()) - len(names) for word, names in left.items()}
    (word, names) = max(left.items(), key=lambda one: len(one[1]))
    if len(names) == tasks:
        return f"**{_WORDS[word]}**" + (
            "" if tasks == 1 else " in both tasks" if tasks == 2 else f" in all {tasks} tasks"
        )
    counts = [(_WORDS[word], len(names)) for word, names in left.items()]
    counts += [(f"{_WORDS[word]}, but {NOT_AFTER_HOLM},", number) for word, number in lost.items()]
    (first, number), *rest = [(text, number) for text, number in counts if number]
    return ", ".join(
        [f"{first} in {number} of {plural(tasks, 'task')}", *(f"{text} in {count}" for text, count in rest)]
    )


def _numbers(finding: TaskFinding) -> str:
    """What the verdict rests on: the first number decides, others stand beside it."""
    parts = [_number(on, one, not place, finding.key) for place, (on, one) in enumerate(finding.judged.items())]
    cells = plural(finding.wanted, "pair" if finding.key == "middle_and_late_layers" else "cell")
    over = f"{finding.used} of {cells}" if finding.used < finding.wanted else cells
    note = f" ({markdown(finding.note)})" if finding.note else ""
    return f"{'; '.join(parts)}; over {over}{note}"


def _number(on: str, one: Finding, decides: bool, key: str) -> str:
    word = _WITHIN if one.verdict == NO_DIFFERENCE else one.verdict
    said = "" if decides else f"{word}{_exactly(one, key)}, "
    reach = detectable(one)
    of_depth = on in MEASURES.values()
    digits = 3 if of_depth else DIGITS
    could = "" if reach is None else f", detectable {points(reach, digits=digits)}"
    if key in TOLD_IN_WORDS or (one.gain is None and one.reason):
        seeds = "" if " seed" in one.reason or not one.n else f", {plural(one.n, 'seed')}"
        return f"{markdown(on)}: {said}{_signs(one.reason)}{seeds}{could}"
    what, unit = ("middle and late − early, on conflicting examples,", "") if of_depth else ("mean gain", " points")
    gain = points(one.gain, one.confidence_interval, True, digits)
    pairs = f", {plural(one.cells, 'pair')}" if of_depth else ""
    return f"{markdown(on)}: {said}{what} {gain}{unit}, {plural(one.n, 'seed')}{pairs}{could}"


def _signs(reason: str) -> str:
    """The library's words with the page's minus sign."""
    return str(markdown(reason)).replace(" -", " −").replace("&#91;-", "&#91;−").replace("(-", "(−")
