"""Where words begin and end in token ids, for WordPiece, BPE, Unigram and word-level vocabularies."""

from __future__ import annotations

import torch
from transformers import PreTrainedTokenizerBase

SPACE_MARKS = ("Ġ", "▁")


class WordBoundaries:
    """Tells, per token id, whether it continues the word of the token before it.

    WordPiece marks continuations (``##ore``); BPE and Unigram mark *starts* (``Ġhe``, ``▁he``), and a token without the
    mark continues a word only where letters meet letters, so that the quote in ``"he`` or the stop in ``he.`` does not
    hide the word.

    Args:
        tokenizer: a fast or slow tokenizer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.vocab_size = max(len(tokenizer), max(tokenizer.get_vocab().values()) + 1)
        tokens = [""] * self.vocab_size
        for token, index in tokenizer.get_vocab().items():
            tokens[index] = token
        special = set(tokenizer.all_special_ids)
        self.marks_spaces = sum(token.startswith(SPACE_MARKS) for token in tokens) > 0.05 * len(tokens)
        continuation = torch.zeros(self.vocab_size, dtype=torch.bool)
        begins_with_letter, ends_with_letter = continuation.clone(), continuation.clone()
        for index, token in enumerate(tokens):
            if index in special or not token:
                continue
            continuation[index] = not self.marks_spaces and token.startswith("##") and len(token) > 2
            begins_with_letter[index] = self.marks_spaces and token[0].isalnum() and token[0] not in SPACE_MARKS
            ends_with_letter[index] = token[-1].isalnum() and token[-1] not in SPACE_MARKS
        self._continuation, self._begins, self._ends = continuation, begins_with_letter, ends_with_letter

    def joined_to_previous(self, ids: torch.Tensor) -> torch.Tensor:
        """``(batch, length)`` ids to ``(batch, length)`` booleans: the token continues the word of its predecessor."""
        joined = self._continuation[ids]
        joined[:, 1:] |= self._begins[ids[:, 1:]] & self._ends[ids[:, :-1]]
        return joined

    def forms(self, word: str, which: str) -> list[str]:
        """Spellings of ``word`` to look for, the word as it usually stands in text first.

        The list has the same order and length for every word, so that two sides pair form by form.
        """
        if which == "exact":
            return [f" {word}" if self.marks_spaces else word]
        cases = [word, word[:1].upper() + word[1:], word.lower(), word.upper()]
        return [f" {case}" for case in cases] + cases if self.marks_spaces else cases
