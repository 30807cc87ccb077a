"""Tables of differences over paired seeds: distillability and contribution, groups, remedies, and what debiasing does against ERM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evenhand.evaluation.distillability import CONTRIBUTION, DISTILLABILITY, Metric
from evenhand.launch.distillability.grid import ERM, Remedy
from evenhand.launch.distillability.models import NO_REMEDY, TEACHER
from evenhand.launch.distillability.page.comparisons import DEBIASED, KINDS, REMEDY, TEACHER_ADDS, Comparisons, Judged
from evenhand.launch.distillability.page.measured_task import VARIANTS, MeasuredTask, Pair, Trained
from evenhand.launch.distillability.page.points import PAIR, TESTED, average, change, method_label, pair_cells, tested
from evenhand.launch.page_text import ABSENT, listed, plural, table
from evenhand.model_cards.escaping import markdown


def change_lines(comparisons: Comparisons) -> list[str]:
    """Distillability and contribution of every cell: worst group and spurious gap open, the other metrics folded."""
    task = comparisons.task
    lines = ["### Distillability and contribution", ""]
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
    places = (task.teacher_of(pair), task.alone_of(pair), pair) if own else ()
    numbers = [_average(task, place, metric) for place in places]
    return [*pair_cells(task, pair), _seeds(judged), *numbers, *tested(judged[0]), *tested(judged[1])]


def _seeds(judged: Sequence[Judged | None]) -> str:
    """Paired seeds: one number where both comparisons have as many."""
    counts = [one.effect.n if one else 0 for one in judged]
    return str(counts[0]) if len(set(counts)) == 1 else " / ".join(map(str, counts))


def group_lines(comparisons: Comparisons) -> list[str]:
    """How the accuracy of every group (bias type) changes, the mean over pairs of sizes."""
    task = comparisons.task
    lines = ["### Group by group", ""]
    if not task.group_metrics:
        return []
    several = len({(pair.teacher, pair.student) for pair in task.pairs}) > 1
    pooled = ", the mean over pairs of sizes" if several else ""
    lines += [f"Change of each group's accuracy in points{pooled}; bold: p (Holm, over the table) below 0.05.", ""]
    splits = list(task.splits.items())
    for name, split in splits:
        groups = [metric.group for metric in task.groups_of_split(name)]
        of_group = {group["group"]: group for group in split["groups"]}
        for kind in (DISTILLABILITY, CONTRIBUTION):
            rows = []
            for (method, variant), found in comparisons.of_groups(kind, name).items():
                how = VARIANTS[variant] if task.is_debiased(method) else ABSENT
                rows.append([method_label(task, method), how, *(_bold(found[group]) for group in groups)])
            header = ["method", "student", *(_group_heading(of_group[group]) for group in groups)]
            title = f"{markdown(name)}: {kind} ({KINDS[kind]})"
            body = table(header, rows, text_columns=2)
            lines += [f"**{title}**", "", *body] if kind == DISTILLABILITY else folded(title, body)
    return lines


def _group_heading(group: dict) -> str:
    side = {True: ", aligned", False: ", conflicting", None: ""}[group["aligned"]]
    return f"{markdown(group['group'])}{side} (n = {group['n']:,})"


def _bold(judged: Judged) -> str:
    return f"**{change(judged)}**" if judged.holds else change(judged)


def remedy_lines(comparisons: Comparisons) -> list[str]:
    """Each remedy: g with it against the same g without; where it changes the student's own training, against the student alone with it; and
    against f_T."""
    task = comparisons.task
    if not task.settings.remedies:
        return []
    lines = ["### Remedies", ""]
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
        f_t, without, own = (_average(task, place, metric) for place in (task.teacher_of(pair), pair.without, pair))
        adds = [_average(task, task.alone_with(pair), metric), *tested(judged[TEACHER_ADDS])] if alone else []
        yield [
            _compared(task, metric), *pair_cells(task, pair), _seeds(list(judged.values())), f_t, without, own,
            *tested(judged[REMEDY]), *adds, *tested(judged[DISTILLABILITY]),
        ]  # fmt: skip


def _average(task: MeasuredTask, place: Trained | Pair, metric: Metric) -> str:
    """Of what is subtracted in the same row, not of the signed number."""
    return average(metric.values(task.table(place).get(metric.key, {})))


def _impossible(task: MeasuredTask, pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs of sizes that the task has, and the remedy has not."""
    there = {(pair.teacher, pair.student) for pair in pairs}
    own = {(pair.teacher, pair.student): pair for pair in task.pairs if pair.remedy == NO_REMEDY}
    return [pair for sizes, pair in own.items() if sizes not in there]


def debiasing_lines(comparisons: Comparisons) -> list[str]:
    """Whether each method lowers the spurious gap at all against ERM: in teachers and in students alone; of a method of the distillation alone in
    distilled students, against the same distillation without it."""
    task = comparisons.task
    places = [place for place in task.trained if task.is_debiased(place.method)]
    places += [pair for pair in task.pairs if task.acts_on_distillation(pair.method)]
    if not places:
        return []
    metric = task.gap or task.worst_group
    rows = [_debiasing_row(comparisons, place, metric) for place in places]
    header = ["method", "model", "size", "seeds", "by ERM", "with the method", KINDS[DEBIASED], *TESTED]
    lines = ["### Does debiasing work, against ERM?", ""]
    return [*lines, f"{_compared(task, metric)}:", "", *table(header, rows, text_columns=3)]


def _debiasing_row(comparisons: Comparisons, place: Trained | Pair, metric: Metric) -> list[str]:
    task, judged = comparisons.task, comparisons.get(DEBIASED, place, metric)
    if isinstance(place, Pair):
        plain = task.plain_of(place)
        what, size = "distilled student", f"{markdown(place.teacher)} → {markdown(place.student)}"
    else:
        plain = place._replace(method=ERM)
        what, size = "teacher" if place.role == TEACHER else "student alone", str(markdown(place.size))
    numbers = [_average(task, plain, metric), _average(task, place, metric)]
    return [method_label(task, place.method), what, size, _seeds([judged]), *numbers, *tested(judged)]
