"""What is minimised: weights, temperature and positions of the distillation objective."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch

TERMS = ("ce", "mlm", "cos", "mse")
"""Names of the terms, in the order in which sums and logs carry them."""

CE_POSITIONS = ("attended", "masked")


@dataclass(frozen=True)
class DistillationObjective:
    """``loss = α_ce·L_ce + α_mlm·L_mlm + α_cos·L_cos + α_mse·L_mse`` (Sanh et al. 2019, section 2).

    Every weight may be 0, so that all loss ablations of Ahn et al. 2022 (Table 1) can be run.

    Args:
        alpha_ce: weight of T²·KL(teacher ‖ student), a mean over ``ce_positions``. Default 5.
        alpha_mlm: weight of the masked-LM cross-entropy, a mean over MLM targets. Default 2.
        alpha_cos: weight of 1 − cos of the last hidden states, a mean over all attended positions; needs equal widths. Default 1.
        alpha_mse: weight of the summed squared logit differences, a mean over ``ce_positions``. Default 0.
        temperature: T of ``L_ce``. Default 2.
        ce_positions: ``attended`` (default): every non-padding position, [CLS] and [SEP] included; ``masked``: MLM targets only.

    Raises:
        ValueError: a negative weight, all weights zero, a temperature that is not positive, an unknown ``ce_positions``.
    """

    alpha_ce: float = 5.0
    alpha_mlm: float = 2.0
    alpha_cos: float = 1.0
    alpha_mse: float = 0.0
    temperature: float = 2.0
    ce_positions: str = "attended"

    def __post_init__(self) -> None:
        for name, alpha in self.weights.items():
            if not 0 <= alpha < float("inf"):
                raise ValueError(f"objective.alpha_{name} must be a number ≥ 0, not {alpha}.")
        if not any(self.weights.values()):
            raise ValueError("objective: every alpha is 0, so there is nothing to train; set at least one above 0.")
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"objective.temperature must be above 0, not {self.temperature}.")
        if self.ce_positions not in CE_POSITIONS:
            raise ValueError(
                f"objective.ce_positions must be one of {', '.join(CE_POSITIONS)}, not {self.ce_positions!r}."
            )

    @property
    def weights(self) -> dict[str, float]:
        """The four weights by the name of their term."""
        return {name: getattr(self, f"alpha_{name}") for name in TERMS}

    @property
    def compares_logits(self) -> bool:
        """Whether teacher logits are needed."""
        return self.alpha_ce > 0 or self.alpha_mse > 0

    @property
    def needs_teacher(self) -> bool:
        """Whether anything but the masked-LM term is on."""
        return self.compares_logits or self.alpha_cos > 0

    def denominators(self, counts: torch.Tensor) -> torch.Tensor:
        """The count that each term is divided by.

        Args:
            counts: ``(2,)``: MLM targets and attended positions of the whole optimiser step.

        Returns:
            ``(4,)`` in the order of :data:`TERMS`, at least 1 each, so that a step without targets gives 0 and not NaN.
        """
        targets, attended = counts.clamp(min=1).to(torch.get_default_dtype())
        soft = attended if self.ce_positions == "attended" else targets
        return torch.stack([soft, targets, attended, soft])

    def to_dict(self) -> dict:
        """Plain values for a report."""
        return asdict(self)
