"""The two losses of context-debias (Kaneko & Bollegala 2021, equations 1 to 4), as functions of tensors.

    L = α · L_i + β · L_reg

L_i is the mean over target words and layers of Σ_a (v_i(a)ᵀ E_i(t, x))², where a runs over the sides of the attribute and v_i(a) is the
mean layer-i state of that side's words. L_reg is the mean over real tokens of attribute sentences, layers and dimensions of (E − E_pre)².
The functions give sums of a micro-batch; divided by the counts of the whole optimiser step, they do not depend on how it is split.

Three faults of the code published with the paper are not here: padding is masked; dot products are squared before they are averaged (the
square of a mean is 0 where projections of both signs cancel); a word of several pieces is read at its own positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


def word_vectors(states: torch.Tensor, positions: torch.Tensor, words: torch.Tensor, n_words: int) -> torch.Tensor:
    """The state of each word, the mean over its pieces.

    Args:
        states: ``(batch, length, width)`` of one layer.
        positions: ``(pieces,)`` flat positions of the (batch · length) grid.
        words: ``(pieces,)`` to which word a piece belongs, from 0 to ``n_words`` − 1; every word has a piece.
        n_words: how many there are; 0 gives an empty tensor.

    Returns:
        ``(n_words, width)`` in fp32 or better.
    """
    rows = _at_least_fp32(states.flatten(0, 1).index_select(0, positions))
    summed = rows.new_zeros(n_words, rows.shape[1]).index_add(0, words, rows)
    pieces = rows.new_zeros(n_words).index_add(0, words, rows.new_ones(len(words)))
    return summed / pieces[:, None]


def projection_sum(
    states: Sequence[torch.Tensor], positions: torch.Tensor, words: torch.Tensor, n_words: int, attributes: torch.Tensor
) -> torch.Tensor:
    """Σ over words, mean over layers, of Σ over sides of the squared dot product; over the number of words it is L_i.

    Args:
        states: one ``(batch, length, width)`` a layer.
        positions, words, n_words: the target words, see :func:`word_vectors`.
        attributes: ``(sides, layers, width)``, v_i(a).

    Returns:
        A scalar, 0 for no words.
    """
    of_layers = [
        (word_vectors(layer, positions, words, n_words) @ vectors.T).square().sum()
        for layer, vectors in zip(states, attributes.unbind(1), strict=True)
    ]
    return torch.stack(of_layers).mean()


def drift_sum(
    states: Sequence[torch.Tensor], originals: Sequence[torch.Tensor], attention_mask: torch.Tensor
) -> torch.Tensor:
    """Σ over real tokens, mean over layers and dimensions, of the squared change; over the number of tokens it is L_reg.

    The mean over dimensions is what keeps both losses on one scale: with a sum L_reg would be hundreds of times as large, and nothing would
    be debiased.

    Args:
        states: one ``(batch, length, width)`` a layer. originals: the same of the model as it was.
        attention_mask: ``(batch, length)``, 1 at real tokens, [CLS] and [SEP] among them.

    Returns:
        A scalar, 0 for no sentences.
    """
    real = attention_mask.bool()
    of_layers = [
        (_at_least_fp32(now[real]) - _at_least_fp32(before[real])).square().sum() / now.shape[-1]
        for now, before in zip(states, originals, strict=True)
    ]
    return torch.stack(of_layers).mean()


def _at_least_fp32(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
