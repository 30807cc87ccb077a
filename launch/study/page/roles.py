"""What an arm changes, read from its recipe and not from its name: which arm it is to be compared with, and what it answers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
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
_TEACHER = ("teacher of the study", "")


class Roles:
    """The arms of one study by what they change.

    Args:
        study: at one scale.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._recipes = {name: _flat(arm) for name, arm in study.arms.items()}
        self._references = {name: self._reference(name) for name in study.arms}

    def reference_of(self, name: str) -> str | None:
        """The arm that an arm is compared with: the plain one of the same setting, else the study's baseline; ``None`` for the baseline.

        The setting is all of a recipe but what treats the bias: supervision transforms, augmentation, a debiased teacher, loss terms that
        are switched off. So mixup at weights 5/2/1 stands against plain distillation at 5/2/1 where the study has it.
        """
        return self._references[name]

    def against_baseline(self, name: str) -> bool:
        """Whether the arm is compared with the study's baseline."""
        return self.reference_of(name) == self.study.baseline

    def is_treated(self, name: str) -> bool:
        """Whether an arm is more than plain distillation from the original teacher with every term of the baseline's loss."""
        arm = self.study.arms[name]
        extra = any(self._weight(name, term) and not self._weight(self.study.baseline, term) for term in TERMS)
        transformed = any(getattr(arm.recipe, section).enabled for section in TRANSFORMS)
        return bool(
            transformed
            or extra
            or self._terms_without(name)
            or arm.recipe.corpus.cda != "none"
            or arm.teacher != ORIGINAL
        )

    def only_terms_changed(self, name: str) -> tuple[str, ...]:
        """The terms switched off (``("ce",)``), where that is all by which an arm differs from what it is compared with; else ``()``."""
        reference = self.reference_of(name)
        if reference is None:
            return ()
        terms = self._terms_without(name)
        changed = self.differences(name, reference)
        return terms if changed == {("objective", f"alpha_{term}") for term in terms} else ()

    def only_mixing(self, name: str) -> frozenset[str]:
        """The parts that are mixed, where gender mixup of these parts is all by which an arm differs from what it is compared with and the
        manner of mixing is the usual one; else empty."""
        reference, mixup = self.reference_of(name), self.study.arms[name].recipe.mixup
        if reference is None or not mixup.enabled:
            return frozenset()
        usual = self.study.arms[reference].recipe.mixup
        own_manner = any(
            getattr(mixup, key) != value for key, value in vars(usual).items() if key not in ("enabled", "mix")
        )
        elsewhere = any(section != "mixup" for section, _ in self.differences(name, reference))
        return frozenset() if own_manner or elsewhere else frozenset(mixup.mix)

    @cached_property
    def proposed(self) -> str | None:
        """The arm that the paper proposes, against the study's baseline: inputs and logits mixed, nothing else changed."""
        found = (name for name in self.study.arms if self.only_mixing(name) == PROPOSED and self.against_baseline(name))
        return next(found, None)

    @cached_property
    def controls(self) -> list[str]:
        """Arms that mix unrelated word pairs in the proposed way, each with a draw of pairs of its own."""
        mixups = {name: arm.recipe.mixup for name, arm in self.study.arms.items()}
        return [
            name
            for name, mixup in mixups.items()
            if mixup.enabled
            and str(mixup.pairs).split(":")[0] == "random"
            and set(mixup.mix) == PROPOSED
            and self.against_baseline(name)
        ]

    @cached_property
    def pool(self) -> str | None:
        """Name under which the draws of the control stand together, ``None`` for fewer than two of them."""
        return "+".join(self.controls) if len(self.controls) > 1 else None

    @cached_property
    def control(self) -> str | None:
        """What the proposed arm is held against: the pool of all draws, the only one, or ``None``."""
        return self.pool or next(iter(self.controls), None)

    def pairs(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """(arm, what it is compared with) of every arm; the proposed arm against its control, which asks whether it is about gender; and what
        sections compare beside that."""
        names = list(names)
        pairs = [(name, reference) for name in names if (reference := self.reference_of(name)) is not None]
        if self.pool is not None:
            pairs.append((self.pool, self.study.baseline))
        if self.proposed is not None and self.control is not None:
            pairs.append((self.proposed, self.control))
        pairs += [
            pair
            for section in self.study.sections
            for pair in section.also_against.items()
            if pair[0] in names and pair[1] in names
        ]
        return list(dict.fromkeys(pairs))

    def in_pictures(self, name: str) -> str:
        """Of `model_cards.figures.arm_looks.ROLES`."""
        if name in (self.study.baseline, self.proposed):
            return "baseline" if name == self.study.baseline else "proposed"
        return "core" if self.study.arms[name].core else "exploratory"

    def _reference(self, name: str) -> str | None:
        if name == self.study.baseline:
            return None
        if self.is_treated(name):
            for other in (self.study.baseline, *self.study.arms):
                if other != name and not self.is_treated(other) and self._same_setting(name, other):
                    return other
        return self.study.baseline

    def _same_setting(self, name: str, plain: str) -> bool:
        """Equal but for treatments; a weight of 0 is a term switched off, not another weight."""
        weights = [(self._weight(name, term), self._weight(plain, term)) for term in TERMS]
        if any(own and own != other for own, other in weights):
            return False
        ignored = {("objective", term) for term in TERMS} | {("corpus", "cda"), ("corpus", "cda_pairs")}
        changed = self.differences(name, plain) - ignored
        return all(section in (*TRANSFORMS, _TEACHER[0]) for section, _ in changed)

    def _terms_without(self, name: str) -> tuple[str, ...]:
        """Terms that the baseline's loss has and this arm's has not."""
        missing = [term for term in TERMS if self._weight(self.study.baseline, term) and not self._weight(name, term)]
        return tuple(term.removeprefix("alpha_") for term in missing)

    def differences(self, name: str, other: str) -> set[tuple[str, str]]:
        """(section, key) in which the recipes of two arms differ; ``("teacher of the study", "")`` stands for another teacher."""
        one, two = self._recipes[name], self._recipes[other]
        return {key for key in one.keys() | two.keys() if one.get(key) != two.get(key)}

    def _weight(self, name: str, term: str) -> float:
        return getattr(self.study.arms[name].recipe.objective, term)


def _flat(arm: StudyArm) -> dict[tuple[str, str], Any]:
    """(section, key) → value of what decides the student."""
    sections = decisive_sections(arm.recipe.to_dict())
    return {_TEACHER: arm.teacher} | {
        (name, key): value for name, keys in sections.items() for key, value in keys.items()
    }
