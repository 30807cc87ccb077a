"""Cutting a padded batch into pieces of similar length, so that the bodies compute less padding.

A sequence's hidden states do not depend on the other sequences of its batch, so running the body piece by piece is the same
mathematics on fewer positions. Which sequences share a batch (masks, denominators, λ) does not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn

Piece = dict
"""``sequences`` ``(n,)`` rows of the batch, or None for all in their order; ``length`` positions; ``padded``: whether any is padding."""


@dataclass(frozen=True)
class Cutting:
    """How batches are cut.

    Args:
        at_most: pieces of a batch; 1 never cuts.
        overhead: what a piece costs besides its positions, in positions.
    """

    at_most: int
    overhead: int

    def pieces(self, attention_mask: torch.Tensor) -> list[Piece]:
        """The pieces of a batch ``(batch, length)`` on the CPU, padded on the right."""
        return cut_by_length(attention_mask.sum(1).numpy(), self.at_most, self.overhead)


ONE_PIECE = Cutting(1, 0)

_OVERHEAD_FLOPS = {"cpu": 5e8}
_OVERHEAD_FLOPS_ELSEWHERE = 2e11
"""Arithmetic that could be done in the time in which a further piece's kernels are started: 3 ms at 200 GFLOP/s on two CPU cores,
4 ms at 50 TFLOP/s on a GPU."""

_FLOPS_A_WEIGHT = 5
"""For each position and weight of the teacher's body: 2 for its forward, 3 for forward and backward of a student of half its size."""


def cutting_for(device: torch.device, at_most: int, body: nn.Module) -> Cutting:
    """At most so many pieces, each of which must save more than it costs on this device.

    ``body`` is the teacher's, or the student's where there is no teacher: students of one teacher are cut alike whatever their depth, so
    that one teacher forward serves them all and a student comes out the same alone and in a cohort.
    """
    size = sum(p.numel() for name, p in body.named_parameters() if "embeddings" not in name)
    affordable = _OVERHEAD_FLOPS.get(device.type, _OVERHEAD_FLOPS_ELSEWHERE)
    return Cutting(at_most, int(affordable / max(_FLOPS_A_WEIGHT * size, 1)))


def cut_by_length(lengths: np.ndarray, at_most: int, overhead: int) -> list[Piece]:
    """The cut with the fewest computed positions, ``overhead`` positions counted for each further piece.

    Args:
        lengths: ``(batch,)`` real tokens of each sequence, at least 1 each; on the CPU.
        at_most: pieces; 1 never cuts.
        overhead: what a piece costs besides its positions, in positions: a device that needs large products to be busy
            wants a larger value.

    Returns:
        The pieces, longest sequences first.
    """
    order = np.argsort(-lengths, kind="stable")
    falling = lengths[order]
    borders = _best_borders(falling, at_most, overhead)
    if len(borders) == 2:
        return [{"sequences": None, "length": int(falling[0]), "padded": bool(falling[-1] < falling[0])}]
    return [
        {
            "sequences": torch.from_numpy(order[first:last].copy()),
            "length": int(falling[first]),
            "padded": bool(falling[last - 1] < falling[first]),
        }
        for first, last in pairwise(borders)
    ]


def _best_borders(falling: np.ndarray, at_most: int, overhead: int) -> list[int]:
    """Dynamic programming over the first sequence of each piece; ``falling`` lengths, longest first."""
    n = len(falling)
    first, last = np.arange(n)[:, None], np.arange(1, n + 1)[None, :]
    # cost[i, j]: one piece of the sequences i … j
    cost = np.where(
        last > first, (last - first) * falling[:, None].astype(np.int64) + overhead, np.iinfo(np.int64).max // 4
    )
    best, came_from = [cost[0]], []
    for _ in range(min(at_most, n) - 1):
        with_one_more = best[-1][:-1, None] + cost[1:]  # previous pieces end where this one begins
        came_from.append(with_one_more.argmin(0) + 1)
        best.append(with_one_more.min(0))
    pieces = int(np.argmin([costs[-1] for costs in best]))
    borders = [n]
    for step in reversed(range(pieces)):
        borders.append(int(came_from[step][borders[-1] - 1]))
    return [0, *reversed(borders)]


def places_of(pieces: list[Piece], shape: tuple[int, int]) -> torch.Tensor:
    """``(batch · length,)``: where each position of the padded grid stands in the pieces' outputs laid end to end, -1 if nowhere."""
    batch, length = shape
    places = torch.full((batch, length), -1)
    start = 0
    for piece in pieces:
        rows = slice(None) if piece["sequences"] is None else piece["sequences"]
        n = batch if piece["sequences"] is None else len(piece["sequences"])
        size = n * piece["length"]
        places[rows, : piece["length"]] = torch.arange(start, start + size).view(n, piece["length"])
        start += size
    return places.flatten()
