"""The recipe's section on what is measured while training."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class WatchSection:
    """Measures taken while training, and a choice of the student by them.

    Args:
        every_steps: measure after every so many optimiser steps, before the first and after the last. 0 (default): never.
        measures: as in the evaluation section, by name with the settings of the evaluator, e.g. ``{seat: {families: [gender]}}``. One
            evaluator may come twice: ``{seat_cls: {measure: seat, pooling: cls}}``.
        tradeoff: weights by metric (``seat_mean_abs``, ``mlm``, …), lower is better; their weighted sum is the metric ``tradeoff``.
        keep_best: the student is the one with the lowest trade-off, not the last. It is saved at every measurement.
        patience: stop after so many measurements in a row without a lower trade-off.

    Raises:
        ValueError: a number out of its range, or a choice without a trade-off.
    """

    every_steps: int = 0
    measures: dict[str, dict] = field(default_factory=dict)
    tradeoff: dict[str, float] = field(default_factory=dict)
    keep_best: bool = False
    patience: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tradeoff", {name: _number(name, weight) for name, weight in self.tradeoff.items()})
        if self.every_steps < 0:
            raise ValueError(f"watch.every_steps must not be negative, not {self.every_steps}.")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"watch.patience must be at least 1, not {self.patience}.")
        if self.every_steps == 0 and (self.measures or self.tradeoff or self.chooses):
            raise ValueError("watch.every_steps is missing; say after how many steps to measure, e.g. 100.")
        if self.chooses and not self.tradeoff:
            raise ValueError(
                "watch.keep_best and watch.patience need watch.tradeoff, e.g. {seat_mean_abs: 1.0, mlm: 0.5}."
            )

    @property
    def chooses(self) -> bool:
        """Whether what is measured decides which student comes out; a curve alone does not."""
        return self.keep_best or self.patience is not None


def _number(name: str, weight: object) -> float:
    """YAML reads 5e-4 as text, so a number in text is taken as a number."""
    try:
        return float(weight) if not isinstance(weight, bool) else float("none")
    except (TypeError, ValueError):
        raise ValueError(f"watch.tradeoff.{name} must be a number, not {weight!r}.") from None
