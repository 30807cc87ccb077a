"""Words and sentences of the tiny teacher of these tests."""

import random

PAIR_WORDS = ["he", "she", "man", "woman", "boy", "girl", "father", "mother", "his", "her"]
OTHER_WORDS = [
    "the",
    "a",
    "nurse",
    "doctor",
    "engineer",
    "teacher",
    "said",
    "that",
    "is",
    "was",
    "went",
    "to",
    "home",
    "work",
    "school",
    "and",
    "saw",
    "big",
    "red",
    "old",
    "house",
    "dog",
    "cat",
    "tree",
    "river",
    "with",
    "from",
    "into",
    "over",
    "under",
    "slowly",
    "quickly",
    "every",
    "day",
    "some",
    "people",
    "walked",
    "read",
    "wrote",
    "book",
    "letter",
    "city",
    ".",
]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PAIR_WORDS, *OTHER_WORDS]


def write_text(path, lines: int, pair_words: bool = True, seed: int = 0):
    """Sentences of 11 to 20 words, one a line; about every fourth word is one of a pair, or none is."""
    draw = random.Random(seed)

    def word() -> str:
        return draw.choice(PAIR_WORDS if pair_words and draw.random() < 0.25 else OTHER_WORDS)

    text = [" ".join(word() for _ in range(draw.randint(11, 20))) for _ in range(lines)]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path
