"""Does what the mixup does depend on the setting? Differences of differences, and along the length of the training."""

import dataclasses

import numpy as np
import pytest
from made_up_study import STUDY, made_up_results, measured_seat, report
from scipy import stats

from evenhand.evaluation import EvaluationReport
from evenhand.evaluation.multiplicity import holm
from evenhand.launch.study.page.measured import MeasuredStudy, same_targets
from evenhand.launch.study.page.setting_changes import along_steps, setting_changes, setting_lines, setting_sentences
from evenhand.launch.study.study_file import load_study

LENGTHS = {"short": 10, "long": 90}
ARMS = "".join(
    f"""  {name}-original: {{label: "original, {name}", changes: [training.max_steps={steps}]}}
  {name}-proposed: {{label: "proposed, {name}", changes: [training.max_steps={steps}, mixup.enabled=true]}}
"""
    for name, steps in LENGTHS.items()
)


@pytest.fixture(scope="module")
def entry():
    return measured_seat()


def at_lengths(folder, entry, factors):
    """The made-up study with the mixup at three lengths: 10, 30 (the study's own) and 90 steps, where it takes these shares of the association."""
    named = ", ".join(f"{name}-{kind}" for name in LENGTHS for kind in ("original", "proposed"))
    text = STUDY.replace("  hopeless:", ARMS + "  hopeless:").replace("[original-521,", f"[{named}, original-521,")
    (folder / "made_up.yaml").write_text(text)
    (folder / "printed.yaml").write_text("{}")
    results = made_up_results(load_study(folder / "made_up.yaml", "tiny"), entry)

    def made(arm, factor, steps, seed):
        own = 1 + 0.01 * np.random.default_rng([seed, *arm.encode()]).normal()
        data = report(entry, arm, seed, 0.8 * factor * own, False).to_dict()
        data["training"]["steps"] = steps
        return EvaluationReport.from_dict(data)

    reports = dict(results.reports)
    for name, steps in LENGTHS.items():
        reports[f"{name}-original"] = {seed: made(f"{name}-original", 1.0, steps, seed) for seed in range(3)}
        reports[f"{name}-proposed"] = {seed: made(f"{name}-proposed", factors[name], steps, seed) for seed in range(3)}
    return dataclasses.replace(results, reports=reports)


def change_by_hand(results, arm, plain, seed):
    sides = [
        results.reports[name][seed].measures["seat"][0]["model"]["mean_absolute_effect_size"] for name in (arm, plain)
    ]
    return sides[0] - sides[1]


def test_differences_of_differences_are_paired_by_seed_and_corrected(entry, tmp_path):
    results = at_lengths(tmp_path, entry, {"short": 0.5, "long": 1.0})
    found = {one.arm: one for one in setting_changes(MeasuredStudy(results))}
    assert set(found) == {"proposed-521", "short-proposed", "long-proposed"}
    plain = {"proposed-521": "original-521", "short-proposed": "short-original", "long-proposed": "long-original"}
    p_values = {}
    for arm, one in found.items():
        apart = [
            change_by_hand(results, arm, plain[arm], seed) - change_by_hand(results, "proposed", "original", seed)
            for seed in range(3)
        ]
        assert one.against_usual.difference == pytest.approx(np.mean(apart))
        p_values[arm] = stats.ttest_1samp(apart, 0).pvalue
        assert one.against_usual.p_value == pytest.approx(p_values[arm])
    assert {arm: one.against_usual.p_value_holm for arm, one in found.items()} == pytest.approx(holm(p_values))
    assert {arm: one.steps for arm, one in found.items()} == {
        "proposed-521": None,
        "short-proposed": 10,
        "long-proposed": 90,
    }


def test_the_slope_is_on_the_logarithm_of_the_steps(entry, tmp_path):
    results = at_lengths(tmp_path, entry, {"short": 0.5, "long": 1.0})
    sweep = along_steps(MeasuredStudy(results))
    by_hand = [
        stats.linregress(
            np.log10([10, 30, 90]),
            [
                change_by_hand(results, "short-proposed", "short-original", seed),
                change_by_hand(results, "proposed", "original", seed),
                change_by_hand(results, "long-proposed", "long-original", seed),
            ],
        ).slope
        for seed in range(3)
    ]
    assert sweep.slope.mean == pytest.approx(np.mean(by_hand))
    said = " ".join(setting_sentences(MeasuredStudy(results)))
    assert "The longer students train, the **less** the mixup lowers" in said and "at 10, 30 and 90 steps" in said
    assert "with *proposed, short* the mixup leaves less bias" in said.replace("With", "with")


def test_the_sentence_turns_with_the_numbers(entry, tmp_path):
    said = " ".join(setting_sentences(MeasuredStudy(at_lengths(tmp_path, entry, {"short": 1.0, "long": 0.5}))))
    assert "The longer students train, the **more** the mixup lowers" in said


def test_one_setting_alone_has_no_section(entry, tmp_path):
    results = at_lengths(tmp_path, entry, {"short": 1.0, "long": 1.0})
    kept = {name: reports for name, reports in results.reports.items() if name in ("original", "proposed")}
    assert setting_lines(MeasuredStudy(dataclasses.replace(results, reports=kept))) == []


def changed(made, **record):
    data = made.to_dict()
    data["training"]["held_out_mlm_loss"] |= record
    return EvaluationReport.from_dict(data)


def test_losses_on_other_targets_are_not_compared(entry):
    one = report(entry, "original", 0, 1.0, False)
    assert same_targets(one, changed(one, student=9.9))
    assert not same_targets(one, changed(one, n_targets=8))
    assert not same_targets(
        one, changed(one, teacher=2.52)
    )  # as many, but other words: the same teacher loses more on them
    other_teacher = changed(one, teacher=2.52).to_dict()
    other_teacher["training"]["teacher"]["weights_sha256"] = "debiased"
    assert same_targets(one, EvaluationReport.from_dict(other_teacher))


def test_arms_whose_text_is_not_the_baselines_are_compared_with_each_other(entry, tmp_path):
    results = at_lengths(tmp_path, entry, {"short": 0.5, "long": 1.0})
    short = {
        name: {seed: changed(made, n_targets=3) for seed, made in results.reports[name].items()}
        for name in ("short-original", "short-proposed")
    }
    measured = MeasuredStudy(dataclasses.replace(results, reports=results.reports | short))
    loss = measured.comparison("short-proposed").mlm_loss
    by_hand = [
        short["short-proposed"][seed].training["held_out_mlm_loss"]["student"]
        - short["short-original"][seed].training["held_out_mlm_loss"]["student"]
        for seed in range(3)
    ]
    assert loss.difference == pytest.approx(np.mean(by_hand)) and measured.per_nat("short-proposed") is not None
    assert measured.comparison("short-original").mlm_loss is None  # against the study's baseline
