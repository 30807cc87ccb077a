"""What the control of unrelated word pairs drew: its words, and how much of them is grammar and no topic."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evenhand.launch.study.page.measured import MeasuredStudy
from evenhand.launch.study.study_file import Section
from evenhand.model_cards.escaping import markdown
from evenhand.trainer.function_words import function_word_share


def drawn_words_lines(measured: MeasuredStudy, section: Section) -> list[str]:
    """A sentence for each arm of a section whose mixup is of random pairs, from its reports; nothing where there is none."""
    lines = []
    for name in section.arms:
        arm = measured.arms[name]
        drawn = {seed: found for seed, report in arm.reports.items() if (found := _random_pairs(report.training))}
        if drawn and arm.same_as is None:
            lines.append(f"- {_sentence(arm.arm.label, drawn)}")
    return [*lines, ""] if lines else []


def _sentence(label: str, drawn: Mapping[int, list[Mapping]]) -> str:
    first_seed, first = next(iter(drawn.items()))
    words = ", ".join(f"{markdown(one)}/{markdown(other)}" for one, other in (row["pair"] for row in first))
    if all(pairs == first for pairs in drawn.values()):
        whose = "drawn were"
    else:
        whose = f"each of {len(drawn)} seeds has a draw of its own; seed {first_seed} drew"
    own = _shares(drawn, "pair", "occurrences")
    replaced = _shares(drawn, "in_place_of", "occurrences_of_those")
    return (
        f"*{markdown(label)}*: {whose} {words}. Function words (articles, prepositions, pronouns and the like) are {own} of the occurrences of "
        f"the drawn words, and {replaced} of those of the gender words that they stand for."
    )


def _shares(drawn: Mapping[int, list[Mapping]], words: str, counts: str) -> str:
    """``62 %``, or ``62 % (mean; 55 to 70 %)`` of several draws."""
    shares = []
    for pairs in drawn.values():
        occurrences: dict[str, int] = {}
        for row in pairs:
            for word, n in zip(row[words], row[counts], strict=True):
                occurrences[word] = occurrences.get(word, 0) + n
        share = function_word_share(occurrences)
        shares += [] if share is None else [100 * share]
    if not shares:
        return "none"
    ends = [f"{end:.0f}" for end in (min(shares), max(shares))]
    return f"{np.mean(shares):.0f} %" + ("" if ends[0] == ends[1] else f" (mean; {ends[0]} to {ends[1]} %)")


def _random_pairs(training: Mapping | None) -> list[Mapping] | None:
    supervision = (training or {}).get("supervision") or {}
    return (supervision.get("random_pairs") or {}).get("pairs")
