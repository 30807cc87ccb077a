"""Words and sentences of the tiny teacher of these tests."""

import random

from tiny_distillation import OTHER_WORDS, PAIR_WORDS, SPECIAL

VOCABULARY = [*SPECIAL, *PAIR_WORDS, *OTHER_WORDS]


def write_text(path, lines: int, pair_words: bool = True, seed: int = 0):
    """Sentences of 11 to 20 words, one a line; about every fourth word is one of a pair, or none is."""
    draw = random.Random(seed)

    def word() -> str:
        return draw.choice(PAIR_WORDS if pair_words and draw.random() < 0.25 else OTHER_WORDS)

    text = [" ".join(word() for _ in range(draw.randint(11, 20))) for _ in range(lines)]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path
