"""The plain-language summary, generated: every sentence is chosen by the numbers, none was written for them."""

from __future__ import annotations

from evenhand.evaluation.distillability_findings import Finding
from evenhand.evaluation.distillability_rule import CANNOT_TELL, CONTRADICTS, NO_DIFFERENCE, SUPPORTS
from evenhand.launch.distillability.page.caveats import (
    debiasing_items,
    near_chance_items,
    remedy_items,
)
from evenhand.launch.distillability.page.debiasing import pooled_debiasing
from evenhand.launch.distillability.page.findings import DEEPER, MATTERS, TaskFinding, detectable
from evenhand.launch.distillability.page.glance import NOT_AFTER_HOLM, glance_lines
from evenhand.launch.distillability.page.inside import ALIGNED, CKA, CONTROLS, MEASURES, SPECIFIC
from evenhand.launch.distillability.page.measured_grid import MeasuredGrid, TaskPage
from evenhand.launch.distillability.page.over_tasks import OverTasks
from evenhand.launch.distillability.page.points import method_label, points
from evenhand.launch.page_text import listed, plural
from evenhand.model_cards.escaping import markdown

TITLE = "What the numbers say"
_WITHIN = f"no difference of {MATTERS}"
_WORDS = {SUPPORTS: "supported", CONTRADICTS: "contradicted", NO_DIFFERENCE: _WITHIN, CANNOT_TELL: "cannot be told"}
TOLD_IN_WORDS = ("stable_while_groups_move", "larger_teacher_not_always_better")
"""Findings that no one number decides."""
_ON_ALIGNED = {
    SUPPORTS: "on these they diverge too",
    CANNOT_TELL: "on these it cannot be told",
    CONTRADICTS: "on these early ones diverge more",
}
DIGITS = 2
"""Of means over all cells, which are more exact than the numbers of one."""
_VERBS = {
    SUPPORTS: "supports it",
    CONTRADICTS: "contradicts it",
    NO_DIFFERENCE: f"finds {_WITHIN}",
    CANNOT_TELL: "cannot tell",
}


def summary_lines(measured: MeasuredGrid) -> list[str]:
    """The section ``What the numbers say``: the findings at a glance, what debiasing does against ERM, then each of the findings, task by task."""
    lines = [*_unfinished(measured), *near_chance_items(measured), *debiasing_items(measured)]
    remedies = [key for key in measured.findings if key.startswith("remedy_")]
    for key in measured.findings:
        if key in remedies[:1]:
            lines += remedy_items(measured)
        lines += _finding(measured, key)
    return [f"## {TITLE}", "", *glance_lines(measured), *lines, ""]


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


def _finding(measured: MeasuredGrid, key: str) -> list[str]:
    """One finding: what all tasks say, then each with its numbers."""
    over = measured.findings[key]
    labels = {name: str(markdown(page.task.settings.label)) for name, page in measured.tasks.items()}
    also = _specific_in(measured, over) if key == DEEPER else ""
    lines = [f"- {markdown(over.claim)}: {_together(over)}{also}."]
    for name, page in measured.tasks.items():
        for finding in page.findings:
            if finding.key == key:
                said = f"{_said(finding)}{_taken_back(over, name)}"
                lines.append(f"  - {labels[name]} {said}: {_numbers(finding)}{_too_far(page, finding)}.")
    return lines


def _too_far(page: TaskPage, finding: TaskFinding) -> str:
    """Of students against their debiased teachers: which teachers are beyond the gap of 0, towards which a student may come back."""
    if not finding.key.startswith("undermined"):
        return ""
    found = pooled_debiasing(page) if page.task.reports else {}
    labels = [
        method_label(page.task, method)
        for method, one in found.items()
        if one.corrects_too_far and page.task.is_debiased(method)
    ]
    return f"; teachers of {listed(labels)} correct too far" if labels else ""


def _said(finding: TaskFinding) -> str:
    exact = _exactly(finding.decides, finding.key) if finding.decides else ""
    return f"{_VERBS[finding.word]}{exact}{_specifically(finding)}"


def _control(finding: TaskFinding, on: str) -> str:
    """What the same number says on aligned examples, or on conflicting ones less that."""
    found = finding.judged.get(f"{MEASURES[CKA]}, {CONTROLS[on]}")
    return found.verdict if found else CANNOT_TELL


def _specifically(finding: TaskFinding) -> str:
    """Of layers that differ more with depth: whether they do so because of the conflict, or on aligned examples as well."""
    if finding.key != DEEPER or finding.word != SUPPORTS:
        return ""
    if _control(finding, SPECIFIC) == SUPPORTS:
        return f", more so on conflicting than on aligned examples ({_ON_ALIGNED[_control(finding, ALIGNED)]})"
    if _control(finding, SPECIFIC) == CONTRADICTS:
        return ", but less so on conflicting than on aligned examples, so it is not specific to conflicting ones"
    return ", but whether it is specific to conflicting examples cannot be told"


def _specific_in(measured: MeasuredGrid, over: OverTasks) -> str:
    """In how many of the tasks that support the finding on depth it is specific to conflicting examples."""
    controls = [
        _control(one, SPECIFIC)
        for name, page in measured.tasks.items()
        for one in page.findings
        if one.key == DEEPER and one.word == SUPPORTS and over.holds(name)
    ]
    if not controls:
        return ""
    return f"; where it is supported, more so on conflicting than on aligned examples in {controls.count(SUPPORTS)} of {len(controls)}"


def _exactly(one: Finding, key: str) -> str:
    """That nothing is gained may be known more exactly: that nothing is lost either."""
    return f" ({_WITHIN})" if one.within_margin and one.verdict == SUPPORTS and key not in TOLD_IN_WORDS else ""


def _taken_back(over: OverTasks, task: str) -> str:
    return "" if over.holds(task) else f" ({NOT_AFTER_HOLM})"


def _together(over: OverTasks) -> str:
    """How many tasks say what, after the correction; in bold what all of them can tell."""
    tasks = len(over.words)
    left = {word: [name for name, said in over.words.items() if said == word and over.holds(name)] for word in _WORDS}
    lost = {word: sum(said == word for said in over.words.values()) - len(names) for word, names in left.items()}
    (word, names) = max(left.items(), key=lambda one: len(one[1]))
    if len(names) == tasks:
        said = _WORDS[word] if word == CANNOT_TELL else f"**{_WORDS[word]}**"
        return said + ("" if tasks == 1 else " in both tasks" if tasks == 2 else f" in all {tasks} tasks")
    counts = [(_WORDS[word], len(names)) for word, names in left.items()]
    counts += [(f"{_WORDS[word]}, but {NOT_AFTER_HOLM},", number) for word, number in lost.items()]
    (first, number), *rest = [(text, number) for text, number in counts if number]
    return ", ".join(
        [f"{first} in {number} of {plural(tasks, 'task')}", *(f"{text} in {count}" for text, count in rest)]
    )


def _numbers(finding: TaskFinding) -> str:
    """What the verdict rests on: the first number decides, others stand beside it."""
    parts = [_number(on, one, not place, finding.key) for place, (on, one) in enumerate(finding.judged.items())]
    if finding.by_method:
        of_each = [
            f"{markdown(label)} {points(one.gain, one.confidence_interval, True, DIGITS)}"
            for label, one in finding.by_method.items()
        ]
        parts.append(f"the first of these by method, uncorrected: {', '.join(of_each)}")
    cells = plural(finding.wanted, "pair" if finding.key == DEEPER else "cell")
    over = f"{finding.used} of {cells}" if finding.used < finding.wanted else cells
    note = f" ({markdown(finding.note)})" if finding.note else ""
    return f"{'; '.join(parts)}; over {over}{note}"


def _number(on: str, one: Finding, decides: bool, key: str) -> str:
    word = _WITHIN if one.verdict == NO_DIFFERENCE else one.verdict
    said = "" if decides else f"{word}{_exactly(one, key)}, "
    reach = detectable(one)
    of_depth = key == DEEPER
    digits = 3 if of_depth else DIGITS
    could = "" if reach is None else f", detectable {points(reach, digits=digits)}"
    if key in TOLD_IN_WORDS or (one.gain is None and one.reason):
        seeds = "" if " seed" in one.reason or not one.n else f", {plural(one.n, 'seed')}"
        return f"{markdown(on)}: {said}{_signs(one.reason)}{seeds}{could}"
    what, unit = ("middle and late − early", "") if of_depth else ("mean gain", " points")
    what += ", on conflicting examples," * (on in MEASURES.values())
    gain = points(one.gain, one.confidence_interval, True, digits)
    pairs = f", {plural(one.cells, 'pair')}" if of_depth else ""
    return f"{markdown(on)}: {said}{what} {gain}{unit}, {plural(one.n, 'seed')}{pairs}{could}"


def _signs(reason: str) -> str:
    """The library's words with the page's minus sign."""
    return str(markdown(reason)).replace(" -", " −").replace("&#91;-", "&#91;−").replace("(-", "(−")
