"""All checks of a card, in the order in which their problems are told for one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evenhand.model_cards.facts import CardFacts
from evenhand.model_cards.lint.amplification import amplification
from evenhand.model_cards.lint.front_matter_validity import front_matter_validity
from evenhand.model_cards.lint.generated_part import generated_part
from evenhand.model_cards.lint.hand_written_numbers import hand_written_numbers
from evenhand.model_cards.lint.leaks import leaks
from evenhand.model_cards.lint.links_and_pictures import links_and_pictures
from evenhand.model_cards.lint.linted_card import LintedCard
from evenhand.model_cards.lint.missing_uncertainty import missing_uncertainty
from evenhand.model_cards.lint.placeholders import placeholders
from evenhand.model_cards.lint.problem import Problem, located
from evenhand.model_cards.lint.report_hash import report_hash
from evenhand.model_cards.lint.report_pictures import report_pictures
from evenhand.model_cards.lint.stated_licence import stated_licence
from evenhand.model_cards.published_report import published_report

CARD = "README.md"
CHECKS: tuple[Callable[[LintedCard], Iterator[Problem]], ...] = (
    amplification,
    stated_licence,
    report_hash,
    front_matter_validity,
    generated_part,
    missing_uncertainty,
    hand_written_numbers,
    placeholders,
    links_and_pictures,
    report_pictures,
)
"""A check takes the card and gives its problems; a new one is a file and a line here."""
WITHOUT_REPORT = (front_matter_validity, placeholders, links_and_pictures)
"""Those that need neither report nor facts."""


def lint_card(
    card_text: str, report: Any, facts: CardFacts, folder: str | Path, files: Mapping[str, Path] | None = None
) -> list[str]:
    """Problems of one card, each one line ``README.md:LINE: what is wrong``; empty when it may be published.

    Args:
        card_text: the whole README.md.
        report: an `EvaluationReport` or its dict; it is sanitised by `published_report` first.
        facts: the declared facts. The card's own hand-written blocks take the place of their ``notes``.
        folder: where the card stands.
        files: what is published with the card, by name relative to it; None: all files in ``folder``.

    Raises:
        ValueError: the report is none, or of another schema.
    """
    files = files_in(Path(folder)) if files is None else files
    card = LintedCard(card_text, published_report(report), facts, files)
    problems = [problem for check in CHECKS for problem in check(card)]
    return located(CARD, [*problems, *leaks(CARD, card_text)])


def lint_card_alone(card_text: str, folder: str | Path) -> list[str]:
    """Problems of a card that has no report beside it, which is the first of them: its numbers cannot be compared.

    Args:
        card_text: the whole README.md.
        folder: where the card stands; its files are what links may lead to.
    """
    card = LintedCard(card_text, None, None, files_in(Path(folder)))
    alone = Problem(
        None, "no run and no staged folder, so its numbers cannot be compared with a report; give the run's folder"
    )
    problems = [problem for check in WITHOUT_REPORT for problem in check(card)]
    return located(CARD, [alone, *problems, *leaks(CARD, card_text)])


def files_in(folder: Path) -> dict[str, Path]:
    """Every file below ``folder`` by its name relative to it."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
