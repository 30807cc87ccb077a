"""Distillability and contribution over paired seeds, and the verdicts on findings, against SciPy and by hand."""

import json

import numpy as np
import pytest
from scipy import stats

from evenhand.evaluation.distillability import (
    CONTRIBUTION,
    DISTILLABILITY,
    Cell,
    Metric,
    by_metric,
    cell_effects,
    cell_report,
    group_metrics_of,
    seed_effect,
    seed_mean,
)
from evenhand.evaluation.distillability_findings import (
    contribution_not_positive,
    larger_teacher_not_always_better,
    pooled_gains,
    remedy_helps,
    same_scale_best,
    stable_while_groups_move,
    teacher_adds,
    undermined_overall,
)
from evenhand.evaluation.distillability_rule import CANNOT_TELL, CONTRADICTS, NO_DIFFERENCE, SUPPORTS
from evenhand.evaluation.multiplicity import holm

WORST, GAP, GROUP = Metric("worst", "higher"), Metric("gap", "nearer"), Metric("red", "higher", "red")
TEACHER, STUDENT, DISTILLED = (
    [80.0, 82.0, 79.0, 81.0, 83.0],
    [60.0, 58.0, 61.0, 63.0, 59.0],
    [70.0, 74.0, 69.0, 71.0, 75.0],
)


def seeds(values):
    return dict(enumerate(values))


def cell(g=DISTILLED, f_t=TEACHER, f_s=STUDENT, key="worst", method="poe", teacher="small", student="small"):
    f_t, f_s, g = ({key: seeds(values)} for values in (f_t, f_s, g))
    return Cell(method, teacher, student, f_t, f_s, g)


def test_distillability_and_contribution_are_the_paired_t_tests_of_scipy():
    for role, reference in ((DISTILLABILITY, TEACHER), (CONTRIBUTION, STUDENT)):
        effect = seed_effect(cell(), WORST, role)
        expected = stats.ttest_rel(DISTILLED, reference)
        assert effect.difference == pytest.approx(np.mean(DISTILLED) - np.mean(reference))
        assert effect.p_value == pytest.approx(expected.pvalue)
        assert effect.confidence_interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
        assert (effect.model, effect.reference) == (np.mean(DISTILLED), np.mean(reference))
        assert effect.to_dict()["verdict"] == ("worse" if role == DISTILLABILITY else "better")


def test_only_seeds_that_both_models_have_are_paired():
    one = Cell(
        "poe", "s", "s", {"worst": {1: 70.0, 2: 75.0, 3: None}}, {}, {"worst": {2: 70.0, 1: 60.0, 3: 1.0, 9: 5.0}}
    )
    effect = seed_effect(one, WORST, DISTILLABILITY)
    assert dict(effect.differences) == {1: -10.0, 2: -5.0}
    assert effect.reference == 72.5 and effect.n == 2


def test_a_gap_is_compared_by_its_distance_from_zero():
    effect = seed_effect(cell([-30.0, 30.0, -31.0], [10.0, -10.0, 10.0], [0.0] * 3, "gap"), GAP, DISTILLABILITY)
    assert dict(effect.differences) == {0: 20.0, 1: 20.0, 2: 21.0}
    assert effect.gain == pytest.approx(-61 / 3) and effect.to_dict()["verdict"] == "worse"


@pytest.mark.parametrize(
    ("g", "f_t", "note"),
    [
        ([70.0], [80.0], "1 seed with both models"),
        ([], [], "0 seeds"),
        ([70.0] * 4, [80.0] * 4, "of all seeds are equal"),
    ],
)
def test_without_an_interval_nothing_is_claimed(g, f_t, note):
    effect = seed_effect(cell(g, f_t), WORST, DISTILLABILITY)
    written = effect.to_dict()
    assert effect.confidence_interval is effect.p_value is effect.detectable is None
    assert note in effect.note and written["verdict"] == "not distinguishable" and written["worst_case"] is None
    assert undermined_overall([cell(g, f_t)], WORST).verdict == CANNOT_TELL


def test_p_values_are_corrected_within_each_role_and_the_detectable_difference_with_them():
    generator, keys = np.random.default_rng(0), ["a", "b", "c"]
    sides = [{key: seeds(generator.normal(50, 5, 6)) for key in keys} for _ in range(3)]
    metrics = [Metric(key, "higher") for key in keys]
    effects = cell_effects(Cell("poe", "s", "s", *sides), metrics)
    for role in (DISTILLABILITY, CONTRIBUTION):
        own = {effect.metric.key: effect for effect in effects if effect.role == role}
        expected = holm({key: effect.p_value for key, effect in own.items()})
        assert {key: effect.p_value_holm for key, effect in own.items()} == expected
    alone = cell_effects(Cell("poe", "s", "s", *sides), metrics[:1])[0]
    assert effects[0].p_value == alone.p_value and effects[0].detectable > alone.detectable


def test_the_detectable_difference_is_found_in_four_of_five_studies():
    generator, n, spread = np.random.default_rng(1), 6, 3.0
    known = seed_effect(
        cell(spread * stats.zscore([0.0, 1, 2, 3, 4, 5], ddof=1) + 50, [50.0] * n), WORST, DISTILLABILITY
    )
    draws = generator.normal(known.detectable, spread, (4000, n))
    found = stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.03)


def test_the_teachers_own_numbers_are_carried_beside_the_differences():
    report = json.loads(json.dumps(cell_report(cell(), [WORST])))
    teacher = report["models"]["f_t"]["worst"]
    low, high = stats.t.interval(0.95, 4, np.mean(TEACHER), stats.sem(TEACHER))
    assert teacher["value"] == np.mean(TEACHER) and teacher["confidence_interval"] == pytest.approx([low, high])
    assert teacher["values"]["0"] == 80.0 and len(report["effects"]) == 2
    assert seed_mean({0: 5.0, 1: None})["confidence_interval"] is None


def test_results_by_group_give_the_metrics_of_a_cell():
    from classifier_report import LEANING, ROBUST, result

    results = {seed: result(share, seed=seed).to_dict() for seed, share in ((3, LEANING), (4, ROBUST))}
    metrics, table = {m.key: m for m in group_metrics_of(results[3])}, by_metric(results)
    assert table["flipped_group_red 1"] == {3: 40.0, 4: 87.5}
    assert metrics["flipped_group_red 1"].group == "red 1" and metrics["flipped_spurious_gap"].better == "nearer"
    assert table["flipped_worst_group"] == {3: 40.0, 4: 87.5} and metrics["flipped_worst_group"].group is None
    assert set(metrics) == set(table)


def test_an_unknown_direction_or_role_is_refused():
    with pytest.raises(ValueError, match="better must be"):
        Metric("worst", "up")
    with pytest.raises(ValueError, match="role must be 'distillability' or 'contribution', not 'gain'"):
        seed_effect(cell(), WORST, "gain")


def shifted(by, noise=0.3, n=6, base=70.0):
    """A teacher's values and those of a student that is better by so much."""
    generator = np.random.default_rng(round(100 * abs(by)) + 7)
    teacher = generator.normal(base, 3, n)
    return {"f_t": teacher, "f_s": teacher, "g": teacher + by + generator.normal(0, noise, n)}


@pytest.mark.parametrize(
    ("by", "noise", "undermined", "no_gain"),
    [
        (-8.0, 0.3, SUPPORTS, SUPPORTS),
        (8.0, 0.3, CONTRADICTS, CONTRADICTS),
        (0.0, 0.2, NO_DIFFERENCE, SUPPORTS),  # a change of one point, the margin, is excluded
        (-2.0, 20.0, CANNOT_TELL, CANNOT_TELL),
    ],
)
def test_loss_and_lack_of_gain_are_judged_by_interval_and_margin(by, noise, undermined, no_gain):
    cells = [cell(**shifted(by, noise)), cell(**shifted(by, noise), method="erm")]
    assert undermined_overall(cells, WORST).verdict == undermined
    assert contribution_not_positive(cells, WORST).verdict == no_gain


def test_a_wider_margin_only_asks_for_more():
    cells = [cell(**shifted(-3.0))]
    assert undermined_overall(cells, WORST, margin=1.0).verdict == SUPPORTS
    assert undermined_overall(cells, WORST, margin=10.0).verdict == NO_DIFFERENCE


def test_a_metric_whose_lower_side_is_better_is_turned_round():
    worse = {name: -values for name, values in shifted(-8.0, base=-40.0).items()}
    assert undermined_overall([cell(**worse)], Metric("worst", "lower")).verdict == SUPPORTS
    assert undermined_overall([cell(**worse)], WORST).verdict == CONTRADICTS


def test_gains_are_means_over_cells_of_the_seeds_that_all_have():
    one, other = cell([71.0, 72.0, 73.0], [70.0] * 3), cell([75.0, 70.0], [70.0] * 2)
    assert pooled_gains([one, other], WORST, DISTILLABILITY) == {0: 3.0, 1: 1.0}
    assert pooled_gains([], WORST, DISTILLABILITY) == {}


def test_stable_overall_while_a_group_moves():
    def study(overall, red, blue):
        keys = {"worst": overall, "red": red, "blue": blue}
        made = {key: shifted(by, 0.2) for key, by in keys.items()}
        return [Cell("poe", "s", "s", *({k: seeds(m[side]) for k, m in made.items()} for side in ("f_t", "f_s", "g")))]

    groups = [GROUP, Metric("blue", "higher", "blue")]
    moving = stable_while_groups_move(study(0.0, -9.0, 9.0), WORST, groups)
    assert moving.verdict == SUPPORTS and "red (-9.1), blue (+8.9) move" in moving.reason
    assert stable_while_groups_move(study(0.0, 0.1, -0.1), WORST, groups).verdict == CONTRADICTS
    assert stable_while_groups_move(study(-6.0, -9.0, 0.0), WORST, groups).verdict == CONTRADICTS
    few = [Cell("poe", "s", "s", *({"worst": {0: 1.0}},) * 3)]
    assert stable_while_groups_move(few, WORST, groups).verdict == CANNOT_TELL
    with pytest.raises(ValueError, match="at least one group"):
        stable_while_groups_move(few, WORST, [])


def test_the_same_scale_is_compared_within_method_and_student():
    def study(same, other):
        pairs = {
            ("small", "small"): same,
            ("large", "small"): other,
            ("large", "large"): same,
            ("small", "large"): other,
        }
        return [
            cell(**shifted(by), teacher=teacher, student=student, method=method)
            for (teacher, student), by in pairs.items()
            for method in ("erm", "poe")
        ]

    assert same_scale_best(study(-1.0, -7.0), WORST).verdict == SUPPORTS
    assert same_scale_best(study(-7.0, -1.0), WORST).verdict == CONTRADICTS
    # a method that transfers badly and was run on the same scale alone must not count
    alone = cell(**shifted(-50.0), method="dro")
    assert same_scale_best([*study(-1.0, -7.0), alone], WORST).gain == same_scale_best(study(-1.0, -7.0), WORST).gain
    assert same_scale_best([alone], WORST).verdict == CANNOT_TELL


def test_a_larger_teacher_is_judged_on_every_pair():
    def study(large, huge, noise=0.3):
        gains = {"small": 0.0, "large": large, "huge": huge}
        base = np.random.default_rng(3).normal(60, 3, 6)
        jitter = np.random.default_rng(4).normal(0, noise, (3, 6))
        return [
            cell(base + by + moved, base, base, teacher=name)
            for (name, by), moved in zip(gains.items(), jitter, strict=True)
        ]

    sizes = ["small", "large", "huge"]
    worse = larger_teacher_not_always_better(study(5.0, 2.0), WORST, sizes)
    assert worse.verdict == SUPPORTS and "huge for large (poe, student small)" in worse.reason
    assert larger_teacher_not_always_better(study(5.0, 10.0), WORST, sizes).verdict == CONTRADICTS
    assert larger_teacher_not_always_better(study(5.0, 7.0, 4.0), WORST, sizes).verdict == CANNOT_TELL
    assert (
        larger_teacher_not_always_better([cell()], WORST, sizes).reason
        == "no student has two teachers of different size"
    )
    with pytest.raises(ValueError, match="teacher size 'small' is not among tiny"):
        larger_teacher_not_always_better([cell()], WORST, ["tiny"])


def test_a_remedy_is_compared_with_its_absence_by_seed():
    plain, helped = seeds([60.0, 62.0, 64.0]), seeds([65.5, 67.0, 69.0])
    found = remedy_helps("augmentation", [helped], [plain], WORST)
    assert (found.finding, found.verdict) == ("augmentation_helps", SUPPORTS)
    assert found.gain == pytest.approx(15.5 / 3)
    assert remedy_helps("augmentation", [plain], [helped], WORST).verdict == CONTRADICTS
    assert json.loads(json.dumps(found.to_dict()))["confidence_interval"] == pytest.approx(
        list(found.confidence_interval)
    )
    with pytest.raises(ValueError, match="augmentation_helps: 1 cells cannot be compared with 2"):
        remedy_helps("augmentation", [helped], [plain, plain], WORST)


def test_what_the_teacher_adds_to_a_remedy_is_judged_against_the_student_alone_with_it():
    helped, alone = seeds([65.5, 67.0, 69.0]), seeds([65.4, 67.1, 68.9])
    found = teacher_adds("augmentation", [helped], [alone], WORST)
    assert (found.finding, found.verdict, found.cells) == ("augmentation_teacher_adds", NO_DIFFERENCE, 1)
    assert found.gain == pytest.approx(0.1 / 3)


def test_the_level_of_a_verdict_is_that_of_the_tests_it_rests_on():
    cells = [cell(**shifted(by, 0.3), key=key) for by, key in ((0.0, "worst"), (-9.0, "red"))]
    sides = [
        {name: table for one in cells for name, table in getattr(one, side).items()} for side in ("f_t", "f_s", "g")
    ]
    both = Cell("poe", "s", "s", *sides)
    found = stable_while_groups_move([both], WORST, [GROUP])
    overall = list(both.differences(WORST, DISTILLABILITY).values())
    # within ± 1: two one-sided tests, each at half the level of the interval
    ends = [stats.ttest_1samp(overall, 1, alternative="less"), stats.ttest_1samp(overall, -1, alternative="greater")]
    assert found.verdict == SUPPORTS and found.p_value == pytest.approx(2 * max(end.pvalue for end in ends))
    base = np.random.default_rng(3).normal(60, 3, 6)
    jitter = np.random.default_rng(4).normal(0, 0.3, (3, 6))
    names, gains = ["small", "large", "huge"], [0.0, 5.0, 10.0]
    cells = [
        cell(base + gain + own, base, base, teacher=name) for name, gain, own in zip(names, gains, jitter, strict=True)
    ]
    found = larger_teacher_not_always_better(cells, WORST, names)
    pairs = [
        stats.ttest_1samp(gains[b] - gains[a] + jitter[b] - jitter[a], 0).pvalue for a, b in ((0, 1), (0, 2), (1, 2))
    ]
    assert found.verdict == CONTRADICTS and found.p_value == pytest.approx(3 * max(pairs))


def test_by_chance_alone_a_finding_is_rarely_supported():
    generator, wrong, rounds = np.random.default_rng(8), 0, 300
    for _ in range(rounds):
        teacher = generator.normal(70, 3, 5)
        wrong += (
            undermined_overall([cell(teacher + generator.normal(0, 3, 5), teacher)], WORST, margin=0.0).verdict
            == SUPPORTS
        )
    assert wrong / rounds < 0.05  # one side of a 95 % interval
