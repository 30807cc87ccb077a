"""Every field of a report is spoken for by a row, and a field that is called checked is really checked: whatever is changed in it, a row fails."""

import copy
import json
import re

import pytest

from evenhand.evaluation import EvaluationReport
from evenhand.model_cards.published_report import published_report
from evenhand.model_cards.verification import claimed_evaluators, verify_folder
from evenhand.model_cards.verification.claimed_evaluators import plan_entries
from evenhand.model_cards.verification.entry_rows import entry_rows
from evenhand.model_cards.verification.report_fields import differing, field_text, leaves, uncovered
from evenhand.model_cards.verification.rows import UNCHECKED

# Names of words, tests, cells and tasks: a change in one of them stands for the same change in all.
ONE_OF_MANY = {
    "X",
    "Y",
    "A",
    "B",
    "tests",
    "families",
    "tasks",
    "metrics",
    "details",
    "effect_sizes",
    "sign_flips",
    "sha256",
}
# GLUE's settings that decide the numbers as `epochs` does, which stands for them.
A_TRAINING_EACH = ("learning_rate", "batch_size", "max_length", "accumulation_steps", "group_by_length", "seeds")


class Remembered:
    """An evaluator that gives what it gave before."""

    def __init__(self, evaluator):
        self.evaluator, self.answers = evaluator, {}

    def _answer(self, name, *arguments):
        key = (name, *map(id, arguments))
        if key not in self.answers:
            self.answers[key] = getattr(self.evaluator, name)(*arguments), arguments
        return self.answers[key][0]

    def settings(self):
        return self._answer("settings")

    def run(self, model, tokenizer):
        return self._answer("run", model, tokenizer)

    def compare(self, result, reference):
        return self._answer("compare", result, reference)

    @property
    def loaded_stimuli(self):
        return self.evaluator.loaded_stimuli


@pytest.fixture(scope="module")
def once():
    """Evaluators and models that were made already, by what they were made from."""
    return {}


@pytest.fixture
def check(once, small_run, monkeypatch):
    """A function (report, with_teacher) that gives the rows of everything but the card, with nothing measured twice."""
    from evenhand.evaluation import models

    make, load, facts = claimed_evaluators._evaluator, models.load_model, models.model_facts

    def evaluator(measure, entry, own):
        made = make(measure, entry, own)
        return once.setdefault(f"{measure} {made!r}", Remembered(made))

    monkeypatch.setattr(claimed_evaluators, "_evaluator", evaluator)
    monkeypatch.setattr(
        models, "load_model", lambda path: once.get(str(path)) or once.setdefault(str(path), load(path))
    )
    monkeypatch.setattr(
        models, "model_facts",
        lambda model, tokenizer, role, name: once.setdefault(("facts", id(model)), facts(model, tokenizer, role, ""))
        | {"role": role, "name": name},
    )  # fmt: skip
    data, stimuli_folder = small_run.parent / "data", small_run.parent / "sent-bias-files"
    measures = {
        "crows_pairs": {"data": data / "pairs.csv"},
        "pseudo_perplexity": {"data": data / "text.txt"},
        "glue": {"data": data / "glue"},
    }

    def rows(report, with_teacher=True, field=()):
        teacher = small_run / "teacher" if with_teacher else None
        if field[:1] != ("measures",):
            published = published_report(report)
            planned = plan_entries(published, [stimuli_folder], measures)
            found = verify_folder._recomputed_rows(
                models.load_model(small_run / "student"), published, planned, teacher, None
            )
            return [*verify_folder._report_file_rows(report, published), *found]
        # the rows of one entry depend on no other, and SEAT's second is the smallest that makes a report
        of = report["measures"]
        kept = {"seat": of["seat"] if field[1] == "seat" else of["seat"][1:], field[1]: of[field[1]]}
        published = published_report(report | {"measures": kept, "training": None})
        alone = published | {"measures": {field[1]: published["measures"][field[1]]}}
        own = {name: settings for name, settings in measures.items() if name == field[1]}
        planned = plan_entries(alone, [stimuli_folder] if field[1] == "seat" else [], own)
        loaded = [models.load_model(small_run / role) for role in ("student", "teacher")]
        return entry_rows(planned[field[2]], loaded[0], loaded[1] if with_teacher else None)

    return rows


@pytest.fixture(scope="module")
def measured(small_run):
    return published_report(EvaluationReport.load(small_run / "report.json"))


def kinds(report):
    """One leaf for each kind of leaf: words, tests, positions in lists and other names that come in numbers stand for each other."""
    found = {}
    for leaf in leaves(report):
        kind, names = [], False
        for key in leaf:
            kind.append("*" if isinstance(key, int) or names else key)
            names = key in ONE_OF_MANY
        found.setdefault(tuple(kind), leaf)
    return sorted(found.values(), key=str)


def changed(value):
    """Another value of the same type; a number by a thousandth, which would change the last digit that a card prints."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return value + 1e-3 * max(1.0, abs(value))
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return f"{value}x" if not re.fullmatch(r"[0-9a-f]{64}", value) else "0" * 64
    return {"changed": 1} if value in ({}, None) else [1]


def with_change(report, field, change):
    """The report with one part changed by ``change(holder, key)``; what does not lead to it is shared, not copied."""
    report = holder = copy.copy(report)
    for key in field[:-1]:
        holder[key] = copy.copy(holder[key])
        holder = holder[key]
    change(holder, field[-1])
    return report


def speaks_for(rows, field):
    """The row with the narrowest scope that holds a field."""
    held = [(len(scope), row) for row in rows for scope in row.scope if field[: len(scope)] == scope]
    return max(held, key=lambda pair: pair[0])[1] if held else None


def caught(check, report, field, **arguments):
    """Whether the report is refused, a row fails, or the field is not called checked any more."""
    try:
        rows = check(report, field=field, **arguments)
    except ValueError:
        return True
    row = speaks_for(rows, field)
    return any(row.passed is False for row in rows) or row is None or row.status == UNCHECKED


@pytest.mark.parametrize("with_teacher", [True, False])
def test_every_field_of_a_report_falls_under_a_row(check, measured, with_teacher):
    rows = check(measured, with_teacher)
    assert not [row.claim for row in rows if row.passed is False]
    assert uncovered(measured, (scope for row in rows for scope in row.scope)) == []


def test_a_field_that_no_row_knows_is_named_as_unchecked(small, monkeypatch):
    path = small / "report.json"
    report = json.loads(path.read_text())
    report["model"]["carbon"] = {"kg": 0.0}
    report["best_of"] = ["all"]
    path.write_text(json.dumps(report))
    monkeypatch.setattr(verify_folder, "_card_rows", lambda *arguments: [])
    rows = verify_folder.verify(small).rows
    assert rows[-1].claim == "other fields of the report: 2" and rows[-1].status == UNCHECKED


@pytest.mark.parametrize("with_teacher", [True, False])
def test_a_change_in_any_checked_field_is_caught(check, measured, with_teacher):
    rows, missed, n_checked = check(measured, with_teacher), [], 0
    for leaf in kinds(measured):
        if not with_teacher and leaf[:2] in (("measures", "glue"), ("measures", "crows_pairs")):
            continue  # the same rows as with a teacher, fewer of them
        if speaks_for(rows, leaf).status == UNCHECKED or ("glue" in leaf[:2] and leaf[3] in A_TRAINING_EACH):
            continue
        n_checked += 1
        tampered = with_change(measured, leaf, lambda holder, key: holder.__setitem__(key, changed(holder[key])))
        if not caught(check, tampered, leaf, with_teacher=with_teacher):
            missed.append(field_text(leaf))
    assert missed == [] and n_checked > (250 if with_teacher else 100)


def test_a_field_that_is_left_out_or_added_where_all_is_checked_is_caught(check, measured):
    rows, missed, parts = check(measured), [], {}
    for leaf in kinds(measured["measures"]):
        leaf = ("measures", *leaf)
        if isinstance(leaf[-1], str) and speaks_for(rows, leaf).status != UNCHECKED:
            parts.setdefault(leaf[:-1], leaf)
    for leaf in parts.values():
        without = with_change(measured, leaf, lambda holder, key: holder.pop(key))
        new = (*leaf[:-1], "not measured")
        added = with_change(measured, new, lambda holder, key: holder.__setitem__(key, 0.0))
        missed += [field for field, report in ((leaf, without), (new, added)) if not caught(check, report, field)]
    assert missed == [] and len(parts) > 60


def test_what_the_teacher_is_needed_for_is_not_called_checked_without_it(check, measured):
    rows = check(measured, with_teacher=False)
    for leaf in leaves(measured):
        if leaf[0] == "reference" or "reference" in leaf[3:4]:
            assert speaks_for(rows, leaf).status == UNCHECKED, leaf
    assert all("as claimed" in row.note for row in rows if ", change: " in row.claim and row.claim.startswith("SEAT"))


def test_a_change_in_a_teacher_s_number_that_follows_from_others_is_caught_without_the_teacher(check, measured):
    teacher = ("measures", "seat", 0, "reference")
    test, family = (*teacher, "tests", "sent-weat6"), (*teacher, "families", "gender")
    grid = ("measures", "seat_sensitivity", 0, "reference", "cells", 0, "mean_absolute_effect_size")
    glue = ("measures", "glue", 0)
    fields = [
        *((*test, name) for name in ("effect_size", "p_value", "standard_error")),
        *((*test, "confidence_interval", 1), (*test, "associations", "X", "John", 1)),
        *((*family, "mean_absolute_effect_size"), (*family, "confidence_interval", 0), grid),
        (*glue, "reference", "tasks", "sst2", "metrics", "accuracy", "mean"),
        (*glue, "comparison", "scores", 0, "difference"),
        ("measures", "crows_pairs", 0, "comparison", "scores", 0, "difference"),
    ]
    for field in fields:
        tampered = with_change(measured, field, lambda holder, key: holder.__setitem__(key, holder[key] + 1e-3))
        row = verify_folder.consistency_row(tampered)
        assert row.passed is False and "is not what other fields give" in row.note, (field, row.note)
    assert verify_folder.consistency_row(measured).passed


def test_differing_says_where_and_tolerates_what_it_is_told():
    claimed = {"a": [1.0, {"b": "x"}], "c": 1, "d": None, "only claimed": 0}
    actual = {"a": [1.05, {"b": "y"}], "c": 1.0, "d": 0.0, "only found": 0}
    everywhere = [("a", 0), ("a", 1, "b"), ("d",), ("only claimed",), ("only found",)]
    assert differing(claimed, actual) == everywhere
    assert differing(claimed, actual, lambda field: 0.1) == everywhere[1:]
    assert differing(claimed, actual, lambda field: None if field[:1] == ("a",) else 0.0) == everywhere[2:]
    assert differing([1], [1, 2]) == [()] and differing(True, 1) == [()] and differing(1, 2, lambda field: 5.0) == [()]
