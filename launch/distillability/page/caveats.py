"""What must be known before the findings are read, as items of the summary: what debiasing does at all, models near chance, few remedies."""

from __future__ import annotations

from collections.abc import Iterator

from evenhand.launch.distillability.page.debiasing import (
    ALIGNED,
    BETTER,
    CASES,
    CONFLICTING,
    GAP,
    NOT_MEASURED,
    ORDINARY,
    TOO_FEW,
    WORKS,
    WORSE,
    WORST_GROUP,
    Debiasing,
    debiasing_of,
    pooled_debiasing,
)
from evenhand.launch.distillability.page.glance import NOT_AFTER_HOLM
from evenhand.launch.distillability.page.measured_grid import MeasuredGrid, TaskPage
from evenhand.launch.distillability.page.measured_task import MARK, MeasuredTask, Pair
from evenhand.launch.distillability.page.own_numbers import PERCENT_DIFFERENCE, own_mean
from evenhand.launch.distillability.page.points import method_label, points
from evenhand.launch.page_text import listed, plural
from evenhand.model_cards.escaping import markdown

OVERCORRECTED = "Corrects too far, so that conflicting examples are now the easier ones"
_NAMES = {
    GAP: "gap",
    CONFLICTING: "accuracy on conflicting examples",
    WORST_GROUP: "worst group",
    ALIGNED: "on aligned examples",
    ORDINARY: "ordinary accuracy",
}


def debiasing_items(measured: MeasuredGrid) -> list[str]:
    """Do the methods debias at all? An item, and below it one of each task and case."""
    lines = [f"  - {sentence}" for page in measured.tasks.values() for sentence in _debiased(page)]
    if not lines:
        return []
    return [
        "- Does debiasing work at all, against ERM? It does where the spurious gap falls and the accuracy on bias-conflicting examples rises: a gap closes as well "
        "where a model only gets worse on aligned ones. In the teachers, before anything is distilled; a method of the distillation alone in distilled "
        "students, against the same distillation without it. Changes in points, the mean over sizes, over paired seeds; gap and accuracy on conflicting "
        "examples (where there is no gap, the worst group) are corrected by Holm together, over the methods of a task. Beside them, uncorrected, ordinary "
        "accuracy: that on the test split that is like the training data.",
        *lines,
    ]


def _debiased(page: TaskPage) -> Iterator[str]:
    task = page.task
    found = pooled_debiasing(page) if task.reports else {}
    title = task.titles[(task.gap or task.worst_group).key] if found else ""
    for case in CASES:
        of_case = [_method(task, method, one) for method, one in found.items() if one.case == case]
        if of_case:
            said = case if case in (*WORKS, TOO_FEW, NOT_MEASURED) else f"**{case}**"
            others = [
                text for method, one in found.items() if one.case == case for text in _other_sizes(page, method, one)
            ]
            also = f" Single sizes differ: {'; '.join(others)}." if others else ""
            too_far = [
                method_label(task, method) for method, one in found.items() if one.case == case and one.corrects_too_far
            ]
            also += f" {OVERCORRECTED}: {listed(too_far)}." if too_far else ""
            yield f"{markdown(task.settings.label)} ({markdown(title)}): {said}: {listed(of_case)}.{also}"


def _other_sizes(page: TaskPage, method: str, found: Debiasing) -> Iterator[str]:
    """Sizes of which something else is to be said than of their mean; the corrections are those of the task's page."""
    if found.case in (TOO_FEW, NOT_MEASURED) or len(found.models) < 2:
        return
    for place, _ in found.models:
        one = debiasing_of(page.comparisons, place)
        if one.case != found.case:
            size = f"{place.teacher} → {place.student}" if isinstance(place, Pair) else place.size
            said = f"{one.case}{f' ({NOT_AFTER_HOLM})' * one.taken_back}"
            yield f"{method_label(page.task, method)}, {markdown(size)}, {said}"


def _method(task: MeasuredTask, method: str, found: Debiasing) -> str:
    label = method_label(task, method)
    if found.case == NOT_MEASURED:
        return label
    parts = ["distilled students"] if task.acts_on_distillation(method) else []
    parts += [f"{_number(name, found)}{_left(name, found)}" for name in found.judged]
    near = sum(
        bool(seeds & task.near_chance(place).keys())
        for seeds in [found.seeds]
        for place in {place for both in found.models for place in both}
    )
    parts += [f"n = {found.n}", *([f"{near} of the models near chance{MARK}"] if near else [])]
    return f"{label} ({', '.join(parts)})"


def _left(name: str, found: Debiasing) -> str:
    """Behind the change of the gap: what is left of it, with its sign."""
    if name != GAP or not found.left:
        return ""
    left = own_mean(found.left, PERCENT_DIFFERENCE)
    return f" leaving {points(left['value'], left['confidence_interval'])}"


def _number(name: str, found: Debiasing) -> str:
    """A change: of the gap one below 0 is better."""
    judged = found.judged[name]
    value, ends = judged.effect.difference, judged.effect.confidence_interval
    if name == GAP and value is not None:
        value, ends = -value, ends and (-ends[1], -ends[0])
    text = f"{_NAMES[name]} {points(value, ends, signed=True)}"
    if name not in found.decides:
        return text
    if judged.verdict in (BETTER, WORSE):
        return f"{text} ({NOT_AFTER_HOLM})" if judged.holds is False else text
    return text if judged.alone is None else f"{text} (detectable {points(judged.alone)})"


def near_chance_items(measured: MeasuredGrid) -> list[str]:
    """How many models hardly do their task."""
    parts = []
    for page in measured.tasks.values():
        task = page.task
        if count := sum(len(task.near_chance(place)) for place in task.places):
            parts.append(f"{count:,} of {plural(len(task.reports), 'model')} of {markdown(task.settings.label)}")
    if not parts:
        return []
    return [
        f"- **Near chance**: {listed(parts)}. Such a model hardly does its task on any split; tables and heat maps mark it with {MARK}. It counts in what follows, where a difference "
        "from it says more of its failure than of a teacher."
    ]


def remedy_items(measured: MeasuredGrid) -> list[str]:
    """On how little the verdicts on remedies under debiased teachers rest."""
    lines = [f"  - {sentence}" for page in measured.tasks.values() for sentence in _remedy_limits(page)]
    return ["- Remedies under debiased teachers were tried with these limits:", *lines] if lines else []


def _remedy_limits(page: TaskPage) -> Iterator[str]:
    task, debiased = page.task, [method for method in page.task.methods if page.task.is_debiased(method)]
    tried = [method for method in task.settings.remedied if method in debiased]
    if not tried or not task.settings.remedies or not task.reports:
        return
    parts = []
    if len(tried) < len(debiased):
        labels = listed([method_label(task, method) for method in tried])
        parts.append(
            f"under {labels} alone, {len(tried)} of {plural(len(debiased), 'method')} that {'debias' if len(debiased) > 1 else 'debiases'} a teacher"
        )
    parts += _weak_teachers(page, tried)
    parts += _one_pair(task, tried)
    if parts:
        yield f"{markdown(task.settings.label)}: {'; '.join(parts)}."


def _weak_teachers(page: TaskPage, tried: list[str]) -> Iterator[str]:
    """Methods whose teachers are less accurate than ERM's: a remedy may rescue a student from them."""
    found = pooled_debiasing(page)
    for method in tried:
        ordinary = found[method].judged.get(ORDINARY) if method in found else None
        if ordinary is None or ordinary.effect.difference is None or ordinary.effect.difference >= 0:
            continue
        if ordinary.effect.n > 1 and ordinary.verdict != WORSE:
            continue
        yield (
            f"teachers of {method_label(page.task, method)} are less accurate than ERM's in distribution ({_number(ORDINARY, found[method])} points, n = {ordinary.effect.n}), so "
            "a remedy that helps their students may only make up for a weak teacher"
        )


def _one_pair(task: MeasuredTask, tried: list[str]) -> Iterator[str]:
    """Remedies that are judged on one pair of sizes, where the task has others."""
    if len({(pair.teacher, pair.student) for pair in task.pairs}) < 2:
        return
    for name in task.settings.remedies:
        remedy = task.results.grid.remedies[name]
        pairs = [pair for pair in task.remedied if pair.remedy == name and pair.method in tried]
        sizes = {
            (pair.teacher, pair.student) for pair in pairs if not (remedy.from_teacher and pair.teacher == pair.student)
        }
        if len(sizes) == 1:
            ((teacher, student),) = sizes
            yield f"“{markdown(remedy.label)}” is judged on one pair of sizes, {markdown(teacher)} → {markdown(student)}"
