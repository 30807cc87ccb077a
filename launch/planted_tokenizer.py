"""A tokenizer for the planted corpus: every word of it is one token, and no ASCII word is unknown."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable

from transformers import BertTokenizerFast

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def build_tokenizer(documents: Iterable[str], also: Iterable[str] = (), max_length: int = 128) -> BertTokenizerFast:
    """A lower-casing BERT WordPiece tokenizer whose vocabulary holds the texts' words whole.

    After the five special tokens come the words by falling frequency (ties in alphabetical order), then single characters
    and their "##" forms, so that any other ASCII word is spelled out.

    Args:
        documents: the texts to count words in.
        also: texts whose words enter the vocabulary too, such as evaluation sentences.
        max_length: the tokenizer's model_max_length, in tokens.

    Returns:
        The tokenizer; equal texts give an equal vocabulary.
    """
    splitter = BertTokenizerFast(
        vocab={token: i for i, token in enumerate(SPECIAL_TOKENS)}, do_lower_case=True
    ).backend_tokenizer
    counts: Counter = Counter()
    for texts, weight in ((documents, 1), (also, 0)):
        for text in texts:
            words = splitter.pre_tokenizer.pre_tokenize_str(splitter.normalizer.normalize_str(text))
            counts.update({word: weight for word, _ in words} if not weight else Counter(word for word, _ in words))
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    characters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = [*characters, *(f"##{character}" for character in string.ascii_lowercase + string.digits)]
    vocabulary = dict.fromkeys([*SPECIAL_TOKENS, *ordered, *pieces])
    return BertTokenizerFast(
        vocab={token: i for i, token in enumerate(vocabulary)}, do_lower_case=True, model_max_length=max_length
    )
