"""Is the mixup about gender? What the proposed arm and its control of unrelated pairs say of it together."""

from __future__ import annotations

from evenhand.launch.study.page.findings import answer
from evenhand.launch.study.page.measured import MeasuredStudy

HERE = ", for these test words; other words could say otherwise"
_SOFTER = {
    "**is about gender**": "**may be about gender**",
    "is **not** about gender": "**may not be** about gender",
}
_TAKEN_BACK = ", but the correction for the number of comparisons takes part of that back"


def about_gender(measured: MeasuredStudy, proposed: str, control: str) -> str:
    """One sentence without its full stop.

    An effect is about gender only where the mixup has one, less bias than plain distillation, *and* leaves less than unrelated pairs do:
    a control that does harm is beaten by a mixup that does nothing.

    Args:
        proposed: arm that mixes gender pairs.
        control: arm, or pool of draws, that mixes unrelated ones.
    """
    against_plain, against_control = answer(measured, proposed), answer(measured, proposed, control)
    effect, contrast = (_side(one) for one in (against_plain, against_control))
    text = _SAID[effect, contrast]
    if contrast == "unknown":
        return text
    told = {against_plain, against_control} - {"unknown"}
    if any(one.startswith("perhaps") for one in told):
        for firm, soft in _SOFTER.items():
            text = text.replace(firm, soft)
        return text + _TAKEN_BACK
    return text + (HERE if any(one.endswith("here") for one in told) else "")


def _side(answered: str) -> str:
    return next((side for side in ("less", "more") if side in answered), "unknown")


_SAID = {
    ("less", "less"): "Gender pairs leave less bias than plain distillation and than unrelated pairs do, so the effect **is about gender**",
    ("unknown", "less"): "Unrelated pairs leave more bias than gender pairs do; the mixup itself has no effect that can be told, so this does not show that it works by gender",
    ("more", "less"): "The mixup raises the measured bias, and unrelated pairs leave still more, so nothing is lowered that could be about gender",
    ("less", "more"): "The mixup lowers the measured bias, but unrelated pairs leave still less: the effect is **not** about gender",
    ("unknown", "more"): "Gender pairs leave **more** bias than unrelated pairs do; the mixup itself has no effect that can be told",
    ("more", "more"): "The mixup raises the measured bias, above plain distillation and above unrelated pairs",
    ("less", "unknown"): "Gender pairs and unrelated pairs **cannot be told apart**, so what the mixup lowers could as well be regularisation",
    ("unknown", "unknown"): "Gender pairs and unrelated pairs **cannot be told apart**, and the mixup itself has no effect that can be told",
    ("more", "unknown"): "Gender pairs and unrelated pairs **cannot be told apart**, so what the mixup raises need not be about gender",
}  # fmt: skip
"""By (the proposed arm against plain distillation, against the control)."""
