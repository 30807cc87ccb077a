"""The twins of a batch's sentences, with words of pairs exchanged, for a second teacher forward."""

from __future__ import annotations

import torch

from evenhand.trainer.length_pieces import places_of
from evenhand.trainer.supervision import MicroBatch, Plan


def twin_plan(
    batch: MicroBatch,
    exchanged: torch.Tensor,
    twin_ids: torch.Tensor,
    sequences: torch.Tensor,
    wanted: torch.Tensor,
) -> Plan:
    """The corrupted sentences with other words at some positions: the same masks, only of sequences that need it.

    Equal tensors in the plans of several arms are one forward in a cohort, so transforms that swap the same words share it.

    Args:
        batch: the micro-batch.
        exchanged: ``(n,)`` flat positions whose words are exchanged, wherever they stand.
        twin_ids: ``(n,)`` the ids put there.
        sequences: ``(k,)`` ascending rows of the batch that are run again.
        wanted: ``(m,)`` flat positions within these sequences whose outputs will be read.

    Returns:
        ``twin_input_ids`` and ``twin_attention_mask`` ``(k, length)``, ``twin_pieces``, and ``twin_places`` ``(m,)``: where the wanted
        positions stand in the :class:`~evenhand.trainer.mlm_parts.Encoded` of these pieces.
    """
    length = batch.input_ids.shape[1]
    swapped = batch.input_ids.flatten().index_copy(0, exchanged, twin_ids)
    renumber = torch.zeros(len(batch.input_ids), dtype=torch.long)
    renumber[sequences] = torch.arange(len(sequences))
    mask = batch.attention_mask[sequences]
    pieces = batch.cutting.pieces(mask) if len(sequences) else []
    return {
        "twin_input_ids": swapped.view_as(batch.input_ids)[sequences],
        "twin_attention_mask": mask,
        "twin_pieces": pieces,
        "twin_places": places_of(pieces, mask.shape)[renumber[wanted // length] * length + wanted % length],
    }
