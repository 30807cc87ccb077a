"""Rank correlation of importances with the student's own teacher and with those of other seeds, and what the page says of it."""

import numpy as np
import pytest
from made_up_grid import made_up_grid, made_up_results
from scipy import stats

from evenhand.launch.distillability.models import all_models
from evenhand.launch.distillability.page.importance_ranks import Agreement, agreements_of, rank_sentence
from evenhand.launch.distillability.page.inside import insides_of
from evenhand.launch.distillability.page.measured_grid import MeasuredGrid
from evenhand.launch.distillability.page.why_section import why_lines

KINDS = ("attention", "mlp", "cross-attention")


def ablation(falls, heads=()):
    """Of one layer; conflicting falls are the aligned ones turned round."""
    parts = [(kind, None, fall) for kind, fall in zip(KINDS, falls, strict=True)]
    parts += [("attention", number, fall) for number, fall in enumerate(heads, 1)]
    return {
        "components": [
            {
                "layer": "layer 1", "kind": kind, "head": head,
                **{side: {"log_probability": {"value": sign * fall}} for side, sign in (("aligned", 1), ("conflicting", -1))},
            }
            for kind, head, fall in parts
        ]
    }  # fmt: skip


def entry(teacher, student, copied=None):
    compared = {"layer_map": [["layer 1", "layer 1"]]}
    models = {name: {"ablation": found} for name, found in (("reference", teacher), ("model", student))}
    return {**models, "comparison": compared, "copied_layers": copied}


def test_a_student_is_compared_with_its_own_teacher_and_with_those_of_other_seeds():
    # orders 123 and 123; 132 and 132; 213 and 231
    entries = {
        0: entry(ablation((1, 2, 3)), ablation((10, 20, 30))),
        1: entry(ablation((1, 3, 2)), ablation((0.1, 0.3, 0.2))),
        2: entry(ablation((2, 1, 3)), ablation((2, 3, 1))),
    }
    found = agreements_of(entries)
    assert set(found) == {"sublayers"} and found["sublayers"]["aligned"].shared == 3
    for side in ("aligned", "conflicting"):  # turned round on both sides, the orders agree as before
        agreement = found["sublayers"][side]
        assert agreement.own == pytest.approx({0: 1.0, 1: 1.0, 2: -1.0})
        # seed 0 with the teachers 132 and 213; seed 1 with 123 and 213; seed 2, 231, with 123 and 132
        assert agreement.others == pytest.approx({0: 0.5, 1: (0.5 - 0.5) / 2, 2: (-0.5 + 0.5) / 2})
        assert agreement.difference == pytest.approx({0: 0.5, 1: 1.0, 2: -1.0})


def test_heads_are_ranked_only_where_the_student_began_as_a_copy():
    pair = ablation((1, 2, 3), heads=(0.1, 0.4, 0.3)), ablation((1, 2, 3), heads=(0.2, 0.5, 0.3))
    assert set(agreements_of({0: entry(*pair)})) == {"sublayers"}
    found = agreements_of({0: entry(*pair, copied={"encoder": [0]})})
    assert found["heads"]["aligned"] == Agreement(3, {0: pytest.approx(1.0)}, {0: None})


def test_without_ablation_there_is_nothing_to_rank():
    whole = entry(ablation((1, 2, 3)), ablation((1, 2, 3)))
    assert agreements_of({0: whole | {"model": {"ablation": None}}, 1: whole | {"reference": None}}) == {}
    resnet = {"components": [{"layer": "block 1.1", "kind": "block", "head": None}]}
    assert agreements_of({0: entry(resnet, ablation((1, 2, 3)))}) == {}


def agreement(own, others, shared=6):
    return Agreement(shared, dict(enumerate(own)), dict(enumerate(others)))


def test_the_sentence_rests_on_pairs_of_enough_components_and_the_most_seeds():
    own, others = [0.8, 0.7, 0.9, 0.8], [0.2, 0.1, 0.2, 0.3]
    two = agreement([1, 1, 1, -1, 1], [1] * 5, shared=2)
    one_seed = agreement([-1.0], [None])
    told = rank_sentence([agreement(own, others), two, one_seed])
    low, high = stats.ttest_1samp(np.subtract(own, others), 0).confidence_interval(0.95)
    assert told.startswith("the order is **nearer to that of the own teacher**")
    assert (
        f"difference +{np.mean(own) - np.mean(others):.2f} [+{low:.2f}, +{high:.2f}]; N = 6, 1 of 3 pairs, 4 seeds"
        in told
    )
    assert rank_sentence([agreement(others, own)]).startswith("the order is **further from that of the own teacher**")
    assert rank_sentence([two]) == "" == rank_sentence([])


def test_it_is_the_mean_over_pairs_seed_by_seed():
    pairs = [agreement([0.9, 0.1, 0.5], [0.0, 0.0, 0.0]), agreement([0.1, 0.7, 0.3], [0.2, 0.0, 0.0], shared=3)]
    # (0.9 + 0.1)/2 …; own 0.5, 0.4, 0.4; others 0.1, 0, 0
    assert "own teacher +0.43" in (told := rank_sentence(pairs)) and "others +0.03" in told
    assert "difference +0.40; N = 3 and 6, 2 of 2 pairs, 3 seeds" in told
    assert told.startswith("**cannot tell**: the difference is the same in all seeds")


@pytest.mark.parametrize(
    ("own", "others", "said"),
    [
        ([0.9, -0.2, 0.4], [0.5, 0.4, 0.3], "**cannot tell** whether the student has the order from its teacher"),
        ([0.9], [None], "**cannot tell**: one seed has no interval (own teacher +0.90; others –; difference –;"),
    ],
)
def test_it_says_when_it_cannot_tell(own, others, said):
    assert rank_sentence([agreement(own, others)]).startswith(said)


def test_no_interval_passes_the_ends_of_a_correlation():
    found = agreement([1.0, 1.0, 0.2], [-1.0, -1.0, -0.9]).to_dict()
    assert found["own_teacher"]["confidence_interval"][1] == 1.0
    assert found["difference"]["confidence_interval"][1] == 2.0


def test_students_made_of_their_teacher_are_shown_and_decide_nothing_of_depth(tmp_path):
    grid = made_up_grid(tmp_path)
    results = made_up_results(grid)
    entries = {0: ablation((1, 2, 3), heads=(1, 2)), 1: ablation((3, 2, 1), heads=(2, 1))}
    for model in all_models(grid):
        if model.why and model.key in results.reports:
            (given,) = results.reports[model.key].measures["internals"]
            own = entries[model.seed % 2]
            copied = {"encoder": [0]} if model.remedy == "weights" else None
            given |= {of: {"ablation": own} for of in ("model", "reference")} | {"copied_layers": copied}
            given["comparison"]["layer_map"] = [["layer 1", "layer 1"]]
    page = MeasuredGrid(results).tasks["digits"]
    (depth,) = (finding for finding in page.findings if finding.key == "middle_and_late_layers")
    assert [inside.pair.remedy for inside in page.insides] == ["none"] * 4 + ["weights"] * 3
    assert (depth.used, depth.wanted) == (4, 4)
    text = "\n".join(why_lines(page.task, insides_of(page.task)))
    assert "those of a student that began with its teacher's weights to the ones that it was made of" in text
    assert "| none (ERM) | large → small | teacher's weights | heads, N = 2 | +1.00 |" in text
    assert text.count("Bias-aligned examples, sublayers of students that began with their teacher's weights: ") == 1
