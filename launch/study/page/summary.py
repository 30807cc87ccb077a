"""The plain-language summary, generated: every sentence is chosen by the numbers, none was written for them."""

from __future__ import annotations

import math
from collections.abc import Callable

from evenhand.launch.page_text import interval, listed, plural, probability
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.arms_tables import second_comparisons
from evenhand.launch.study.page.control_text import about_gender
from evenhand.launch.study.page.findings import (
    answer,
    evidence,
    is_firm,
    label_of,
    of_family,
    over_seeds_alone,
    paper_text,
    price_text,
)
from evenhand.launch.study.page.glue_section import glue_changes, glue_tasks
from evenhand.launch.study.page.limits import limits_lines
from evenhand.launch.study.page.measured import (
    GENDER,
    MeasuredStudy,
    distinct_teachers,
    teacher_loss,
    uniform_loss,
    unigram_loss,
)
from evenhand.launch.study.page.mixed_positions import mixed_share, share_text
from evenhand.launch.study.page.number_text import detail, difference
from evenhand.launch.study.page.planted_summary import planted_sentences
from evenhand.launch.study.page.printed import printed_correlation
from evenhand.launch.study.page.roles import MIXED_PARTS, PROPOSED
from evenhand.launch.study.page.setting_changes import setting_sentences
from evenhand.launch.study.page.sweep_section import detectable_slope, printed_r_text
from evenhand.launch.study.study_file import ORIGINAL

TERM_NAMES = {
    "ce": "the soft-target term L_ce", "mlm": "the masked-LM term L_mlm", "cos": "the cosine term L_cos", "mse": "the logit term L_mse",
}  # fmt: skip
_TAKEN_BACK = ", but the correction for the number of comparisons takes that back"
_HERE = ", for these test words; other words could say otherwise"
_WITHOUT = {
    "less": "{what} **amplifies** the measured bias: without it there is less",
    "more": "{what} **lowers** the measured bias: without it there is more",
    "less here": "{what} **amplifies** the measured bias" + _HERE,
    "more here": "{what} **lowers** the measured bias" + _HERE,
    "perhaps less": "{what} **may amplify** the measured bias" + _TAKEN_BACK,
    "perhaps more": "{what} **may lower** the measured bias" + _TAKEN_BACK,
    "unknown": "whether {what} amplifies the measured bias **cannot be told**",
}
_WITH = {
    "less": "{what} **lowers** the measured bias",
    "more": "{what} **raises** the measured bias",
    "less here": "{what} **lowers** the measured bias" + _HERE,
    "more here": "{what} **raises** the measured bias" + _HERE,
    "perhaps less": "{what} **may lower** the measured bias" + _TAKEN_BACK,
    "perhaps more": "{what} **may raise** the measured bias" + _TAKEN_BACK,
    "unknown": "whether {what} changes the measured bias **cannot be told**",
}
_KINDS = {
    "less": "less bias", "more": "more bias", "less here": "less bias with these test words", "more here": "more bias with these test words",
    "perhaps less": "less bias before the correction alone", "perhaps more": "more bias before the correction alone",
    "unknown": "no difference that can be told",
}  # fmt: skip


def summary_lines(measured: MeasuredStudy) -> list[str]:
    """The section ``What the numbers say``: a list, one answer an item; questions whose arms were not run are left out."""
    answers: list[Callable[[MeasuredStudy], list[str]]] = [
        _unfinished, _context, _teacher, _distillation, planted_sentences, _terms, _mixup, setting_sentences, _parts, _control, _also, _depth, _quality, _others, limits_lines,
    ]  # fmt: skip
    lines = [f"- {sentence}" for answer in answers for sentence in answer(measured)]
    return ["## What the numbers say", "", *lines, ""]


def _said(sentences: dict[str, str], measured: MeasuredStudy, what: str, arm: str, against: str | None = None) -> str:
    text = sentences[answer(measured, arm, against)].format(what=what)
    return text[:1].upper() + text[1:]


def _shown(measured: MeasuredStudy, name: str) -> str:
    """The difference with the interval that the answer rests on."""
    alone = over_seeds_alone(measured, name)
    return difference(of_family(measured, name)) if alone is None else f"{difference(alone)} over seeds"


def _is_own(measured: MeasuredStudy, name: str) -> bool:
    """Whether the arm was compared, and has students that no other arm has."""
    return measured.arms[name].same_as is None and measured.comparison(name) is not None


def _unfinished(measured: MeasuredStudy) -> list[str]:
    counts = measured.counts
    parts = [f"{counts['failed']} failed"] if counts["failed"] else []
    parts += [f"{counts['missing']} have not been run yet"] if counts["missing"] else []
    if not parts:
        return []
    return [f"**Not finished**: of {counts['wanted']:,} students {' and '.join(parts)}. What follows is of the others."]


def _context(measured: MeasuredStudy) -> list[str]:
    """Do the models know more than a guess that does not look at the sentence?"""
    guessing, alike, of_teacher = unigram_loss(measured), uniform_loss(measured), teacher_loss(measured)
    losses = list(measured.arms[measured.study.baseline].losses().values())
    if guessing is None or of_teacher is None or not losses:
        return []
    best = guessing if alike is None else min(guessing, alike)
    of_student = math.fsum(losses) / len(losses)
    what = (
        "The teacher's logits carry context"
        if of_teacher < best
        else "The teacher's logits carry **no** context that helps"
    )
    return [
        f"{what}: on the held-out targets it loses {number(of_teacher, False)} nats, its plain students {number(of_student, False)}, and guessing every "
        f"token by its frequency {number(guessing, False)}{'' if alike is None else f', all tokens alike {number(alike, False)}'}."
    ]


def _teacher(measured: MeasuredStudy) -> list[str]:
    """Is there an association in the teacher at all? Its mean |d| against that of its own words dealt to the sets at random."""
    teachers = distinct_teachers(measured)
    families = [teacher["families"][GENDER] for teacher in teachers]
    if not families or any(family["noise_floor"] is None for family in families):
        return []
    sizes = [family["mean_absolute_effect_size"] for family in families]
    floors = [family["noise_floor"] for family in families]
    largest, chance = max(floor["p_value"] for floor in floors), max(floor["quantile_95"] for floor in floors)
    several = len(teachers) > 1
    what = "The teachers have" if several else "The teacher has"
    said = (
        f"{what} an association to pass on"
        if largest <= 0.05
        else f"{what} **no** association that chance could not give"
    )
    shown = f"{number(min(sizes), False)} to {number(max(sizes), False)}" if several else number(sizes[0], False)
    p = probability(largest)
    sure = f"p {p}" if not several else f"p {p} of each" if p.startswith("<") else f"p of each {p} or less"
    return [
        f"{said}: mean \\|d\\| {shown}, where 95 % of the ways to deal the words to the sets at random stay below {number(chance, False)} ({sure})."
    ]


def _distillation(measured: MeasuredStudy) -> list[str]:
    """Does plain distillation leave more bias than the teacher has?"""
    of_plain = _against_teachers(
        measured, measured.study.baseline, "the plain student", "plain distillation", "its teacher"
    )
    others = [
        name
        for name, arm in measured.study.arms.items()
        if arm.teacher != ORIGINAL and measured.arms[name].same_as is None
    ]
    return of_plain + [
        sentence
        for name in others
        for sentence in _against_teachers(
            measured,
            name,
            f"the student of {label_of(measured, name)}",
            f"distillation from {label_of(measured, name)}",
            "that teacher",
        )
    ]


def _against_teachers(measured: MeasuredStudy, name: str, student: str, what: str, teacher: str) -> list[str]:
    change = measured.from_teachers.get(name)
    if change is None or change.difference is None:
        return []
    words = {
        "better": f"{student} has **less** measured bias than {teacher}",
        "worse": f"{what} **amplifies** the measured bias of {teacher}",
        "not distinguishable": f"whether {what} amplifies the measured bias of {teacher} **cannot be told**",
    }
    if change.holds is False:
        words["better"] = f"{student} **may** have less measured bias than {teacher}" + _TAKEN_BACK
        words["worse"] = f"{what} **may amplify** the measured bias of {teacher}" + _TAKEN_BACK
    said = words[change.verdict]
    students = plural(measured.arms[name].against_teacher["runs"], "student")
    return [
        f"{said[:1].upper()}{said[1:]}: Δ mean \\|d\\| from the teacher {difference(change)}, {students}{detail(change)}."
    ]


def _terms(measured: MeasuredStudy) -> list[str]:
    """What each term of the loss does: arms that differ in nothing but a term switched off."""
    sentences = []
    for name in measured.study.arms:
        terms, reference = measured.roles.only_terms_changed(name), measured.reference_of(name)
        if len(terms) != 1 or not _is_own(measured, name):
            continue
        weights = "" if reference == measured.study.baseline else f" (against {label_of(measured, reference)})"
        text = f"{_said(_WITHOUT, measured, TERM_NAMES[terms[0]], name)}{weights}: {evidence(measured, name)}. {price_text(measured, name)}"
        sentences.append((terms[0] != "ce", text + paper_text(measured, name, reference)))
    return [text for _, text in sorted(sentences, key=lambda pair: pair[0])]


def _mixup(measured: MeasuredStudy) -> list[str]:
    """Does the proposed mixup lower bias, and at what price? At every setting at which it was run."""
    sentences = []
    for name in measured.study.arms:
        if measured.roles.only_mixing(name) != PROPOSED or not _is_own(measured, name):
            continue
        reference = measured.reference_of(name)
        weights = "" if reference == measured.study.baseline else f" (against {label_of(measured, reference)})"
        what = f"the proposed mixup, {label_of(measured, name)},"
        text = (
            f"{_said(_WITH, measured, what, name)}{weights}: {evidence(measured, name)}. {price_text(measured, name)}"
        )
        sentences.append(text + paper_text(measured, name, reference) + _touched(measured, name))
    return sentences


def _touched(measured: MeasuredStudy, name: str) -> str:
    """How much of the text the mixup touches: at the study's own setting, and where it is another share of it than there."""
    share, usual = mixed_share(measured.arms[name]), measured.roles.proposed
    if share is None:
        return ""
    of_usual = mixed_share(measured.arms[usual]) if usual is not None and usual != name else None
    if name != usual and (of_usual is None or share_text(share) == share_text(of_usual)):
        return ""
    return f" It mixes {share_text(share)} of the tokens that its students were shown."


def _parts(measured: MeasuredStudy) -> list[str]:
    """Which part of the mixup does it: the arms that mix other sets of parts, against plain distillation."""
    found: dict[str, list[str]] = {}
    for name in measured.study.arms:
        parts = measured.roles.only_mixing(name)
        plain = measured.reference_of(name) == measured.study.baseline
        if not parts or parts == PROPOSED or not plain or not _is_own(measured, name):
            continue
        mixed = listed([MIXED_PARTS[part] for part in MIXED_PARTS if part in parts])
        found.setdefault(answer(measured, name), []).append(f"{mixed} ({_shown(measured, name)})")
    if not found:
        return []
    said = [f"{words} with {listed(found[kind])}" for kind, words in _KINDS.items() if kind in found]
    return [f"Mixing other parts, against plain distillation: {'; '.join(said)}."]


def _control(measured: MeasuredStudy) -> list[str]:
    """Is it about gender? Unrelated pairs mixed the same way; several draws of them stand together."""
    name, control = measured.roles.proposed, measured.roles.control
    if control is None or measured.comparison(control) is None:
        return []
    several = control == measured.roles.pool
    draws = [one for one in measured.roles.controls if measured.arms[one].reports]
    named = (
        f" ({len(draws)} draws, averaged within a seed: {listed([label_of(measured, one) for one in draws])})"
        if several
        else ""
    )
    text = f"{_said(_WITH, measured, f'mixing unrelated word pairs in the same way{named}', control)}: {evidence(measured, control)}."
    if name is not None and measured.comparison(name, control) is not None:
        text += f" {about_gender(measured, name, control)}: gender pairs against unrelated ones, {evidence(measured, name, control)}."
    return [text]


def _also(measured: MeasuredStudy) -> list[str]:
    """What sections compare beside the usual reference."""
    return [sentence for section in measured.study.sections for sentence in second_comparisons(measured, section)]


def _depth(measured: MeasuredStudy) -> list[str]:
    """Does bias go with the number of layers?"""
    sentences = []
    for section in measured.study.sections:
        layers = {measured.study.arms[name].recipe.student.layers for name in section.arms}
        if section.kind != "sweep" or len(layers) < 3 or (sweep := measured.sweep(section)) is None or sweep.r is None:
            continue
        if sweep.slope is None:
            answer = "Whether bias goes with depth **cannot be told** from one student of each depth"
        elif sweep.slope.low > 0 or sweep.slope.high < 0:
            side = "more" if sweep.slope.mean > 0 else "less"
            answer = f"Deeper students {'have' if is_firm(sweep) else '**may** have'} **{side}** measured bias"
        else:
            answer = "Whether deeper students have more or less measured bias **cannot be told**"
        ends = f" {interval(sweep.r_interval)}" if sweep.r_interval else ""
        text = f"{answer}: r = {number(sweep.r, digits=2)}{ends} over {len(sweep.arms)} depths"
        if sweep.slope is not None:
            text += f"; {number(sweep.slope.mean, digits=4)} {interval((sweep.slope.low, sweep.slope.high), digits=4)} of mean \\|d\\| a layer over {plural(sweep.slope.n, 'seed')}, with these words, not corrected, detectable {number(detectable_slope(sweep), False, 4)}; depths differ in held-out loss as well"
        sentences.append(f"{text}.{printed_r_text(sweep, printed_correlation(section))}")
    return sentences


def _quality(measured: MeasuredStudy) -> list[str]:
    """What the proposed mixup does to GLUE."""
    name = measured.roles.proposed
    if name is None or measured.reference_of(name) is None:
        return []
    tasks = glue_tasks(measured, [name, measured.study.baseline])
    change = glue_changes(measured, name, tasks).get("mean")
    if change is None:
        return []
    words = {"better": "gains points on GLUE", "worse": "**costs** points on GLUE"}
    if change.holds is False:
        words = {
            "better": "may gain points on GLUE" + _TAKEN_BACK,
            "worse": "**may cost** points on GLUE" + _TAKEN_BACK,
        }
    said = words.get(change.verdict, "costs or gains on GLUE nothing that can be told")
    return [
        f"{label_of(measured, name)} {said}: {difference(change, 2)} points, mean of {plural(len(tasks), 'task')}, over seeds{detail(change, 2)}."
    ]


def _others(measured: MeasuredStudy) -> list[str]:
    """Everything that holds, or that the correction took back, at one glance."""
    kinds: dict[str, list[str]] = {}
    for name in measured.study.arms:
        if _is_own(measured, name):
            kinds.setdefault(answer(measured, name), []).append(
                f"{label_of(measured, name)} ({_shown(measured, name)})"
            )
    total = sum(map(len, kinds.values()))
    if not total:
        return []
    parts = [
        f"{len(kinds[kind])} with {words}: {listed(kinds[kind])}"
        for kind, words in _KINDS.items()
        if kind in kinds and kind != "unknown"
    ]
    parts.append(f"{len(kinds.get('unknown', []))} with {_KINDS['unknown']}")
    return [
        f"Of {plural(total, 'arm')}, by mean \\|d\\| against the arm that each is compared with: {'; '.join(parts)}."
    ]
