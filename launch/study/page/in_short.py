"""The page in one table: each of the study's questions with its answer in a few words and one number. What stands behind them follows on the page."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from evenhand.evaluation.arm_comparisons import Judgement
from evenhand.launch.page_text import ABSENT, interval, listed, plural, table
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.control_text import HERE, about_gender
from evenhand.launch.study.page.findings import answer, is_firm, label_of, of_family, over_seeds_alone, paper_change
from evenhand.launch.study.page.glue_section import glue_changes, glue_tasks
from evenhand.launch.study.page.measured import MeasuredStudy
from evenhand.launch.study.page.number_text import difference
from evenhand.launch.study.page.planted_changes import REFERENCE, TEACHER, planted_changes, planted_groups
from evenhand.launch.study.page.planted_section import near_ceiling
from evenhand.launch.study.page.planted_summary import changed_most_first
from evenhand.launch.study.page.printed import printed_correlation
from evenhand.launch.study.page.roles import MIXED_PARTS
from evenhand.launch.study.page.sweep_section import leaves_out_r
from evenhand.launch.study.page.teacher_section import debiased_words_of_the_tests

_UNKNOWN = "cannot be told"
_LOWERS = {
    "less": "**yes**", "less here": "**yes**, with these test words", "perhaps less": "perhaps; the correction takes it back",
    "more": "**no, it raises it**", "more here": "**no, it raises it**, with these test words",
    "perhaps more": "perhaps it raises it; the correction takes that back", "unknown": _UNKNOWN,
}  # fmt: skip
_RAISES = {
    "less": "**yes**", "less here": "**yes**, with these test words", "perhaps less": "perhaps; the correction takes it back",
    "more": "**no, it lowers it**", "more here": "**no, it lowers it**, with these test words",
    "perhaps more": "perhaps it lowers it; the correction takes that back", "unknown": _UNKNOWN,
}  # fmt: skip
"""Of a term of the loss, by the answer on the arm without it."""
_ABOUT_GENDER = {
    "**is about gender**": "**yes**", "**may be about gender**": "perhaps; the correction takes it back",
    "**not** about gender": "**no**", "**may not be** about gender": "perhaps not; the correction takes it back",
}  # fmt: skip
"""By the words of `control_text.about_gender`."""
_AGAINST_TEACHER = {"worse": "**yes**", "better": "**no, less**"}
_MOST = "What is known to lower it, most first?"
_LARGEST = 3
"""Arms that are named as lowering it most."""


class _Row:
    """A question with its answer, number and what the paper has; on a planted scale also what became of each planted strength."""

    def __init__(
        self, question: str, said: str, number: str, paper: str = ABSENT, planted: tuple[str, str] | None = None
    ):
        self.cells, self.planted = [question, said, number, paper], planted


def in_short_lines(measured: MeasuredStudy) -> list[str]:
    """The section ``In short``; questions whose arms were not run are left out, and the section where none was."""
    questions = (_teacher, _soft_targets, _mixups, _control, _depth, _cost, _most)
    rows = [row for question in questions for row in question(measured)]
    if not rows:
        return []
    header = ["question", "answer", "Δ mean \\|d\\|, over words and seeds unless said", "paper, one run each"]
    planted = [group for group in planted_groups(measured.results.planted or {}) if group.strength]
    changes = planted_changes(measured) if planted else {}
    header += [f"Δd over seeds where {number(group.strength, digits=2)} was planted" for group in planted]
    near = {group for group in planted if near_ceiling(measured, group)}
    on_z = planted_changes(measured, on_z=True) if near else {}
    markings = {group: on_z if group in near else changes for group in planted}
    cells = [
        [*row.cells, *(_planted(changes, markings[group], group, row.planted) for group in planted)] for row in rows
    ]
    if planted:
        treated = [name for name in _own(measured) if measured.roles.is_treated(name)]
        of_groups = [_lowering(measured, group, changes, markings[group], treated) for group in planted]
        cells.append(["What lowers what was planted, most first?", "see the last columns", ABSENT, ABSENT, *of_groups])
    return ["## In short", "", *table(header, cells, 2), *_note(measured, bool(planted), bool(near))]


def _note(measured: MeasuredStudy, planted: bool, near: bool) -> list[str]:
    text = (
        'Answers are those after Holm\'s correction over all comparisons of the page. *Cannot be told* is no "no": what the interval leaves out is '
        "excluded, and nothing else."
    )
    if planted:
        text += (
            " Where the truth was planted, the seeds cover all that is random, so the last columns are the sharper ones: the sign is that of the planted "
            "association, ▼ less and ▲ more of it where the change holds after the correction over strengths and arms"
            + (", where the teachers are near the end of d on z = atanh(d/2) too." if near else ".")
        )
    return [text, ""]


def _planted(changes: Mapping, marking: Mapping, group, which: tuple[str, str] | None) -> str:
    """The change of d, marked where it holds and that of ``marking`` does too."""
    judged: Judgement | None = None if which is None else changes.get((group, *which))
    if judged is None or judged.difference is None:
        return ABSENT
    marks = [_mark(one) for one in (judged, marking[(group, *which)])]
    return difference(judged) + (marks[0] if marks[0] == marks[1] else "")


def _lowering(measured: MeasuredStudy, group, changes: Mapping, marking: Mapping, treated: Collection[str]) -> str:
    """The treatments after which less of a planted association is left, where that holds."""
    names = [name for name in changed_most_first(group, changes, marking, "better") if name in treated]
    if not names:
        return "nothing that can be told"
    shown = [
        f"{label_of(measured, name)}{_trained_on_the_tests(measured, name)} {number(changes[group, name, REFERENCE].difference)} ▼"
        for name in names[:_LARGEST]
    ]
    return listed([*shown, f"{len(names) - _LARGEST} more"] if len(names) > _LARGEST else shown)


def _mark(judged: Judgement) -> str:
    return {"better": " ▼", "worse": " ▲"}.get(judged.verdict, "") if judged.holds is not False else ""


def _paper(measured: MeasuredStudy, name: str) -> str:
    """The paper's Δ, and whether the interval leaves it out."""
    change, judged = paper_change(measured, name, measured.reference_of(name)), of_family(measured, name)
    if change is None:
        return ABSENT
    return number(change) + (", excluded" if judged is not None and judged.leaves_out(change) else "")


def _compared(measured: MeasuredStudy, question: str, words: dict[str, str], name: str) -> _Row:
    """A row on one arm against what it is compared with."""
    own = measured.name_of(name)
    said = words[answer(measured, name)]
    return _Row(question, said, _evidence(measured, name), _paper(measured, name), (own, REFERENCE))


def _evidence(measured: MeasuredStudy, name: str) -> str:
    """The difference over words and seeds; where the answer rests on the interval over seeds alone, with that too."""
    shown, alone = difference(of_family(measured, name)), over_seeds_alone(measured, name)
    return shown if alone is None else f"{shown}; over seeds {interval((alone.low, alone.high), digits=3)}"


def _own(measured: MeasuredStudy) -> list[str]:
    """Arms with students of their own that are compared with the study's baseline."""
    return [
        name
        for name in measured.study.arms
        if measured.arms[name].same_as is None
        and measured.comparison(name) is not None
        and measured.roles.against_baseline(name)
    ]


def _teacher(measured: MeasuredStudy) -> list[_Row]:
    change = measured.from_teachers.get(measured.study.baseline)
    if change is None or change.difference is None:
        return []
    said = _AGAINST_TEACHER.get(change.verdict, _UNKNOWN)
    if said is not _UNKNOWN and change.holds is False:
        said = f"perhaps {'more' if change.verdict == 'worse' else 'less'}; the correction takes it back"
    question = "Do plain students show more of the association than their teacher?"
    return [_Row(question, said, difference(change), planted=(measured.study.baseline, TEACHER))]


def _soft_targets(measured: MeasuredStudy) -> list[_Row]:
    question = "Does distilling on the teacher's logits (L_ce) raise it? Δ: without it"
    names = [name for name in _own(measured) if measured.roles.only_terms_changed(name) == ("ce",)]
    return [_compared(measured, question, _RAISES, name) for name in names]


def _mixups(measured: MeasuredStudy) -> list[_Row]:
    """The proposed mixup, then its parts that are core arms."""
    proposed = measured.roles.proposed
    names = [] if proposed is None or measured.comparison(proposed) is None else [proposed]
    names += [
        name
        for name in _own(measured)
        if measured.study.arms[name].core and measured.roles.only_mixing(name) and name != proposed
    ]
    return [_compared(measured, _mixup_question(measured, name), _LOWERS, name) for name in names]


def _mixup_question(measured: MeasuredStudy, name: str) -> str:
    if name == measured.roles.proposed:
        return "Does the proposed gender mixup lower it?"
    parts = [MIXED_PARTS[part] for part in MIXED_PARTS if part in measured.roles.only_mixing(name)]
    return f"Does mixing {listed(parts)} alone?" if len(parts) == 1 else f"Does mixing {listed(parts)}?"


def _control(measured: MeasuredStudy) -> list[_Row]:
    name, control = measured.roles.proposed, measured.roles.control
    if name is None or control is None or measured.comparison(name, control) is None:
        return []
    said = about_gender(measured, name, control)
    words = next((words for phrase, words in _ABOUT_GENDER.items() if phrase in said), _UNKNOWN)
    words += ", with these test words" if said.endswith(HERE) and words is not _UNKNOWN else ""
    question = "Is it about gender: do gender pairs lower it more than unrelated ones?"
    return [_Row(question, words, difference(of_family(measured, name, control)))]


def _depth(measured: MeasuredStudy) -> list[_Row]:
    rows = []
    for section in measured.study.sections:
        layers = {measured.study.arms[name].recipe.student.layers for name in section.arms}
        if section.kind != "sweep" or len(layers) < 3 or (sweep := measured.sweep(section)) is None:
            continue
        if sweep.slope is None:
            continue
        said = _UNKNOWN
        if sweep.slope.low > 0 or sweep.slope.high < 0:
            said = "yes" if sweep.slope.high < 0 else "no, less"
            said = f"**{said}**, with these test words" if is_firm(sweep) else f"perhaps {said}; not corrected"
        slope = f"{number(sweep.slope.mean)} {interval((sweep.slope.low, sweep.slope.high))} a layer, over seeds"
        printed = printed_correlation(section)
        paper = ABSENT if printed is None else f"r = {number(printed, digits=2)}"
        paper += ", excluded" if printed is not None and leaves_out_r(sweep, printed) else ""
        rows.append(_Row("Do shallower students show more of it?", said, slope, paper))
    return rows


def _cost(measured: MeasuredStudy) -> list[_Row]:
    """What the proposed mixup costs in language quality; the third column is not of d."""
    name = measured.roles.proposed
    comparison = None if name is None else measured.comparison(name)
    if comparison is None or comparison.mlm_loss is None:
        return []
    loss = comparison.mlm_loss
    words = _cost_words(loss)
    rows = [_Row("Does the mixup cost masked-LM loss?", words, f"{difference(loss, 4)} nats, over seeds")]
    change = glue_changes(measured, name, glue_tasks(measured, [name, measured.study.baseline])).get("mean")
    if change is not None and change.difference is not None:
        rows.append(
            _Row("Does it cost points on GLUE?", _cost_words(change), f"{difference(change, 2)} points, over seeds")
        )
    return rows


def _cost_words(change: Judgement) -> str:
    if change.verdict not in ("worse", "better"):
        return _UNKNOWN
    if change.holds is False:
        gains = "" if change.verdict == "worse" else " it gains"
        return f"perhaps{gains}; the correction takes it back"
    return "**yes**" if change.verdict == "worse" else "**no, it gains**"


def _most(measured: MeasuredStudy) -> list[_Row]:
    """The treatments that are known to lower it, from the largest change."""
    treated = [name for name in _own(measured) if measured.roles.is_treated(name)]
    if not treated:
        return []
    answers = {name: answer(measured, name) for name in treated}
    sure = [name for name, code in answers.items() if code == "less"] or [
        n for n, code in answers.items() if code == "less here"
    ]
    if not sure:
        return [_Row(_MOST, "nothing that can be told", ABSENT)]
    known = sorted(sure, key=lambda name: of_family(measured, name).difference)[:_LARGEST]
    here = "" if answers[known[0]] == "less" else ", with these test words"
    changes = "; ".join(_evidence(measured, name) + _price(measured, name) for name in known)
    paper = "; ".join(_paper(measured, name) for name in known)
    labels = [label_of(measured, name) + _trained_on_the_tests(measured, name) for name in known]
    return [_Row(_MOST, listed(labels) + here, changes, paper)]


def _trained_on_the_tests(measured: MeasuredStudy, name: str) -> str:
    """That the words which are measured were among those that the arm's teacher was debiased on: then the fall is no finding."""
    words = debiased_words_of_the_tests(measured, measured.study.arms[name].teacher)
    return f" (its teacher was debiased on {plural(len(words), 'word')} of these tests)" if words else ""


def _price(measured: MeasuredStudy, name: str) -> str:
    loss = measured.comparison(name).mlm_loss
    return "" if loss is None else f" at {number(loss.difference)} nats"
