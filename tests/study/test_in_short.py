"""The table ``In short``: an answer for each question that was asked, which turns with the numbers and with how sure they are."""

import dataclasses
import re

import pytest
from made_up_study import COSTS, made_up_results, made_up_study, scaled

from evenhand.evaluation import EvaluationReport
from evenhand.launch.results_tables import number
from evenhand.launch.study.page import in_short
from evenhand.launch.study.page.in_short import in_short_lines
from evenhand.launch.study.page.measured import MeasuredStudy


def answers(results):
    """Question → (answer, Δ, paper)."""
    lines = in_short_lines(MeasuredStudy(results))
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("|")]
    return {row[0].split("?")[0]: tuple(row[1:]) for row in cells[2:]}


def rescaled(results, arm, factors):
    """``results`` in which the arm's associations of each seed are so many times as large."""

    def changed(report, factor):
        data = report.to_dict()
        entry = data["measures"]["seat"][0]
        entry["model"] = scaled(entry["model"], factor)
        return EvaluationReport.from_dict(data)

    of_arm = {seed: changed(report, factors[seed]) for seed, report in results.reports[arm].items()}
    return dataclasses.replace(results, reports=results.reports | {arm: of_arm})


def mean_change(results, arm):
    """Δ mean |d| from the original, by hand."""

    def mean(name, seed):
        return results.reports[name][seed].measures["seat"][0]["model"]["mean_absolute_effect_size"]

    seeds = results.reports[arm]
    return sum(mean(arm, seed) - mean("original", seed) for seed in seeds) / len(seeds)


def test_every_question_has_its_answer_and_number(results):
    found = answers(results)
    assert found["Does distilling on the teacher's logits (L_ce) raise it"][0] == "**yes**"
    assert found["Does distilling on the teacher's logits (L_ce) raise it"][2] == "−0.300, excluded"
    said, change, _ = found["Does the proposed gender mixup lower it"]
    assert said == "**yes**"
    assert float(change.split(" ")[0].replace("−", "-")) == pytest.approx(mean_change(results, "proposed"), abs=6e-4)
    assert found["Is it about gender: do gender pairs lower it more than unrelated ones"][0] == "**yes**"
    assert found["Do shallower students show more of it"][0] == "perhaps yes; not corrected"
    cost = found["Does the mixup cost masked-LM loss"]
    assert cost[0] == "**yes**" and float(cost[1].split(" ")[0]) == pytest.approx(COSTS["proposed"], abs=0.01)


def test_only_treatments_are_named_as_lowering_it_most(results):
    said, changes, _ = answers(results)["What is known to lower it, most first"]
    assert said == "*mlm + cos* and *mixup (proposed)*"  # not the four-layer student, whose change is larger
    assert [float(price) for price in re.findall(r"at \+(\S+) nats", changes)] == pytest.approx([0.2, 0.05], abs=0.01)
    assert [float(one.split(" ")[0].replace("−", "-")) for one in changes.split("; ")] == [
        pytest.approx(mean_change(results, arm), abs=6e-4) for arm in ("mlm-cos", "proposed")
    ]


def test_the_answer_turns_with_the_numbers(results):
    found = answers(rescaled(results, "proposed", dict.fromkeys(range(4), 2.0)))
    assert found["Does the proposed gender mixup lower it"][0].startswith("**no, it raises it**")
    assert found["Is it about gender: do gender pairs lower it more than unrelated ones"][0] != "**yes**"


def test_what_scatters_cannot_be_told(results):
    found = answers(rescaled(results, "proposed", {0: 0.5, 1: 2.0, 2: 0.9, 3: 1.7}))
    assert found["Does the proposed gender mixup lower it"][0] == "cannot be told"
    assert found["What is known to lower it, most first"][0] == "*mlm + cos*"


def test_an_answer_that_rests_on_the_seeds_alone_shows_their_interval(results):
    measured = MeasuredStudy(results)
    key = ("proposed", "original")
    family = measured.comparisons[key].families["gender"]
    wide = dataclasses.replace(family.words_and_seeds, low=-9.0, high=9.0, verdict="not distinguishable")
    changed = dataclasses.replace(
        measured.comparisons[key], families={"gender": dataclasses.replace(family, words_and_seeds=wide)}
    )
    measured.comparisons[key] = changed
    (line,) = [line for line in in_short_lines(measured) if "Does the proposed gender mixup lower it" in line]
    alone = family.seeds_alone
    assert "**yes**, with these test words" in line
    assert f"; over seeds [{number(alone.low)}, {number(alone.high)}]" in line


def test_a_cost_that_the_correction_takes_back_is_called_so(results):
    measured = MeasuredStudy(results)
    key = ("proposed", "original")
    kept = measured.comparisons[key]
    assert kept.mlm_loss.verdict == "worse"
    measured.comparisons[key] = dataclasses.replace(kept, mlm_loss=dataclasses.replace(kept.mlm_loss, p_value_holm=0.3))
    (line,) = [line for line in in_short_lines(measured) if "cost masked-LM loss" in line]
    assert "| perhaps; the correction takes it back |" in line


def test_questions_whose_arms_were_not_run_are_left_out(results):
    alone = dataclasses.replace(results, reports={"original": results.reports["original"]})
    assert list(answers(alone)) == ["Do plain students show more of the association than their teacher"]


def test_where_the_truth_was_planted_each_strength_has_its_column(entry, tmp_path):
    known = made_up_results(made_up_study(tmp_path, "known"), entry)
    lines = in_short_lines(MeasuredStudy(known))
    header = [cell.strip() for cell in re.split(r"(?<!\\)\|", lines[2])[1:-1]]
    assert [cell for cell in header if "planted" in cell] == [
        "Δd over seeds where +0.80 was planted",
        "Δd over seeds where −0.40 was planted",
    ]
    assert "on z = atanh(d/2) too" not in "\n".join(lines)
    strong = answers(known)["Does the proposed gender mixup lower it"][3]
    tests = {"C6", "C6b"}

    def planted_mean(name, seed):
        result = known.reports[name][seed].measures["seat"][0]["model"]
        sizes = [test["effect_size"] for test in result["tests"].values() if test["label"] in tests]
        return sum(sizes) / len(sizes)

    seeds = known.reports["proposed"]
    by_hand = sum(planted_mean("proposed", seed) - planted_mean("original", seed) for seed in seeds) / len(seeds)
    assert float(strong.split(" ")[0].replace("−", "-")) == pytest.approx(by_hand, abs=6e-4) and strong.endswith("▼")


def test_near_the_end_of_d_a_change_is_marked_only_where_it_holds_on_z_too(entry, tmp_path, monkeypatch):
    measured = MeasuredStudy(made_up_results(made_up_study(tmp_path, "known", only=["table2"]), entry))
    changed = in_short.planted_changes

    def strong():
        (line,) = [line for line in in_short_lines(measured) if "Does the proposed gender mixup lower it" in line]
        return line.split(" | ")[4]

    assert strong().endswith("▼")

    def not_on_z(measured, on_z=False):
        found = changed(measured, on_z)
        return {key: dataclasses.replace(one, p_value_holm=0.07) for key, one in found.items()} if on_z else found

    monkeypatch.setattr(in_short, "planted_changes", not_on_z)
    assert strong().endswith("▼")  # d has room
    monkeypatch.setattr(in_short, "near_ceiling", lambda measured, group: ["C6"])
    assert not strong().endswith("▼") and "on z = atanh(d/2) too." in "\n".join(in_short_lines(measured))


def test_an_arm_whose_teacher_was_debiased_on_the_tests_is_named_with_that(results):
    arms = dict(results.study.arms)
    arms["proposed"] = dataclasses.replace(arms["proposed"], teacher="debiased")
    model = results.reports["original"][0].measures["seat"][0]["model"]
    change = {"before": model, "after": model, "stereotype_words_of_the_tests": ["nurse", "office"]}
    study = dataclasses.replace(results.study, arms=arms)
    other = dataclasses.replace(results, study=study, teacher_changes={"debiased": change})
    said = answers(other)["What is known to lower it, most first"][0]
    assert said.endswith("*mixup (proposed)* (its teacher was debiased on 2 words of these tests)")
