"""The few rows of the teacher's decoder inputs that a supervision transform has changed, and their logits.

Their logits come from a product of their own, in a single training as in a cohort, whose arms share the product of all other
rows: kernels round differently by the number of rows, and a student shall come out the same alone and in a cohort.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from evenhand.trainer.loss_terms import at_least_fp32


@dataclass(frozen=True)
class ChangedRows:
    """Which rows were changed.

    Args:
        index: ``(n,)`` ascending, on the device.
        on_host: the same on the CPU: chunk bounds are read here without waiting for the device.
        second: ``(n, features)`` decoder inputs of a second view at these rows, for what is no mean of decoder inputs; the
            teacher's own ``head_rows`` then stay as they are. None (default): the changed rows stand in ``head_rows``.
        combine: ``(own, second) -> new``, all ``(k, vocab_size)`` logits in at least fp32, fresh; with ``second`` alone.
    """

    index: torch.Tensor
    on_host: np.ndarray
    second: torch.Tensor | None = None
    combine: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None

    def within(self, start: int, stop: int) -> slice:
        """Which of them lie in the chunk of rows ``start … stop``."""
        first, last = np.searchsorted(self.on_host, (start, stop))
        return slice(int(first), int(last))


class ChangedLogits:
    """Logits of changed rows, many computed at once: a product of the few that lie in one chunk would read the whole decoder for each chunk.

    Args:
        changed: which rows.
        head_rows: ``(n_rows, features)`` decoder inputs, the changed ones among them.
        decode: ``(n, features)`` to logits ``(n, vocab_size)``.
        at_once: rows of logits in memory.
    """

    def __init__(
        self,
        changed: ChangedRows,
        head_rows: torch.Tensor,
        decode: Callable[[torch.Tensor], torch.Tensor],
        at_once: int,
    ) -> None:
        self.changed, self._decode, self._at_once = changed, decode, at_once
        self._rows = head_rows.index_select(0, changed.index) if changed.second is None else changed.second
        self._number, self._block = -1, torch.empty(0)

    def within(
        self, start: int, stop: int, unchanged: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The changed rows of a chunk, counted from its start, and their logits in at least fp32; None if there is none.

        ``unchanged`` ``(stop − start, vocab_size)``: the teacher's logits of the chunk, read where a second view is combined with them.
        """
        here = self.changed.within(start, stop)
        if here.start == here.stop:
            return None
        numbers = range(here.start // self._at_once, (here.stop - 1) // self._at_once + 1)
        parts = []
        for number in numbers:
            offset, block = number * self._at_once, self._of_block(number)
            parts.append(block[max(here.start - offset, 0) : here.stop - offset])
        rows, logits = self.changed.index[here] - start, parts[0] if len(parts) == 1 else torch.cat(parts)
        if self.changed.combine is not None:
            logits = self.changed.combine(unchanged.index_select(0, rows), logits)
        return rows, logits

    def _of_block(self, number: int) -> torch.Tensor:
        if number != self._number:
            self._block = torch.empty(0)  # let go before the next is computed
            rows = self._rows[number * self._at_once : (number + 1) * self._at_once]
            self._number, self._block = number, at_least_fp32(self._decode(rows))
        return self._block
