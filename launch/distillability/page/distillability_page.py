"""The pages of a study of distillability at one scale: what it found, and one page a task, as Markdown and as HTML; the pictures, and results.json.

All from the reports. Tasks have pages of their own because a single one grows longer than the sites that show Markdown will show.
"""

from __future__ import annotations

from pathlib import Path

from evenhand.launch.distillability.page.change_tables import change_lines, debiasing_lines, remedy_lines
from evenhand.launch.distillability.page.group_tables import group_lines
from evenhand.launch.distillability.page.measured_grid import MeasuredGrid, TaskPage
from evenhand.launch.distillability.page.model_tables import distilled_lines, drop_lines, trained_lines
from evenhand.launch.distillability.page.opening import opening_lines, page_name, reading_lines, task_opening
from evenhand.launch.distillability.page.pictures import inside_pictures, models_pictures, transfer_pictures
from evenhand.launch.distillability.page.results_json import SCHEMA, results_json
from evenhand.launch.distillability.page.summary import sentences_of, summary_lines
from evenhand.launch.distillability.page.why_section import why_lines
from evenhand.launch.distillability.results import GridResults
from evenhand.launch.page_folder import FIGURES, earlier_files, new_page, write_files
from evenhand.model_cards.page.html_page import CARD


def write_page(results: GridResults, folder: str | Path, figures: bool = True) -> Path:
    """Write the page of one scale, and one of each of its tasks.

    Everything is made beside ``folder`` first and moved in file by file, the README last; other files there stay. Pictures and tasks of an
    earlier page that are not of this one are removed.

    Args:
        results: what the study has found so far; models that failed or were not run yet are shown as such.
        folder: where README.md, task_NAME.md, the same as HTML, results.json and figures/ go.
        figures: whether to draw.

    Returns:
        The README.md. The same results give the same bytes on one machine.

    Raises:
        ValueError: no model has been measured yet, reports that cannot be compared, or ``folder`` is a file or has a README.md that is no
            page of such a study.
    """
    folder = Path(folder)
    earlier = earlier_files(folder, SCHEMA)
    measured = MeasuredGrid(results)
    with new_page(folder, earlier) as made:
        summary = summary_lines(measured)
        last = "All of this, seed by seed, stands in results.json beside this page."
        pages = {CARD: [*opening_lines(measured), *summary, *reading_lines(measured), last]}
        for page in measured.tasks.values():
            pages[page_name(page.task)] = _task_lines(page, made / FIGURES if figures else None)
        write_files(made, pages, results_json(measured, sentences_of(summary)))
    return folder / CARD


def _task_lines(page: TaskPage, figures: Path | None) -> list[str]:
    task, comparisons = page.task, page.comparisons
    lines = task_opening(task)
    if not task.reports:
        return [*lines, "No model of this task has been measured yet.", ""]
    if figures is not None:
        lines += [*transfer_pictures(comparisons, figures), *models_pictures(task, figures)]
    lines += [*trained_lines(task), *debiasing_lines(comparisons), *distilled_lines(task), *change_lines(comparisons)]
    lines += [*group_lines(comparisons), *drop_lines(task), *remedy_lines(comparisons)]
    drawn = [] if figures is None else inside_pictures(task, page.insides, figures)
    return [*lines, *why_lines(task, page.insides, drawn)]
