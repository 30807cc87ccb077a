"""The sentences of a study's page follow from its numbers, and turn with them."""

import dataclasses
import json
import re

import numpy as np
import pytest
from made_up_study import made_up_results, made_up_study, part, report, seat

from evenhand.launch.study.page.control_text import about_gender
from evenhand.launch.study.page.study_page import write_page


def summary_of(results, folder):
    return part(write_page(results, folder, figures=False).read_text(encoding="utf-8"), "What the numbers say")


def with_factors(results, entry, factors):
    """Results of three arms by hand: the factor on the entry's associations of each seed."""
    reports = {
        name: {seed: report(entry, name, seed, factor, False) for seed, factor in enumerate(of_arm)}
        for name, of_arm in factors.items()
    }
    return dataclasses.replace(results, reports=reports, failed={})


def test_the_summary_answers_from_the_numbers(text):
    summary = part(text, "What the numbers say")
    assert "The soft-target term L_ce **amplifies** the measured bias" in summary
    assert "The proposed mixup, *mixup (proposed)*, **lowers** the measured bias" in summary
    assert "(against *original, 5/2/1*)" in summary
    assert (
        "the student's inputs" in summary and "Whether mixing unrelated word pairs in the same way changes" in summary
    )
    assert "the effect **is about gender**" in summary
    assert "Deeper students **may** have **less** measured bias" in summary
    assert "**What cannot be told**" in summary


def test_the_summary_turns_with_the_numbers(results, entry, tmp_path):
    """The same study with the arms' numbers exchanged gives the opposite answers."""
    exchanged = dict(results.reports)
    for one, other in (("original", "mlm-cos"), ("proposed", "random-pairs")):
        exchanged[one], exchanged[other] = results.reports[other], results.reports[one]
    exchanged = {name: exchanged[name] for name in ("original", "mlm-cos", "proposed", "random-pairs")}
    turned = dataclasses.replace(results, reports=exchanged, failed={})
    summary = part(write_page(turned, tmp_path / "page", figures=False).read_text(), "What the numbers say")
    assert "The soft-target term L_ce **lowers** the measured bias" in summary
    assert "**raises** the measured bias" in summary
    assert "The mixup raises the measured bias, above plain distillation and above unrelated pairs" in summary


def test_a_harmful_control_does_not_make_the_effect_one_of_gender(results, entry, tmp_path):
    plain = [0.60, 0.62, 0.61, 0.59]
    same = [0.601, 0.619, 0.612, 0.588]
    worse, better = ([scale * factor for factor in plain] for scale in (1.3, 0.6))
    summary = summary_of(
        with_factors(results, entry, {"original": plain, "proposed": same, "random-pairs": worse}), tmp_path / "a"
    )
    assert "about gender**" not in summary and "Unrelated pairs leave more bias than gender pairs do" in summary
    assert "the mixup itself has no effect that can be told" in summary
    summary = summary_of(
        with_factors(results, entry, {"original": plain, "proposed": better, "random-pairs": plain}), tmp_path / "b"
    )
    assert "the effect **is about gender**" in summary


@pytest.mark.parametrize(
    "told, words",
    [
        (("less", "less"), "so the effect **is about gender**"),
        (("less here", "less"), "is about gender**, for these test words"),
        (("perhaps less", "less"), "may be about gender**, but the correction"),
        (("less", "unknown"), "could as well be regularisation"),
        (("less", "more"), "the effect is **not** about gender"),
        (("less", "perhaps more"), "the effect **may not be** about gender, but the correction"),
        (("more", "less"), "nothing is lowered"),
    ],
)
def test_every_pair_of_answers_on_the_control_has_its_words(monkeypatch, told, words):
    answers = {(None,): told[0], ("control",): told[1]}
    monkeypatch.setattr(
        "evenhand.launch.study.page.control_text.answer", lambda measured, arm, against=None: answers[against,]
    )
    assert words in about_gender(None, "proposed", "control")


def test_no_sentence_has_a_doubled_word_or_a_wrong_number(text, entry, tmp_path):
    known = made_up_results(made_up_study(tmp_path, "known", only=["table1", "table2"]), entry)
    for page in (text, write_page(known, tmp_path / "page", figures=False).read_text(encoding="utf-8")):
        sentences = [line for line in page.splitlines() if not line.startswith("|")]
        doubled = [match.group() for line in sentences for match in re.finditer(r"\b([A-Za-z_]+) \1\b", line)]
        assert not doubled
        assert not re.search(r"(?<![\d.,])1 (layers|seeds|students|tests|arms|pairs|words|tasks)\b", page)


def test_several_draws_of_the_control_stand_together(entry, tmp_path):
    study = made_up_study(tmp_path, "tiny", only=["table2"])
    mixup = dataclasses.replace(study.arms["random-pairs"].recipe.mixup, pairs="random:1")
    other = dataclasses.replace(study.arms["random-pairs"].recipe, mixup=mixup)
    draw = dataclasses.replace(study.arms["random-pairs"], name="random-pairs-1", label="another draw", recipe=other)
    study = dataclasses.replace(study, arms={**study.arms, "random-pairs-1": draw})
    results = made_up_results(study, entry)
    page = write_page(results, tmp_path / "page", figures=False)
    data = json.loads((page.parent / "results.json").read_text())
    pool = "random-pairs+random-pairs-1"
    kept = next(one for one in data["comparisons"] if (one["arm"], one["against"]) == ("proposed", pool))
    sizes = {
        arm: [r["families"]["gender"]["mean_absolute_effect_size"] for r in seat(results, arm)][:3]
        for arm in ("proposed", "random-pairs", "random-pairs-1")
    }
    by_hand = np.subtract(sizes["proposed"], np.mean([sizes["random-pairs"], sizes["random-pairs-1"]], axis=0))
    assert kept["families"]["gender"]["of_seeds"] == pytest.approx(by_hand)
    assert kept["families"]["gender"]["words_and_seeds"]["difference"] == pytest.approx(by_hand.mean())
    summary = part(page.read_text(encoding="utf-8"), "What the numbers say")
    assert "2 draws, averaged within a seed: *unrelated pairs* and *another draw*" in summary
