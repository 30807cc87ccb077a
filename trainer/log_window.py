"""What was trained since the last log."""

from __future__ import annotations

import torch

from evenhand.trainer.objective import TERMS


class LogWindow:
    """Sums and counts since the last log, kept on the device: reading them each step would wait for it.

    Args:
        device: where the student trains.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.clear()

    def clear(self) -> None:
        """Start anew, after a log."""
        self.sums = torch.zeros(len(TERMS), device=self.device)
        self.counts = torch.zeros(2, dtype=torch.long, device=self.device)
        self.broken_since = torch.full((len(TERMS),), torch.iinfo(torch.long).max, device=self.device)
        self.steps = 0

    def count(self, counts: torch.Tensor) -> None:
        """Add the denominators ``(2,)`` of one optimiser step, over all processes."""
        self.counts = self.counts + counts
        self.steps += 1

    def add(self, sums: torch.Tensor, step: int) -> None:
        """Add the unweighted sums ``(4,)`` of one micro-batch of optimiser step ``step``, of this process."""
        self.sums = self.sums + sums
        self.broken_since = torch.where(sums.isfinite(), self.broken_since, self.broken_since.clamp(max=step))

    def state(self) -> dict:
        """What is common to all processes and must survive a kill; ``sums`` are each process's own."""
        return {"counts": self.counts.tolist(), "steps": self.steps}

    def restore(self, state: dict, sums: torch.Tensor) -> None:
        """Go on from :meth:`state` with this process's ``sums`` ``(4,)``."""
        self.sums = sums.to(self.device)
        self.counts = torch.tensor(state["counts"], device=self.device)
        self.steps = state["steps"]
