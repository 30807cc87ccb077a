"""A folder that shows several students: the comparison, its picture, and every student's card as a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from evenhand.evaluation.report import EvaluationReport
from evenhand.model_cards.figures.tradeoff_figure import draw_tradeoff_figure
from evenhand.model_cards.page.compared_students import compared_students
from evenhand.model_cards.page.comparison import comparison_markdown, tradeoff_of
from evenhand.model_cards.page.html_page import CARD, PAGE, page_of, render_page
from evenhand.model_cards.whole_folders import whole_folder

CARDS, PICTURE = "cards", "figures/tradeoff.png"
GENERATOR = "evenhand comparison"
_MARK = f'<meta name="generator" content="{GENERATOR}">'


def write_comparison(runs: Sequence[str | Path], output_dir: str | Path) -> Path:
    """Write ``README.md`` and ``README.html`` that compare the runs' students, ``figures/tradeoff.png`` where every report has GLUE, and
    ``cards/NAME.html``, each run's card as a page; complete or not at all.

    Nothing in the folder refers to anything outside it.

    Args:
        runs: run directories or staged folders, each with report.json and README.md; named by the last part of their paths, or by as many as tell
            them apart.
        output_dir: a new or empty folder, or an earlier comparison, which is replaced.

    Returns:
        The path of README.html.

    Raises:
        FileNotFoundError: a run without its report or its card.
        ValueError: no run, one named twice, reports that cannot be compared, or ``output_dir`` holds something else.
    """
    require_comparison(runs, output_dir)
    folders, output = [Path(run).resolve() for run in runs], Path(output_dir).resolve()
    names = _names(folders)
    pages = [f"{CARDS}/{stem}.html" for stem in _stems(names)]
    cards = [page_of(folder, alone=True) for folder in folders]
    reports = [_report(folder) for folder in folders]
    drawn = tradeoff_of(compared_students(reports, names))[0]
    text = comparison_markdown(reports, names, pages, PICTURE if drawn else None)
    with whole_folder(output) as new:
        (new / CARDS).mkdir()
        for page, card in zip(pages, cards, strict=True):
            (new / page).write_text(card, encoding="utf-8")
        if drawn:
            draw_tradeoff_figure(*drawn, new / PICTURE)
        (new / CARD).write_text(text, encoding="utf-8")
        title = text.partition("\n")[0].removeprefix("# ")
        (new / PAGE).write_text(render_page(text, title, new, generator=GENERATOR), encoding="utf-8")
    return output / PAGE


def require_comparison(runs: Sequence[str | Path], output_dir: str | Path) -> None:
    """Raise as `write_comparison` would, before their cards are written: whether the reports can be compared and the folder may be written."""
    folders = [Path(run).resolve() for run in runs]
    names = _names(folders)
    _refuse_foreign(Path(output_dir).resolve(), folders)
    compared_students([_report(folder) for folder in folders], names)


def _report(folder: Path) -> EvaluationReport:
    if not (folder / "report.json").is_file():
        raise FileNotFoundError(f"{folder} holds no report.json; measure the student first: evenhand evaluate {folder}")
    return EvaluationReport.load(folder / "report.json")


def _names(folders: Sequence[Path]) -> list[str]:
    """The last part of each path, or the last two, three, … where that is needed to tell them apart."""
    if not folders:
        raise ValueError("a comparison needs a run; name one or more: evenhand card RUN RUN --html --output-dir FOLDER")
    for folder in folders:
        if folders.count(folder) > 1:
            raise ValueError(f"the run {folder} is named twice; a comparison needs different students")
    for parts in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ["/".join(folder.parts[-parts:]) for folder in folders]
        if len(set(names)) == len(names):
            break
    return names


def _stems(names: Sequence[str]) -> list[str]:
    """File names that hold in every address, one for each name."""
    stems: list[str] = []
    for number, name in enumerate(names, start=1):
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "student"
        stems.append(stem if stem.lower() not in map(str.lower, stems) else f"{stem}-{number}")
    return stems


def _refuse_foreign(output: Path, folders: Sequence[Path]) -> None:
    """Raise unless ``output`` is new, empty, or an earlier comparison; never one of the runs or a folder around them."""
    if any(output == folder or output in folder.parents for folder in folders):
        raise ValueError(f"cannot write the comparison into {output}: it holds a run; choose another folder")
    if not output.exists():
        return
    if not output.is_dir():
        raise ValueError(f"cannot write the comparison into {output}: it is a file; choose another folder")
    page = output / PAGE
    own = {CARD, PAGE, CARDS, Path(PICTURE).parts[0]}
    if any(output.iterdir()):
        foreign = sorted(path.name for path in output.iterdir() if path.name not in own)
        if foreign or not page.is_file() or _MARK not in page.read_text(encoding="utf-8", errors="replace")[:2000]:
            raise ValueError(
                f"cannot write the comparison into {output}: it is not empty and no earlier comparison; choose another"
            )
