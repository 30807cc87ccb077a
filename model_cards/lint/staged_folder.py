"""What must not be published: a check of a staged folder without loading the model."""

from __future__ import annotations

import json
from pathlib import Path

from evenhand.evaluation.report import EvaluationReport
from evenhand.model_cards.facts import CardFacts
from evenhand.model_cards.hand_written import read_blocks
from evenhand.model_cards.lint.card_checks import files_in, lint_card
from evenhand.model_cards.lint.leaks import leaks, text_of
from evenhand.model_cards.lint.problem import located
from evenhand.model_cards.lint.report_hash import printed_report_hash
from evenhand.model_cards.published_report import published_report
from evenhand.model_cards.staging import CARD, FACTS, REPORT, unexpected_files

__all__ = ["lint_staged", "printed_report_hash"]


def lint_staged(folder: str | Path) -> list[str]:
    """Problems of a staged folder, one line each with the file and the line in it; empty when it may be published.

    Checked: no file that staging never writes (pickles among them); a report without machine paths; the card, as `lint_card` does, with
    the hand-written text that the facts hold; no secret or machine path in any text, the head of the weights included.

    Args:
        folder: as `stage` made it.

    Raises:
        FileNotFoundError: no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"staged folder {folder} does not exist; make it first: evenhand publish RUN {folder}")
    problems = [f"{name}: staging never writes such a file; remove it" for name in unexpected_files(folder)]
    missing = [name for name in (CARD, REPORT, FACTS, "config.json") if not (folder / name).is_file()]
    problems += [f"{name}: missing; stage the folder again" for name in missing]
    if not missing:
        problems += _card_problems(folder)
    return problems + lint_texts(
        {name: text_of(path) for name, path in files_in(folder).items() if name != CARD or missing}
    )


def lint_texts(texts: dict[str, str | None]) -> list[str]:
    """Secrets and machine paths in texts by file name; None stands for a file that is no text."""
    return [line for name, text in texts.items() if text is not None for line in located(name, leaks(name, text))]


def _card_problems(folder: Path) -> list[str]:
    try:
        report = EvaluationReport.load(folder / REPORT).to_dict()
        published = published_report(report)
    except (OSError, ValueError) as error:
        return [_line(REPORT, error)]
    try:
        facts = CardFacts.from_dict(json.loads((folder / FACTS).read_text(encoding="utf-8")))
        card = (folder / CARD).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        return [_line(FACTS, error)]
    problems = [] if published == report else [f"{REPORT}: holds machine paths; stage the folder again"]
    return [*problems, *lint_card(card, published, facts, folder), *_notes_problems(card, facts)]


def _notes_problems(card: str, facts: CardFacts) -> list[str]:
    """Hand-written text that was changed in the staged card alone, which `verify` would not find in the facts."""
    try:
        blocks = read_blocks(card)
    except ValueError:
        return []  # one of the card's own problems
    changed = sorted(name for name in blocks.keys() | facts.notes.keys() if blocks.get(name) != facts.notes.get(name))
    return [
        f"{CARD}: the hand-written block {name!r} is not that of {FACTS}; write it in the run's README.md and publish again"
        for name in changed
    ]


def _line(name: str, error: Exception) -> str:
    text = " ".join(str(error).split())[:200]
    return text if text.startswith(name) else f"{name}: {text}"
