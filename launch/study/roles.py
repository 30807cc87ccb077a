"""What an arm changes, read from its recipe and not from its name: which arm it is to be compared with, and what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from evenhand.launch.recipe import decisive_sections
from evenhand.launch.study.study_file import ORIGINAL, Study, StudyArm

TRANSFORMS = ("mixup", "equalisation", "counterfactual")
"""Sections of a recipe that change what the student is told."""
TERMS = ("alpha_ce", "alpha_mlm", "alpha_cos", "alpha_mse")
PROPOSED = frozenset({"student_inputs", "teacher_logits"})
"""What Ahn et al. 2022 propose to mix."""
MIXED_PARTS = {
    "student_inputs": "the student's inputs",
    "teacher_logits": "the teacher's logits",
    "teacher_hidden": "the output embedding",
}


def reference_of(study: Study, name: str) -> str | None:
    """The arm that an arm is compared with: the plain one of the same setting, else the study's baseline; ``None`` for the baseline.

    The setting is all of a recipe but what treats the bias: supervision transforms, augmentation, a debiased teacher, loss terms that are
    switched off. So mixup at weights 5/2/1 stands against plain distillation at 5/2/1 where the study has it.
    """
    if name == study.baseline:
        return None
    arm = study.arms[name]
    candidates = [study.baseline, *study.arms]
    if is_treated(arm, study):
        for other in candidates:
            plain = study.arms[other]
            if other != name and not is_treated(plain, study) and _same_setting(arm, plain):
                return other
    return study.baseline


def is_treated(arm: StudyArm, study: Study) -> bool:
    """Whether an arm is more than plain distillation from the original teacher with every term of the baseline's loss."""
    recipe, base = arm.recipe, study.arms[study.baseline].recipe
    terms = terms_without(arm, study)
    extra = any(_weight(recipe, term) and not _weight(base, term) for term in TERMS)
    return bool(transform_of(arm) or terms or extra or _augmented(arm) or arm.teacher != ORIGINAL)


def transform_of(arm: StudyArm) -> str | None:
    """The enabled transform of the supervision: ``mixup``, ``equalisation``, ``counterfactual``, or ``None``."""
    return next((name for name in TRANSFORMS if getattr(arm.recipe, name).enabled), None)


def terms_without(arm: StudyArm, study: Study) -> tuple[str, ...]:
    """Terms that the baseline's loss has and this arm's has not, e.g. ``("ce",)``."""
    base = study.arms[study.baseline].recipe
    return tuple(term.removeprefix("alpha_") for term in TERMS if _weight(base, term) and not _weight(arm.recipe, term))


def mixed_parts(arm: StudyArm) -> frozenset[str]:
    """What the mixup mixes; empty without it."""
    return frozenset(arm.recipe.mixup.mix) if arm.recipe.mixup.enabled else frozenset()


def only_terms_changed(study: Study, name: str) -> tuple[str, ...]:
    """The terms switched off, where that is all by which an arm differs from what it is compared with; else ``()``."""
    reference = reference_of(study, name)
    if reference is None:
        return ()
    changed = _differences(study.arms[name], study.arms[reference])
    terms = terms_without(study.arms[name], study)
    return terms if changed == {("objective", f"alpha_{term}") for term in terms} else ()


def only_mixing(study: Study, name: str) -> frozenset[str]:
    """The parts that are mixed, where gender mixup of these parts is all by which an arm differs from what it is compared with and the
    manner of mixing is that of the proposed arm; else empty."""
    reference = reference_of(study, name)
    arm = study.arms[name]
    if reference is None or not arm.recipe.mixup.enabled:
        return frozenset()
    if any(section != "mixup" for section, _ in _differences(arm, study.arms[reference])):
        return frozenset()
    base = study.arms[reference].recipe.mixup
    same = all(getattr(arm.recipe.mixup, key) == getattr(base, key) for key in _manner(base))
    return mixed_parts(arm) if same else frozenset()


def proposed_arm(study: Study) -> str | None:
    """The arm that the paper proposes, against the study's baseline: inputs and logits mixed, nothing else changed."""
    return next(
        (name for name in study.arms if only_mixing(study, name) == PROPOSED and against_baseline(study, name)), None
    )


def control_arms(study: Study) -> list[str]:
    """Arms that mix unrelated word pairs in the proposed way."""
    return [
        name
        for name, arm in study.arms.items()
        if arm.recipe.mixup.enabled
        and str(arm.recipe.mixup.pairs).split(":")[0] == "random"
        and mixed_parts(arm) == PROPOSED
        and against_baseline(study, name)
    ]


def against_baseline(study: Study, name: str) -> bool:
    """Whether the arm is compared with the study's baseline."""
    return reference_of(study, name) == study.baseline


def pairs_of(study: Study, names: Iterable[str]) -> list[tuple[str, str]]:
    """(arm, what it is compared with) of every arm; and the proposed arm against each control, which asks whether it is about gender."""
    pairs = [(name, reference) for name in names if (reference := reference_of(study, name)) is not None]
    proposed = proposed_arm(study)
    if proposed is not None:
        pairs += [(proposed, control) for control in control_arms(study)]
    return list(dict.fromkeys(pairs))


def role_in_pictures(study: Study, name: str) -> str:
    """Of `model_cards.figures.arm_looks.ROLES`."""
    if name == study.baseline:
        return "baseline"
    if name == proposed_arm(study):
        return "proposed"
    return "core" if study.arms[name].core else "exploratory"


def _manner(mixup: Any) -> list[str]:
    """The keys of the section that say how is mixed, but for whether, and what."""
    return [key for key in vars(mixup) if key not in ("enabled", "mix")]


def _same_setting(arm: StudyArm, plain: StudyArm) -> bool:
    """Equal but for treatments; a weight of 0 is a term switched off, not another weight."""
    weights = [(_weight(arm.recipe, term), _weight(plain.recipe, term)) for term in TERMS]
    if any(own and own != other for own, other in weights):
        return False
    ignored = {("objective", term) for term in TERMS} | {("corpus", "cda"), ("corpus", "cda_pairs")}
    changed = _differences(arm, plain) - ignored
    return all(section in (*TRANSFORMS, "teacher_of_study") for section, _ in changed)


def _differences(arm: StudyArm, other: StudyArm) -> set[tuple[str, str]]:
    """(section, key) of the recipes that differ, and ``("teacher_of_study", "")`` for another teacher."""
    one, two = (_flat(decisive_sections(each.recipe.to_dict())) for each in (arm, other))
    changed = {key for key in one.keys() | two.keys() if one.get(key) != two.get(key)}
    return changed | ({("teacher_of_study", "")} if arm.teacher != other.teacher else set())


def _flat(recipe: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Any]:
    return {(section, key): value for section, keys in recipe.items() for key, value in keys.items()}


def _weight(recipe: Any, term: str) -> float:
    return getattr(recipe.objective, term)


def _augmented(arm: StudyArm) -> bool:
    return arm.recipe.corpus.cda != "none"
