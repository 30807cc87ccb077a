"""What all tasks together say of one finding, corrected for having asked each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evenhand.evaluation.distillability_rule import CANNOT_TELL, CONTRADICTS, SUPPORTS
from evenhand.evaluation.multiplicity import holm
from evenhand.evaluation.paired_seeds import CONFIDENCE
from evenhand.launch.distillability.page.findings import TaskFinding

DEPENDS, IN_SOME = "depends on the task", "in some tasks"


@dataclass(frozen=True)
class OverTasks:
    """One finding over the tasks that were asked.

    Args:
        claim: in words.
        words: task -> supports, contradicts, no difference or cannot tell, each by itself.
        p_values: task -> level of the word, Holm-corrected over the tasks; ``None`` for one that cannot tell.
    """

    claim: str
    words: Mapping[str, str]
    p_values: Mapping[str, float | None]

    @classmethod
    def of(cls, findings: Mapping[str, TaskFinding]) -> OverTasks:
        """From each task's own finding.

        Args:
            findings: task -> the finding, at least one.
        """
        levels = {name: one.decides.p_value if one.decides else None for name, one in findings.items()}
        # a task that cannot tell has been asked too, so it counts in the family
        corrected = holm({name: 1.0 if level is None else level for name, level in levels.items()})
        p_values = {name: None if level is None else corrected[name] for name, level in levels.items()}
        claim = next(iter(findings.values())).claim
        return cls(claim, {name: one.word for name, one in findings.items()}, p_values)

    def holds(self, task: str) -> bool:
        """Whether the task's word is left after the correction; of one that cannot tell there is nothing to take back."""
        p_value = self.p_values[task]
        return p_value is None or p_value < 1 - CONFIDENCE

    @property
    def verdict(self) -> str:
        """What all tasks say, after the correction: their common word; ``"cannot tell"`` where none can tell; ``"depends on the task"`` where one
        supports and one contradicts; else ``"in some tasks"``."""
        left = {word if self.holds(task) else CANNOT_TELL for task, word in self.words.items()}
        if len(left) == 1:
            return next(iter(left))
        return DEPENDS if {SUPPORTS, CONTRADICTS} <= left else IN_SOME
