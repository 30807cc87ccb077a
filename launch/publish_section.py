"""The recipe's section on what is declared about a student, and on when it may be published."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from evenhand.model_cards.facts import GATE


@dataclass(frozen=True)
class GateSection:
    """Thresholds of the bias gate: how much worse than its teacher a student may be before publishing needs a stated reason.

    Args:
        mean_margin: of the mean \\|d\\| of the gender tests (headline); refused when the whole interval of the difference lies above it.
            Default 0.
        test_margin: of \\|d\\| of one gender test, the same. Default 0.
        alpha: a single test counts only where its Holm-corrected p of the difference is below this. Default .05.

    Raises:
        ValueError: a margin that is negative or not finite, an ``alpha`` outside (0, 1).
    """

    mean_margin: float = GATE["mean_margin"]
    test_margin: float = GATE["test_margin"]
    alpha: float = GATE["alpha"]

    def __post_init__(self) -> None:
        for name in ("mean_margin", "test_margin"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"publish.gate.{name} must be 0 or above, not {getattr(self, name)}.")
        if not 0 < self.alpha < 1:
            raise ValueError(f"publish.gate.alpha must lie between 0 and 1, not {self.alpha}.")


@dataclass(frozen=True)
class PublishSection:
    """Facts that no measurement knows; they stand in the card. None of it changes a recipe's hash.

    Args:
        licence: the student's; None (default): the teacher's, as read from its card.
        author, repo_id, base_model, language, title, datasets: see :class:`evenhand.model_cards.CardFacts`.
        gate: see :class:`GateSection`.
        data_licences: licence by the name that a source of the corpus has in training.json (a file's or folder's name, a data set's id), for
            data whose card does not say it, e.g. ``{"brown.zip": "other"}``.

    Raises:
        ValueError: an entry of ``data_licences`` is not text.
    """

    licence: str | None = None
    author: str | None = None
    repo_id: str | None = None
    base_model: str | None = None
    language: str = "en"
    title: str | None = None
    datasets: list[str] = field(default_factory=list)
    gate: GateSection = field(default_factory=GateSection)
    data_licences: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, licence in self.data_licences.items():
            if not (isinstance(name, str) and isinstance(licence, str) and name.strip() and licence.strip()):
                raise ValueError(f"publish.data_licences must give text for text, not {name!r}: {licence!r}.")
