"""The card of a run: written anew with the hand-written text it has, or checked as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

from evenhand.evaluation import EvaluationReport
from evenhand.launch.declared_facts import run_facts
from evenhand.launch.earlier_card import keep_earlier
from evenhand.launch.run_directory import RunDirectory
from evenhand.model_cards import build_card
from evenhand.model_cards.figures.pictures import draw_pictures
from evenhand.model_cards.lint import lint_card, lint_staged
from evenhand.model_cards.lint.card_checks import lint_card_alone
from evenhand.model_cards.lint.leaks import text_of
from evenhand.model_cards.lint.staged_folder import lint_texts
from evenhand.model_cards.published_report import published_report, report_text
from evenhand.model_cards.staging import CARD, FACTS, MODEL_FILES, REPORT, WEIGHTS, staged_figures
from evenhand.model_cards.whole_files import write_text

# Staging cuts the path that a model was loaded from to its last part.
_ORIGIN = re.compile(r'("_?name_or_path":\s*)"[^"\n]*"')


def require_card(run_dir: str | Path) -> None:
    """Raise what `write_card` would, and write nothing."""
    run = RunDirectory(run_dir)
    build_card(EvaluationReport.load(run.report_file), run_facts(run), staged_figures(run.path))


def write_card(run_dir: str | Path) -> Path:
    """Write ``README.md`` and its pictures into an evaluated run; the card's path.

    Text between the markers of hand-written blocks of the README.md that stands there is kept. Where it holds other text that the new card
    does not, the whole of it is kept as README.md.old, and a line on standard error says so.

    Raises:
        FileNotFoundError: no run or no report yet.
        ValueError: the report or a declared fact is unusable, or a hand-written block is damaged; the card and its pictures are what they were.
    """
    run = RunDirectory(run_dir)
    report, facts = EvaluationReport.load(run.report_file), run_facts(run)
    # what cannot become a card is refused before its pictures are replaced
    build_card(report, facts, staged_figures(run.path))
    draw_pictures(report, run.figures)
    card = build_card(report, facts, staged_figures(run.path))
    keep_earlier(run.card_file, card)
    return write_text(run.card_file, card)


def check_card(path: str | Path) -> list[str]:
    """Problems of a card, one line each with the file and the line in it; empty when it may be published.

    Of a run, its README.md and the texts that staging would make are looked at; of a staged folder everything; of a README.md that stands
    alone what can be told without its report, and that this is missing.

    Args:
        path: a run directory, a staged folder, or the README.md in one.

    Raises:
        FileNotFoundError: no such path, or no card or report there.
        ValueError: it is another file, or the run's recipe or report cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; give a run directory, a staged folder or its README.md")
    if path.is_file() and path.name != CARD:
        raise ValueError(f"{path} is no {CARD}; give a run directory, a staged folder or its README.md")
    folder = path if path.is_dir() else path.parent
    run = RunDirectory(folder)
    if run.recipe_file.is_file():
        problems = _check_run(run)
    elif (folder / FACTS).is_file():
        problems = lint_staged(folder)
    elif (folder / CARD).is_file():
        problems = lint_card_alone(_card_text(folder / CARD), folder)
    else:
        raise FileNotFoundError(f"{folder} holds neither a run nor a card; start a run with `evenhand distill`")
    return [f"{folder / problem}" for problem in problems]


def _check_run(run: RunDirectory) -> list[str]:
    if not run.card_file.is_file():
        raise FileNotFoundError(f"{run.path} holds no card; write it first: evenhand card {run.path}")
    published = published_report(EvaluationReport.load(run.report_file))
    facts = run_facts(run, with_notes=False)
    model = _model_files(run)
    # What staging takes of a run, by the name that it will have: a link in the card may lead there.
    files = {CARD: run.card_file, REPORT: run.report_file, FACTS: run.recipe_file, **model}
    files |= {name: run.path / name for name in staged_figures(run.path)}
    problems = lint_card(_card_text(run.card_file), published, facts, run.path, files)
    texts = {REPORT: report_text(published), FACTS: json.dumps(facts.to_dict(), indent=2)}
    texts |= {f"student/{name}": _without_origin(text_of(path)) for name, path in model.items()}
    return [*problems, *lint_texts(texts)]


def _model_files(run: RunDirectory) -> dict[str, Path]:
    files = (path for path in sorted(run.student.glob("*")) if path.is_file())
    return {path.name: path for path in files if path.name in MODEL_FILES or WEIGHTS.fullmatch(path.name)}


def _without_origin(text: str | None) -> str | None:
    return None if text is None else _ORIGIN.sub(r'\1""', text)


def _card_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text; save it as UTF-8, or delete it to begin anew") from None
