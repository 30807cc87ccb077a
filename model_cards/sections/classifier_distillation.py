"""How a classifier was distilled on its task: objective, debiasing, remedies, data, steps, hardware."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenhand.model_cards import numbers
from evenhand.model_cards.objective_terms import terms_of
from evenhand.model_cards.sections.card_source import CardSource, part, parts
from evenhand.model_cards.sections.classifier_opening import PLAIN
from evenhand.model_cards.sections.distillation import duration, loss_table
from evenhand.model_cards.sections.hardware import hardware_text
from evenhand.model_cards.sections.pictures import pictures_of

PARTS = {
    "task": "Training data",
    "objective": "Objective",
    "debiasing": "Debiasing of the student",
    "held_out": "On held-out examples of the training data, without intervals",
    "held_out_before_fit": (
        "On the validation examples before the debiasing method was fitted on them, so of other weights than the published ones, without "
        "intervals"
    ),
}
"""Parts of a task's training record whose plain settings are printed, in the card's order."""


def context(source: CardSource) -> dict[str, Any] | None:
    """What `classifier_distillation.md.jinja` prints; None for a masked language model."""
    if not source.kind:
        return None
    training = source.training
    return {
        "training": training,
        "student": part(training, "student"),
        "parts": [
            (title, settings_text(part(training, name))) for name, title in PARTS.items() if _told(training, name)
        ],
        "ladder": parts(training, "ladder"),
        "terms": terms_of(training),
        "final_losses": part(training, "final_losses"),
        "losses": loss_table(parts(training, "loss_curve"), terms_of(training)),
        "hardware": hardware_text((training or {}).get("hardware")),
        "time": duration((training or {}).get("seconds")),
        "energy": part(training, "energy"),
        "pictures": pictures_of("distillation", source.figures),
    }


def _told(training: Mapping[str, Any] | None, name: str) -> bool:
    """Whether a part is printed. Plain cross-entropy, `erm`, is no debiasing.

    Records of before `held_out_before_fit` have, of a student that was fitted on the validation split, `held_out` numbers that are of
    those very examples; the fit left its number of them as `held_out` among its facts, by which they are known. They are not printed.
    """
    in_sample = name == "held_out" and "held_out" in part(training, "debiasing")
    plain = name == "debiasing" and part(training, name).get("name") == PLAIN
    return bool(part(training, name)) and not in_sample and not plain


def settings_text(settings: Mapping[str, Any]) -> str:
    """`alpha 0.5, temperature 2`: every plain value of a record and of those within it; lists as they are counted."""
    shown = []
    for name, value in settings.items():
        name = str(name).replace("_", " ")
        if isinstance(value, Mapping):
            inner = settings_text(value)
            shown += [f"{name} ({inner})"] if inner else []
        elif isinstance(value, (bool, str)):
            shown.append(f"{name} {str(value).lower() if isinstance(value, bool) else value}")
        elif isinstance(value, (int, float)):
            shown.append(f"{name} {numbers.short(value)}")
        elif isinstance(value, list) and value and all(isinstance(item, (str, int)) for item in value):
            shown.append(f"{name} {' and '.join(map(str, value))}")
    return ", ".join(shown)
