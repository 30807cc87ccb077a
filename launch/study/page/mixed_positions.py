"""How much of the text a mixup touches: the positions that were mixed, of all tokens that a student was shown."""

from __future__ import annotations

import numpy as np

from evenhand.launch.page_text import table
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.measured import MeasuredArm, MeasuredStudy
from evenhand.launch.study.page.number_text import arm_label


def mixed_share(arm: MeasuredArm) -> float | None:
    """Share of the tokens seen in training that were mixed, mean over seeds; ``None`` where the arm mixes nothing."""
    shares = [positions / tokens for positions, tokens in _mixed(arm)]
    return float(np.mean(shares)) if shares else None


def mixed_lines(measured: MeasuredStudy) -> list[str]:
    """The section, a row for each arm that mixes; none where no arm does."""
    rows = []
    for arm in measured.arms.values():
        found = _mixed(arm)
        if arm.same_as is None and found:
            positions, tokens = np.mean(found, axis=0)
            cells = [f"{positions:,.0f}", f"{tokens:,.0f}", share_text(mixed_share(arm))]
            rows.append([arm_label(arm), str(len(found)), *cells])
    if not rows:
        return []
    return [
        "## How much is mixed",
        "",
        "A mixup touches only the positions at which a word of a pair stands; everything else is distilled as without it. The fewer there are, the "
        "smaller an effect can be expected.",
        "",
        *table(["arm", "students", "positions mixed in training", "tokens seen in training", "share"], rows),
    ]


def share_text(share: float) -> str:
    """``1.6 %``."""
    return f"{number(100 * share, False, 1)} %"


def _mixed(arm: MeasuredArm) -> list[tuple[int, int]]:
    """(positions mixed, tokens seen) of each student."""
    trainings = [report.training for report in arm.reports.values() if report.training]
    counts = [
        ((training.get("supervision") or {}).get("mixed_positions"), training.get("tokens_seen"))
        for training in trainings
    ]
    return [(positions, tokens) for positions, tokens in counts if positions is not None and tokens]
