"""``evenhand card`` and ``evenhand publish``: a run's card, and its staged folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from evenhand.evaluation import EvaluationReport
from evenhand.launch.recipe import Recipe
from evenhand.launch.run_directory import RunDirectory
from evenhand.launch.whole_files import write_text
from evenhand.model_cards import CardFacts, build_card, publish
from evenhand.model_cards.figures.pictures import draw_pictures


def card_facts(recipe: Recipe) -> CardFacts:
    """The recipe's publish section as declared facts; data sets default to the corpus's sources on the Hub (local files stand in
    the card's corpus table, under names that mean nothing to others).

    Raises:
        ValueError: a fact is not of the form that the Hub accepts.
    """
    facts = asdict(recipe.publish)
    facts["datasets"] = facts["datasets"] or [source.hub for source in recipe.corpus.sources if source.hub]
    return CardFacts(**facts)


def write_card(run_dir: str | Path) -> Path:
    """Write ``README.md`` and its pictures into an evaluated run; the card's path.

    Raises:
        FileNotFoundError: no report yet.
    """
    run = RunDirectory(run_dir)
    report = EvaluationReport.load(run.report_file)
    facts = card_facts(run.recipe())
    draw_pictures(report, run.figures)
    figures = sorted(
        (f"figures/{path.name}" for path in run.figures.glob("*.png")),
        key=lambda name: (name != "figures/seat.png", name),
    )
    return write_text(run.card_file, build_card(report, facts, figures))


def publish_run(run_dir: str | Path, folder: str | Path) -> Path:
    """Stage a run into ``folder``, checked; nothing appears there when a check fails.

    Raises:
        FileNotFoundError, ValueError: no such run, student or report, or the folder holds something else. RuntimeError: a check failed.
    """
    return publish(run_dir, folder, card_facts(RunDirectory(run_dir).recipe()))
