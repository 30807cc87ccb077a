"""The tables of a section of arms: SEAT beside the printed numbers, differences from the baseline, both test by test."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.evaluation.report_order import ordered_tests
from evenhand.launch.page_text import ABSENT, estimate, interval, probability, table
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.findings import answer, evidence, label_of, price_text
from evenhand.launch.study.page.measured import EXTENDED, GENDER, MeasuredStudy, mean_teacher
from evenhand.launch.study.page.number_text import arm_label, difference, judged_text, seeds_text
from evenhand.launch.study.page.printed import mismatches, printed_difference, seat_mean
from evenhand.launch.study.study_file import Section
from evenhand.model_cards.escaping import code, markdown

_MORE_OR_LESS = {
    "less": "leaves **less** measured bias than {other}", "more": "leaves **more** measured bias than {other}",
    "less here": "leaves **less** measured bias than {other}, for these test words; other words could say otherwise",
    "more here": "leaves **more** measured bias than {other}, for these test words; other words could say otherwise",
    "perhaps less": "**may** leave **less** measured bias than {other}, but the correction for the number of comparisons takes that back",
    "perhaps more": "**may** leave **more** measured bias than {other}, but the correction for the number of comparisons takes that back",
    "unknown": "and {other} **cannot be told apart**",
}  # fmt: skip
PRINTED_ROW = "↳ *paper, one run*"


def section_tables(measured: MeasuredStudy, section: Section) -> list[str]:
    """All tables of one section, with what must be said below them."""
    lines = [*_seat_table(measured, section), *_unfinished(measured, section)]
    run = [name for name in section.arms if measured.comparison(name) is not None]
    if run:
        lines += _difference_tables(measured, section, run)
        lines += _test_table(measured, run)
    lines += _extended_table(measured, section)
    second = second_comparisons(measured, section)
    return [*lines, *(f"- {sentence}" for sentence in second), *([""] if second else [])]


def _seat_table(measured: MeasuredStudy, section: Section) -> list[str]:
    tests = _gender_tests(measured)
    header = ["arm", "students", "mean \\|d\\|", *(str(markdown(label)) for _, label in tests)]
    rows = []
    teacher = mean_teacher(measured)
    if teacher is not None:
        rows.append(["teacher", "", *_measured_cells(teacher, tests)])
    for name in section.arms:
        arm = measured.arms[name]
        rows.append([arm_label(arm), seeds_text(arm), *_measured_cells(arm.mean, tests)])
        if name in section.printed:
            rows.append([PRINTED_ROW, "1", *_printed_cells(section, name, tests)])
    title = "SEAT effect size d, mean over students, with the interval over words and seeds"
    return [f"**{title}.**", "", *table(header, rows)]


def _gender_tests(measured: MeasuredStudy, family: str = GENDER) -> list[tuple[str, str]]:
    """(name, label) of the family's tests in natural order."""
    first = measured.entries[0]["model"]
    return [(name, test["label"]) for name, test in ordered_tests(first) if test["family"] == family]


def _measured_cells(mean: dict | None, tests: Sequence[tuple[str, str]], family: str = GENDER) -> list[str]:
    if mean is None:
        return [ABSENT] * (len(tests) + 1)
    cells = [
        estimate(mean["tests"][name]["effect_size"], mean["tests"][name]["confidence_interval"], True)
        for name, _ in tests
    ]
    of_family = mean["families"][family]
    return [f"**{estimate(of_family['mean_absolute_effect_size'], of_family['confidence_interval'])}**", *cells]


def _printed_cells(section: Section, name: str, tests: Sequence[tuple[str, str]]) -> list[str]:
    row = section.printed[name]
    cells = [number(row[label]) if label in row else ABSENT for _, label in tests]
    mean = seat_mean(name, row)
    shown = ABSENT if mean.printed is None else number(mean.printed, False)
    return [shown if mean.matches else f"{shown} (its row gives {number(mean.recomputed, False)})", *cells]


def printed_mismatches(measured: MeasuredStudy) -> list[str]:
    """A sentence for each average of the paper that its own row does not give."""
    lines = []
    for mean in mismatches(measured.study.sections):
        label = markdown(measured.study.arms[mean.arm].label if mean.arm in measured.study.arms else mean.arm)
        digits = 3 if mean.what == "mean |d|" else 1
        lines.append(
            f"The paper prints {mean.what.replace('|', chr(92) + '|')} {number(mean.printed, False, digits)} for *{label}*; its own row gives "
            f"{number(mean.recomputed, False, digits)}, further away than rounding can explain. Where this page takes differences of the paper's "
            "averages, it takes the recomputed one."
        )
    return lines


def _unfinished(measured: MeasuredStudy, section: Section) -> list[str]:
    """Failed students with their logs, and those that have not been run."""
    lines = []
    for name in section.arms:
        arm = measured.arms[name]
        label = markdown(arm.arm.label)
        lines += [f"- {label}: **failed** with seed {seed}; log {code(log)}." for seed, log in arm.failed.items()]
        if arm.missing:
            lines.append(
                f"- {label}: not run yet with seed{'s' * (len(arm.missing) > 1)} {', '.join(map(str, arm.missing))}."
            )
        if arm.same_as is not None:
            lines.append(
                f"- {label}: its recipe is that of *{markdown(measured.arms[arm.same_as].arm.label)}*, so these are the same students."
            )
    return [*lines, ""] if lines else []


def _difference_tables(measured: MeasuredStudy, section: Section, names: Sequence[str]) -> list[str]:
    """Over words and seeds, with the verdict; then over seeds alone, with the price in held-out loss."""
    several = len({measured.reference_of(name) for name in names}) > 1
    first = measured.study.arms[measured.reference_of(names[0])].label
    against = "the plain arm of the same setting" if several else markdown(first)
    labels = [_labels(measured, name, several) for name in names]
    both = [label + _over_words_and_seeds(measured, section, name) for label, name in zip(labels, names, strict=True)]
    alone = [label + _over_seeds(measured, name) for label, name in zip(labels, names, strict=True)]
    header = ["arm", *(["against"] if several else []), "pairs"]
    of_both = ["Δ mean \\|d\\|", "verdict", "p", "p (Holm)", "detectable", "with Holm", "paper's Δ"]
    of_alone = ["Δ mean \\|d\\|", "p", "p (Holm)", "detectable"]
    of_alone += [
        "Δ held-out loss, nats",
        "Δ mean \\|d\\| per nat",
        "Δ from its teacher, words and seeds",
        "p (Holm)",
        "detectable",
    ]
    return [
        f"**Difference from {against}, paired by seed, over words and seeds.**",
        "",
        *table([*header, *of_both], both, 1 + several),
        "**The same over seeds alone, with these very words; and what it costs.**",
        "",
        *table([*header, *of_alone], alone, 1 + several),
    ]


def _labels(measured: MeasuredStudy, name: str, several: bool) -> list[str]:
    reference = str(markdown(measured.study.arms[measured.reference_of(name)].label))
    pairs = str(len(measured.comparison(name).seeds))
    return [arm_label(measured.arms[name]), *([reference] if several else []), pairs]


def _over_words_and_seeds(measured: MeasuredStudy, section: Section, name: str) -> list[str]:
    judged = measured.comparison(name).families[GENDER].words_and_seeds
    return [
        difference(judged),
        judged_text(judged),
        probability(judged.p_value),
        probability(judged.p_value_holm),
        number(judged.detectable, False),
        number(judged.detectable_holm, False),
        number(printed_difference(section, name, measured.reference_of(name))),
    ]


def _over_seeds(measured: MeasuredStudy, name: str) -> list[str]:
    judged, teacher = measured.comparison(name).families[GENDER].seeds_alone, measured.from_teachers.get(name)
    return [
        difference(judged),
        probability(judged.p_value),
        probability(judged.p_value_holm),
        number(judged.detectable, False),
        difference(measured.comparison(name).mlm_loss, 4),
        per_nat_text(measured, name),
        difference(teacher),
        probability(teacher.p_value_holm if teacher else None),
        number(teacher.detectable if teacher else None, False),
    ]


def per_nat_text(measured: MeasuredStudy, name: str, against: str | None = None) -> str:
    """Δ mean |d| per nat of loss; without an interval where the loss itself cannot be told to have changed."""
    ratio = measured.per_nat(name, against)
    if ratio is None or ratio.value is None:
        return ABSENT
    if ratio.low is None:
        return "unbounded: Δ loss not told from 0" if ratio.n > 1 else number(ratio.value, digits=1)
    return f"{number(ratio.value, digits=1)} {interval((ratio.low, ratio.high), digits=1)}"


def second_comparisons(measured: MeasuredStudy, section: Section) -> list[str]:
    """A sentence for each arm that the section compares with a second one, from arms that were both run."""
    sentences = []
    for name, other in section.also_against.items():
        if measured.comparison(name, other) is None:
            continue
        said = _MORE_OR_LESS[answer(measured, name, other)].format(other=label_of(measured, other))
        found = f"{label_of(measured, name)} {said}: {evidence(measured, name, other)}"
        sentences.append(f"{found}. {price_text(measured, name, other)}")
    return sentences


def _test_table(measured: MeasuredStudy, names: Sequence[str]) -> list[str]:
    tests = _gender_tests(measured)
    rows = []
    for name in names:
        changes = measured.comparison(name).tests
        rows.append([arm_label(measured.arms[name]), *(_test_cell(changes[test]) for test, _ in tests)])
    title = "Δ \\|d\\| test by test, words and seeds; ▼ less, ▲ more bias where the interval leaves out 0; * where Δd holds over words (sign flips, Holm over the family, p ≤ .05)"
    return [f"**{title}.**", "", *table(["arm", *(str(markdown(label)) for _, label in tests)], rows)]


def _test_cell(change: dict) -> str:
    shown = estimate(change["difference_absolute"], change["confidence_interval_absolute"], True)
    mark = {"better": " ▼", "worse": " ▲"}.get(change["verdict"], "")
    holm = change["p_value_holm"]
    return shown + mark + (" \\*" if holm is not None and holm <= 0.05 else "")


def _extended_table(measured: MeasuredStudy, section: Section) -> list[str]:
    """The family with more words a set, on which smaller differences can be seen; nothing where it was not measured."""
    rows = []
    for name in section.arms:
        arm, comparison = measured.arms[name], measured.comparison(name)
        if arm.mean is None or EXTENDED not in arm.mean["families"]:
            continue
        of_family = arm.mean["families"][EXTENDED]
        judged = (
            comparison.families[EXTENDED].words_and_seeds if comparison and EXTENDED in comparison.families else None
        )
        rows.append(
            [
                arm_label(arm),
                str(len(arm.reports)),
                estimate(of_family["mean_absolute_effect_size"], of_family["confidence_interval"]),
                difference(judged),
                judged_text(judged),
                probability(judged.p_value_holm if judged else None),
                number(judged.detectable if judged else None, False),
            ]
        )
    if not rows:
        return []
    header = ["arm", "students", "mean \\|d\\|, E tests", "Δ, words and seeds", "verdict", "p (Holm)", "detectable"]
    return ["**The extended family: the same six questions with three times as many words.**", "", *table(header, rows)]
