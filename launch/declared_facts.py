"""What a run declares about its student: the recipe's publish section, and the hand-written text of its card."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from evenhand.launch.recipe import Recipe
from evenhand.launch.run_directory import RunDirectory
from evenhand.launch.task.recipe import TaskRecipe
from evenhand.model_cards import CardFacts
from evenhand.model_cards.facts import GATE, is_hub_id
from evenhand.model_cards.hand_written import read_blocks


def card_facts(recipe: Recipe | TaskRecipe, training: Mapping[str, Any] | None = None) -> CardFacts:
    """The recipe's publish section as declared facts; data sets default to the corpus's sources on the Hub (local files stand in
    the card's corpus table, under names that mean nothing to others).

    Args:
        recipe: of the run.
        training: contents of training.json; where it names the teacher's commit on the Hub, the recipe's teacher is the default base model.

    Raises:
        ValueError: a fact is not of the form that the Hub accepts, or the gate's thresholds were changed after the training.
    """
    facts = dataclasses.asdict(recipe.publish)
    _refuse_later_thresholds(facts["gate"], training)
    task = isinstance(recipe, TaskRecipe)
    sources = [] if task else recipe.corpus.sources
    facts["datasets"] = facts["datasets"] or [source.hub for source in sources if source.hub]
    of_the_hub = ((training or {}).get("teacher") or {}).get("revision") is not None
    teacher = next(iter(recipe.teacher.paths), "") if task else recipe.teacher.path
    if facts["base_model"] is None and of_the_hub and is_hub_id(teacher):
        facts["base_model"] = teacher
    return CardFacts(**facts)


def _refuse_later_thresholds(gate: Mapping[str, float], training: Mapping[str, Any] | None) -> None:
    """Thresholds chosen after the results could be chosen to pass; ``verify``, too, takes those of the training record."""
    if training is None:
        return
    fixed = {**GATE, **(((training.get("recipe") or {}).get("publish") or {}).get("gate") or {})}
    if dict(gate) != fixed:
        named = ", ".join(f"{name}: {value:g}" for name, value in fixed.items())
        raise ValueError(
            f"publish.gate was changed after the training, whose thresholds hold: put {{{named}}} back into recipe.yaml; "
            "publishing has --accept-amplification for a student that they hold back"
        )


def run_facts(run: RunDirectory, with_notes: bool = True) -> CardFacts:
    """`card_facts` of a run, with the hand-written blocks of the README.md that it has.

    Args:
        with_notes: False leaves these out, for who checks that file.

    Raises:
        FileNotFoundError: no run. ValueError: a declared fact is unusable, or a hand-written block is damaged.
    """
    facts = card_facts(run.recipe(), run.training() if run.training_file.is_file() else None)
    if not with_notes or not run.card_file.is_file():
        return facts
    try:
        return dataclasses.replace(facts, notes=read_blocks(run.card_file.read_text(encoding="utf-8")))
    except UnicodeDecodeError:
        raise ValueError(f"{run.card_file} is not UTF-8 text; save it as UTF-8, or delete it to begin anew") from None
    except ValueError as error:
        raise ValueError(f"{run.card_file}: {error}; mend it, or delete the file to begin anew") from None
