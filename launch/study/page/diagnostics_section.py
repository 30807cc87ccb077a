"""What lies behind d: the shares of its spread, the anisotropy of the vectors, and the same comparisons under other poolings and stimuli."""

from __future__ import annotations

import numpy as np

from evenhand.evaluation.spread_of_associations import Spread, spread_of
from evenhand.launch.page_text import ABSENT, estimate, listed, plural, probability, table
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.measured import GENDER, MeasuredArm, MeasuredStudy
from evenhand.launch.study.page.number_text import arm_label, difference, judged_text
from evenhand.model_cards.escaping import code, markdown


def mean_spread(arm: MeasuredArm) -> Spread | None:
    """The shares over the gender tests and seeds of an arm; ``None`` where a test has no d."""
    spreads = [
        spread_of(test)
        for result in arm.seat().values()
        for test in result["tests"].values()
        if test["family"] == GENDER
    ]
    if not spreads or None in spreads:
        return None
    shares = [[one.between_sets, one.between_words, one.within_words] for one in spreads]
    return Spread(*map(float, np.mean(shares, axis=0)))


def spread_lines(measured: MeasuredStudy) -> list[str]:
    """Table of the shares, and of the mean cosine of all sentence vectors."""
    rows = []
    for arm in measured.arms.values():
        shares = mean_spread(arm)
        if arm.same_as is None and shares is not None:
            cosines = [result["anisotropy"]["mean_cosine"] for result in arm.seat().values()]
            parts = (shares.between_sets, shares.between_words, shares.within_words)
            cells = [*(f"{100 * part:.1f} %" for part in parts), number(float(np.mean(cosines)), False)]
            rows.append([arm_label(arm), str(len(arm.seat())), *cells])
    if not rows:
        return []
    header = [
        "arm",
        "students",
        "between the sets (d)",
        "between words of a set",
        "between sentences of a word",
        "mean cosine",
    ]
    return [
        "## What d is made of",
        "",
        "d is a difference of two means over a standard deviation, so \\|d\\| falls when the sets come together, and as well when the words of a set, or "
        "the sentences around a word, come to differ more. The table divides the sum of squares of the associations (mean over the six gender tests "
        "and the students) into these three parts. The mean cosine is that of all pairs of sentence vectors.",
        "",
        *table(header, rows),
    ]


def other_settings_lines(measured: MeasuredStudy) -> list[str]:
    """Mean |d| and its difference from the reference arm under every other pooling and on every other source of sentences."""
    lines = []
    for which, entry in enumerate(measured.entries[1:], 1):
        comparisons = measured.other_entry(which)
        rows = []
        for name, arm in measured.arms.items():
            reference = measured.reference_of(name)
            sizes = [result["families"][GENDER]["mean_absolute_effect_size"] for result in arm.seat(which).values()]
            if arm.same_as is not None or not sizes:
                continue
            mean = None if None in sizes else float(np.mean(sizes))
            found = comparisons.get((name, measured.name_of(reference))) if reference else None
            judged = found.families[GENDER].words_and_seeds if found else None
            rows.append(
                [
                    arm_label(arm), str(len(sizes)), estimate(mean, None), difference(judged), judged_text(judged),
                    probability(judged.p_value_holm) if judged else ABSENT, number(judged.detectable if judged else None, False),
                ]
            )  # fmt: skip
        header = ["arm", "students", "mean \\|d\\|", "Δ, words and seeds", "verdict", "p (Holm)", "detectable"]
        lines += [
            f"### Pooling {code(entry['pooling'])}, {markdown(entry['stimuli']['name'])}",
            "",
            *table(header, rows),
            *_turned(measured, which),
        ]
    if not lines:
        return []
    note = "The same students under other settings of the measure; Holm's correction is over the arms within each."
    return ["## Other poolings and stimuli", "", note, "", *lines]


def _turned(measured: MeasuredStudy, which: int) -> list[str]:
    """Whether what the core arms do depends on this setting of the measure: those whose difference has the other sign than the headline's."""
    names, turned = [], []
    for name, arm in measured.arms.items():
        reference = measured.reference_of(name)
        if arm.same_as is not None or reference is None or not arm.arm.core:
            continue
        both = [
            found.get((name, measured.name_of(reference)))
            for found in (measured.comparisons, measured.other_entry(which))
        ]
        if None in both:
            continue
        changes = [one.families[GENDER].words_and_seeds.difference for one in both]
        if None not in changes:
            names.append(name)
            if changes[0] * changes[1] < 0:
                turned.append(f"*{markdown(arm.arm.label)}* ({number(changes[0])} there, {number(changes[1])} here)")
    if not names:
        return []
    headline = f"{code(measured.entries[0]['pooling'])} on {markdown(measured.entries[0]['stimuli']['name'])}"
    if not turned:
        return [
            f"In none of {plural(len(names), 'core arm')} does Δ have another sign than under the headline's setting, {headline}.",
            "",
        ]
    return [
        f"Of {plural(len(names), 'core arm')} {len(turned)} {'has' if len(turned) == 1 else 'have'} Δ of another sign than under the headline's setting, {headline}: {listed(turned)}.",
        "",
    ]
