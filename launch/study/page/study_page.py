"""The page of a study at one scale: Markdown, the same as HTML, the pictures, and results.json, all from the reports."""

from __future__ import annotations

from pathlib import Path

from evenhand.launch.page_folder import FIGURES, earlier_files, new_page, write_files
from evenhand.launch.study.page.arms_tables import printed_mismatches, section_tables
from evenhand.launch.study.page.diagnostics_section import other_settings_lines, spread_lines
from evenhand.launch.study.page.drawn_words import drawn_words_lines
from evenhand.launch.study.page.glue_section import glue_means_table, glue_section
from evenhand.launch.study.page.in_short import in_short_lines
from evenhand.launch.study.page.measured import MeasuredStudy
from evenhand.launch.study.page.mixed_positions import mixed_lines
from evenhand.launch.study.page.opening import opening_lines, reading_lines
from evenhand.launch.study.page.output_embedding import output_embedding_section
from evenhand.launch.study.page.pictures import (
    forest_picture,
    planted_picture,
    steps_picture,
    sweep_picture,
    tradeoff_pictures,
)
from evenhand.launch.study.page.planted_section import planted_lines
from evenhand.launch.study.page.ratio_section import ratio_lines
from evenhand.launch.study.page.results_json import SCHEMA, results_json
from evenhand.launch.study.page.setting_changes import setting_lines
from evenhand.launch.study.page.summary import summary_lines
from evenhand.launch.study.page.sweep_section import passes_lines, sweep_lines
from evenhand.launch.study.page.teacher_section import teacher_lines
from evenhand.launch.study.results import StudyResults
from evenhand.launch.study.study_file import Section
from evenhand.model_cards.escaping import markdown, one_line
from evenhand.model_cards.page.html_page import CARD


def write_page(results: StudyResults, folder: str | Path, figures: bool = True) -> Path:
    """Write the page of one scale.

    Everything is made beside ``folder`` first and moved in file by file, the README last; other files there stay. Pictures of an earlier
    page that are not of this one are removed.

    Args:
        results: what the study has found so far; unfinished and failed arms are shown as such.
        folder: where README.md, README.html, results.json and figures/ go.
        figures: whether to draw.

    Returns:
        The README.md. The same results give the same bytes on one machine.

    Raises:
        ValueError: no student has been measured yet, reports that cannot be compared, or ``folder`` is a file or has a README.md that is
            no study's page.
    """
    folder = Path(folder)
    earlier = earlier_files(folder, SCHEMA)
    measured = MeasuredStudy(results)
    with new_page(folder, earlier) as made:
        summary = summary_lines(measured)
        lines = _lines(measured, summary, made / FIGURES if figures else None)
        sentences = [line[2:] for line in summary if line.startswith("- ")]
        write_files(made, {CARD: lines}, results_json(measured, sentences))
    return folder / CARD


def _lines(measured: MeasuredStudy, summary: list[str], figures: Path | None) -> list[str]:
    lines = [*opening_lines(measured), *in_short_lines(measured), *summary]
    if figures is not None:
        drawn = [
            *forest_picture(measured, figures),
            *tradeoff_pictures(measured, figures),
            *steps_picture(measured, figures),
        ]
        lines += ["## All arms at a glance", "", *drawn] if drawn else []
    lines += reading_lines(measured)
    planted = planted_lines(measured)
    lines += [*planted, *(planted_picture(measured, figures) if figures is not None else [])]
    for section in measured.study.sections:
        lines += _section(measured, section, figures)
    lines += [
        *setting_lines(measured),
        *mixed_lines(measured),
        *teacher_lines(measured),
        *ratio_lines(measured),
        *_output_embedding(measured),
        *spread_lines(measured),
        *other_settings_lines(measured),
    ]
    mismatched = printed_mismatches(measured)
    if mismatched:
        lines += [
            "## Averages of the paper that do not match their rows",
            "",
            *(f"- {line}" for line in mismatched),
            "",
        ]
    return [*lines, "All of this, test by test and seed by seed, stands in results.json beside this page.", ""]


def _section(measured: MeasuredStudy, section: Section, figures: Path | None) -> list[str]:
    lines = [f"## {markdown(section.title)}", "", str(markdown(section.question)), ""]
    if section.kind == "sweep" and figures is not None:
        lines += sweep_picture(measured, section, figures)
    if section.kind == "glue":
        lines += glue_section(measured, section)
    else:
        lines += sweep_lines(measured, section) if section.kind == "sweep" else []
        lines += [*section_tables(measured, section), *glue_means_table(measured, section)]
        lines += drawn_words_lines(measured, section)
        lines += passes_lines(measured, section) if section.kind == "sweep" else []
    left_out = [
        f"- Not at this scale: {markdown(label)} ({markdown(why.rstrip('.'))})."
        for label, why in section.left_out.items()
    ]
    if section.notes or left_out:
        # notes are Markdown, as the study's author wrote it
        lines += [*(f"- {one_line(note)}" for note in section.notes), *left_out, ""]
    return lines


def _output_embedding(measured: MeasuredStudy) -> list[str]:
    lines = output_embedding_section(measured.results)
    return [*lines, ""] if lines and lines[-1] else lines
