"""The tables on what mixing the output embedding changes: models, changes, and the parts of d."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from evenhand.evaluation.arm_comparisons import Judgement
from evenhand.evaluation.stimuli import LABELS
from evenhand.launch.results_tables import number, probability, spread
from evenhand.launch.study.page.output_embedding_numbers import OutputPair, StudentNumbers, judged, numbers_of
from evenhand.launch.study.results import StudyResults
from evenhand.model_cards.escaping import markdown

# Quantity of `changes`, what its row is called, and how many decimals it has; None: the logarithm of a ratio, shown in percent.
_ROWS: tuple[tuple[str, str, int | None], ...] = (
    ("mean", "mean \\|d\\|", 3),
    ("terms", "mean \\|d\\| of C6b, C7, C8 (terms)", 3),
    ("names", "mean \\|d\\| of C6, C7b, C8b (names)", 3),
    ("names_over_terms", "names against terms", 3),
    ("numerator", "part of the change of mean \\|d\\| from the numerators", 3),
    ("spread", "part of it from the spread", 3),
    ("numerators", "numerators of d, summed over the tests", None),
    ("spreads", "spreads that d divides by, summed", None),
    ("word", "distance of twins at the exchanged word", None),
    ("other", "distance of twins at the other words", None),
    ("pooled", "distance of twins' sentence vectors", None),
    ("cosine", "mean cosine of sentence vectors", 4),
    ("loss", "held-out masked-LM loss, nats", 3),
)
_DIGITS = {quantity: digits for quantity, _, digits in _ROWS}
_COLUMNS: tuple[tuple[str, Callable[[StudentNumbers], float | None], int], ...] = (
    ("mean \\|d\\|", lambda n: n.mean, 3),
    ("names", lambda n: n.names, 3),
    ("terms", lambda n: n.terms, 3),
    ("twins apart at the word", lambda n: (n.distances or {}).get("word"), 4),
    ("at other words", lambda n: (n.distances or {}).get("other"), 4),
    ("as sentence vectors", lambda n: (n.distances or {}).get("pooled"), 4),
    ("mean cosine", lambda n: n.cosine, 4),
    ("masked-LM loss", lambda n: n.loss, 3),
)


def label_of(results: StudyResults, arm: str) -> str:
    """An arm's label, safe in a table."""
    return str(markdown(results.study.arms[arm].label))


def models_of(results: StudyResults, pairs: Sequence[OutputPair]) -> list[tuple[str, list[StudentNumbers]]]:
    """The teachers of the pairs' students (each model once), then the arms, each with the numbers of its models."""
    arms = list(dict.fromkeys(name for pair in pairs for name in (pair.without, pair.with_output)))
    teachers = {
        report.reference["weights_sha256"]: numbers_of(report, "reference")
        for report in results.reports[arms[0]].values()
        if report.reference is not None
    }
    found = [("teacher", list(teachers.values()))] if teachers else []
    for arm in arms:
        mark = "" if results.study.arms[arm].core else " *(exploratory)*"
        found.append((label_of(results, arm) + mark, [numbers_of(report) for report in results.reports[arm].values()]))
    return found


def arms_table(results: StudyResults, pairs: Sequence[OutputPair]) -> list[str]:
    """One row for the teacher and one for each arm: means over seeds ± their standard deviation."""
    lines = ["| model | seeds | " + " | ".join(title for title, _, _ in _COLUMNS) + " |", _rule(len(_COLUMNS) + 2)]
    for label, numbers in models_of(results, pairs):
        cells = [_spread([value(one) for one in numbers], digits) for _, value, digits in _COLUMNS]
        lines.append(f"| {label} | {len(numbers)} | " + " | ".join(cells) + " |")
    return [*lines, "", "Means over seeds ± standard deviation; – where a report does not hold the number.", ""]


def changes_table(
    results: StudyResults, by_pair: Mapping[OutputPair, Mapping], overall: Mapping[int, Mapping]
) -> list[str]:
    """Rows are quantities, columns the pairs and their mean.

    Args:
        by_pair: from `changes_by_seed`, pairs with a seed at least.
        overall: from `together`.
    """
    header = [f"{label_of(results, p.with_output)} − {label_of(results, p.without)}" for p in by_pair]
    columns = list(by_pair.values())
    if len(by_pair) > 1:
        header.append(f"mean of the {len(by_pair)}")
        columns.append(overall)
    header = ["change with the output embedding", *header, "p", "detectable"]
    lines = ["| " + " | ".join(header) + " |", _rule(len(header))]
    lines.append("| paired seeds | " + " | ".join(str(len(by_seed)) for by_seed in columns) + " | | |")
    for quantity, title, _ in _ROWS:
        found = [judged(by_seed, quantity) for by_seed in columns]
        cells = [*(estimate(one, quantity) for one in found), probability(found[-1].p_value)]
        cells.append("–" if found[-1].detectable is None else reach(found[-1].detectable, quantity))
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    together = " The mean is over the seeds that all pairs have." if len(by_pair) > 1 else ""
    return [
        *lines,
        "",
        f"Student's t over seeds, 95 %.{together} p, and the change that is found with 80 % power (at 5 %, uncorrected), are those of the "
        "column before them. The two parts add up to the change of mean \\|d\\|: what the numerators of d (mean s of X − mean s of Y) "
        "change, and what the spread of s, which d divides by, changes.",
        "",
    ]


def parts_table(results: StudyResults, pairs: Sequence[OutputPair]) -> list[str]:
    """By test and model: mean s over X, over Y, and the spread of s; nothing where no report holds them."""
    models = [(label, numbers) for label, numbers in models_of(results, pairs) if all(one.means for one in numbers)]
    if not models:
        return []
    header = ["mean s of X / of Y / spread of s", *(label for label, _ in models)]
    lines = ["| " + " | ".join(header) + " |", _rule(len(header))]
    for name in models[0][1][0].means:
        cells = []
        for _, numbers in models:
            x, y = (np.mean([one.means[name][side] for one in numbers]) for side in (0, 1))
            deviation = np.mean([one.parts[name][1] for one in numbers])
            shown = (number(1000 * x, digits=1), number(1000 * y, digits=1), number(1000 * deviation, False, 1))
            cells.append(" / ".join(shown))
        lines.append(f"| {LABELS[name]} | " + " | ".join(cells) + " |")
    return [*lines, "", "In thousandths of a cosine, means over seeds; d is (X − Y) / spread.", ""]


def shown(value: float, quantity: str) -> str:
    """A change as its row prints it; the logarithm of a ratio as a percentage."""
    digits = _DIGITS[quantity]
    return number(value, digits=digits) if digits is not None else f"{100 * math.expm1(value):+.1f} %".replace("-", "−")


def reach(value: float, quantity: str) -> str:
    """A detectable change, of either sign."""
    return shown(value, quantity).replace("+", "±", 1)


def estimate(one: Judgement, quantity: str) -> str:
    """A mean with its interval; of one seed without."""
    if one.difference is None:
        return "–"
    value = shown(one.difference, quantity)
    return value if one.low is None else f"{value} [{shown(one.low, quantity)}, {shown(one.high, quantity)}]"


def _spread(values: Sequence[float | None], digits: int) -> str:
    return "–" if None in values else spread(list(values), digits, signed=False)


def _rule(columns: int) -> str:
    return "|---" * columns + "|"
