"""Masked language models cut at their seams: body, non-linear head transform, affine decoder.

The cut lets rows be selected before the head (about a third of the step's arithmetic and nearly all of its memory), and
lets mixed teacher logits be computed by mixing the decoder's *inputs*: the decoder is affine, so for weights that sum to
1 both are the same.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Encoded:
    """What a body gives: ``hidden`` (batch, length, width), the last hidden state, and ``features``, what the head reads:
    the same tensor for the known families, the logits (batch, length, vocab_size) for others."""

    hidden: torch.Tensor
    features: torch.Tensor


class MlmParts:
    """A masked LM as ``encode`` (ids to hidden states), ``head_rows`` (selected positions to decoder inputs) and a decoder.

    Args:
        model: an ``AutoModelForMaskedLM`` model. BERT, DistilBERT and RoBERTa (and what derives from their classes) are
            cut; any other family runs its whole forward, which is slower, and a warning says so.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.family = _family_of(model)
        if self.family is None:
            warnings.warn(
                f"{type(model).__name__} is not of a family whose head is known (BERT, DistilBERT, RoBERTa): the whole "
                "forward runs with logits at every position, which is slower and takes more memory.",
                stacklevel=2,
            )

    def encode(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Encoded:
        """One body forward; both arguments ``(batch, length)``. No token types are passed (the default, type 0, is used)."""
        if self.family is None:
            output = self.model(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
            return Encoded(output.hidden_states[-1], output.logits)
        hidden = self.model.base_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return Encoded(hidden, hidden)

    def head_rows(self, encoded: Encoded, positions: torch.Tensor) -> torch.Tensor:
        """Decoder inputs ``(n, features)`` at flat ``positions`` ``(n,)`` of the (batch · length) grid."""
        rows = encoded.features.flatten(0, 1).index_select(0, positions)
        if self.family == "bert":
            return self.model.cls.predictions.transform(rows)
        if self.family == "distilbert":
            return self.model.vocab_layer_norm(self.model.activation(self.model.vocab_transform(rows)))
        if self.family == "roberta":
            return self.model.lm_head.layer_norm(nn.functional.gelu(self.model.lm_head.dense(rows)))
        return rows

    @property
    def decoder(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Weight ``(vocab_size, features)`` and bias ``(vocab_size,)``; (None, None) where the head is not cut."""
        module = self.decoder_module
        return (None, None) if module is None else (module.weight, module.bias)

    @property
    def decoder_module(self) -> nn.Linear | None:
        """The output projection itself, None for a family that is not cut."""
        if self.family == "bert":
            return self.model.cls.predictions.decoder
        if self.family == "distilbert":
            return self.model.vocab_projector
        if self.family == "roberta":
            return self.model.lm_head.decoder
        return None

    @property
    def word_embeddings(self) -> nn.Embedding:
        """The input word-embedding table."""
        return self.model.get_input_embeddings()


def position_embeddings(model: nn.Module) -> nn.Embedding | None:
    """The table of learned absolute positions, None for a model that has none under the usual name."""
    embeddings = getattr(model.base_model, "embeddings", None)
    return getattr(embeddings, "position_embeddings", None)


_FAMILIES = {
    "bert": "bert",
    "distilbert": "distilbert",
    "roberta": "roberta",
    "xlm-roberta": "roberta",
    "camembert": "roberta",
}
"""Model types whose head has the parts of a family. Listed by name, not guessed from attributes: MobileBERT, say, has
BERT's attribute names but another decoder."""


def _family_of(model: nn.Module) -> str | None:
    return _FAMILIES.get(model.config.model_type)
