"""The head of the page: what it is, what was run, and how its numbers are to be read; and the head of each task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from evenhand.evaluation.distillability import CONTRIBUTION, DISTILLABILITY
from evenhand.evaluation.distillability_findings import MARGIN
from evenhand.evaluation.groups_result import INSIDE
from evenhand.evaluation.verdict import RULE
from evenhand.launch.distillability.models import DISTILLED, NO_REMEDY, TEACHER, GridModel
from evenhand.launch.distillability.page.findings import MATTERS
from evenhand.launch.distillability.page.measured_grid import MeasuredGrid
from evenhand.launch.distillability.page.measured_task import (
    FEWEST_OF_A_GROUP,
    MARK,
    NEAR_CHANCE,
    ROLES,
    MeasuredTask,
    Pair,
    Trained,
)
from evenhand.launch.distillability.page.points import method_label, points
from evenhand.launch.page_environments import environment_lines
from evenhand.launch.page_text import listed, plural, table
from evenhand.launch.results_tables import number
from evenhand.model_cards.escaping import code, markdown
from evenhand.model_cards.page.html_page import CARD


def opening_lines(measured: MeasuredGrid) -> list[str]:
    """Title, facts and state."""
    grid, results = measured.results.grid, measured.results
    lines = [
        f"# {markdown(grid.title)}",
        "",
        "Written by a command from the reports of its models; no number here was typed.",
        "",
        *(
            f"- {markdown(key[:1].upper() + key[1:])}: {markdown(str(text).rstrip('.'))}."
            for key, text in grid.paper.items()
        ),
        f"- Scale {code(grid.scale)}: {markdown(grid.settings.note.rstrip('.'))}.",
    ]
    if results.command:
        lines.append(f"- Command: {code(results.command)}")
    lines += environment_lines(measured.environments)
    return [*lines, f"- {_state(measured.counts)}", "", *_overview(measured)]


def _state(counts: Mapping[str, int]) -> str:
    text = f"Models: {counts['measured']:,} of {counts['wanted']:,} measured"
    words = {"failed": "failed", "missing": "not run yet"}
    rest = [f"**{counts[key]:,} {word}**" for key, word in words.items() if counts[key]]
    return f"{text}; {', '.join(rest)}." if rest else f"{text}."


def _overview(measured: MeasuredGrid) -> list[str]:
    """One row a task."""
    rows = []
    for page in measured.tasks.values():
        task, settings = page.task, page.task.settings
        labels = [str(markdown(measured.results.grid.methods[name].label)) for name in settings.methods]
        sizes = f"{', '.join(map(str, map(markdown, settings.teachers)))} → {', '.join(map(str, map(markdown, settings.students)))}"
        state = f"{len(task.reports)} of {len(task.models)}"
        rows.append([task_link(task), listed(labels), sizes, str(task.n_seeds), state])
    return table(["task", "methods", "teachers → students", "seeds", "models measured"], rows, text_columns=3)


def reading_lines(measured: MeasuredGrid) -> list[str]:
    """How to read the tables."""
    return [
        "## How to read the tables",
        "",
        f"- f_T is the teacher, f_S the student trained alone, g the student distilled from f_T. **{DISTILLABILITY.capitalize()}** is g − f_T, "
        f"**{CONTRIBUTION}** g − f_S, in points. A *plain* student is trained by cross-entropy beside the teacher's probabilities, and its f_S is the student "
        "that ERM trains alone; a student *debiased too* is trained with the teacher's method, and so is its f_S. A method of the distillation alone has the "
        "teachers and students of ERM.",
        "- The *worst group* is the lowest accuracy of any group, the *spurious gap* accuracy on bias-aligned less that on bias-conflicting examples; its "
        "differences, and the models' numbers beside them, are of distances from 0, so a difference below 0 is better; the gap that a method is said to leave keeps its sign. ID is the test split, OOD a shifted one.",
        "- A model's own number beside a difference is the mean over the seeds of that difference; in tables of own numbers it is the mean over all seeds that were "
        "measured. Intervals of own numbers are cut at what the number can be.",
        f"- {MARK} marks models *near chance*: chance is what always giving a split's most frequent label would get right, and a model is near it whose "
        f"accuracy has gone less than {100 * NEAR_CHANCE:.0f} % of the way from chance to 100 %, on every split. A difference from such a model says more of its "
        "failure than of the other model.",
        "- A method *corrects too far* where its models are better on conflicting than on aligned examples: the interval of the gap that it leaves lies below 0 and its "
        f"mean is −{number(MARGIN, False, 0)} or less. A student that follows such a teacher less may then look more robust than it.",
        f"- Models are paired by seed: {_pairing(measured)} Seeds are the unit; intervals are Student's t at 95 % over seeds, and "
        f"say what would hold for other trainings on these data and these test examples. {RULE} One seed is too few to tell.",
        "- p (Holm) in the tables is corrected over all comparisons of a task's page in one metric, each metric apart; a verdict that the correction takes back "
        "says so. Of groups, over the methods and groups of a split.",
        "- *Detectable* is the true difference that a comparison would have found with 80 % power at the level of 5 %, given the spread that was seen; in "
        "brackets at the first step of the correction. What is smaller cannot be told from nothing here.",
        *_rule_lines(),
        *_self_distilled_lines(measured),
        "",
    ]


def _pairing(measured: MeasuredGrid) -> str:
    """What the models of a seed have in common, by their recipes."""
    models = [model for page in measured.tasks.values() for model in page.task.models.values()]
    from_teacher = dict.fromkeys(model.remedy for model in models if model.recipe.student.initialisation == "teacher")
    pretrained = {bool(model.recipe.student.path) for model in models if model.remedy not in from_teacher}
    weights = "first weights"
    if pretrained == {True}:
        weights = "the first weights of their new head (all else begins as their checkpoint)"
    elif True in pretrained:
        weights = "first weights (of models that begin pre-trained those of their new head)"
    text = f"f_S and g share {weights} and order of data, f_T has its own."
    if from_teacher:
        labels = listed([f"“{markdown(measured.results.grid.remedies[name].label)}”" for name in from_teacher])
        text += f" With {labels} g begins with weights of f_T, and shares with f_S only the order of data."
    return text


def _rule_lines() -> list[str]:
    """The rule of `evenhand.evaluation.distillability_rule`, and what its verdicts are corrected over."""
    margin = number(MARGIN, False, 0)
    return [
        f"- Findings are judged on the mean gain over cells (positive is better; of a spurious gap, by how much it falls) and its interval; {margin} point is the smallest change that matters. That there is "
        f"a gain is *supported* where the whole interval lies above 0 and the mean is at least {margin}; *contradicted* where the mean is −{margin} or less and the "
        f"whole interval lies below {margin}; there is *no difference of {MATTERS}* where the whole interval lies within ± {margin}, on whichever side of 0; else it "
        f"cannot be told. A loss is judged likewise. That there is *no gain of {MATTERS}* is supported where the whole interval lies below {margin}, contradicted where "
        "a gain is supported, and else cannot be told.",
        f"- Three findings are told otherwise. *Stable while groups move*: the interval of the overall gain lies within ± {margin}, and a group's mean gain is {margin} or more "
        f"up or down with p (Holm, over the groups) below 0.05; contradicted where the overall interval lies beyond ± {margin}, or all groups' intervals (Bonferroni) lie "
        f"within. *A larger teacher is not always better*: in one pair of teachers the interval of its gain (Bonferroni, over the pairs) lies below {margin}; contradicted "
        f"where in all pairs it lies above 0 and the mean is at least {margin}. *Middle and late layers*: on conflicting examples the interval of their mean less the early ones' lies above "
        "0; contradicted where it lies below. Beside it stands the same on aligned examples, as layers may differ more with depth whatever they are shown: it is "
        "specific to conflicting examples where the interval of the one number less the other lies above 0.",
        "- The worst group decides (of *stable while groups move* the accuracy that is named, of *middle and late layers* 1 − CKA); what other metrics say stands "
        "beside it, uncorrected. Each finding is corrected by Holm over the tasks that were asked, those that cannot tell included, and over nothing else; *not after "
        "Holm* marks what that takes back. Corrected is the level at which the interval would just touch what the verdict excludes: 0 where a gain or a loss is told, "
        "the smallest change that matters where one is denied. Findings on debiasing are judged on all methods that debias a "
        "teacher, whether or not they did.",
    ]


def _self_distilled_lines(measured: MeasuredGrid) -> list[str]:
    """Methods whose students alone have a teacher all the same."""
    models = [model for page in measured.tasks.values() for model in page.task.models.values()]
    lines = []
    for name, method in measured.results.grid.methods.items():
        own = [model for model in models if model.method == name]
        if not method.self_distilled or not own:
            continue
        alone, g = (
            _distilled_with(model for model in own if (model.role == DISTILLED) == distilled)
            for distilled in (False, True)
        )
        lines.append(
            f"- {markdown(method.label)} cannot do without a teacher: its f_T and f_S are themselves distilled, with {alone}, from the model of their size "
            f"that ERM trained; g is distilled from f_T with {g}. The contribution of a student debiased too therefore changes the teacher"
            f"{' and the manner of distillation together' * (alone != g)}, and does not say what a teacher adds to none."
        )
    return lines


def _distilled_with(models: Iterable[GridModel]) -> str:
    found = sorted({(model.recipe.objective.alpha, model.recipe.objective.temperature) for model in models})
    return listed([f"alpha = {alpha:g}, T = {temperature:g}" for alpha, temperature in found])


def page_name(task: MeasuredTask) -> str:
    """File name of a task's own page."""
    return f"task_{task.name}.md"


def task_link(task: MeasuredTask) -> str:
    """The task's label, with its page behind it."""
    return f"[{markdown(task.settings.label)}]({page_name(task)})"


def task_opening(task: MeasuredTask) -> list[str]:
    """Title, where it belongs, question, data, models, what failed and what is missing."""
    settings = task.settings
    whole = f"[{markdown(task.results.grid.title)}]({CARD})"
    lines = [
        f"# {markdown(settings.label)}",
        "",
        f"One task of the study {whole}, where it says what the numbers say and how the tables are to be read.",
        "",
        str(markdown(settings.question)),
        "",
    ]
    facts = [*_data_lines(task), *_size_lines(task), *_state_lines(task), *_near_chance_lines(task)]
    return [*lines, *facts, ""] if facts else lines


def _data_lines(task: MeasuredTask) -> list[str]:
    if task.example is None:
        return []
    data, splits = task.example["data"], task.splits
    parts = [
        f"{markdown(name)}{' (OOD)' if split['shift'] else ''} {split['n']:,}, of these {split['n_aligned']:,} aligned and {split['n_conflicting']:,} conflicting"
        for name, split in splits.items()
    ]
    given = {key: value for key, value in (data.get("settings") or {}).items() if value is not None}
    settings = ", ".join(f"{key}={value}" for key, value in given.items())
    named = f"{code(data['name'])}{f' ({markdown(settings)})' if settings else ''}"
    lines = [f"- Data: {named}; test examples: {'; '.join(parts)}."]
    if task.judged_split is not None:
        lines.append(_judged_line(task))
    if task.gap is None:
        lines.append("- No split has aligned and conflicting examples, so there is no spurious gap.")
    return lines


def _judged_line(task: MeasuredTask) -> str:
    """Whose worst group and whose spurious gap are looked at, why, and how small the groups are."""
    judged, gap = task.judged_split, task.gap_split
    smallest = f"its smallest group has {plural(task.smallest_group(judged), 'example')}"
    few = f", fewer than {FEWEST_OF_A_GROUP}, so that its worst group is partly chance" * (
        task.smallest_group(judged) < FEWEST_OF_A_GROUP
    )
    if judged != gap:
        of_gap = f" The spurious gap is that of {markdown(gap)}." if task.gap else ""
        return (
            f"- The worst group is that of {markdown(judged)}: {smallest}, where {markdown(gap)} has a group of {task.smallest_group(gap)}, and a minimum over groups of "
            f"fewer than {FEWEST_OF_A_GROUP} is partly chance.{of_gap}"
        )
    why = "" if judged == INSIDE else ", as test has no aligned and conflicting examples"
    return f"- Worst group and spurious gap are those of {markdown(judged)}{why}; {smallest}{few}."


def _size_lines(task: MeasuredTask) -> list[str]:
    """Sizes as they were built, from the first report of each."""
    found: dict[str, Mapping[str, Any]] = {}
    for key, report in task.reports.items():
        found.setdefault(task.models[key].size, report.model)
    parts = [_size_text(name, found[name]) for name in task.settings.sizes if name in found]
    return [f"- Sizes: {'; '.join(parts)}."] if parts else []


def _size_text(name: str, model: Mapping[str, Any]) -> str:
    layers = plural(model["layers"], "layer")
    return f"{markdown(name)} ({markdown(model['model_type'])}, {layers}, width {model['hidden_size']}, {model['parameters']:,} parameters)"


def _state_lines(task: MeasuredTask) -> list[str]:
    """Failed models with their reason and log, and how many were not run yet."""
    lines = []
    for key, failure in task.failed.items():
        model = task.models[key]
        lines.append(
            f"- **Failed**: {markdown(model.name)}, {markdown(model.method)}, seed {model.seed}: {markdown(failure['reason'].rstrip('.'))}; log "
            f"{code(failure['log'])}."
        )
    if task.missing:
        roles = "teachers" if all(model.role == TEACHER for model in task.missing) else "models"
        seeds = sorted({model.seed for model in task.missing})
        lines.append(
            f"- **Not run yet**: {len(task.missing)} {roles}, of seeds {listed([str(seed) for seed in seeds])}."
        )
    return lines


def _near_chance_lines(task: MeasuredTask) -> list[str]:
    """Models that hardly do the task, with their accuracy."""
    parts = []
    for place in task.places:
        if near := task.near_chance(place):
            found = [f"seed {seed}: {points(value)} %" for seed, value in near.items()]
            parts.append(f"{_model_named(task, place)} ({', '.join(found)})")
    if not parts:
        return []
    splits = [
        f"below {points(least)} % of {markdown(name)}, where chance is {points(task.chance[name])} %"
        for name, least in task.least_accuracy.items()
    ]
    return [f"- **Near chance** {MARK} ({'; '.join(splits)}), with the accuracy on {INSIDE}: {'; '.join(parts)}."]


def _model_named(task: MeasuredTask, place: Trained | Pair) -> str:
    remedy = "" if place.remedy == NO_REMEDY else f" with “{markdown(task.results.grid.remedies[place.remedy].label)}”"
    if isinstance(place, Pair):
        return f"g {markdown(task.cell_name(place))}, {markdown(place.teacher)} → {markdown(place.student)}{remedy}"
    return f"{ROLES[place.role]} {method_label(task, place.method)}, {markdown(place.size)}{remedy}"
