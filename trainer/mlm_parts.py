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

from evenhand.trainer.chunked_head import padded
from evenhand.trainer.cpu_linear import product
from evenhand.trainer.length_pieces import Piece


@dataclass(frozen=True)
class Encoded:
    """What a body gives, the positions of all its pieces (see :mod:`~evenhand.trainer.length_pieces`) laid end to end: ``hidden``
    ``(n_positions, width)``, the last hidden state, and ``features``, what the head reads: the same tensor for the known families,
    the logits ``(n_positions, vocab_size)`` for others. Without a cut, position ``row · length + column`` of the batch's grid."""

    hidden: torch.Tensor
    features: torch.Tensor


class MlmParts:
    """A masked LM as ``encode`` (ids to hidden states), ``head_rows`` (selected positions to decoder inputs) and a decoder.

    Args:
        model: an ``AutoModelForMaskedLM`` model. BERT, DistilBERT and RoBERTa (and what derives from their classes) are
            cut; any other family runs its whole forward, which is slower, and a warning says so.
    """

    _padded_decoder: tuple[tuple, torch.Tensor, torch.Tensor | None] | None = None
    """Which decoder it was, and its weight and bias as the product wants them: the teacher's never change."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.family = _family_of(model)
        if self.family is None:
            warnings.warn(
                f"{type(model).__name__} is not of a family whose head is known (BERT, DistilBERT, RoBERTa): the whole "
                "forward runs with logits at every position, which is slower and takes more memory.",
                stacklevel=2,
            )

    def encode(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        pieces: list[Piece] | None = None,
        word_embeddings: torch.Tensor | None = None,
    ) -> Encoded:
        """One body forward. No token types are passed (the default, type 0, is used).

        Args:
            input_ids: ``(batch, length)``.
            attention_mask: ``(batch, length)``, 1 at real tokens.
            pieces: how the batch is cut; None for one piece.
            word_embeddings: ``(batch, length, width)`` to take the place of the table's rows.
        """
        whole = {"sequences": None, "length": input_ids.shape[1], "padded": True}
        outputs = [
            self._encode_piece(*_taken((input_ids, attention_mask, word_embeddings), piece), piece["padded"])
            for piece in pieces or [whole]
        ]
        hidden, features = zip(*outputs, strict=True)
        joined = _laid_end_to_end(hidden)
        return Encoded(joined, joined if features[0] is hidden[0] else _laid_end_to_end(features))

    def _encode_piece(self, ids, mask, embeddings, padded: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states and features, ``(n, length, …)`` each.

        A table's rows are replaced in a hook, not given as ``inputs_embeds``: RoBERTa reads its positions from the ids.
        """
        hook = None
        if embeddings is not None:
            hook = self.word_embeddings.register_forward_hook(lambda *_: embeddings)
        try:
            mask = self._attention(mask) if padded else None
            if self.family is None:
                output = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
                return output.hidden_states[-1], output.logits
            hidden = self.model.base_model(input_ids=ids, attention_mask=mask).last_hidden_state
            return hidden, hidden
        finally:
            if hook is not None:
                hook.remove()

    def _attention(self, mask: torch.Tensor) -> torch.Tensor:
        """The mask as the body takes it without looking into it: for a mask ``(n, length)`` transformers asks whether it is all
        ones, and waits for the device to answer."""
        if self.family is None or self.model.config._attn_implementation != "sdpa":
            return mask
        return mask.bool()[:, None, None, :].expand(-1, 1, mask.shape[1], -1)

    def compile_layers(self, **options) -> None:
        """Let ``torch.compile`` make the layers' kernels, in place (``options`` are its own).

        Not the whole model: its embeddings carry hooks that change from batch to batch, and the loss changes the call itself
        (:mod:`~evenhand.trainer.redirected_forward`); either would compile anew at each step.

        Raises:
            ValueError: the family's layers are not known.
        """
        layers = getattr(self.model.base_model, "encoder", None) or getattr(self.model.base_model, "transformer", None)
        if self.family is None or layers is None:
            raise ValueError(
                f"torch_compile: the layers of {type(self.model).__name__} are not known; set training.torch_compile=false."
            )
        layers.compile(**options)

    def head_rows(self, encoded: Encoded, positions: torch.Tensor) -> torch.Tensor:
        """Decoder inputs ``(n, features)`` at ``positions`` ``(n,)`` of ``encoded``."""
        rows = encoded.features.index_select(0, positions)
        if self.family == "bert":
            return self.model.cls.predictions.transform(rows)
        if self.family == "distilbert":
            return self.model.vocab_layer_norm(self.model.activation(self.model.vocab_transform(rows)))
        if self.family == "roberta":
            return self.model.lm_head.layer_norm(nn.functional.gelu(self.model.lm_head.dense(rows)))
        return rows

    def logits(self, rows: torch.Tensor) -> torch.Tensor:
        """Decoder inputs ``(n, features)`` to logits ``(n, vocab_size)``, a fresh tensor, without gradient."""
        weight, bias = self.decoder
        if weight is None:
            return rows.clone()
        known = weight.dtype, weight.data_ptr(), weight._version
        if self._padded_decoder is None or self._padded_decoder[0] != known:
            fill = padded(weight)
            self._padded_decoder = known, fill, bias if fill is weight or bias is None else padded(bias)
        _, fill, bias = self._padded_decoder
        return product(rows, fill, bias)[:, : len(weight)]

    @property
    def recomputes(self) -> bool:
        """Whether layers run again in the backward pass (activation checkpointing)."""
        return bool(getattr(self.model, "is_activation_checkpointing", False))

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


def _taken(tensors: tuple[torch.Tensor | None, ...], piece: Piece) -> list[torch.Tensor | None]:
    """The piece's sequences, cut to its length."""
    chosen = piece["sequences"]
    return [
        None if t is None else (t if chosen is None else t.index_select(0, chosen))[:, : piece["length"]]
        for t in tensors
    ]


def _laid_end_to_end(parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
    flat = [part.flatten(0, 1) for part in parts]
    return flat[0] if len(flat) == 1 else torch.cat(flat)


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
