"""The page of a study at one scale: Markdown, the same as HTML, the pictures, and results.json, all from the reports."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from evenhand.launch.study.page.arms_tables import printed_mismatches, section_tables
from evenhand.launch.study.page.diagnostics_section import other_settings_lines, spread_lines
from evenhand.launch.study.page.drawn_words import drawn_words_lines
from evenhand.launch.study.page.glue_section import glue_means_table, glue_section
from evenhand.launch.study.page.measured import MeasuredStudy
from evenhand.launch.study.page.opening import opening_lines, reading_lines
from evenhand.launch.study.page.output_embedding import output_embedding_section
from evenhand.launch.study.page.pictures import (
    FOLDER,
    forest_picture,
    planted_picture,
    steps_picture,
    sweep_picture,
    tradeoff_pictures,
)
from evenhand.launch.study.page.planted_section import planted_lines
from evenhand.launch.study.page.ratio_section import ratio_lines
from evenhand.launch.study.page.results_json import SCHEMA, results_json
from evenhand.launch.study.page.summary import summary_lines
from evenhand.launch.study.page.sweep_section import passes_lines, sweep_lines
from evenhand.launch.study.page.teacher_section import teacher_lines
from evenhand.launch.study.results import StudyResults
from evenhand.launch.study.study_file import Section
from evenhand.model_cards.escaping import markdown, one_line
from evenhand.model_cards.page.html_page import CARD, PAGE
from evenhand.model_cards.page.html_page import write_page as write_html
from evenhand.model_cards.whole_files import write_text

RESULTS = "results.json"


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
    earlier = _earlier_pictures(folder)
    measured = MeasuredStudy(results)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        (made / FOLDER).mkdir()
        summary = summary_lines(measured)
        lines = _lines(measured, summary, made / FOLDER if figures else None)
        pictures = sorted(path.name for path in (made / FOLDER).iterdir())
        data = results_json(measured, [line[2:] for line in summary if line.startswith("- ")], pictures)
        write_text(
            made / RESULTS, json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
        )
        write_text(made / CARD, "\n".join(lines).rstrip() + "\n")
        write_html(made)
        _move_in(made, folder, pictures, earlier)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder / CARD


def _lines(measured: MeasuredStudy, summary: list[str], figures: Path | None) -> list[str]:
    lines = [*opening_lines(measured), *summary]
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


def _earlier_pictures(folder: Path) -> list[str]:
    """Names of the pictures of the page that stands there.

    Raises:
        ValueError: something else stands there.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name a folder for the study's page.")
    if not (folder / CARD).exists() and not (folder / RESULTS).exists():
        return []
    try:
        data = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        if data["schema"] == SCHEMA:
            return [Path(name).name for name in data["pictures"]]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ValueError(
        f"{folder} holds a {CARD} that is no study's page (no {RESULTS} of one beside it); choose another folder."
    )


def _move_in(made: Path, folder: Path, pictures: list[str], earlier: list[str]) -> None:
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for name in (*(f"{FOLDER}/{picture}" for picture in pictures), RESULTS, PAGE, CARD):
        os.replace(made / name, folder / name)
    for picture in set(earlier) - set(pictures):
        (folder / FOLDER / picture).unlink(missing_ok=True)
    if not pictures and not any((folder / FOLDER).iterdir()):
        (folder / FOLDER).rmdir()
