"""Measuring bias: a model in, numbers with their uncertainty out.

Names are loaded on first use, so that reading a report does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evenhand.evaluation.evaluators import evaluate_model
    from evenhand.evaluation.report import EvaluationReport
    from evenhand.evaluation.seat import Seat, SeatResult

__all__ = ["EvaluationReport", "Seat", "SeatResult", "evaluate_model"]

_HOMES = {
    "EvaluationReport": "report",
    "Seat": "seat",
    "SeatResult": "seat",
    "evaluate_model": "evaluators",
}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
