"""What stands behind every arm's change of mean |d|: the numerators of d, the spread that d divides by, and how far twins lie apart."""

from __future__ import annotations

from collections.abc import Mapping

from evenhand.evaluation.arm_comparisons import Judgement, corrected_by_holm
from evenhand.launch.page_text import table
from evenhand.launch.study.page.measured import MeasuredStudy
from evenhand.launch.study.page.number_text import arm_label
from evenhand.launch.study.page.output_embedding_numbers import OutputPair, changes_by_seed, judged
from evenhand.launch.study.page.output_embedding_tables import estimate, label_of, shown
from evenhand.model_cards.escaping import markdown

TITLE = "Do the sets come together, or does the spread change?"
_QUANTITIES = {
    "mean": "Δ mean \\|d\\|",
    "numerators": "numerators n",
    "spreads": "spreads s",
    "word": "twins apart, at the exchanged word",
    "other": "at the other words",
    "pooled": "as sentence vectors",
}
_TESTED = ("numerators", "spreads")
_LEVEL = 0.05


def ratio_lines(measured: MeasuredStudy) -> list[str]:
    """The section; none where no report holds twin distances.

    Differences are paired by seed, intervals Student's t over seeds. Holm's correction is over numerators and spreads of all arms.
    """
    by_arm = _changes(measured)
    if not by_arm:
        return []
    numbers = {
        (arm, quantity): judged(by_seed, quantity) for arm, by_seed in by_arm.items() for quantity in _QUANTITIES
    }
    tested = corrected_by_holm({f"{arm}\0{q}": one for (arm, q), one in numbers.items() if q in _TESTED})
    numbers |= {tuple(key.split("\0")): one for key, one in tested.items()}
    rows = []
    for arm, by_seed in by_arm.items():
        cells = [_marked(numbers[arm, quantity], quantity) for quantity in _QUANTITIES]
        against = label_of(measured.results, measured.reference_of(arm))
        rows.append([arm_label(measured.arms[arm]), against, str(len(by_seed)), *cells])
    return [
        f"## {TITLE}",
        "",
        "d is a ratio, n / s: the difference n of the two sets' mean associations over the spread s of all of them. What draws all sentences "
        "about men and women together shrinks both, and \\|d\\| need not move. So n and s stand here each for itself: by how much the sum of \\|n\\| "
        "over the six gender tests changes, and that of s. Beside them, by how much the distance changes between the hidden states of a sentence and "
        "its gender twin, which divides by nothing.",
        "",
        *table(["arm", "against", "seeds", *_QUANTITIES.values()], rows, text_columns=2),
        "Means over paired seeds with 95 % intervals (Student's t); **bold**: a change of n or s that differs from 0 at 5 % after Holm's correction over the two "
        f"of {'all arms here' if len(by_arm) > 1 else 'the arm'} ({2 * len(by_arm)} tests).",
        "",
        *_in_words(measured, numbers, list(by_arm)),
    ]


def _changes(measured: MeasuredStudy) -> dict[str, Mapping[int, Mapping[str, float | None]]]:
    """By arm, the changes of every seed against what it is compared with, where both have the parts of d."""
    found = {}
    for name, arm in measured.arms.items():
        against = measured.reference_of(name)
        if against is None or arm.same_as is not None:
            continue
        by_seed = changes_by_seed(measured.results, OutputPair(name, against))
        whole = {
            seed: change for seed, change in by_seed.items() if None not in (change["numerators"], change["spreads"])
        }
        if whole:
            found[name] = whole
    return found


def _marked(one: Judgement, quantity: str) -> str:
    shown = estimate(one, quantity)
    return f"**{shown}**" if quantity in _TESTED and _differs(one) else shown


def _differs(one: Judgement) -> bool:
    return one.p_value_holm is not None and one.p_value_holm <= _LEVEL


def _in_words(measured: MeasuredStudy, numbers: Mapping[tuple[str, str], Judgement], arms: list[str]) -> list[str]:
    """The arms in which the spread follows the numerators, so that d hides what they do."""
    lines = []
    for arm in arms:
        numerators, spreads = numbers[arm, "numerators"], numbers[arm, "spreads"]
        if not (_differs(numerators) and _differs(spreads) and numerators.difference * spreads.difference > 0):
            continue
        closer = numerators.difference < 0
        lines.append(
            f"- {markdown(measured.arms[arm].arm.label)}: the sets {'come together' if closer else 'move apart'} (numerators "
            f"{shown(numerators.difference, 'numerators')}), and the spread {'shrinks' if closer else 'grows'} with them "
            f"({shown(spreads.difference, 'spreads')}); of the two, mean \\|d\\| shows {estimate(numbers[arm, 'mean'], 'mean')}."
        )
    if not lines:
        return [
            "In no arm do numerators and spread both differ from 0 and move the same way, so d hides nothing here.",
            "",
        ]
    return ["Where the spread hides what the sets do:", "", *lines, ""]
