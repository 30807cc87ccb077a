"""What an effect size is made of: the mean association of each target set, their difference, and the spread it is divided by.

d is a ratio, so it can rise because the sets move apart or because all associations draw together.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evenhand.evaluation.effect_size import SMALLEST_SPREAD, unit_rows
from evenhand.evaluation.stimuli import AssociationTest


def effect_parts(test: AssociationTest, vectors: Mapping[str, np.ndarray]) -> dict[str, object]:
    """The parts of d of one test (Caliskan et al. 2017; May et al. 2019, section 2), in cosines.

    Args:
        test: its four sets.
        vectors: by set ("X", "Y", "A", "B"), (n_sentences, hidden).

    Returns:
        ``mean_cosines`` of each target set with each attribute set (``XA``, ``XB``, ``YA``, ``YB``), ``means`` of s over X and over Y
        (XA − XB, YA − YB), ``numerator`` (mean over X − mean over Y), ``denominator`` (standard deviation of s over X ∪ Y, ddof = 1),
        and ``effect_size``, numerator / denominator, ``None`` where s does not vary.

    Raises:
        ValueError: a vector that is zero or not finite.
    """
    units = {role: unit_rows(vectors[role]) for role in "XYAB"}
    cosines = {x + a: units[x] @ units[a].mean(axis=0) for x in "XY" for a in "AB"}
    s = {x: cosines[x + "A"] - cosines[x + "B"] for x in "XY"}
    numerator = float(s["X"].mean() - s["Y"].mean())
    denominator = float(np.concatenate([s["X"], s["Y"]]).std(ddof=1))
    return {
        "label": test.label,
        "mean_cosines": {name: float(values.mean()) for name, values in cosines.items()},
        "means": {x: float(values.mean()) for x, values in s.items()},
        "numerator": numerator,
        "denominator": denominator,
        "effect_size": numerator / denominator if denominator >= SMALLEST_SPREAD else None,
    }
