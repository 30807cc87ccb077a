"""Sentence vectors of a model, one per sentence, under a named pooling.

The pooling is part of every number computed from the vectors: the same model gives other effect sizes under another.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

POOLINGS = ("mean", "mean_no_special", "cls", "first_token")
"""
``mean``: all tokens, special ones included (what most papers quote; Meade et al. 2022).
``mean_no_special``: all tokens but those the tokenizer adds.
``cls``: position 0 of the sentence with its special tokens, [CLS] for BERT.
``first_token``: position 0 of the sentence without special tokens (what the code of May et al. 2019 does).
"""


def max_length(model: nn.Module, tokenizer) -> int:
    """The most tokens that model and tokenizer both take."""
    limits = [getattr(model.config, "max_position_embeddings", None), tokenizer.model_max_length]
    return int(min(limit for limit in limits if limit and limit > 0))


def encode(
    model: nn.Module,
    tokenizer,
    sentences: Sequence[str],
    *,
    pooling: str = "mean",
    batch_size: int = 64,
    progress: bool = False,
) -> np.ndarray:
    """Vectors of ``sentences`` from the last hidden layer of the model's body.

    Each distinct sentence goes through the model once, in batches of like length, without gradients or dropout; the
    model's training mode is put back. Padding is masked in the model and in the pooling.

    Args:
        model: a transformers model; of one with a head (masked LM, classifier) the body is used.
        tokenizer: its tokenizer.
        sentences: any number, repeats allowed.
        pooling: one of `POOLINGS`.
        batch_size: sentences per forward; it does not change the vectors.
        progress: show a bar once the work has taken two seconds.

    Returns:
        (len(sentences), hidden_size) float64, on the CPU.

    Raises:
        ValueError: an unknown pooling, a sentence without tokens or longer than the model takes, vectors with NaN.
    """
    if pooling not in POOLINGS:
        raise ValueError(f"pooling {pooling!r} is unknown; use one of {', '.join(POOLINGS)}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    distinct = list(dict.fromkeys(sentences))
    rows, token_ids, kept = _tokenize(model, tokenizer, distinct, pooling)
    by_length = sorted(range(len(distinct)), key=lambda i: len(token_ids[i]))
    batches = [by_length[i : i + batch_size] for i in range(0, len(by_length), batch_size)]
    body, device = _body(model), next(model.parameters()).device
    vectors = np.empty((len(distinct), 0))
    with _evaluation_mode(model), torch.no_grad():
        for batch in tqdm(batches, desc=f"encoding ({pooling})", unit="batch", delay=2, disable=not progress):
            ids, attention, weights = _pad([token_ids[i] for i in batch], [kept[i] for i in batch], tokenizer)
            hidden = body(input_ids=ids.to(device), attention_mask=attention.to(device)).last_hidden_state
            hidden = hidden.detach().to("cpu", torch.float64)
            pooled = ((hidden * weights.unsqueeze(-1)).sum(1) / weights.sum(1, keepdim=True)).numpy()
            if not np.isfinite(pooled).all():
                worst = batch[int(np.argmin(np.isfinite(pooled).all(axis=1)))]
                raise ValueError(f"the model's output for {distinct[worst]!r} holds NaN or infinity: check its weights")
            if vectors.shape[1] == 0:
                vectors = np.empty((len(distinct), pooled.shape[1]))
            vectors[batch] = pooled
    return vectors[[rows[sentence] for sentence in sentences]]


def _tokenize(model: nn.Module, tokenizer, sentences: list[str], pooling: str):
    """Row by sentence, the token ids of each sentence, and per token whether the pooling averages over it."""
    encoded = tokenizer(
        sentences,
        add_special_tokens=pooling != "first_token",
        return_special_tokens_mask=True,
        padding=False,
        truncation=False,
    )
    limit, kept = max_length(model, tokenizer), []
    for sentence, ids, special in zip(sentences, encoded["input_ids"], encoded["special_tokens_mask"], strict=True):
        if len(ids) > limit:
            raise ValueError(f"the sentence {sentence[:60]!r}… has {len(ids)} tokens, the model takes {limit}")
        if pooling == "mean":
            keep = [1] * len(ids)
        elif pooling == "mean_no_special":
            keep = [1 - s for s in special]
        else:
            keep = [1, *[0] * (len(ids) - 1)] if ids else []
        if not any(keep):
            raise ValueError(f"the sentence {sentence!r} has no token to pool over ({pooling})")
        kept.append(keep)
    return {sentence: row for row, sentence in enumerate(sentences)}, encoded["input_ids"], kept


def _pad(token_ids: list[list[int]], kept: list[list[int]], tokenizer):
    """Right-padded ids, attention mask and pooling weights, each (batch, longest). A tokenizer's own padding may be
    on the left or missing (GPT-2), so it is not used; a masked position may hold any id."""
    longest = max(map(len, token_ids))
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in token_ids])
    attention = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in token_ids])
    weights = torch.tensor([row + [0] * (longest - len(row)) for row in kept], dtype=torch.float64)
    return ids, attention, weights


def _body(model: nn.Module) -> nn.Module:
    """The part of ``model`` that gives hidden states: without its head, and of an encoder-decoder the encoder."""
    body = getattr(model, "base_model", model)
    return body.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else body


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Dropout off inside; after it every module is as it was (a frozen part of a model in training stays in eval)."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
