"""XLM-style corruption for masked language modelling (Lample & Conneau 2019; the masking of DistilBERT's training)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

IGNORED = -100
"""Label of a position that is not a target, as everywhere in transformers."""


@dataclass(frozen=True)
class CorruptedBatch:
    """``input_ids`` after corruption and ``labels`` (the original id at targets, -100 elsewhere), both (batch, length)."""

    input_ids: torch.Tensor
    labels: torch.Tensor


class XlmMasking:
    """Draws targets over the flattened batch, rare words more often, and corrupts them 80 / 10 / 10.

    ``ceil(probability · real tokens)`` targets are drawn without replacement with probability ∝
    ``max(count(word), 1) ** -smoothing``; special tokens never. Each target becomes [MASK] (80 %), stays (10 %), or
    becomes an id drawn uniformly from the vocabulary (10 %). This is not ``DataCollatorForLanguageModeling``, which draws
    each position independently and all words alike.

    Args:
        token_counts: ``(vocab_size,)`` occurrences of each id in the corpus; read only if ``smoothing`` is above 0.
        mask_token_id: id of [MASK].
        special_ids: ids that are never targets.
        probability: share of the real (non-padding) tokens, specials included in the count. Default .15.
        smoothing: exponent; 0 draws all words alike. Default .7.

    Raises:
        ValueError: a probability outside (0, 1], a negative smoothing, a tokenizer without a mask token.
    """

    def __init__(
        self,
        token_counts: torch.Tensor,
        mask_token_id: int | None,
        special_ids: list[int],
        probability: float = 0.15,
        smoothing: float = 0.7,
    ) -> None:
        if not 0 < probability <= 1:
            raise ValueError(f"mlm_probability must be above 0 and at most 1, not {probability}.")
        if not 0 <= smoothing < float("inf"):
            raise ValueError(f"mlm_smoothing must be 0 (uniform) or above, not {smoothing}.")
        if mask_token_id is None:
            raise ValueError("The tokenizer has no mask token, so it cannot be used for masked language modelling.")
        self.probability = probability
        self.mask_token_id = mask_token_id
        self.vocab_size = len(token_counts)
        self.weights = token_counts.clamp(min=1).double() ** -smoothing
        self.weights[special_ids] = 0

    def corrupt(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, generator: torch.Generator
    ) -> CorruptedBatch:
        """Corrupt one micro-batch.

        Args:
            input_ids: ``(batch, length)`` on the CPU.
            attention_mask: ``(batch, length)``, 1 at real tokens.
            generator: the source of every draw.
        """
        flat = input_ids.flatten()
        attended = attention_mask.flatten().bool()
        weights = self.weights[flat] * attended
        n_targets = min(math.ceil(self.probability * int(attended.sum())), int((weights > 0).sum()))
        labels = torch.full_like(flat, IGNORED)
        corrupted = flat.clone()
        if n_targets > 0:
            targets = torch.multinomial(weights, n_targets, replacement=False, generator=generator)
            labels[targets] = flat[targets]
            kind = torch.rand(n_targets, generator=generator)
            random_ids = torch.randint(self.vocab_size, (n_targets,), generator=generator)
            replaced = torch.where(kind < 0.8, self.mask_token_id, torch.where(kind < 0.9, flat[targets], random_ids))
            corrupted[targets] = replaced
        return CorruptedBatch(corrupted.view_as(input_ids), labels.view_as(input_ids))
