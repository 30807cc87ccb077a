"""The transform of an arm on a sample of text, before there is a corpus: for timing and counting alone."""

from __future__ import annotations

from dataclasses import asdict

from evenhand.launch.recipe import Recipe
from evenhand.launch.study.planning.ground import Ground
from evenhand.launch.supervision import pairs_of, supervision_of
from evenhand.trainer.random_pairs import RandomPairMixup, draw_number, random_pairs
from evenhand.trainer.supervision import SupervisionTransform


def supervision_here(recipe: Recipe, ground: Ground) -> SupervisionTransform:
    """As the training will have it, but that random pairs are as frequent in the sample, and not in the corpus.

    Raises:
        ValueError, FileNotFoundError: pairs that cannot be used.
    """
    matched = supervision_of(recipe, pairs_of(recipe), ground.tokenizer)
    draw = draw_number(recipe.mixup.pairs) if recipe.mixup.enabled else None
    if draw is None:
        return matched
    try:
        drawn = random_pairs(ground.tokenizer, ground.token_counts, draw=draw)
    except ValueError:
        return matched  # the sample is too small to draw from; those that they are matched to cost as much
    settings = {name: value for name, value in asdict(recipe.mixup).items() if name not in ("enabled", "pairs")}
    return RandomPairMixup(ground.tokenizer, drawn, **settings)
