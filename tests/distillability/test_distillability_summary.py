"""The summary of the page: each of the paper's findings with its numbers, in every form that its sentences take."""

import dataclasses

import numpy as np
import pytest
from made_up_grid import NOISE, made_up_results, worst_group_of
from page_reading import with_interval
from scipy import stats

from evenhand.evaluation.distillability_findings import Finding
from evenhand.evaluation.distillability_rule import CANNOT_TELL, CONTRADICTS, NO_DIFFERENCE, SUPPORTS
from evenhand.launch.distillability.models import ALONE, DISTILLED, NO_REMEDY, TEACHER
from evenhand.launch.distillability.page.findings import TaskFinding, detectable, task_findings
from evenhand.launch.distillability.page.inside import ATTENTION, CKA, SPECIFIC, depth_finding, insides_of
from evenhand.launch.distillability.page.mean_entry import SIDES
from evenhand.launch.distillability.page.measured_grid import MeasuredGrid
from evenhand.launch.distillability.page.over_tasks import DEPENDS, IN_SOME, OverTasks
from evenhand.launch.distillability.page.summary import _numbers, sentences_of, summary_lines


@pytest.fixture(scope="module")
def lines(measured):
    return summary_lines(measured)


def found(measured, key, task="digits"):
    (one,) = (finding for finding in measured.tasks[task].findings if finding.key == key)
    return one


def item(lines, claim):
    """The line on a finding and those below it."""
    start = next(place for place, line in enumerate(lines) if line.startswith(f"- {claim}"))
    rest = lines[start + 1 :]
    below = next((place for place, line in enumerate(rest) if not line.startswith("  - ")), len(rest))
    return [lines[start], *rest[:below]]


def test_a_finding_is_judged_on_the_mean_gain_over_cells_by_seed(measured, lines):
    models = measured.tasks["digits"].task.models.values()
    table = {(m.role, m.method, m.teacher_size, m.size, m.student_method, m.remedy, m.seed): m for m in models}
    gains, of_method = [], {"poe": [], "dro": []}
    for seed in range(4):
        of_seed = []
        for method in of_method:
            for teacher in ("small", "large"):
                f_t = table[TEACHER, method, None, teacher, "plain", NO_REMEDY, seed]
                for student in ("small", "large"):
                    g = table[DISTILLED, method, teacher, student, "plain", NO_REMEDY, seed]
                    of_seed.append(worst_group_of(g) - worst_group_of(f_t))
            of_method[method].append(np.mean(of_seed[-4:]))
        gains.append(np.mean(of_seed))
    finding = found(measured, "undermined_plain")
    judged = finding.judged["worst-group accuracy, test"]
    expected = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
    assert judged.gain == pytest.approx(np.mean(gains)) == pytest.approx(-4, abs=NOISE)
    assert judged.confidence_interval == pytest.approx((expected.low, expected.high))
    assert (finding.word, finding.used, finding.wanted) == (SUPPORTS, 8, 8)
    claim, of_digits, of_pairs = item(lines, "Distillation undermines debiasing")
    assert claim.endswith(": supported in 1 of 2 tasks, cannot be told in 1.")
    low, high = (f"{end:+.2f}".replace("-", "−") for end in expected)
    shown = f"mean gain {np.mean(gains):+.2f} [{low}, {high}] points, 4 seeds, detectable ".replace("-", "−")
    assert of_digits.startswith(f"  - coloured digits supports it: worst-group accuracy, test: {shown}")
    assert "; spurious gap, test: supports, mean gain " in of_digits and of_digits.endswith("; over 8 cells.")
    told_apart = ", ".join(
        f"{label} {with_interval(of_method[method], digits=2)}"
        for method, label in (("poe", "product of experts"), ("dro", "Group&#124;DRO"))
    )
    assert f"; the first of these by method, uncorrected: {told_apart}; over 8 cells." in of_digits
    assert of_pairs.startswith("  - sentence pairs cannot tell: worst-group accuracy, flipped: mean gain ")
    assert "by method" not in of_pairs, "it has one"


def test_the_findings_are_those_that_were_built_in(measured):
    words = {finding.key: finding.word for finding in measured.tasks["digits"].findings}
    assert words == {
        "undermined_plain": SUPPORTS,  # the experts' product loses 8 of 20
        "undermined_same": SUPPORTS,
        "nothing_gained_same": SUPPORTS,
        "nothing_gained_plain": CONTRADICTS,  # 12 more than the plain student alone
        "stable_while_groups_move": SUPPORTS,  # accuracy moves by a tenth of the conflicting group
        "same_scale_best": NO_DIFFERENCE,  # teachers of either size lose as much
        "larger_teacher_not_always_better": SUPPORTS,
        "middle_and_late_layers": SUPPORTS,
        "remedy_augment": SUPPORTS,
        "remedy_augment_teacher_adds": SUPPORTS,  # the experts' product, 12 more than the student alone with it
        "remedy_augment_erm": SUPPORTS,
        # a student alone gains as much from it, and noise decides between no difference and nothing to be told
        "remedy_augment_erm_teacher_adds": words["remedy_augment_erm_teacher_adds"],
        "remedy_iterative": SUPPORTS,
        "remedy_iterative_erm": SUPPORTS,
        "remedy_weights": words["remedy_weights"],  # nothing was built in, one pair each
        "remedy_weights_erm": words["remedy_weights_erm"],
    }
    nothing = ("remedy_weights", "remedy_weights_erm", "remedy_augment_erm_teacher_adds")
    assert {words[key] for key in nothing} <= {NO_DIFFERENCE, CANNOT_TELL}
    # one size: nothing is said of scales, and no remedy was tried
    assert [finding.key for finding in measured.tasks["pairs"].findings] == [
        *(
            "undermined_plain",
            "undermined_same",
            "nothing_gained_same",
            "nothing_gained_plain",
            "stable_while_groups_move",
        )
    ]


def told(word, p_value, key="x", within=False):
    """A finding of one task with the level of its word."""
    gain, ends = {
        SUPPORTS: (-4.0, (-5.0, -3.0)),
        CONTRADICTS: (3.0, (2.0, 4.0)),
        NO_DIFFERENCE: (0.0, (-0.5, 0.5)),
        CANNOT_TELL: (-1.0, (-3.0, 1.0)),
    }[word]
    level = None if word == CANNOT_TELL else p_value
    one = Finding(key, "claim", word, "reason", "m", gain, ends, 5, 1.0, level, within)
    return TaskFinding(key, "The claim", {"worst group": one}, 3, 4)


def test_a_finding_is_corrected_over_the_tasks_that_were_asked():
    over = OverTasks.of({
        "a": told(SUPPORTS, 0.009), "b": told(CONTRADICTS, 0.02), "c": told(SUPPORTS, 0.04), "d": told(CANNOT_TELL, 0), "e": told(CANNOT_TELL, 0),
    })  # fmt: skip
    # five tests: the smallest times 5, the next times 4 …
    assert over.p_values == {
        "a": pytest.approx(0.045),
        "b": pytest.approx(0.08),
        "c": pytest.approx(0.12),
        "d": None,
        "e": None,
    }
    assert [over.holds(name) for name in "abcde"] == [True, False, False, True, True]
    assert over.verdict == IN_SOME and over.words["b"] == CONTRADICTS


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ([(SUPPORTS, 0.001), (CANNOT_TELL, 0)], IN_SOME),  # one of two is not all
        ([(SUPPORTS, 0.03), (CANNOT_TELL, 0)], CANNOT_TELL),  # what the correction takes back is not told
        ([(CONTRADICTS, 0.001), (CONTRADICTS, 0.001)], CONTRADICTS),
        ([(CONTRADICTS, 0.001), (SUPPORTS, 0.001), (CANNOT_TELL, 0)], DEPENDS),
        ([(CANNOT_TELL, 0)], CANNOT_TELL),
    ],
)
def test_what_several_tasks_say_together(findings, verdict):
    assert OverTasks.of({str(place): told(*one) for place, one in enumerate(findings)}).verdict == verdict


def test_every_verdict_has_its_words(measured):
    def summary(*findings):
        grid = MeasuredGrid(measured.results)
        for (name, page), finding in zip(grid.tasks.items(), findings, strict=True):
            grid.tasks[name] = dataclasses.replace(page, findings=[finding])
        return item(summary_lines(grid), "The claim")

    assert summary(told(SUPPORTS, 0.001), told(CONTRADICTS, 0.001)) == [
        "- The claim: supported in 1 of 2 tasks, contradicted in 1.",
        "  - coloured digits supports it: worst group: mean gain −4.00 [−5.00, −3.00] points, 5 seeds, detectable 1.35; over 3 of 4 cells.",
        "  - sentence pairs contradicts it: worst group: mean gain +3.00 [+2.00, +4.00] points, 5 seeds, detectable 1.35; over 3 of 4 cells.",
    ]
    first, second, third = summary(told(SUPPORTS, 0.03), told(CANNOT_TELL, 0))
    assert first == "- The claim: cannot be told in 1 of 2 tasks, supported, but not after Holm, in 1."
    assert second.startswith("  - coloured digits supports it (not after Holm): worst group: mean gain −4.00")
    assert third.startswith(
        "  - sentence pairs cannot tell: worst group: mean gain −1.00 [−3.00, +1.00] points, 5 seeds"
    )
    first, second, _ = summary(told(NO_DIFFERENCE, 0.001), told(NO_DIFFERENCE, 0.001))
    assert first == "- The claim: **no difference of 1 point or more** in both tasks."
    assert second.startswith("  - coloured digits finds no difference of 1 point or more: worst group: mean gain +0.00")
    assert summary(told(CANNOT_TELL, 0), told(CANNOT_TELL, 0))[0] == "- The claim: cannot be told in both tasks."
    # that nothing is gained is supported, and it is also known that nothing is lost
    _, second, _ = summary(told(SUPPORTS, 0.001, within=True), told(SUPPORTS, 0.001))
    assert second.startswith("  - coloured digits supports it (no difference of 1 point or more): worst group:")


def test_all_findings_stand_in_one_table_at_a_glance(measured):
    grid = MeasuredGrid(measured.results)
    of_tasks = {
        "digits": [told(SUPPORTS, 0.001, "a"), told(SUPPORTS, 0.03, "b"), told(NO_DIFFERENCE, 0.001, "c")],
        "pairs": [told(CONTRADICTS, 0.02, "a"), told(CANNOT_TELL, 0, "b")],
    }
    for name, findings in of_tasks.items():
        grid.tasks[name] = dataclasses.replace(grid.tasks[name], findings=findings)
    assert summary_lines(grid)[2:9] == [
        "| finding | [coloured digits](task_digits.md) | [sentence pairs](task_pairs.md) |",
        "| --- | --- | --- |",
        "| The claim | **supports** | **contradicts** |",
        "| The claim | supports, not after Holm | cannot tell |",
        "| The claim | **no difference of 1 point or more** | – |",
        "",
        "Bold: what is left after Holm's correction over the tasks that were asked; where one was asked there is nothing to correct. –: not asked. What each "
        "verdict rests on stands below.",
    ]


def test_the_detectable_gain_is_found_with_80_percent_power():
    finding = Finding("x", "", SUPPORTS, "", "m", -4.0, (-5.0, -3.0), 5, 1.0)
    error = 1.0 / stats.t.ppf(0.975, 4)
    shift, critical = detectable(finding) / error, stats.t.ppf(0.975, 4)
    assert stats.nct.sf(critical, 4, shift) + stats.nct.cdf(-critical, 4, shift) == pytest.approx(0.8, abs=1e-4)
    assert detectable(dataclasses.replace(finding, confidence_interval=None)) is None


@pytest.mark.parametrize(
    ("reason", "n", "end"),
    [
        (
            "2 of 3 exchanges for a larger teacher are reliably better",
            5,
            "2 of 3 exchanges for a larger teacher are reliably better, 5 seeds",
        ),
        (
            "no gain of 1 from large: mean gain -0.2 over 4 seeds",
            4,
            "no gain of 1 from large: mean gain −0.2 over 4 seeds",
        ),
        ("no seed has all models", 0, "no seed has all models"),
    ],
)
def test_findings_that_no_one_number_decides_are_told_by_their_reason(reason, n, end):
    one = Finding("larger_teacher_not_always_better", "claim", CANNOT_TELL, reason, "m", None, None, n, 1.0)
    told = _numbers(TaskFinding("larger_teacher_not_always_better", "A claim", {"worst group": one, "gap": one}, 1, 1))
    assert told == f"worst group: {end}; gap: cannot tell, {end}; over 1 cell"


def test_layers_diverge_later_where_later_thirds_are_farther_apart(measured):
    insides = insides_of(measured.tasks["digits"].task)
    judged = depth_finding(insides, CKA)
    # 1 − CKA of .5 (the mean of .4 and .5, each .1 more on conflicting examples) − .2, the late ones .01 more from seed to seed
    assert judged.gain == pytest.approx(0.25) and judged.n == 4 and judged.verdict == SUPPORTS
    # what differs by rounding alone has no spread
    same = depth_finding(insides, CKA, SPECIFIC)
    assert same.gain == pytest.approx(0) and (same.verdict, same.confidence_interval) == (CANNOT_TELL, None)

    def shifted(by_depth):
        """Seeds differ a little, and thirds by what is given."""
        table = {
            depth: {"conflicting": {seed: by_depth[depth] + 0.01 * seed * (depth == "late") for seed in range(3)}}
            for depth in by_depth
        }
        return [dataclasses.replace(insides[0], depths={CKA: table})]

    assert depth_finding(shifted({"early": 0.1, "middle": 0.3, "late": 0.4}), CKA).verdict == SUPPORTS
    assert depth_finding(shifted({"early": 0.5, "middle": 0.3, "late": 0.1}), CKA).verdict == CONTRADICTS
    assert depth_finding(shifted({"early": 0.3, "middle": 0.3, "late": 0.295}), CKA).verdict == CANNOT_TELL
    by_hand = [(0.3 + 0.4 + 0.01 * seed) / 2 - 0.1 for seed in range(3)]
    ends = stats.ttest_1samp(by_hand, 0).confidence_interval(0.95)
    assert depth_finding(shifted({"early": 0.1, "middle": 0.3, "late": 0.4}), CKA).confidence_interval == pytest.approx(
        (ends.low, ends.high)
    )


def test_the_finding_on_depth_rests_on_the_pairs_that_have_an_early_third(measured):
    task = measured.tasks["digits"].task
    insides = insides_of(task)

    def without_early(inside):
        cka = dict(inside.depths[CKA]) | {"early": dict.fromkeys(SIDES, dict.fromkeys(range(4)))}
        return dataclasses.replace(inside, depths={**inside.depths, CKA: cka})

    deep = [inside for inside in insides if (inside.pair.teacher, inside.pair.student) == ("large", "large")]
    some = [inside if inside in deep else without_early(inside) for inside in insides]
    assert 0 < len(deep) < len(insides)
    judged = depth_finding(some, CKA)
    assert judged.cells == len(deep) and judged.gain == pytest.approx(depth_finding(deep, CKA).gain)
    (finding,) = (one for one in task_findings(task, some) if one.key == "middle_and_late_layers")
    assert (finding.used, finding.wanted) == (len(deep), len(insides))
    assert (
        f"; over {len(deep)} of {len(insides)} pairs (those of large → large; the others have fewer than three mapped layers"
        in _numbers(finding)
    )
    assert _numbers(finding).endswith("so no early third; methods: none (ERM))"), "those of the file's `why_methods`"
    # a seed that one of the pairs lacks is left out, so that all seeds are means over the same pairs
    lacking = dataclasses.replace(
        deep[0],
        depths={
            CKA: {
                depth: {side: {seed: n for seed, n in table.items() if seed} for side, table in sides.items()}
                for depth, sides in deep[0].depths[CKA].items()
            }
        },
    )
    assert depth_finding([lacking, insides[0]], CKA).n == 3


def test_pairs_of_equal_sizes_do_not_decide_on_students_made_from_their_teacher(measured):
    finding = found(measured, "remedy_weights")
    assert (finding.used, finding.wanted) == (1, 1) and _numbers(finding).endswith(
        "; over 1 cell (pairs of equal sizes left out)"
    )
    models = {
        (m.remedy, m.seed): m
        for m in measured.tasks["digits"].task.models.values()
        if (m.role, m.method, m.teacher_size, m.size, m.student_method) == (DISTILLED, "poe", "large", "small", "plain")
    }
    expected = np.mean(
        [worst_group_of(models["weights", seed]) - worst_group_of(models[NO_REMEDY, seed]) for seed in range(4)]
    )
    assert finding.decides.gain == pytest.approx(expected)


def test_why_nothing_is_said_of_depth(measured):
    (inside, *_) = insides_of(measured.tasks["digits"].task)
    assert depth_finding([], CKA).reason == "no student has been looked into"
    shallow = {
        "early": {"conflicting": {0: None, 1: None}},
        "middle": {"conflicting": {0: 0.1, 1: 0.2}},
        "late": {"conflicting": {0: 0.3, 1: 0.2}},
    }
    shallow = dataclasses.replace(inside, depths={CKA: shallow}, no_attention="no attention maps: ResNet has none")
    judged = {"1 − CKA": depth_finding([shallow], CKA), "attention": depth_finding([shallow], ATTENTION)}
    assert _numbers(TaskFinding("middle_and_late_layers", "A claim", judged, 1, 2)) == (
        "1 − CKA: the models have too few layers for an early third; attention: cannot tell, no attention maps: ResNet has none; over 1 of 2 pairs"
    )


def test_the_sentences_of_results_json_are_those_of_the_page(lines, text, data):
    assert data["summary"] == sentences_of(lines)
    assert all(sentence in text for sentence in data["summary"])
    assert data["findings"]["nothing_gained_plain"]["tasks"]["digits"] == CONTRADICTS
    # the file's keys are sorted, so it says itself which number decided
    of_tasks = {name: task["findings"][0] for name, task in data["tasks"].items()}
    assert {one["decided_by"] for one in of_tasks.values()} == {
        "worst-group accuracy, test",
        "worst-group accuracy, flipped",
    }
    for one in of_tasks.values():
        assert one["judged_on"][one["decided_by"]]["verdict"] == one["verdict"]


def test_a_finding_without_any_cell_says_so(grid):
    only_erm = made_up_results(
        grid, keep=lambda model: model.method == "erm" and model.role != ALONE and model.seed < 2
    )
    lines = summary_lines(MeasuredGrid(only_erm))
    _, of_digits, of_pairs = item(lines, "Distillation undermines debiasing")
    assert "cannot tell: worst-group accuracy, test: no seed has all models; " in of_digits
    assert of_digits.endswith("; over 0 of 8 cells.") and of_pairs.endswith("; over 0 of 1 cell.")
    _, of_digits = item(
        lines, "The student is more robust with the remedy “iterative distillation”, under teachers trained by ERM"
    )
    assert ", 2 seeds, detectable " in of_digits
