"""Sentence frames by word class, and how a word is put into one.

The frames are this project's own (``templates.yaml``); they are semantically bleached as May et al. 2019, section 3,
ask for, and grammatical for every word: articles, number and pronoun case follow the declared class of the word.
"""

from functools import lru_cache
from importlib.resources import files

import yaml


@lru_cache(maxsize=1)
def frames_by_class() -> dict[str, tuple[str, ...]]:
    """The frames of each word class, e.g. ``{"noun": ("Everyone knows about the {word}.", ...), ...}``.

    Every class has the same number of frames, at least six.

    Raises:
        ValueError: ``templates.yaml`` breaks that rule.
    """
    text = files("evenhand.evaluation").joinpath("templates.yaml").read_text(encoding="utf-8")
    frames = {name: tuple(items) for name, items in yaml.safe_load(text).items()}
    counts = {len(set(items)) for items in frames.values()}
    if len(counts) != 1 or min(counts) < 6:
        raise ValueError(f"templates.yaml: every class needs the same number (6 or more) of frames, found {counts}")
    return frames


def indefinite(word: str) -> str:
    """``word`` after its article: ``"an aunt"``, ``"a man"``. By spelling, which holds for every word shipped here."""
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"


def fill(frame: str, word: str) -> str:
    """Put ``word`` into ``frame``: ``fill("{A_word} was mentioned.", "aunt")`` is ``"An aunt was mentioned."``."""
    a_word = indefinite(word)
    return frame.format(
        word=word, Word=word[0].upper() + word[1:], a_word=a_word, A_word=a_word[0].upper() + a_word[1:]
    )
