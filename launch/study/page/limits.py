"""What the study cannot tell: how large a difference must be for it to be seen, and which of the paper's are smaller."""

from __future__ import annotations

from evenhand.launch.page_text import listed
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.findings import is_core, label_of, of_family, paper_change
from evenhand.launch.study.page.measured import MeasuredStudy


def limits_lines(measured: MeasuredStudy) -> list[str]:
    """The range of what could have been found, and the paper's differences on either side of it."""
    reach: dict[bool, list[float]] = {True: [], False: []}
    larger, smaller = [], []
    for name in measured.study.arms:
        judged, reference = of_family(measured, name), measured.reference_of(name)
        if judged is None or judged.detectable is None or measured.arms[name].same_as is not None:
            continue
        reach[is_core(measured, name)].append(judged.detectable)
        change = paper_change(measured, name, reference)
        if change is not None:
            seen = abs(change) >= judged.detectable
            note = ", though here it lies outside the interval" if judged.leaves_out(change) and not seen else ""
            (larger if seen else smaller).append(f"{label_of(measured, name)} ({number(change)}{note})")
    if not any(reach.values()):
        return [
            "**What cannot be told**: no arm has two students yet that are paired with another's, so there is no difference with an interval."
        ]
    ranges = [
        f"{_range(reach[core])} for {words}"
        for core, words in ((True, "core arms"), (False, "exploratory ones"))
        if reach[core]
    ]
    text = f"**What cannot be told**: a true change of mean \\|d\\| smaller than what the comparison could have found with 80 % power, without any correction: {'; '.join(ranges)}."
    if larger or smaller:
        text += f" Of the paper's differences, {_counted(larger, 'larger')}; {_counted(smaller, 'smaller, and would often be missed by a study of this size')}."
    return [text]


def _counted(names: list[str], words: str) -> str:
    """``2 are larger: a and b``."""
    verb = "is" if len(names) == 1 else "are"
    return f"{len(names)} {verb} {words}" + (f": {listed(names)}" if names else "")


def _range(values: list[float]) -> str:
    low, high = (number(end, False) for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
