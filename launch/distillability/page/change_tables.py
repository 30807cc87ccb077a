"""Tables of differences over paired seeds: distillability and contribution, remedies, and what debiasing does against ERM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evenhand.evaluation.distillability import CONTRIBUTION, DISTILLABILITY, Metric
from evenhand.launch.distillability.grid import Remedy
from evenhand.launch.distillability.models import NO_REMEDY, TEACHER
from evenhand.launch.distillability.page.comparisons import DEBIASED, KINDS, REMEDY, TEACHER_ADDS, Comparisons, Judged
from evenhand.launch.distillability.page.debiasing import (
    Debiasing,
    debiasing_metrics,
    debiasing_of,
    debiasing_places,
)
from evenhand.launch.distillability.page.measured_task import MeasuredTask, Pair, Trained
from evenhand.launch.distillability.page.points import (
    PAIR,
    TESTED,
    bold_change,
    method_label,
    near_chance_mark,
    pair_cells,
    points,
    tested,
)
from evenhand.launch.page_text import ABSENT, listed, plural, table
from evenhand.model_cards.escaping import markdown


def change_lines(comparisons: Comparisons) -> list[str]:
    """Distillability and contribution of every cell: worst group and spurious gap open, the other metrics folded."""
    task = comparisons.task
    lines = ["## Distillability and contribution", ""]
    for metric in task.shown:
        body = table(
            [*PAIR, "seeds", "f_T", "f_S", "g", "distillability", *TESTED, "contribution", *TESTED],
            [_change_row(comparisons, pair, metric) for pair in task.pairs],
            text_columns=3,
        )
        lines += _titled(task, metric, body, comparisons.tests(metric))
    for metric in task.drops:
        body = table(
            [*PAIR, "seeds", "distillability", *TESTED, "contribution", *TESTED],
            [_change_row(comparisons, pair, metric, own=False) for pair in task.pairs],
            text_columns=3,
        )
        lines += _titled(task, metric, body, comparisons.tests(metric))
    return lines


def _titled(task: MeasuredTask, metric: Metric, body: list[str], tests: int) -> list[str]:
    side = "lower" if metric.side == "lower" else "higher"
    title = f"{_compared(task, metric)} ({side} is better; p over {plural(tests, 'comparison')})"
    if metric.key in task.robust_keys:
        return [f"**{title}**", "", *body]
    return folded(title, body)


def _compared(task: MeasuredTask, metric: Metric) -> str:
    """What is subtracted: of a metric that is better nearer 0 its distance."""
    return f"{markdown(task.titles[metric.key])}{', as a distance from 0' if metric.better == 'nearer' else ''}"


def folded(title: str, body: Sequence[str]) -> list[str]:
    """Lines that a reader opens."""
    return ["<details>", f"<summary>{title}</summary>", "", *body, "</details>", ""]


def _change_row(comparisons: Comparisons, pair: Pair, metric: Metric, own: bool = True) -> list[str]:
    task = comparisons.task
    judged = [comparisons.get(kind, pair, metric) for kind in (DISTILLABILITY, CONTRIBUTION)]
    numbers = []
    if own:
        others = zip((task.teacher_of(pair), task.alone_of(pair)), judged, strict=True)
        numbers = [*(_reference(task, place, one) for place, one in others), _model(task, pair, judged)]
    return [*pair_cells(task, pair), _seeds(judged), *numbers, *tested(judged[0]), *tested(judged[1])]


def _seeds(judged: Sequence[Judged | None]) -> str:
    """Paired seeds: one number where both comparisons have as many."""
    counts = [one.effect.n if one else 0 for one in judged]
    return str(counts[0]) if len(set(counts)) == 1 else " / ".join(map(str, counts))


def remedy_lines(comparisons: Comparisons) -> list[str]:
    """Each remedy: g with it against the same g without; where it changes the student's own training, against the student alone with it; and
    against f_T."""
    task = comparisons.task
    if not task.settings.remedies:
        return []
    lines = ["## Remedies", ""]
    for name in task.settings.remedies:
        remedy = task.results.grid.remedies[name]
        pairs = [pair for pair in task.remedied if pair.remedy == name]
        lines += [f"**{markdown(remedy.label)}**: {markdown(remedy.question)}", ""]
        if not pairs:
            lines += ["No pair of sizes of this task allows it.", ""]
            continue
        alone = any(task.alone_with(pair) for pair in pairs)
        rows = [row for metric in _remedy_metrics(task) for row in _remedy_rows(comparisons, pairs, metric, alone)]
        header = ["metric", *PAIR, "seeds", "f_T", "g without", "g with", KINDS[REMEDY], *TESTED]
        header += ["f_S with it", KINDS[TEACHER_ADDS], *TESTED] if alone else []
        lines += table([*header, "g with it − f_T", *TESTED], rows, text_columns=4)
        lines += _remedy_notes(task, remedy, pairs, alone)
    return lines


def _remedy_notes(task: MeasuredTask, remedy: Remedy, pairs: Sequence[Pair], alone: bool) -> list[str]:
    """What must be known to read a remedy's table."""
    lines = []
    if alone:
        lines.append(
            f"It changes what the student is trained on, which would help it without any teacher too. So *{KINDS[REMEDY]}* says whether the student is more "
            f"robust with it, and *{KINDS[TEACHER_ADDS]}* whether the teacher adds to it."
        )
    if remedy.from_teacher:
        lines.append(
            "The student has the teacher's training behind it before its own begins, so it has been trained for more steps than g without. Of equal sizes it "
            "begins as an exact copy of its teacher and is trained further; these pairs stand here and do not count in the verdict."
        )
    if impossible := _impossible(task, pairs):
        sizes = listed([f"{markdown(one.teacher)} → {markdown(one.student)}" for one in impossible])
        lines.append(f"Not possible for {sizes}: the student is larger than its teacher.")
    return [text for line in lines for text in (line, "")]


def _remedy_metrics(task: MeasuredTask) -> list[Metric]:
    """The robust ones first, which a remedy is for."""
    first = [task.metrics[key] for key in task.robust_keys]
    return [*first, *(metric for metric in task.shown if metric not in first)]


def _remedy_rows(comparisons: Comparisons, pairs: Sequence[Pair], metric: Metric, alone: bool) -> Iterator[list[str]]:
    task = comparisons.task
    for pair in pairs:
        kinds = [REMEDY, *([TEACHER_ADDS] if alone else []), DISTILLABILITY]
        judged = {kind: comparisons.get(kind, pair, metric) for kind in kinds}
        f_t = _reference(task, task.teacher_of(pair), judged[DISTILLABILITY])
        without, own = _reference(task, pair.without, judged[REMEDY]), _model(task, pair, list(judged.values()))
        adds = []
        if alone:
            other = task.alone_with(pair)
            adds = [_reference(task, other, judged[TEACHER_ADDS]) if other else ABSENT, *tested(judged[TEACHER_ADDS])]
        yield [
            _compared(task, metric), *pair_cells(task, pair), _seeds(list(judged.values())), f_t, without, own,
            *tested(judged[REMEDY]), *adds, *tested(judged[DISTILLABILITY]),
        ]  # fmt: skip


def _reference(task: MeasuredTask, place: Trained | Pair, judged: Judged | None) -> str:
    """Mean of what is subtracted, over the seeds of the difference beside it."""
    if judged is None or not judged.effect.n:
        return ABSENT
    return f"{points(judged.effect.reference)}{near_chance_mark(task, place, judged.effect.differences)}"


def _model(task: MeasuredTask, place: Trained | Pair, judged: Sequence[Judged | None]) -> str:
    """Mean of what it is subtracted from; one number where it is the same in all comparisons beside it."""
    numbers = [
        f"{points(one.effect.model)}{near_chance_mark(task, place, one.effect.differences)}"
        for one in judged
        if one is not None and one.effect.n
    ]
    return " / ".join(dict.fromkeys(numbers)) or ABSENT


def _impossible(task: MeasuredTask, pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs of sizes that the task has, and the remedy has not."""
    there = {(pair.teacher, pair.student) for pair in pairs}
    own = {(pair.teacher, pair.student): pair for pair in task.pairs if pair.remedy == NO_REMEDY}
    return [pair for sizes, pair in own.items() if sizes not in there]


def debiasing_lines(comparisons: Comparisons) -> list[str]:
    """Whether each method debiases at all, against ERM: in teachers and in students alone; of a method of the distillation alone in distilled
    students, against the same distillation without it."""
    task = comparisons.task
    found = {place: debiasing_of(comparisons, place) for place in debiasing_places(task)}
    if not found:
        return []
    metrics = debiasing_metrics(task)
    titles = [_compared(task, metric) for metric in metrics.values()]
    wanted = (
        "A method debiases where the spurious gap falls and the accuracy on bias-conflicting examples rises: a gap closes as well where a model only gets worse "
        "on aligned ones."
        if task.gap
        else "A method debiases where the accuracy of the worst group rises."
    )
    lead = f"{wanted} Differences ({KINDS[DEBIASED]}) in points; bold: p (Holm) below 0.05."
    rows = [_debiasing_row(task, place, one) for place, one in found.items()]
    header = ["method", "model", "size", "seeds", *titles, "what the method does"]
    lines = ["## Does debiasing work, against ERM?", "", lead, "", *table(header, rows, text_columns=3)]
    header = [*header[:4], "by ERM", "with the method", KINDS[DEBIASED], *TESTED]
    for title, name in zip(titles, metrics, strict=True):
        rows = [_debiasing_numbers(task, place, one, name) for place, one in found.items()]
        lines += folded(title, table(header, rows, text_columns=3))
    return lines


def _debiasing_row(task: MeasuredTask, place: Trained | Pair, found: Debiasing) -> list[str]:
    judged = list(found.judged.values())
    mark = max(near_chance_mark(task, one, judged[0].effect.differences) for one in found.models[0])
    what = f"{found.case}{' (not after Holm)' * found.taken_back}"
    return [*_debiased_model(task, place), f"{_seeds(judged)}{mark}", *map(bold_change, judged), what]


def _debiasing_numbers(task: MeasuredTask, place: Trained | Pair, found: Debiasing, name: str) -> list[str]:
    judged, ((own, plain),) = found.judged[name], found.models
    numbers = [_reference(task, plain, judged), _model(task, own, [judged])]
    return [*_debiased_model(task, place), _seeds([judged]), *numbers, *tested(judged)]


def _debiased_model(task: MeasuredTask, place: Trained | Pair) -> list[str]:
    """Three cells: method, kind of model and size."""
    if isinstance(place, Pair):
        what, size = "distilled student", f"{markdown(place.teacher)} → {markdown(place.student)}"
    else:
        what, size = "teacher" if place.role == TEACHER else "student alone", str(markdown(place.size))
    return [method_label(task, place.method), what, size]
