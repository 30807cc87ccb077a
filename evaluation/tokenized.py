"""Distinct sentences as token ids, in batches whose sentences all have the same number of tokens."""

import inspect
from collections.abc import Sequence

import torch
from torch import nn


def max_length(model: nn.Module, tokenizer) -> int:
    """The most tokens that model and tokenizer both take.

    A position table with a padding row (RoBERTa, MPNet) counts positions from that row on, so it takes that many fewer
    tokens than it has rows.
    """
    limits = [getattr(model.config, "max_position_embeddings", None), tokenizer.model_max_length]
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            limits.append(len(module.weight) - module.padding_idx - 1)
    return int(min(limit for limit in limits if limit and limit > 0))


def input_names(model: nn.Module, tokenizer) -> tuple[str, ...]:
    """What of a tokenizer's output a classifier of texts or of pairs is given, by the rule of its training (`evenhand.trainer.model_inputs.TextInputs`).

    Token types only where the model tells two apart: RoBERTa takes them and has a single one, so the second text of a pair would be out of
    its table.
    """
    accepted = inspect.signature(model.forward).parameters
    types = getattr(model.config, "type_vocab_size", 0) or 0
    return tuple(
        name for name in tokenizer.model_input_names if name in accepted and (name != "token_type_ids" or types > 1)
    )


class TokenizedSentences:
    """Sentences as a tokenizer gives them to a model, each alone (no padding, no truncation).

    Args:
        model: whose inputs and limit count.
        tokenizer: its tokenizer.
        sentences: without repeats.
        special: add the special tokens ([CLS], [SEP], </s> …).

    Raises:
        ValueError: a sentence that has no tokens, or more than the model takes.
    """

    def __init__(self, model: nn.Module, tokenizer, sentences: Sequence[str], special: bool):
        self.sentences = list(sentences)
        encoded = tokenizer(
            self.sentences,
            add_special_tokens=special,
            return_special_tokens_mask=True,
            padding=False,
            truncation=False,
            verbose=False,  # one that is too long is refused below
        )
        self._ids, self._special = encoded["input_ids"], encoded["special_tokens_mask"]
        # A lone sentence has types 0, which is what models assume, but for XLNet's [CLS].
        types = encoded.get("token_type_ids") or []
        typed = any(map(any, types)) and "token_type_ids" in inspect.signature(model.forward).parameters
        self._types = types if typed else None
        limit = max_length(model, tokenizer)
        for sentence, ids in zip(self.sentences, self._ids, strict=True):
            if not ids:
                raise ValueError(f"the sentence {sentence!r} has no token to pool over")
            if len(ids) > limit:
                raise ValueError(f"the sentence {sentence[:60]!r}… has {len(ids)} tokens, the model takes {limit}")

    def batches(self, batch_size: int, max_tokens: int) -> list[list[int]]:
        """Rows of the sentences of each batch: sentences of one length, at most ``batch_size`` of them and (if there is
        more than one) ``max_tokens`` tokens; short ones first."""
        by_length: dict[int, list[int]] = {}
        for row, ids in enumerate(self._ids):
            by_length.setdefault(len(ids), []).append(row)
        found = []
        for length, rows in sorted(by_length.items()):
            size = min(batch_size, max(1, max_tokens // length))
            found += [rows[i : i + size] for i in range(0, len(rows), size)]
        return found

    def inputs(self, rows: list[int]) -> dict[str, torch.Tensor]:
        """What the model takes for a batch, each (batch, tokens)."""
        ids = torch.tensor([self._ids[row] for row in rows])
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if self._types is not None:
            inputs["token_type_ids"] = torch.tensor([self._types[row] for row in rows])
        return inputs

    def ordinary(self, rows: list[int]) -> torch.Tensor:
        """(batch, tokens) bool: tokens of the sentence itself, not those that the tokenizer adds."""
        return ~torch.tensor([self._special[row] for row in rows], dtype=torch.bool)
