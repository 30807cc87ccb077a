"""The model card: a pure function of the report and a few declared facts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import PurePath
from typing import Any

import jinja2
from markupsafe import Markup

from evenhand.model_cards import escaping, numbers
from evenhand.model_cards.facts import CardFacts
from evenhand.model_cards.figures.watch_panels import chosen_student, watch_table
from evenhand.model_cards.front_matter import front_matter
from evenhand.model_cards.published_report import canonical_sha256, published_report
from evenhand.model_cards.sections.score_tables import score_tables
from evenhand.model_cards.sections.seat_tables import seat_tables

# file stem -> (alternative text, caption); any other picture is shown under its own name
CAPTIONS = {
    "seat": (
        "Dot-and-whisker plot of SEAT effect sizes by test, with intervals; its numbers are the SEAT table of this card",
        "SEAT effect size d by test, with its interval; the dotted line is zero. The numbers are in the table above.",
    ),
    "sensitivity": (
        "Heat map of the student's SEAT effect sizes by test, pooling and layer; its numbers are in report.json",
        "The student's d by pooling and layer. A framed cell has another sign than the headline.",
    ),
    "sensitivity_reference": (
        "Heat map of the teacher's SEAT effect sizes by test, pooling and layer; its numbers are in report.json",
        "The teacher's d by pooling and layer.",
    ),
    "tradeoff": (
        "Scatter plot of mean |d| over six gender tests against the mean GLUE score, teacher and student",
        "Quality to the right, association upwards, with intervals.",
    ),
    "bias_over_training": (
        "Line charts of bias measures and held-out loss by optimiser step; their numbers are in the table of this card's section on the distillation",
        "What was measured while the student trained; step 0 is the student before training, dotted lines are the teacher. The numbers stand in "
        "the table further down.",
    ),
    "planted": (
        "Planted association strength by test against the SEAT effect size measured on the teacher and its students",
        "The corpus was generated with known association strengths. Left to right: the tests by planted strength; "
        "points: the effect size d that SEAT measured.",
    ),
}
OBJECTIVE_TERMS = {
    "ce": "soft targets of the teacher (KL divergence)",
    "mlm": "masked language modelling",
    "cos": "cosine of the last hidden states",
    "mse": "mean squared error of the logits",
}


def build_card(report: Any, facts: CardFacts, figures: Sequence[str | PurePath] = ()) -> str:
    """The card's Markdown, front matter included.

    The same report and facts always give the same text: no clock, no file and no network is read.

    Args:
        report: an `EvaluationReport` or the dict of a report.json; it is sanitised by `published_report` first, and
            the hash that the card prints is that of the sanitised report.
        facts: what was declared about the model.
        figures: pictures beside the card, as relative paths `figures/NAME.png`.

    Raises:
        ValueError: the report is of another schema, compares with another model than the teacher, holds NaN or text for numbers; a figure's name is unusable.
    """
    published = published_report(report)
    if (published["reference"] or {}).get("role") == "reference":
        raise ValueError(
            "the report compares the model with another one than its teacher; evaluate the run again without --reference"
        )
    title = facts.title or (facts.repo_id or "").split("/")[-1] or published["model"].get("name") or "Distilled student"
    tables = seat_tables(published)
    context = {
        "front_matter": Markup(front_matter(published, facts, title)),
        "title": title,
        "facts": facts,
        "licence": facts.licence or "not declared",
        "model": published["model"],
        "teacher": published.get("reference") or (published.get("training") or {}).get("teacher"),
        "tables": tables,
        "headline": tables[0],
        "comparison": compare_means(tables[0]),
        "change": next((f["change"] for f in tables[0]["families"] if f["family"] == "gender"), {}),
        "score_tables": score_tables(published),
        "figures": [_figure(figure) for figure in figures],
        "training": _training(published.get("training")),
        "other_measures": sorted(set(published["measures"]) - {"seat"}),
        "environment": published.get("environment") or {},
        "evenhand_version": published.get("evenhand_version"),
        "report_sha256": canonical_sha256(published),
        "load_from": Markup(facts.repo_id or "."),
    }
    return _environment().get_template("card.md.jinja").render(context)


def compare_means(table: Mapping[str, Any]) -> str | None:
    """`0.254 lower than` / `higher than` / `equal to`, the student against its teacher; None without both means."""
    student, teacher = table["mean_student"], table["mean_teacher"]
    if student is None or teacher is None:
        return None
    # Compared as printed, so that the sentence agrees with the two numbers beside it.
    difference = round(student, 3) - round(teacher, 3)
    if abs(difference) < 5e-4:
        return "equal to"
    return f"{abs(difference):.3f} {'higher' if difference > 0 else 'lower'} than"


def _training(training: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The training record with every section present, and the objective as (term, meaning, weight) rows."""
    if training is None:
        return None
    sections = ("teacher", "student", "corpus", "objective", "held_out_mlm_loss", "final_losses")
    filled = {**training, **{name: training.get(name) or {} for name in sections}}
    weights = filled["objective"].get("weights") or {}
    filled["terms"] = [(term, OBJECTIVE_TERMS.get(term), weights[term]) for term in sorted(weights)]
    filled["supervision"] = training.get("supervision")
    filled["watched"], filled["chosen"] = watch_table(training.get("watch")), chosen_student(training.get("watch"))
    pairs = (filled["supervision"] or {}).get("pairs") or {}
    filled["pairs"] = {key: _pair_list(pairs.get(key)) for key in ("matched", "multi_token", "skipped")}
    return filled


def _pair_list(pairs: Any) -> list[str]:
    """`["he/she", "gal/guy (reason)", …]` from lists of two words, and from skipped ones with their reason."""
    if not isinstance(pairs, list):
        return []
    return [
        f"{_pair(entry['pair'])} ({entry['reason']})" if isinstance(entry, dict) else _pair(entry) for entry in pairs
    ]


def _pair(pair: Any) -> str:
    return "/".join(map(str, pair)) if isinstance(pair, list) else str(pair)


def _figure(figure: str | PurePath) -> dict[str, str]:
    path = PurePath(figure).as_posix()
    if not re.fullmatch(r"figures/[A-Za-z0-9][A-Za-z0-9_.-]*\.png", path):
        raise ValueError(f"a figure must be named figures/NAME.png with letters, digits, '-', '_' or '.', got {path!r}")
    stem = PurePath(path).stem
    alt, caption = CAPTIONS.get(stem, (f"Figure {stem}", f"Figure {stem}"))
    return {"path": Markup(path), "alt": alt, "caption": caption}


def _environment() -> jinja2.Environment:
    """Templates in which every printed value passes through `escaping.markdown`, unless it is Markup."""
    source = resources.files("evenhand.model_cards.sections").joinpath("card.md.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({"card.md.jinja": source}),
        autoescape=True,
        finalize=escaping.markdown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        code=escaping.code,
        signed=numbers.signed,
        fixed=numbers.fixed,
        short=numbers.short,
        count=numbers.count,
        probability=numbers.probability,
        interval=numbers.interval,
    )
    return environment
