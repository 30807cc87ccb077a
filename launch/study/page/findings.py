"""Sentences on one comparison: what was found, how sure that is, and what could have been found. The summary is put together from these."""

from __future__ import annotations

from evenhand.evaluation.arm_comparisons import Judgement
from evenhand.evaluation.sweeps import Sweep
from evenhand.launch.page_text import interval, listed, plural
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.measured import GENDER, MeasuredStudy
from evenhand.launch.study.page.number_text import detail, difference
from evenhand.launch.study.page.printed import printed_difference
from evenhand.model_cards.escaping import markdown

_SIDES = {"better": "less", "worse": "more"}


def answer(measured: MeasuredStudy, arm: str, against: str | None = None) -> str:
    """What can be said of an arm's bias against another's.

    Returns:
        ``"less"`` or ``"more"``: over words and seeds, and after Holm's correction. ``"less here"``, ``"more here"``: over seeds alone and
        after the correction, so with these test words, while other words could say otherwise. ``"perhaps less"``, ``"perhaps more"``: over
        words and seeds, but the correction takes it back. ``"unknown"``.
    """
    comparison = measured.comparison(arm, against)
    if comparison is None or GENDER not in comparison.families:
        return "unknown"
    both, alone = (getattr(comparison.families[GENDER], kind) for kind in ("words_and_seeds", "seeds_alone"))
    for judged, words in ((both, ""), (alone, " here")):
        if judged.verdict in _SIDES and judged.holds is not False:
            return _SIDES[judged.verdict] + words
    return f"perhaps {_SIDES[both.verdict]}" if both.verdict in _SIDES else "unknown"


def of_family(measured: MeasuredStudy, arm: str, against: str | None = None) -> Judgement | None:
    """Δ mean |d| of an arm over words and seeds."""
    comparison = measured.comparison(arm, against)
    return comparison.families[GENDER].words_and_seeds if comparison and GENDER in comparison.families else None


def over_seeds_alone(measured: MeasuredStudy, arm: str) -> Judgement | None:
    """Δ mean |d| over seeds alone where the answer on the arm rests on it, ``None`` where it rests on words and seeds."""
    if not answer(measured, arm).endswith(" here"):
        return None
    return measured.comparison(arm).families[GENDER].seeds_alone


def label_of(measured: MeasuredStudy, arm: str) -> str:
    """The arm in a sentence; a pool of draws with the names of all of them."""
    if arm == measured.roles.pool:
        labels = [f"*{markdown(measured.study.arms[name].label)}*" for name in measured.roles.controls]
        return f"{listed(labels)} together"
    return f"*{markdown(measured.study.arms[arm].label)}*"


def evidence(measured: MeasuredStudy, arm: str, against: str | None = None) -> str:
    """The numbers behind a sentence: difference, interval, pairs, p, what could have been found, and whether it is exploratory."""
    comparison = measured.comparison(arm, against)
    both, alone = (getattr(comparison.families[GENDER], kind) for kind in ("words_and_seeds", "seeds_alone"))
    text = (
        f"Δ mean \\|d\\| {difference(both)} over words and seeds, {plural(len(comparison.seeds), 'pair')}{detail(both)}"
    )
    if len(comparison.seeds) == 1:
        text += "; one training of each, so other seeds could say otherwise"
    elif alone.verdict in _SIDES and (both.verdict not in _SIDES or both.holds is False):
        held = "and after Holm" if alone.holds else "before Holm"
        text += f"; over seeds alone, with these very words, {interval((alone.low, alone.high), digits=3)}, which leaves out 0 ({held})"
    return text if is_core(measured, arm) else f"{text}; exploratory"


def is_core(measured: MeasuredStudy, arm: str) -> bool:
    """Whether conclusions may rest on the arm; on a pool of draws where they may on every one."""
    if arm == measured.roles.pool:
        return all(measured.study.arms[name].core for name in measured.roles.controls)
    return measured.arms[arm].core


def is_firm(sweep: Sweep) -> bool:
    """Whether a slope that differs from 0 over seeds is borne out over the values of the sweep too: the interval of r leaves out 0."""
    ends = sweep.r_interval
    return ends is not None and (ends[0] > 0 or ends[1] < 0)


def paper_change(measured: MeasuredStudy, arm: str, against: str) -> float | None:
    """The paper's Δ of two arms, from the first section that prints both."""
    changes = (printed_difference(section, arm, against) for section in measured.study.sections)
    return next((change for change in changes if change is not None), None)


def paper_text(measured: MeasuredStudy, arm: str, against: str) -> str:
    """What the paper has, beside what could have been found here; empty where it has nothing."""
    change, judged = paper_change(measured, arm, against), of_family(measured, arm, against)
    if change is None:
        return ""
    text = f" The paper's single runs differ by {number(change)}"
    if judged is None or judged.detectable is None:
        return f"{text}."
    text += f", which lies {'outside' if judged.leaves_out(change) else 'within'} the interval"
    return f"{text}; a true difference of that size {_found(abs(change), judged)}."


def _found(size: float, judged: Judgement) -> str:
    """Whether a true difference of that size would have been seen, with and without Holm's correction."""
    if size < judged.detectable:
        return "would have been found in fewer than four of five such studies"
    if judged.detectable_holm is None or size >= judged.detectable_holm:
        return "would have been found in four of five such studies or more"
    return "would have been found in four of five such studies or more before Holm's correction, in fewer after it"


def price_text(measured: MeasuredStudy, arm: str, against: str | None = None) -> str:
    """What the arm costs in held-out masked-LM loss, and its change of bias per nat."""
    comparison, ratio = measured.comparison(arm, against), measured.per_nat(arm, against)
    if comparison is None or comparison.mlm_loss is None:
        return "The held-out loss of the two was not taken on the same masked tokens, so there is no price to name."
    loss = comparison.mlm_loss
    text = f"Held-out masked-LM loss changes by {difference(loss, 4)} nats"
    if ratio is None or ratio.low is None:
        return f"{text}, which cannot be told from nothing, so a price per nat has no bounds."
    per_nat = f"{number(ratio.value, digits=2)} {interval((ratio.low, ratio.high))} of mean \\|d\\|"
    return f"{text}; that is {per_nat} per nat of loss (over seeds, with these words)."
