"""Example reweighting by a bias-only model.

Clark, Yatskar & Zettlemoyer 2019, "Don't Take the Easy Way Out" (Reweight): ℓ_i = w_i·CE(z_i, y_i) with w_i = 1 − e^{b_{i,y_i}}, b the
bias-only log-probabilities. It is the debiased focal loss with γ = 1. Clark et al. divide by the weights' sum over a batch; here that is
their mean over the training set, because a sum over a micro-batch would make the gradient depend on how a step is split.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from evenhand.trainer.debiasing.debiased_focal import DebiasedFocal


@dataclass(frozen=True)
class Reweighting(DebiasedFocal):
    """ℓ_i = (1 − e^{b_y})·CE(z_i, y_i) / mean weight.

    Args:
        normalise: divide by the mean weight over the training set (default), see :class:`DebiasedFocal`.
    """

    gamma: float = field(default=1.0, init=False)
    name = "reweighting"
