"""Sentence vectors of a model, one per sentence, under named poolings and layers.

Pooling and layer are part of every number computed from the vectors: the same model gives other effect sizes under
others.

Sentences of the same number of tokens go through the model together, so nothing is ever padded: a vector cannot depend
on what shares its batch, whatever a model does with padding (some convolve or pool over it).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from evenhand.evaluation.evaluator import NotApplicable
from evenhand.evaluation.onednn_linear import onednn_linear
from evenhand.evaluation.tokenized import TokenizedSentences, max_length

__all__ = ["POOLINGS", "encode", "encode_grid", "max_length", "number_of_layers"]

POOLINGS = ("mean", "mean_no_special", "cls", "first_token")
"""
``mean``: all tokens, special ones included (what most papers quote; Meade et al. 2022).
``mean_no_special``: all tokens but those the tokenizer adds.
``cls``: position 0 of the sentence with its special tokens, [CLS] for BERT.
``first_token``: position 0 of the sentence without special tokens (what the code of May et al. 2019 does).
"""

# Tokens of one forward at most (one sentence always fits): bounds memory for long sentences whatever the batch size.
TOKENS_PER_FORWARD = 4096


def number_of_layers(model: nn.Module) -> int:
    """Layers of the part of ``model`` that `encode` uses; the embeddings are layer 0, its output is the last layer.

    Raises:
        NotApplicable: the model's config does not say.
    """
    layers = getattr(model.config, "num_hidden_layers", None)
    if not isinstance(layers, int):
        raise NotApplicable(f"{type(model).__name__} does not say how many layers it has: it is not a text encoder")
    return layers


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

    Each distinct sentence goes through the model once, in batches of one length, without gradients or dropout; the
    model's training mode is put back.

    Args:
        model: a transformers model; of one with a head (masked LM, classifier) the body is used, of an encoder-decoder
            the encoder.
        tokenizer: its tokenizer.
        sentences: any number, repeats allowed.
        pooling: one of `POOLINGS`.
        batch_size: sentences per forward at most; it does not change the vectors.
        progress: show a bar once the work has taken two seconds.

    Returns:
        (len(sentences), hidden_size) float64, on the CPU.

    Raises:
        ValueError: an unknown pooling, a sentence without tokens or longer than the model takes, vectors with NaN.
        NotApplicable: the model gives no hidden state per token.
    """
    last = number_of_layers(model)
    grid = encode_grid(model, tokenizer, sentences, [pooling], [last], batch_size=batch_size, progress=progress)
    return grid[pooling, last]


def encode_grid(
    model: nn.Module,
    tokenizer,
    sentences: Sequence[str],
    poolings: Sequence[str] = POOLINGS,
    layers: Sequence[int] | None = None,
    *,
    batch_size: int = 64,
    progress: bool = False,
) -> dict[tuple[str, int], np.ndarray]:
    """Vectors of ``sentences`` under several poolings and from several layers.

    One forward serves all layers, and all poolings but ``first_token``, which needs a second one without special
    tokens. A batch is pooled as soon as it is computed, so memory does not grow with the number of sentences but for
    the result.

    Args:
        model, tokenizer, sentences, batch_size, progress: as in `encode`.
        poolings: some of `POOLINGS`.
        layers: from 0 (the embeddings' output) to `number_of_layers` (the model's output); all of them by default.

    Returns:
        By (pooling, layer): (len(sentences), hidden_size) float64, on the CPU; at the last layer what `encode` gives.

    Raises:
        ValueError: as `encode`; a layer that the model does not have.
        NotApplicable: as `encode`; the model does not give a hidden state per layer.
    """
    last = number_of_layers(model)
    layers = range(last + 1) if layers is None else layers
    _check_arguments(poolings, layers, last, batch_size)
    distinct = list(dict.fromkeys(sentences))
    if not distinct:
        raise ValueError("there is no sentence to encode")
    passes = [
        (TokenizedSentences(model, tokenizer, distinct, special), group)
        for special, group in (
            (True, [pooling for pooling in poolings if pooling != "first_token"]),
            (False, [pooling for pooling in poolings if pooling == "first_token"]),
        )
        if group
    ]
    batches = [
        (tokens, group, rows) for tokens, group in passes for rows in tokens.batches(batch_size, TOKENS_PER_FORWARD)
    ]
    found: dict[tuple[str, int], np.ndarray] = {}
    with evaluation_mode(model), torch.no_grad(), onednn_linear():
        for tokens, group, rows in tqdm(batches, desc="encoding", unit="batch", delay=2, disable=not progress):
            for layer, hidden in hidden_states(model, tokens.inputs(rows), layers, last):
                for pooling in group:
                    pooled = _pool(hidden, pooling, tokens, rows)
                    if (pooling, layer) not in found:
                        found[pooling, layer] = np.empty((len(distinct), pooled.shape[1]))
                    found[pooling, layer][rows] = pooled
    row = {sentence: index for index, sentence in enumerate(distinct)}
    order = [row[sentence] for sentence in sentences]
    return {(pooling, layer): found[pooling, layer][order] for pooling in poolings for layer in layers}


def _check_arguments(poolings: Sequence[str], layers: Sequence[int], last: int, batch_size: int) -> None:
    if not poolings or len(layers) == 0:
        raise ValueError("the list of poolings or of layers is empty; name at least one of each")
    unknown = [pooling for pooling in poolings if pooling not in POOLINGS]
    if unknown:
        raise ValueError(f"pooling {unknown[0]!r} is unknown; use one of {', '.join(POOLINGS)}")
    outside = [layer for layer in layers if layer not in range(last + 1)]
    if outside:
        raise ValueError(f"layer {outside[0]} is not in the model: it has layers 0 to {last}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")


def hidden_states(
    model: nn.Module, inputs: dict[str, torch.Tensor], layers: Sequence[int], last: int
) -> Iterator[tuple[int, torch.Tensor]]:
    """(layer, hidden states (batch, tokens, hidden) on the CPU) of one batch; call it in `evaluation_mode`, without gradients.

    Args:
        model: as in `encode`.
        inputs: from `TokenizedSentences.inputs`.
        layers: as in `encode_grid`.
        last: `number_of_layers` of the model.

    Raises:
        NotApplicable: the model gives no hidden state per token, or none per layer where other layers than the last are asked for.
    """
    body, device = body_of(model), next(model.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    only_last = all(layer == last for layer in layers)
    output = body(**inputs, **({} if only_last else {"output_hidden_states": True}))
    final = getattr(output, "last_hidden_state", None)
    if final is None or final.shape[:2] != inputs["input_ids"].shape:
        raise NotApplicable(f"{type(body).__name__} gives no hidden state per token: it is not a text encoder")
    states = () if only_last else output.hidden_states
    if not only_last and len(states or ()) != last + 1:
        raise NotApplicable(
            f"{type(body).__name__} gives {len(states or ())} hidden states where {last + 1} are expected: "
            "measure its last layer only"
        )
    for layer in layers:
        # Some models normalise their output after the last of hidden_states; the output is what is meant.
        yield layer, (final if layer == last else states[layer]).detach().to("cpu")


def _pool(hidden: torch.Tensor, pooling: str, tokens: TokenizedSentences, rows: list[int]) -> np.ndarray:
    """(batch, hidden) float64 of hidden states (batch, tokens, hidden): sums in float64, no copy of the states in it."""
    if pooling == "mean":
        pooled = hidden.sum(1, dtype=torch.float64) / hidden.shape[1]
    elif pooling == "mean_no_special":
        kept = tokens.ordinary(rows)
        count = kept.sum(1, keepdim=True)
        if not count.all():
            raise ValueError(
                f"the sentence {tokens.sentences[rows[int(count.argmin())]]!r} has no token to pool over ({pooling})"
            )
        pooled = hidden.masked_fill(~kept.unsqueeze(-1), 0).sum(1, dtype=torch.float64) / count
    else:
        pooled = hidden[:, 0].to(torch.float64)
    finite = pooled.isfinite().all(1)
    if not finite.all():
        worst = tokens.sentences[rows[int(finite.int().argmin())]]
        raise ValueError(f"the model's output for {worst!r} holds NaN or infinity: check its weights")
    return pooled.numpy()


def body_of(model: nn.Module) -> nn.Module:
    """The part of ``model`` that gives hidden states: without its head, and of an encoder-decoder the encoder."""
    body = getattr(model, "base_model", model)
    return body.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else body


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Dropout off inside; after it every module is as it was (a frozen part of a model in training stays in eval)."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
