"""The head's loss terms of one student over chunks of rows, each with its gradient written out.

The same functions as in :mod:`~evenhand.trainer.loss_terms`, which states them for autograd and for tests. Here the logits'
own memory takes the gradient: autograd would keep half a dozen tensors of the size of a chunk's logits.

    d/ds T²·KL(softmax(t/T) ‖ softmax(s/T)) = T·(softmax(s/T) − softmax(t/T))
    d/ds CE = softmax(s) − onehot(label),   d/ds Σ(s − t)² = 2·(s − t)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from evenhand.trainer.loss_terms import at_least_fp32

HEAD_TERMS = ("ce", "mlm", "mse")
"""The terms that need logits, in the order of the sums."""

_ROWS_IN_CACHE = 32
"""On a CPU: rows of logits that go through all element-wise steps together, so that they are read from memory once."""


class TeacherTargets:
    """The teacher's logits at the common rows, a chunk at a time, computed once for all students of a loop.

    Args:
        logits: ``(start, stop) -> (stop − start, vocab_size)``, without gradient; a fresh tensor each time.
    """

    def __init__(self, logits: Callable[[int, int], torch.Tensor]) -> None:
        self._compute = logits
        self._chunk: tuple[int, int] | None = None
        self._logits = torch.empty(0)
        self._log_probabilities: dict[float, torch.Tensor] = {}

    def logits(self, start: int, stop: int) -> torch.Tensor:
        """In at least fp32; not to be written to."""
        if self._chunk != (start, stop):
            self._log_probabilities.clear()  # let go before the next chunk is computed
            self._logits = torch.empty(0)
            self._logits, self._chunk = at_least_fp32(self._compute(start, stop)), (start, stop)
        return self._logits

    def log_probabilities(self, start: int, stop: int, temperature: float) -> torch.Tensor:
        """Of ``softmax(t/T)``; not to be written to."""
        logits = self.logits(start, stop)
        if temperature not in self._log_probabilities:
            self._log_probabilities[temperature] = log_softmax(logits, temperature)
        return self._log_probabilities[temperature]


@dataclass(frozen=True)
class MlmTargets:
    """Which of the common rows are MLM targets.

    Args:
        rows: ``(n_targets,)`` ascending, on the device.
        labels: ``(n_targets,)`` original ids, on the device.
        on_host: ``rows`` again, on the CPU: chunk bounds are read here without waiting for the device.
    """

    rows: torch.Tensor
    labels: torch.Tensor
    on_host: np.ndarray

    def within(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of the chunk ``start … stop`` counted from its start, and their labels."""
        first, last = np.searchsorted(self.on_host, (start, stop))
        return self.rows[first:last] - start, self.labels[first:last]


class HeadLoss:
    """A :data:`~evenhand.trainer.chunked_head.LossOfChunk` for ``ce`` (soft targets), ``mlm`` and ``mse``.

    Args:
        teacher: None without ``ce`` and ``mse``.
        mlm: None without ``mlm``.
        temperature: T of ``ce``; None without it.
        squared_error: whether ``mse`` is on.
    """

    def __init__(
        self, teacher: TeacherTargets | None, mlm: MlmTargets | None, temperature: float | None, squared_error: bool
    ) -> None:
        self.teacher, self.mlm, self.temperature, self.squared_error = teacher, mlm, temperature, squared_error

    def __call__(self, logits: torch.Tensor, start: int, stop: int, coefficients: torch.Tensor | None) -> torch.Tensor:
        log_teacher = target = None
        if self.temperature is not None:
            log_teacher = self.teacher.log_probabilities(start, stop, self.temperature)
        if self.squared_error:
            target = self.teacher.logits(start, stop)
        size = _ROWS_IN_CACHE if logits.device.type == "cpu" else len(logits)
        sums = logits.new_zeros(3)
        for first in range(0, len(logits), size):
            block = slice(first, min(first + size, len(logits)))
            hard = self.mlm.within(start + block.start, start + block.stop) if self.mlm is not None else None
            sums += self._block(
                logits[block],
                None if log_teacher is None else log_teacher[block],
                None if target is None else target[block],
                hard,
                coefficients,
            )
        return sums

    def _block(self, logits, log_teacher, target, hard, coefficients) -> torch.Tensor:
        """Sums ``(3,)`` of some rows; ``logits`` take the gradient where there are coefficients."""
        ce = mlm = mse = logits.new_zeros(())
        error = hard_gradient = None
        if target is not None:
            error = logits - target
            mse = error.square().sum()
        log_student = log_softmax(logits, self.temperature) if log_teacher is not None else None
        if hard is not None:
            mlm, hard_gradient = self._cross_entropy(logits, log_student, *hard)
        if log_teacher is not None:
            probabilities = log_teacher.exp()
            ce = (log_teacher - log_student).mul_(probabilities).sum() * self.temperature**2
        sums = torch.stack([ce, mlm, mse])
        if coefficients is None:
            return sums
        if log_teacher is not None:
            torch.exp(log_student, out=logits)
            logits.sub_(probabilities).mul_(coefficients[0] * self.temperature)
        else:
            logits.zero_()
        if hard_gradient is not None:
            logits.index_add_(0, hard[0], hard_gradient.mul_(coefficients[1]))
        if error is not None:
            logits.add_(error.mul_(2 * coefficients[2]))
        return sums

    def _cross_entropy(self, logits, log_student, rows, labels) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum over MLM targets, and the gradient ``(n_targets, vocab_size)`` before its coefficient.

        Shares the soft targets' log-softmax where there is one: log softmax(s) = T·log softmax(s/T) − logsumexp of that.
        """
        if log_student is None:
            log_probabilities = log_softmax(logits.index_select(0, rows), 1.0)
        else:
            log_probabilities = log_student.index_select(0, rows)
            if self.temperature != 1:
                log_probabilities = log_softmax(log_probabilities.mul_(self.temperature), 1.0)
        labels = labels.unsqueeze(1)
        value = -log_probabilities.gather(1, labels).sum()
        gradient = log_probabilities.exp_()
        gradient.scatter_add_(1, labels, gradient.new_full((1, 1), -1.0).expand_as(labels))
        return value, gradient


def log_softmax(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Of ``logits / T`` over the vocabulary."""
    return torch.log_softmax(logits if temperature == 1 else logits / temperature, dim=-1)
