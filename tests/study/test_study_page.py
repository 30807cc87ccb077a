"""The page of a study: its numbers are those of the reports, its sentences follow from them, and nothing is left out in silence."""

import copy
import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
from made_up_study import EFFECTS, PLANTED, made_up_results, made_up_study, part, scaled, seat
from scipy import optimize, stats

from evenhand.evaluation import EvaluationReport
from evenhand.evaluation.multiplicity import holm
from evenhand.evaluation.over_seeds import aggregate_differences, aggregate_results
from evenhand.launch.study.page.diagnostics_section import other_settings_lines
from evenhand.launch.study.page.measured import MeasuredStudy
from evenhand.launch.study.page.opening import reading_lines
from evenhand.launch.study.page.pictures import planted_picture
from evenhand.launch.study.page.study_page import write_page


def rows(text, start):
    found = [line for line in text.splitlines() if line.startswith(f"| {start} ")]
    assert found, start
    return found


def number(value, digits=3, signed=True):
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def test_seat_of_every_arm_stands_beside_the_printed_numbers(results, text):
    section = part(text, "Terms")
    for arm, label in (("original", "original"), ("mlm-cos", "mlm + cos")):
        mean = aggregate_results(seat(results, arm))
        line = rows(section, label)[0]
        family = mean["families"]["gender"]
        low, high = family["confidence_interval"]
        shown = number(family["mean_absolute_effect_size"], signed=False)
        assert f"**{shown} [{number(low, 2, False)}, {number(high, 2, False)}]**" in line
        test = mean["tests"]["sent-weat7b"]
        assert f"{number(test['effect_size'])} [{number(test['confidence_interval'][0], 2)}" in line
    printed = rows(section, "↳ *paper, one run*")
    assert "| 1.000 | +1.200 | +0.600 |" in printed[0]
    assert "0.600 (its row gives 0.700)" in printed[1]
    assert "its own row gives 0.700, further away than rounding can explain" in text


def test_differences_carry_interval_verdict_pairs_and_what_could_have_been_found(results, text, data):
    change = aggregate_differences(seat(results, "proposed"), seat(results, "original"))["families"]["gender"]
    line = rows(part(text, "Supervision"), "mixup (proposed)")[1]
    low, high = change["confidence_interval"]
    assert f"| 4 | {number(change['difference'])} [{number(low, 2)}, {number(high, 2)}] |" in line
    alone = stats.ttest_1samp(change["differences"], 0).confidence_interval(0.95)
    line = rows(part(text, "Supervision"), "mixup (proposed)")[2]
    assert f"[{number(alone.low, 2)}, {number(alone.high, 2)}]" in line
    kept = next(one for one in data["comparisons"] if (one["arm"], one["against"]) == ("proposed", "original"))
    assert kept["families"]["gender"]["words_and_seeds"]["low"] == low
    for judged in kept["families"]["gender"]["words_and_seeds"], kept["families"]["gender"]["seeds_alone"]:
        assert judged["detectable"] < judged["detectable_holm"]
        assert f"| {number(judged['detectable'], signed=False)} |" in text
    # proposed, unrelated pairs, terms, three depths, two other weights …, and the proposed arm against its control
    assert len(data["comparisons"]) == 11
    # the arm to come is counted, so that nothing that holds now can be taken back by it
    assert data["comparisons_corrected_for"] == 12
    assert "over the 12 comparisons of this page (1 of them still to be made" in text
    raw = {str(i): one["families"]["gender"]["words_and_seeds"] for i, one in enumerate(data["comparisons"])}
    corrected = holm({i: one["p_value"] for i, one in raw.items()}, 1)
    assert corrected == {i: one["p_value_holm"] for i, one in raw.items()}


def test_the_price_per_nat_is_the_ratio_of_the_paired_differences(results, data):
    kept = next(one for one in data["comparisons"] if one["arm"] == "proposed" and one["against"] == "original")
    losses = [
        [report.training["held_out_mlm_loss"]["student"] for report in results.reports[arm].values()]
        for arm in ("proposed", "original")
    ]
    ratio = np.mean(kept["families"]["gender"]["of_seeds"]) / np.mean(np.subtract(*losses))
    assert kept["per_nat"]["value"] == pytest.approx(ratio)
    assert kept["per_nat"]["low"] < ratio < kept["per_nat"]["high"] < 0


def test_arms_at_other_weights_are_compared_with_the_plain_arm_at_those_weights(text):
    section = part(text, "Weights")
    assert any("| original, 5/2/1 *(exploratory)* | original | 3 |" in line for line in section.splitlines())
    assert any("| proposed, 5/2/1 *(exploratory)* | original, 5/2/1 | 3 |" in line for line in section.splitlines())


def test_failed_missing_shared_and_exploratory_arms_are_said_to_be_so(text, data):
    section = part(text, "Supervision")
    assert "- fails: **failed** with seed 2; log `logs/hopeless-2.log`." in section
    assert "- to come: not run yet with seeds 0, 1, 2." in section
    assert "| fails *(exploratory)* | 1 of 3 (2 failed) |" in section and "| mixup (proposed) | 4 |" in section
    assert "- 2-layer student: its recipe is that of *original*, so these are the same students." in part(text, "Depth")
    assert "| 2-layer student | 4 |" in text and "| 1-layer student *(exploratory)* | 3 |" in text
    assert "of 39 students 2 failed and 3 have not been run yet" in text
    assert data["arms"]["depth-2"]["same_students_as"] == "original" and data["students"]["measured"] == 34
    assert not [one for one in data["comparisons"] if "depth-2" in (one["arm"], one["against"])]


def test_the_sweep_has_r_by_fisher_and_over_seeds_beside_the_printed_one(results, text, data):
    values = [1, 2, 3, 4]
    means = [
        [r["families"]["gender"]["mean_absolute_effect_size"] for r in seat(results, f"depth-{v}")] for v in values
    ]
    # the original has four seeds and the depths have three: all arms are taken with the three that are common
    means[1] = [r["families"]["gender"]["mean_absolute_effect_size"] for r in seat(results, "original")][:3]
    theirs = stats.pearsonr(values, [np.mean(one) for one in means])
    section = part(text, "Depth")
    ends = theirs.confidence_interval(0.95)
    side = "within" if ends.low <= -0.82 <= ends.high else "outside"
    assert f"**{number(theirs.statistic, 2)}**" in section
    assert f"The paper prints r = −0.82, without an interval; it lies {side} this one." in section
    assert f"[{number(ends.low, 2)}, {number(ends.high, 2)}]" in section
    slopes = [np.polyfit(values, [one[seed] for one in means], 1)[0] for seed in range(3)]
    assert data["sections"]["figure1"]["sweep"]["slope"]["mean"] == pytest.approx(np.mean(slopes))
    # the slope that a two-sided t-test of three seeds finds with 80 % power, by scipy's noncentral t
    error, critical = stats.sem(slopes), stats.t.ppf(0.975, 2)
    found = optimize.brentq(lambda size: stats.nct.sf(critical, 2, size) - 0.8, 0.1, 50)
    assert f"; detectable {number(found * error, 4, False)}; over seeds" in section
    assert "![Plot of mean" in section and "(figures/figure1.png)" in section


def test_glue_stands_beside_the_papers_mean_of_the_same_tasks(text):
    section = part(text, "Quality")
    assert "SST-2, accuracy" in section and "| original | 3 | 81.0 ± 1.0 |" in section
    assert f"| 90.4 | 59.9 | {number((90.4 + 59.9) / 2, 1, False)} |" in section
    change = EFFECTS["proposed"]
    assert f"| RTE, accuracy | {number(change, 2)} [{number(change, 2)}, {number(change, 2)}] |" in section
    assert "Not run here: MNLI, QQP, QNLI, CoLA, STS-B, MRPC." in section and "not all examples were used" in section


def test_teachers_before_and_after(entry, text):
    section = part(text, "Teachers, before and after")
    before = entry["model"]["families"]["gender"]["mean_absolute_effect_size"]
    line = rows(section, "**mean \\|d\\|**, gender")[0]
    assert f"| {number(before, signed=False)} | {number(before / 2, signed=False)} |" in line


def test_a_teacher_that_was_measured_before_the_measure_was_changed_is_told(results, entry, tmp_path):
    as_here = {"pooling": entry["pooling"], "stimuli": entry["stimuli"], "seed": 0}
    for settings, told in ((as_here, False), (as_here | {"pooling": "cls"}, True)):
        change = results.teacher_changes["debiased"] | {"settings": settings}
        page = write_page(dataclasses.replace(results, teacher_changes={"debiased": change}), tmp_path, figures=False)
        section = part(page.read_text(encoding="utf-8"), "Teachers, before and after")
        assert ("**Measured otherwise than its students**: with `cls` pooling on" in section) is told


def test_that_all_seeds_share_one_teacher_is_said_where_they_do(results, text, entry, tmp_path):
    assert "- All seeds share one teacher: no interval here says what another teacher" in text
    arms = results.study.arms | {"proposed": dataclasses.replace(results.study.arms["proposed"], teacher="debiased")}
    other = dataclasses.replace(results, study=dataclasses.replace(results.study, arms=arms))
    told = "\n".join(reading_lines(MeasuredStudy(other)))
    assert "share one teacher, and the students of *mixup (proposed)* one changed teacher: no interval" in told
    known = made_up_results(made_up_study(tmp_path, "known", only=["table2"]), entry)
    assert "share one teacher" not in "\n".join(reading_lines(MeasuredStudy(known)))


def test_planted_strengths_stand_beside_what_is_measured(entry, tmp_path):
    study = made_up_study(tmp_path, "known", only=["table2"])
    results = made_up_results(study, entry)
    text = write_page(results, tmp_path / "page", figures=False).read_text(encoding="utf-8")
    section = part(text, "What was planted, and what is measured")
    mean = aggregate_results(seat(results, "proposed"))["tests"]["sent-weat6"]["effect_size"]
    assert "C6, planted +0.80" in section and "C7, planted −0.40" in section
    assert number(mean) in rows(section, "mixup (proposed)")[0]
    change = [
        np.mean([(r["tests"][t]["effect_size"] - b["tests"][t]["effect_size"]) for t in ("sent-weat6", "sent-weat6b")])
        for r, b in zip(seat(results, "proposed"), seat(results, "original"), strict=True)
    ]
    assert f"{number(np.mean(change))} [" in rows(section, "mixup (proposed)")[1]
    # below 0 was planted, so an association that comes nearer to 0 is less of it
    change = [
        -np.mean([(r["tests"][t]["effect_size"] - b["tests"][t]["effect_size"]) for t in ("sent-weat7", "sent-weat7b")])
        for r, b in zip(seat(results, "proposed"), seat(results, "original"), strict=True)
    ]
    assert f"{number(np.mean(change))} [" in rows(section, "mixup (proposed)")[1]
    summary = part(text, "What the numbers say")
    assert "Where an association of +0.80 was planted (C6, C6b): plain students show" in summary
    assert f"Not at this scale: {study.titles['table3']} (no tasks)." in text
    assert json.loads((tmp_path / "page" / "results.json").read_text())["planted"]["strengths"] == PLANTED
    (picture,) = planted_picture(MeasuredStudy(results), tmp_path)[:1]
    assert "(figures/planted.png)" in picture and (tmp_path / "planted.png").stat().st_size > 5000


def test_the_page_is_whole_and_names_are_shown_as_text(page, text, data):
    html = (page / "README.html").read_text(encoding="utf-8")
    assert "<b>arms</b>" not in text and "&lt;b&gt;arms" in html and "data:image/png;base64," in html
    assert data["pictures"] == sorted(path.name for path in (page / "figures").iterdir())
    for picture in data["pictures"]:
        assert f"(figures/{picture})" in text
    assert {"forest.png", "tradeoff_loss.png", "tradeoff_glue.png", "over_training.png", "figure1.png"} <= set(
        data["pictures"]
    )
    assert [line[2:] for line in part(text, "What the numbers say").splitlines() if line.startswith("- ")] == data[
        "summary"
    ]


def test_the_same_results_give_the_same_numbers_and_old_pictures_go(results, page, data, tmp_path):
    again = shutil.copytree(page, tmp_path / "again")
    (again / "figures" / "mine.png").write_bytes(b"x")
    write_page(results, again, figures=False)
    assert [path.name for path in (again / "figures").iterdir()] == ["mine.png"]
    assert "figures/" not in (again / "README.md").read_text()
    assert json.loads((again / "results.json").read_text()) == data | {"pictures": []}


def test_a_page_that_cannot_be_made_leaves_what_was_there(results, entry, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no student has been measured"):
        write_page(dataclasses.replace(results, reports={}), tmp_path / "new")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "README.md").write_text("mine")
    with pytest.raises(ValueError, match="no study's page"):
        write_page(results, tmp_path / "own")
    monkeypatch.setattr(
        "evenhand.launch.page_folder.write_linked_pages", lambda folder, names: 1 / 0
    )  # the page as HTML
    with pytest.raises(ZeroDivisionError):
        write_page(results, tmp_path / "new", figures=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own"]
    assert (tmp_path / "own" / "README.md").read_text() == "mine"


def test_one_student_an_arm_gives_a_page_without_intervals_over_seeds(results, tmp_path):
    single = {name: {0: of_arm[0]} for name, of_arm in results.reports.items() if 0 in of_arm}
    text = write_page(dataclasses.replace(results, reports=single), tmp_path / "page", figures=False).read_text()
    assert "| mixup (proposed) | 1 of 4 (3 not run yet) |" in text
    assert "from one student of each depth" in text


def test_scaling_by_hand_is_what_the_tests_think(entry):
    half = scaled(entry["model"], 0.5)
    assert half["mean_absolute_effect_size"] == pytest.approx(entry["model"]["mean_absolute_effect_size"] / 2)


def test_only_a_study_with_more_seeds_for_its_core_arms_says_so(results, text, tmp_path):
    assert "3 core arms, planned with more seeds;" in text
    arms = {name: dataclasses.replace(arm, seeds=4) for name, arm in results.study.arms.items()}
    even = dataclasses.replace(results, study=dataclasses.replace(results.study, arms=arms))
    page = write_page(even, tmp_path / "page", figures=False).read_text(encoding="utf-8")
    assert "planned with more seeds" not in page and "3 core arms, with as many seeds as the others" in page


def test_comparisons_with_the_teacher_carry_p_and_what_could_have_been_found(data, text):
    found = {name: arm["from_teacher"] for name, arm in data["arms"].items() if arm["from_teacher"]}
    own = {name: judged["p_value"] for name, judged in found.items() if not data["arms"][name]["same_students_as"]}
    assert holm(own, 1) == {name: found[name]["p_value_holm"] for name in own}  # 1: the arm to come
    headline = next(line for line in data["summary"] if "of its teacher" in line or "than its teacher" in line)
    assert "p (Holm)" in headline and f"detectable {number(found['original']['detectable'], signed=False)}" in headline
    assert "Δ from its teacher, words and seeds | p (Holm) | detectable |" in text


def test_planted_and_glue_changes_are_corrected_over_their_families(entry, data, tmp_path):
    results = made_up_results(made_up_study(tmp_path, "known", only=["table1", "table2"]), entry)
    page = write_page(results, tmp_path / "page", figures=False)
    changes = json.loads((page.parent / "results.json").read_text())["planted"]["changes"]
    for against in ("from_teacher", "from_reference", "from_reference_on_z"):
        raw = {i: one[against]["p_value"] for i, one in enumerate(changes) if one[against]}
        to_come = len(set(PLANTED.values()))  # the arm to come, at each strength
        assert holm(raw, to_come) == {i: changes[i][against]["p_value_holm"] for i in raw} and len(raw) > 10
    summary = part(page.read_text(encoding="utf-8"), "What the numbers say")
    assert summary.count("students without L_ce, show") == len(set(PLANTED.values()))
    tasks = data["sections"]["table3"]["glue"]["arms"]["proposed"]["differences"]
    raw = {task: tasks[task]["p_value"] for task in ("sst2", "rte")}
    assert holm(raw) == {task: tasks[task]["p_value_holm"] for task in raw}


def test_teachers_near_the_end_of_d_are_pointed_out(entry, tmp_path):
    results = made_up_results(made_up_study(tmp_path, "known", only=["table2"]), entry)
    far = write_page(results, tmp_path / "far", figures=False).read_text(encoding="utf-8")
    assert "Near the ceiling" not in far and "amplification is squeezed" not in far
    large = max(abs(test["effect_size"]) for test in entry["model"]["tests"].values())
    for of_arm in results.reports.values():
        for one in of_arm.values():
            seat_entry = one.measures["seat"][0]
            seat_entry["reference"] = scaled(entry["model"], 1.9 / large)
    near = write_page(results, tmp_path / "near", figures=False).read_text(encoding="utf-8")
    assert "Near the ceiling: mean \\|d\\| of the teachers is above 1.5 in" in near
    assert "on z, which has no end" in part(near, "What the numbers say")


def test_a_changed_teacher_of_every_seed_is_shown_by_its_mean(results, entry, tmp_path):
    changes = [{"before": scaled(entry["model"], one), "after": scaled(entry["model"], one / 2)} for one in (0.8, 0.9)]
    several = dataclasses.replace(results, teacher_changes={"debiased": dict(enumerate(changes))})
    page = write_page(several, tmp_path / "page", figures=False)
    section = part(page.read_text(encoding="utf-8"), "Teachers, before and after")
    before = 0.85 * entry["model"]["families"]["gender"]["mean_absolute_effect_size"]
    line = rows(section, "**mean \\|d\\|**, gender")[0]
    assert f"| {number(before, signed=False)} | {number(before / 2, signed=False)} |" in line
    assert "Means over 2 teachers" in section


def test_guessing_by_frequency_stands_beside_the_losses(results, text, tmp_path):
    assert "guessing by the tokens' frequency" not in text
    reports = {arm: dict(of_seeds) for arm, of_seeds in results.reports.items()}

    def guess(arm, seed, loss, **changes):
        data = copy.deepcopy(reports[arm][seed].to_dict())
        data["training"]["held_out_mlm_loss"] |= {"unigram": loss} | changes
        reports[arm][seed] = EvaluationReport(data)

    for arm, seed, loss in (
        ("proposed", 0, 6.0),
        ("mlm-cos", 0, 6.2),
        ("mix-input", 1, 6.9),
    ):  # the mean of 6.1 and 6.9
        guess(arm, seed, loss)
    guess("depth-1", 1, 90.0, n_targets=8)  # another text
    page = write_page(dataclasses.replace(results, reports=reports), tmp_path / "page", figures=False)
    shown = page.read_text(encoding="utf-8")
    assert re.search(r"teacher 2\.500, plain students 3\.1\d\d, guessing by the tokens' frequency 6\.500", shown)
    assert "guessing all tokens alike 6.802" in shown  # ln 900
    assert "The teacher's logits carry context" in part(shown, "What the numbers say")
    first = copy.deepcopy(reports["original"][0].to_dict())
    first["model"]["vocab_size"] = 9  # ln 9 is 2.197, which is less than the teacher loses
    reports["original"][0] = EvaluationReport(first)
    page = write_page(dataclasses.replace(results, reports=reports), tmp_path / "page", figures=False)
    assert "logits carry **no** context" in part(page.read_text(encoding="utf-8"), "What the numbers say")


def test_the_page_says_whether_the_teacher_has_an_association_to_pass_on(results, tmp_path):
    def said(p_value):
        reports = {arm: dict(of_seeds) for arm, of_seeds in results.reports.items()}
        for seed, one in reports["original"].items():
            data = copy.deepcopy(one.to_dict())
            family = data["measures"]["seat"][0]["reference"]["families"]["gender"]
            family["noise_floor"] = {"expected": 0.2, "quantile_95": 0.4567, "p_value": p_value, "permutations": 99}
            reports["original"][seed] = EvaluationReport(data)
        page = write_page(dataclasses.replace(results, reports=reports), tmp_path / "page", figures=False)
        return part(page.read_text(encoding="utf-8"), "What the numbers say")

    assert "The teacher has an association to pass on: mean \\|d\\|" in said(0.04)
    assert "stay below 0.457 (p 0.040)" in said(0.04)
    assert "The teacher has **no** association that chance could not give" in said(0.06)


def test_core_arms_that_turn_under_another_pooling_are_named(results):
    def with_cls(factor):
        """A second pooling, under which the proposed arm's association is ``factor`` times the plain one's."""
        reports = {}
        for arm, of_seeds in results.reports.items():
            reports[arm] = {}
            for seed, one in of_seeds.items():
                data = copy.deepcopy(one.to_dict())
                (first,) = data["measures"]["seat"]
                plain = results.reports["original"][seed].measures["seat"][0]["model"] if seed < 4 else first["model"]
                model = scaled(plain, factor) if arm == "proposed" else first["model"]
                data["measures"]["seat"].append(copy.deepcopy(first) | {"pooling": "cls", "model": model})
                reports[arm][seed] = EvaluationReport(data)
        return "\n".join(other_settings_lines(MeasuredStudy(dataclasses.replace(results, reports=reports))))

    assert "In none of 2 core arms does Δ have another sign than under the headline's setting, `mean`" in with_cls(0.9)
    assert "Of 2 core arms 1 has Δ of another sign" in with_cls(1.1) and "*mixup (proposed)* (−0." in with_cls(1.1)


def test_arms_with_another_teacher_or_text_are_named_where_the_pairing_is_explained(results, text, tmp_path):
    assert "same masks. Intervals" in text

    def changed(arm, **changes):
        return dataclasses.replace(arm, **changes)

    arms = dict(results.study.arms)
    recipe = arms["mix-input"].recipe
    arms["mix-input"] = changed(
        arms["mix-input"],
        recipe=dataclasses.replace(recipe, corpus=dataclasses.replace(recipe.corpus, cda="one_sided")),
    )
    arms["proposed"] = changed(arms["proposed"], teacher="debiased")
    other = dataclasses.replace(results, study=dataclasses.replace(results.study, arms=arms))
    page = write_page(other, tmp_path / "page", figures=False).read_text(encoding="utf-8")
    assert (
        "same masks (except the teacher, and the first weights that come from it, for *mixup (proposed)*; the text, and so order and masks, "
        "for *mixup: inputs*). Intervals" in page
    )


def test_a_sweep_over_the_fraction_prints_passes_over_the_text(results, tmp_path):
    arms = {
        name: dataclasses.replace(
            arm,
            recipe=dataclasses.replace(
                arm.recipe, corpus=dataclasses.replace(arm.recipe.corpus, fraction=arm.value / 4)
            ),
        )
        if name.startswith("depth")
        else arm
        for name, arm in results.study.arms.items()
    }
    changed = dataclasses.replace(results, study=dataclasses.replace(results.study, arms=arms))
    section = part(write_page(changed, tmp_path / "page", figures=False).read_text(encoding="utf-8"), "Depth")
    assert "passes over the text (epochs)" in section and "| 50 | 400 | 1.0 |" in section
