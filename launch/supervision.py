"""From a recipe's sections to the supervision transform of a training: mixup, pair equalisation, counterfactual teacher, or none."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from importlib import resources

from torch.utils.data import IterableDataset
from transformers import PreTrainedTokenizerBase

from evenhand.evaluation.gender_swaps import builtin_swaps
from evenhand.evaluation.stimuli import builtin_stimuli
from evenhand.launch.planted_grammar import load_grammar
from evenhand.launch.recipe import TRANSFORMS, Recipe
from evenhand.launch.run_directory import RunDirectory
from evenhand.trainer import CounterfactualTeacher, GenderMixup, PairEqualisation, WordPairs
from evenhand.trainer.corpus import Corpus
from evenhand.trainer.random_pairs import RandomPairMixup, draw_number, random_pairs
from evenhand.trainer.supervision import SupervisionTransform
from evenhand.trainer.token_counts import count_whole_words
from evenhand.trainer.word_boundaries import WordBoundaries

GENDERED = ("gender", "genders", "sex", "sexes", "sexual")
"""Words about gender that no list of counterfactual pairs holds."""


def pairs_of(recipe: Recipe) -> WordPairs | None:
    """The word pairs of the transform that is enabled, None without one; for random pairs those that they are matched to.

    Raises:
        FileNotFoundError, ValueError: as :meth:`WordPairs.load`.
    """
    for name in TRANSFORMS:
        if (section := getattr(recipe, name)).enabled:
            return WordPairs.builtin() if _draw(recipe) is not None else WordPairs.load(section.pairs)
    return None


def pairs_sha256(recipe: Recipe, pairs: WordPairs | None) -> str | None:
    """Hash of what :func:`pairs_of` gave and, for random pairs, of the words that may not be drawn."""
    if pairs is None or _draw(recipe) is None:
        return pairs and pairs.sha256
    return hashlib.sha256(json.dumps([pairs.sha256, sorted(words_not_drawn())]).encode()).hexdigest()


def supervision_of(recipe: Recipe, pairs: WordPairs | None, tokenizer: PreTrainedTokenizerBase) -> SupervisionTransform:
    """The transform, before the corpus is known: for random pairs a mixup of those that they are matched to (see :func:`on_corpus`).

    Raises:
        ValueError: a setting that the transform refuses, or pairs that this tokenizer cannot exchange.
    """
    if pairs is None:
        return SupervisionTransform()
    if recipe.equalisation.enabled:
        heat = recipe.objective.temperature
        return PairEqualisation(tokenizer, pairs, temperature=heat, **_settings(recipe.equalisation))
    if recipe.counterfactual.enabled:
        return CounterfactualTeacher(tokenizer, pairs, **_settings(recipe.counterfactual))
    if _draw(recipe) is not None:  # a gender pair of several tokens is not matched, and so no reason to stop
        return GenderMixup(tokenizer, pairs, **_settings(recipe.mixup) | {"unequal_pairs": "skip"})
    return GenderMixup(tokenizer, pairs, **_settings(recipe.mixup))


def on_corpus(
    supervision: SupervisionTransform,
    recipe: Recipe,
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    run: RunDirectory,
) -> SupervisionTransform:
    """The transform that is trained with, random pairs drawn; ``run`` is given up where the corpus does not suit it.

    Raises:
        ValueError: a transform that would never meet a word of its pairs and be a plain run under another name; too few words to draw.
    """
    try:
        if (draw := _draw(recipe)) is not None:
            supervision = _random_pair_mixup(recipe, corpus, tokenizer, draw)
        _check_pair_words(supervision, corpus)
    except ValueError:
        run.release()
        raise
    return supervision


@cache
def measured_words() -> frozenset[str]:
    """Every word of the built-in association tests and of the built-in counterfactual pairs, in lower case."""
    stimuli = builtin_stimuli()
    of_tests = (words for test in (*stimuli.tests, *stimuli.set_aside) for words in test.sets.values())
    words = {word.lower() for stimulus_set in of_tests for word in stimulus_set.words}
    return frozenset(words | set(builtin_swaps().partner) | set(GENDERED))


@cache
def words_not_drawn() -> frozenset[str]:
    """What the control of random pairs may not draw, in lower case: the measured words, and first names, which carry a gender too."""
    text = resources.files("evenhand.launch").joinpath("first_names.txt").read_text(encoding="utf-8")
    names = {word for line in text.splitlines() if not line.startswith("#") for word in line.split()}
    planted = {name.lower() for slot in load_grammar().names for name in (slot.male, slot.female)}
    return measured_words() | names | planted


def _draw(recipe: Recipe) -> int | None:
    return draw_number(recipe.mixup.pairs) if recipe.mixup.enabled else None


def _settings(section) -> dict:
    return {name: value for name, value in asdict(section).items() if name not in ("enabled", "pairs")}


def _random_pair_mixup(
    recipe: Recipe, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, draw: int
) -> RandomPairMixup:
    counts = corpus.token_counts
    if not isinstance(corpus.train, IterableDataset):
        counts = count_whole_words(corpus.train, WordBoundaries(tokenizer))
    drawn = random_pairs(tokenizer, counts, exclude=words_not_drawn(), draw=draw)
    return RandomPairMixup(tokenizer, drawn, **_settings(recipe.mixup))


def _check_pair_words(supervision: SupervisionTransform, corpus: Corpus) -> None:
    if not isinstance(supervision, GenderMixup | CounterfactualTeacher):
        return
    if not supervision.compiled.occur_in(corpus.train, corpus.token_counts):
        section = "mixup" if isinstance(supervision, GenderMixup) else "counterfactual"
        raise ValueError(
            f"The corpus holds no word of the pairs ({supervision.compiled.pairs.source}), so the {section} would change nothing; "
            f"use a larger corpus, other pairs, or {section}.enabled=false."
        )
