"""The head of a study's page: what it is, what was run on what, and how its numbers are to be read."""

from __future__ import annotations

import numpy as np

from evenhand.evaluation.verdict import RULE
from evenhand.launch.page_environments import environment_lines
from evenhand.launch.page_text import listed, passes, plural
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.findings import label_of
from evenhand.launch.study.page.measured import (
    CEILING,
    GENDER,
    MeasuredStudy,
    common_seeds,
    mean_teacher,
    teacher_loss,
    uniform_loss,
    unigram_loss,
)
from evenhand.launch.study.page.teacher_makings import teacher_makings_lines
from evenhand.launch.study.study_file import ORIGINAL
from evenhand.model_cards.escaping import code, markdown


def opening_lines(measured: MeasuredStudy) -> list[str]:
    """Title, facts and state."""
    study, results = measured.study, measured.results
    lines = [
        f"# {markdown(study.title)}",
        "",
        "Written by a command from the reports of its students: no result here was typed. What the paper has stands in the study's files.",
        "",
    ]
    lines += [f"- {markdown(key[:1].upper() + key[1:])}: {markdown(text)}." for key, text in _facts(study.paper)]
    lines.append(f"- Scale {code(study.scale)}: {markdown(study.scale_note.rstrip('.'))}.")
    if results.command:
        lines.append(f"- Command: {code(results.command)}")
    lines += [*environment_lines(measured.environments, "student"), *_training(measured), _state(measured), ""]
    left_out = study.settings.without
    if left_out:
        lines += [
            f"Not at this scale: {'; '.join(f'{markdown(study.titles.get(name, name))} ({markdown(why.rstrip(chr(46)))})' for name, why in left_out.items())}.",
            "",
        ]
    return lines


def _facts(paper) -> list[tuple[str, str]]:
    return [(key, str(text).rstrip(".")) for key, text in paper.items()]


def _training(measured: MeasuredStudy) -> list[str]:
    training = measured.first.training
    if not training:
        return []
    teacher, student, corpus, objective = (training[key] for key in ("teacher", "student", "corpus", "objective"))
    weights = " / ".join(f"{name} {value:g}" for name, value in objective["weights"].items() if value)
    own = "a teacher and a corpus of its own for each seed" if measured.results.planted else code(teacher["name"])
    label = markdown(measured.study.arms[measured.study.baseline].label)
    through = passes(training["epochs"])
    return [
        f"- Teacher: {own}, {plural(teacher['layers'], 'layer')}, width {teacher['hidden_size']}. Baseline arm *{label}*: {plural(student['layers'], 'layer')}, "
        f"{student['parameters']:,} parameters; loss weights {weights}, T = {objective['temperature']:g}.",
        f"- Training of the baseline: {training['steps']:,} steps of {training['batch_size']} sequences, {training['tokens_seen']:,} tokens, "
        f"{through} {'pass' if through == '1.0' else 'passes'} over a corpus of {corpus['sequences']:,} sequences, {corpus['tokens']:,} tokens.",
        *_losses(measured),
    ]


def _losses(measured: MeasuredStudy) -> list[str]:
    """Held-out loss of teacher and plain students beside those of guessing, which say whether there is context in the logits."""
    losses = list(measured.arms[measured.study.baseline].losses().values())
    shown = [("teacher", teacher_loss(measured)), ("plain students", float(np.mean(losses)) if losses else None)]
    shown.append(("guessing by the tokens' frequency", unigram_loss(measured)))
    shown.append(("guessing all tokens alike", uniform_loss(measured)))
    parts = [f"{what} {number(loss, False)}" for what, loss in shown if loss is not None]
    return [f"- Held-out masked-LM loss, nats per masked token: {', '.join(parts)}; lower is better."] if losses else []


def _state(measured: MeasuredStudy) -> str:
    counts = measured.counts
    own = [name for name, arm in measured.arms.items() if arm.same_as is None]
    same = (
        f" ({len(measured.arms) - len(own)} more are the same as one of these)" if len(own) < len(measured.arms) else ""
    )
    text = f"- Students: {counts['measured']:,} of {counts['wanted']:,} measured, in {plural(len(own), 'arm')}{same}"
    rest = [
        f"**{counts[key]:,} {words}**"
        for key, words in (("failed", "failed"), ("missing", "not run yet"))
        if counts[key]
    ]
    return f"{text}; {', '.join(rest)}." if rest else f"{text}."


def reading_lines(measured: MeasuredStudy) -> list[str]:
    """How to read the tables: intervals, verdicts, correction, what could have been found, and the floor of the measure."""
    entry = measured.entries[0]
    source = {"builtin": "the built-in sentences", "sent-bias": "sent-bias files"}.get(
        entry["stimuli"]["source"], entry["stimuli"]["name"]
    )
    lines = [
        "## How to read the tables",
        "",
        f"- SEAT with {code(entry['pooling'])} pooling on {markdown(source)}. d keeps its sign; mean \\|d\\| is over the six gender tests C6 to C8b. Lower is less measured association.",
        f"- Arms are paired by seed: same teacher, same first weights where the depth is the same, same order of data, same masks{_exceptions(measured)}. Intervals are at 95 %. Those over *words and seeds* say what would hold for "
        "other words and other trainings; those over *seeds alone* what would hold for other trainings measured with these very words.",
        *_one_teacher(measured),
        "- Mean \\|d\\| has no sign, so noise in the words adds to it, and to a small \\|d\\| more than to a large one. Intervals over words and seeds are centred on what the jackknife leaves of it without "
        "that, and widened to the number itself where they would leave it out: a number near an end of its interval, or an interval over seeds alone that reaches further, is no mistake. "
        "The interval of a single d is centred in the same way, and there too the centre can lie far from d, on either side: with so few words a set, few words decide.",
        f"- Verdicts are on the interval over words and seeds. {RULE} Here less bias counts as better.",
        f"- p (Holm) is corrected over the {plural(measured.tests, 'comparison')} of this page{_to_come(measured)}, apart for each family of tests and each kind of interval. A verdict that the correction takes back says so.",
        "- *Detectable* is the true difference that the comparison would have found with 80 % power at the level of 5 %, given the spread that was seen; *with Holm*, at the first step of the correction. "
        "What is smaller cannot be told from nothing here.",
        f"- {_core_text(measured)}",
    ]
    return [
        *lines,
        *_unequal_seeds(measured),
        *teacher_makings_lines(measured),
        *_floor(measured),
        *_ceiling(measured),
        "",
    ]


def _one_teacher(measured: MeasuredStudy) -> list[str]:
    """That no interval covers another teacher, where all seeds have the same."""
    if measured.results.planted:
        return []
    changed = {
        arm.arm.teacher: label_of(measured, name)
        for name, arm in measured.arms.items()
        if arm.arm.teacher != ORIGINAL and arm.reports
    }
    of_changed = "".join(f", and the students of {label} one changed teacher" for label in changed.values())
    return [
        f"- All seeds share one teacher{of_changed}: no interval here says what another teacher, or making it again, would give."
    ]


def _exceptions(measured: MeasuredStudy) -> str:
    """The arms that do not share all of it with what they are compared with."""
    teachers, texts = [], []
    for name, arm in measured.arms.items():
        reference = measured.reference_of(name)
        if reference is None or arm.same_as is not None or not arm.reports:
            continue
        changed = {section for section, _ in measured.roles.differences(name, reference)}
        if arm.arm.teacher != measured.study.arms[reference].teacher:
            teachers.append(label_of(measured, name))
        if "corpus" in changed:
            texts.append(label_of(measured, name))
    parts = [f"the teacher, and the first weights that come from it, for {listed(teachers)}"] if teachers else []
    parts += [f"the text, and so order and masks, for {listed(texts)}"] if texts else []
    return f" (except {'; '.join(parts)})" if parts else ""


def _to_come(measured: MeasuredStudy) -> str:
    count = measured.tests_to_come
    return f" ({count} of them still to be made: they count as if they had found nothing)" if count else ""


def _unequal_seeds(measured: MeasuredStudy) -> list[str]:
    """That means of arms with other seeds cannot be compared, and how far the seeds alone move the baseline's."""
    arms = [arm for arm in measured.arms.values() if arm.mean_magnitudes()]
    baseline = measured.arms[measured.study.baseline].mean_magnitudes()
    if not baseline or all(set(arm.mean_magnitudes()) == set(baseline) for arm in arms):
        return []
    text = "- Not every arm has the same seeds: compare arms by their differences, which are paired, not by their means, which differ by the seeds too."
    common = common_seeds(arms)
    if common and len(common) < len(baseline):
        few, all_of_them = (
            number(float(np.mean([baseline[seed] for seed in seeds])), False) for seeds in (common, baseline)
        )
        text += (
            f" The baseline's mean \\|d\\| is {all_of_them} over its {plural(len(baseline), 'seed')}, and {few} over the "
            f"{plural(len(common), 'seed')} that every arm has."
        )
    return [text]


def _core_text(measured: MeasuredStudy) -> str:
    """Which arms conclusions may rest on, and whether they have more seeds for it."""
    arms = [arm.arm for arm in measured.arms.values()]
    core, others = ([arm.seeds for arm in arms if arm.core is wanted] for wanted in (True, False))
    text = plural(len(core), "core arm")
    if not others:
        return f"{text}; there are no others."
    if core and min(core) > max(others):
        text += ", planned with more seeds"
    elif core and min(core) == max(others):
        text += ", with as many seeds as the others: what sets them apart is that they were named beforehand as the study's questions"
    return f"{text}; all others are *exploratory*, and are there to say where to look, not what is so."


def _ceiling(measured: MeasuredStudy) -> list[str]:
    """Tests in which the teachers are so near the end of d that a student has little room for more."""
    teacher = mean_teacher(measured)
    tests = [] if teacher is None else [test for test in teacher["tests"].values() if test["family"] == GENDER]
    near = [test for test in tests if test["effect_size"] is not None and abs(test["effect_size"]) > CEILING]
    if not near:
        return []
    shown = listed([f"{markdown(test['label'])} ({number(test['effect_size'])})" for test in near])
    return [
        f"- The teachers' \\|d\\| is above {number(CEILING, False, 1)} in {shown}: \\|d\\| cannot exceed 2 (for sets of equal size), so there amplification is squeezed, "
        "and a student that shows as much may have been held back by the measure."
    ]


def _floor(measured: MeasuredStudy) -> list[str]:
    """What mean |d| would be without any association, and what a single test can find."""
    families = [result["families"][GENDER] for result in measured.arms[measured.study.baseline].seat().values()]
    floors = [one["noise_floor"]["expected"] for one in families if one["noise_floor"]]
    reaches = [one["detectable_effect_size"] for one in families if one["detectable_effect_size"] is not None]
    if not floors or not reaches:
        return []
    return [
        f"- With the words dealt to the sets at random, mean \\|d\\| of the baseline's students would be {number(float(np.mean(floors)), False)}, not 0; a single test of one model finds \\|d\\| ≥ {number(float(np.mean(reaches)), False, 2)} with 80 % power."
    ]
