"""The numbers that the paper prints, and what comes out when its averages are computed again from its own rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenhand.launch.study.study_file import Section

SEAT_TESTS = ("C6", "C6b", "C7", "C7b", "C8", "C8b")
GLUE_TASKS = {
    "mnli": "MNLI", "qqp": "QQP", "qnli": "QNLI", "sst2": "SST-2", "cola": "CoLA", "stsb": "STS-B", "mrpc": "MRPC", "rte": "RTE",
}  # fmt: skip
"""Keys of `evaluation.glue` by the paper's names, in its order."""


@dataclass(frozen=True)
class PrintedMean:
    """An average as printed, and as its row gives it.

    Args:
        arm: name.
        what: ``"mean |d|"`` or ``"GLUE"``.
        printed: as the paper prints it, or ``None``.
        recomputed: from the row, or ``None`` where it is not complete.
        tolerance: by how much rounding of the row and of the average can part the two.
    """

    arm: str
    what: str
    printed: float | None
    recomputed: float | None
    tolerance: float

    @property
    def matches(self) -> bool:
        """False where the two differ by more than rounding allows."""
        if self.printed is None or self.recomputed is None:
            return True
        return abs(self.printed - self.recomputed) <= self.tolerance + 1e-9


def seat_mean(arm: str, row: Mapping[str, float]) -> PrintedMean:
    """Mean of the six magnitudes; entries and average are printed to .001."""
    complete = all(test in row for test in SEAT_TESTS)
    recomputed = sum(abs(row[test]) for test in SEAT_TESTS) / len(SEAT_TESTS) if complete else None
    return PrintedMean(arm, "mean |d|", row.get("mean"), recomputed, 0.001)


def glue_mean(arm: str, row: Mapping[str, float], tasks: Sequence[str] = tuple(GLUE_TASKS.values())) -> PrintedMean:
    """Mean of the tasks named, in points; entries and average are printed to .1. Of fewer tasks than the paper has, nothing is printed."""
    complete = bool(tasks) and all(task in row for task in tasks)
    recomputed = sum(row[task] for task in tasks) / len(tasks) if complete else None
    whole = set(tasks) == set(GLUE_TASKS.values())
    return PrintedMean(arm, "GLUE", row.get("glue") if whole else None, recomputed, 0.1)


def mismatches(sections: Sequence[Section]) -> list[PrintedMean]:
    """The printed averages that do not match their rows, each once."""
    found = {
        (mean.arm, mean.what): mean
        for section in sections
        for arm, row in section.printed.items()
        for mean in (seat_mean(arm, row), glue_mean(arm, row))
        if not mean.matches
    }
    return list(found.values())


def best_mean(row: Mapping[str, float]) -> float | None:
    """Mean |d| of the paper's arm: recomputed where its row is complete, else as printed."""
    mean = seat_mean("", row)
    return mean.printed if mean.recomputed is None else mean.recomputed


def printed_difference(section: Section, arm: str, against: str) -> float | None:
    """The paper's Δ mean |d| of two of its arms, from recomputed means; ``None`` where it does not have both."""
    means = [best_mean(section.printed[name]) if name in section.printed else None for name in (arm, against)]
    return None if None in means else means[0] - means[1]


def printed_correlation(section: Section) -> float | None:
    """Pearson's r that the paper prints for a sweep."""
    return next((row["pearson_r"] for row in section.printed.values() if "pearson_r" in row), None)
