"""Where the truth was planted, every arm that changes it is told, and not only in the table."""

import dataclasses

import pytest
from made_up_study import made_up_results, made_up_study, part, scaled

from evenhand.evaluation import EvaluationReport
from evenhand.launch.study.page import planted_summary
from evenhand.launch.study.page.in_short import in_short_lines
from evenhand.launch.study.page.measured import MeasuredStudy
from evenhand.launch.study.page.planted_changes import REFERENCE, TEACHER, planted_changes
from evenhand.launch.study.page.study_page import write_page

STRONG = {"C6", "C6b"}


@pytest.fixture(scope="module")
def known(entry, tmp_path_factory):
    """``mixup: inputs`` halves every association, ``unrelated pairs`` adds a fifth; *fails* has one student."""
    results = made_up_results(
        made_up_study(tmp_path_factory.mktemp("known"), "known", only=["table1", "table2"]), entry
    )
    return results_with(results, {"mix-input": 0.5, "random-pairs": 1.2})


def results_with(results, factors):
    def changed(report, factor):
        data = report.to_dict()
        entry = data["measures"]["seat"][0]
        entry["model"] = scaled(entry["model"], factor)
        return EvaluationReport.from_dict(data)

    changes = {arm: {s: changed(r, factor) for s, r in results.reports[arm].items()} for arm, factor in factors.items()}
    return dataclasses.replace(results, reports=results.reports | changes)


def by_hand(results, arm):
    """Δd over the two strongly planted tests, mean over the seeds that both have."""
    means = {
        name: {
            seed: sum(
                test["effect_size"]
                for test in report.measures["seat"][0]["model"]["tests"].values()
                if test["label"] in STRONG
            )
            / len(STRONG)
            for seed, report in results.reports[name].items()
        }
        for name in (arm, "original")
    }
    seeds = means[arm].keys() & means["original"].keys()
    return sum(means[arm][seed] - means["original"][seed] for seed in seeds) / len(seeds)


def sentence(results, folder):
    page = write_page(results, folder, figures=False).read_text(encoding="utf-8")
    (line,) = [
        line for line in part(page, "What the numbers say").splitlines() if "Where an association of +0.80" in line
    ]
    return line.replace("−", "-")


def test_other_arms_that_change_what_was_planted_are_named_with_their_change(known, tmp_path):
    line = sentence(known, tmp_path)
    less, more = (by_hand(known, arm) for arm in ("mix-input", "random-pairs"))
    assert f"1 shows **less** of it: *mixup: inputs* ({less:+.3f} [" in line
    assert f"1 shows **more** of it: *unrelated pairs* ({more:+.3f} [" in line
    assert "Of the 3 other arms, each against its reference, after the correction, 1 shows" in line


def test_an_arm_that_the_correction_takes_back_is_not_named(known, tmp_path, monkeypatch):
    def taken_back(measured, on_z=False):
        found = planted_changes(measured, on_z)
        return {key: dataclasses.replace(one, p_value_holm=0.06) for key, one in found.items()}

    monkeypatch.setattr(planted_summary, "planted_changes", taken_back)
    assert "none shows **less** of it; none shows **more** of it" in sentence(known, tmp_path)


def test_near_the_end_of_d_it_must_hold_on_z_too(known, tmp_path, monkeypatch):
    def not_on_z(measured, on_z=False):
        found = planted_changes(measured, on_z)
        return {key: dataclasses.replace(one, p_value_holm=0.06) for key, one in found.items()} if on_z else found

    monkeypatch.setattr(planted_summary, "planted_changes", not_on_z)
    monkeypatch.setattr(planted_summary, "near_ceiling", lambda measured, group: ["C6"])
    assert "after the correction, on d and on z, none shows **less** of it" in sentence(known, tmp_path)


def test_students_of_another_teacher_are_held_against_that_teacher(known, tmp_path):
    arms = dict(known.study.arms)
    arms["mix-input"] = dataclasses.replace(arms["mix-input"], teacher="debiased")
    results = dataclasses.replace(known, study=dataclasses.replace(known.study, arms=arms))
    measured = MeasuredStudy(results)
    changes = {
        (group.strength, name): one for (group, name, of), one in planted_changes(measured).items() if of == TEACHER
    }
    change = changes[0.8, "mix-input"]
    assert change.holds and change.difference < 0
    expected = f"the students of *mixup: inputs* show **less** of it than that teacher, Δd {change.difference:+.3f} ["
    assert expected in sentence(results, tmp_path)


def test_in_short_names_the_treatments_that_lower_what_was_planted_most_first(known):
    (row,) = [line for line in in_short_lines(MeasuredStudy(known)) if "What lowers what was planted" in line]
    cell = row.split(" | ")[4].replace("−", "-")
    names = {"mix-input": "*mixup: inputs*", "mlm-cos": "*mlm + cos*", "proposed": "*mixup (proposed)*"}
    order = sorted(names, key=lambda arm: by_hand(known, arm))
    assert order[0] == "mix-input"
    assert cell == "{}, {} and {}".format(*(f"{names[arm]} {by_hand(known, arm):+.3f} ▼" for arm in order))
    changes = planted_changes(MeasuredStudy(known))
    assert all(
        one.holds
        for (group, name, of), one in changes.items()
        if of == REFERENCE and group.strength == 0.8 and name in names
    )
