"""Arms against a baseline: differences, p-values from intervals, Holm over arms, and what could have been found."""

import json

import numpy as np
import pytest
from scipy import stats

from evenhand.evaluation import Seat
from evenhand.evaluation.arm_comparisons import Judgement, compare_arms, interval_p_value, over_seeds
from evenhand.evaluation.families import mean_magnitude
from evenhand.evaluation.intervals import difference_interval
from evenhand.evaluation.multiplicity import holm
from evenhand.evaluation.over_seeds import aggregate_differences
from evenhand.evaluation.paired_seeds import detectable_in_errors

SEAT = Seat(tests=["C7", "C7b"])
SEEDS = 3


@pytest.fixture(scope="module")
def arms():
    """A baseline and three arms over three seeds; those of a seed have noise in common, and "less" has a weaker association."""
    stimuli = SEAT.loaded_stimuli
    rows = {sentence: index for index, sentence in enumerate(stimuli.distinct_sentences)}
    planted = np.zeros((len(rows), 10))
    for test in stimuli.tests:
        for role, sign in {"X": 1, "Y": -1, "A": 1, "B": -1}.items():
            for sentence in test.sets[role].sentences:
                planted[rows[sentence], 0] += sign
    shared = [np.random.default_rng(10 + seed).normal(size=planted.shape) for seed in range(SEEDS)]

    def results(strength, name):
        own = [np.random.default_rng([seed, len(name)]).normal(size=planted.shape) for seed in range(SEEDS)]
        made = [strength * planted + 0.8 * shared[seed] + 0.2 * own[seed] for seed in range(SEEDS)]
        return {seed: SEAT.result_of(vectors).to_dict() for seed, vectors in enumerate(made)}

    return {"plain": results(1.0, "p"), "less": results(0.1, "le"), "same": results(1.0, "sam")}


@pytest.fixture(scope="module")
def compared(arms):
    losses = {"plain": {0: 2.0, 1: 2.1, 2: 2.2}, "less": {0: 2.5, 1: 2.61, 2: 2.69}, "same": {0: 2.0, 2: 2.1}}
    return compare_arms(arms, [("less", "plain"), ("same", "plain")], losses)


def test_differences_and_verdicts_are_the_evaluation_stages(arms, compared):
    theirs = aggregate_differences(list(arms["less"].values()), list(arms["plain"].values()))
    ours = compared["less", "plain"].families["gender"].words_and_seeds
    family = theirs["families"]["gender"]
    assert [ours.low, ours.high] == family["confidence_interval"] and ours.difference == family["difference"]
    assert (ours.verdict, ours.worst_case) == (family["verdict"], family["worst_case"])
    test = compared["less", "plain"].tests["sent-weat7"]
    assert test["difference"] == theirs["tests"]["sent-weat7"]["difference"]
    json.dumps(compared["less", "plain"].to_dict(), allow_nan=False)


def test_over_seeds_alone_it_is_the_paired_t_test(arms, compared):
    means = {
        arm: [result["families"]["gender"]["mean_absolute_effect_size"] for result in arms[arm].values()]
        for arm in arms
    }
    theirs = stats.ttest_rel(means["less"], means["plain"])
    alone = compared["less", "plain"].families["gender"].seeds_alone
    assert alone.p_value == pytest.approx(theirs.pvalue)
    assert (alone.low, alone.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    error = np.std(np.subtract(means["less"], means["plain"]), ddof=1) / np.sqrt(SEEDS)
    assert alone.detectable == pytest.approx(error * detectable_in_errors(SEEDS - 1))
    assert alone.detectable_holm == pytest.approx(error * detectable_in_errors(SEEDS - 1, 2))


def test_the_p_value_over_words_and_seeds_is_the_level_at_which_the_interval_reaches_zero(arms, compared):
    sides = [
        mean_magnitude([list(result["tests"].values()) for result in arms[arm].values()]) for arm in ("less", "plain")
    ]
    p = compared["less", "plain"].families["gender"].words_and_seeds.p_value
    low, high = difference_interval(*sides, 1 - p)
    assert high < 0 or low > 0
    low, high = difference_interval(*sides, 1 - p / 1.01)
    assert low <= 0 <= high
    assert interval_p_value(sides[1], sides[1]) == 1.0


def test_a_verdict_and_its_p_value_agree(compared):
    for one in compared.values():
        judged = one.families["gender"].words_and_seeds
        assert (judged.p_value <= 0.05) == (judged.verdict != "not distinguishable")


def test_what_could_have_been_found_comes_from_the_longer_side_of_the_interval(compared):
    judged = compared["same", "plain"].families["gender"].words_and_seeds
    longer = max(judged.high - judged.difference, judged.difference - judged.low) - 1e-4
    assert judged.freedom == SEEDS - 1
    assert judged.standard_error == pytest.approx(longer / stats.t.ppf(0.975, SEEDS - 1))
    assert judged.detectable == pytest.approx(judged.standard_error * detectable_in_errors(SEEDS - 1))


@pytest.mark.parametrize("kind", ["words_and_seeds", "seeds_alone"])
def test_holms_correction_is_over_the_arms(compared, kind):
    judged = {key: getattr(one.families["gender"], kind) for key, one in compared.items()}
    expected = holm({key: one.p_value for key, one in judged.items()})
    assert {key: one.p_value_holm for key, one in judged.items()} == expected
    assert max(expected.values()) > max(one.p_value for one in judged.values()) - 1e-12


def test_the_correction_can_take_a_verdict_back():
    assert Judgement(-0.1, verdict="better", p_value_holm=0.04).holds is True
    assert Judgement(-0.1, verdict="better", p_value_holm=0.06).holds is False
    assert Judgement(-0.1, verdict="not distinguishable", p_value_holm=1.0).holds is None


def test_losses_are_paired_over_the_seeds_that_have_both(compared):
    theirs = stats.ttest_1samp([0.5, 0.51, 0.49], 0)
    loss = compared["less", "plain"].mlm_loss
    assert loss.p_value == pytest.approx(theirs.pvalue) and loss.verdict == "worse"
    assert compared["same", "plain"].mlm_loss.difference == pytest.approx(-0.05)


def test_only_seeds_in_common_are_compared_and_one_seed_has_an_interval_over_words_alone(arms):
    some = {
        "plain": {1: arms["plain"][1], 2: arms["plain"][2]},
        "less": {0: arms["less"][0], 1: arms["less"][1]},
        "none": {},
    }
    compared = compare_arms(some, [("less", "plain"), ("none", "plain")])
    assert list(compared) == [("less", "plain")]
    one = compared["less", "plain"]
    assert one.seeds == (1,) and one.mlm_loss is None
    both, alone = one.families["gender"].words_and_seeds, one.families["gender"].seeds_alone
    assert both.low is not None and both.freedom > 10
    assert alone.low is None and alone.p_value is None and alone.detectable is None
    assert alone.verdict == "not distinguishable"


def test_a_seed_without_d_leaves_no_difference():
    assert over_seeds([0.1, None]) == Judgement(None)
