"""All findings at a glance: one row a finding, one column a task."""

from __future__ import annotations

from evenhand.evaluation.distillability_rule import CANNOT_TELL, CONTRADICTS, NO_DIFFERENCE, SUPPORTS
from evenhand.launch.distillability.page.findings import MATTERS
from evenhand.launch.distillability.page.measured_grid import MeasuredGrid
from evenhand.launch.distillability.page.opening import task_link
from evenhand.launch.distillability.page.over_tasks import OverTasks
from evenhand.launch.page_text import ABSENT, table
from evenhand.model_cards.escaping import markdown

NOT_AFTER_HOLM = "not after Holm"
_SAID = {
    SUPPORTS: "supports",
    CONTRADICTS: "contradicts",
    NO_DIFFERENCE: f"no difference of {MATTERS}",
    CANNOT_TELL: "cannot tell",
}


def glance_lines(measured: MeasuredGrid) -> list[str]:
    """The table, and how to read it; nothing where no finding was asked."""
    if not measured.findings:
        return []
    links = [task_link(page.task) for page in measured.tasks.values()]
    rows = [
        [str(markdown(over.claim)), *(_cell(over, name) for name in measured.tasks)]
        for over in measured.findings.values()
    ]
    return [
        *table(["finding", *links], rows, text_columns=1 + len(links)),
        f"Bold: what is left after Holm's correction over the tasks that were asked; where one was asked there is nothing to correct. {ABSENT}: not asked. What each verdict rests on stands below.",
        "",
    ]


def _cell(over: OverTasks, task: str) -> str:
    if task not in over.words:
        return ABSENT
    word = over.words[task]
    if not over.holds(task):
        return f"{_SAID[word]}, {NOT_AFTER_HOLM}"
    return _SAID[word] if word == CANNOT_TELL else f"**{_SAID[word]}**"
