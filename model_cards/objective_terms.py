"""The terms of the distillation objective in words, as table and picture of the losses call them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

OBJECTIVE_TERMS: Mapping[str, str] = MappingProxyType(
    {
        "ce": "soft targets of the teacher (KL divergence)",
        "mlm": "masked language modelling",
        "cos": "cosine of the last hidden states",
        "mse": "mean squared error of the logits",
    }
)
"""By the name that a recipe weighs a term under, in the order of tables and panels."""
