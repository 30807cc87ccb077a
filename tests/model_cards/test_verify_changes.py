"""Changes that are small, that hide behind another version's name, or that damage what was published: each is a row that fails, or is named in the summary."""

import json
import re

import pytest

from evenhand.model_cards import CardFacts, build_card, verify
from evenhand.model_cards.staging import staged_figures
from evenhand.model_cards.verification import verify_folder
from evenhand.model_cards.verification.arithmetic import same_grid, same_tests
from evenhand.model_cards.verification.gate_rows import gate_rows
from evenhand.model_cards.verification.rows import RECOMPUTED, UNCHECKED, Row
from evenhand.model_cards.verification.seat_comparison import compare_seat


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch, same_runs_once):
    """They are looked at in test_verify.py."""
    monkeypatch.setattr(verify_folder, "picture_rows", lambda *arguments: [])


def row(result, claim):
    return next(row for row in result.rows if row.claim == claim)


def change_report(folder, change):
    """Change report.json, and make all of the card again that is made from it."""
    report = json.loads((folder / "report.json").read_text())
    change(report)
    (folder / "report.json").write_text(json.dumps(report))
    make_card(folder)


def make_card(folder):
    report, facts = (json.loads((folder / name).read_text()) for name in ("report.json", "card_facts.json"))
    (folder / "README.md").write_text(build_card(report, CardFacts.from_dict(facts), staged_figures(folder)))


def headline(report):
    return report["measures"]["seat"][0]["model"]


def lower_the_mean(report):
    gender = headline(report)["families"]["gender"]
    gender["mean_absolute_effect_size"] -= 0.0045
    gender["confidence_interval"] = [end - 0.0045 for end in gender["confidence_interval"] or []] or None


def nudge_d_and_p(report):
    test = headline(report)["tests"]["sent-weat8b"]
    test["effect_size"] += 5e-5
    test["p_value"] -= 9e-4
    test["p_value_holm"] -= 1.5e-3


def nudge_the_noise_floor(report):
    headline(report)["families"]["gender"]["noise_floor"]["p_value"] += 4.7e-3


def nudge_a_legacy_p(report):
    headline(report)["tests"]["sent-weat6"]["p_value_legacy"] += 9e-4


def nudge_a_difference(report):
    change = report["measures"]["seat"][0]["comparison"]["tests"]["sent-weat6"]
    change["difference"] -= 1e-4


def nudge_a_cell(report):
    cell = report["measures"]["seat_sensitivity"][0]["model"]["cells"][0]
    cell["effect_sizes"] = {name: d + 5e-5 for name, d in cell["effect_sizes"].items()}
    cell["mean_absolute_effect_size"] = sum(map(abs, cell["effect_sizes"].values())) / len(cell["effect_sizes"])


@pytest.mark.parametrize(
    ("change", "claim"),
    [
        (lower_the_mean, "SEAT mean, builtin: families, controls, anisotropy"),
        (nudge_d_and_p, "SEAT mean, builtin: sent-weat8b"),
        (nudge_the_noise_floor, "SEAT mean, builtin: families, controls, anisotropy"),
        (nudge_a_legacy_p, "SEAT mean, builtin: sent-weat6"),
        (nudge_a_difference, "SEAT mean, builtin, change: sent-weat6"),
        (nudge_a_cell, "SEAT by pooling and layer: student"),
    ],
)
def test_a_change_within_another_machine_s_tolerance_is_caught_on_the_same_arithmetic(small, change, claim):
    change_report(small, change)
    assert row(verify(small), claim).passed is False


def test_what_all_moved_is_held_against_the_tolerances_of_another_machine(small):
    result = headline(json.loads((small / "report.json").read_text()))
    elsewhere = json.loads(json.dumps(result))
    for test in elsewhere["tests"].values():
        test["effect_size"] += 3e-6
        test["p_value_legacy"] += 5e-4
        test["without_word"] = {side: {w: d + 3e-6 for w, d in ds.items()} for side, ds in test["without_word"].items()}
    assert not same_tests(result, elsewhere) and same_tests(result, result)
    assert all(row.passed for row in compare_seat("SEAT", elsewhere, result))
    family = elsewhere["families"]["gender"]
    family["mean_absolute_effect_size"] += 2e-4
    assert [r.claim for r in compare_seat("S", elsewhere, result) if not r.passed] == [
        "S: families, controls, anisotropy"
    ]
    # one test alone that did not move tells that the arithmetic is the same
    elsewhere["tests"]["sent-weat6"] = result["tests"]["sent-weat6"]
    assert same_tests(result, elsewhere)


def test_most_cells_tell_the_arithmetic_of_a_grid():
    def grid(*sizes):
        return {"cells": [{"effect_sizes": {"a": d}} for d in sizes]}

    assert same_grid(grid(1.0, 2.0, None), grid(1.0, 2.0, None))
    assert same_grid(grid(1.0, 2.0, 3.0), grid(1.0, 2.0, 3.1)) and not same_grid(grid(1.0, 2.0), grid(1.0, 2.1))
    assert not same_grid(grid(0.0, 0.0), grid(0.0, 0.0)) and not same_grid(None, grid(1.0))


@pytest.fixture
def of_another_version(small):
    """A folder whose card another evenhand wrote, in other words."""
    change_report(small, lambda report: report.update(evenhand_version="9.9.9"))
    path = small / "README.md"
    path.write_text(path.read_text().replace("## Limits of the measurement", "## What this cannot say"))
    return small


def edit(folder, old, new):
    path = folder / "README.md"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_another_version_s_words_are_not_called_checked_and_the_summary_says_so(of_another_version):
    result = verify(of_another_version)
    assert result.ok and row(result, "README.md: text").status == UNCHECKED
    assert result.summary.startswith("verified, except README.md: text: ")


def test_another_version_s_name_hides_no_changed_number(of_another_version):
    report = json.loads((of_another_version / "report.json").read_text())
    d = headline(report)["tests"]["sent-weat6"]["effect_size"]
    edit(of_another_version, f"| {d:+.3f} [", "| +0.001 [")
    text = row(verify(of_another_version), "README.md: text")
    assert text.passed is False and "prints +0.001 where the report gives" in text.note


def test_nor_a_number_in_a_reworded_sentence(of_another_version):
    edit(of_another_version, "## What this cannot say", "Its mean |d| fell to 0.00173.\n\n## What this cannot say")
    assert "prints 0.00173" in row(verify(of_another_version), "README.md: text").note


@pytest.mark.parametrize("what", ["value", "license"])
def test_nor_what_machines_read(of_another_version, what):
    text = (of_another_version / "README.md").read_text()
    found = (
        re.search(r"^ +value: (.+)$", text, re.MULTILINE)
        if what == "value"
        else re.search(r"^license: (.+)$", text, re.MULTILINE)
    )
    edit(of_another_version, found[0], found[0].replace(found[1], "0.123" if what == "value" else "mit"))
    failed = row(verify(of_another_version), "README.md: text")
    assert failed.passed is False and ("model-index" if what == "value" else "license") in failed.note


def test_the_summary_names_only_so_many_rows_and_none_where_it_failed():
    from evenhand.model_cards.verification.rows import HEADLINE, Verification

    missed = [Row(f"picture {i}", UNCHECKED, missed=True) for i in range(6)]
    good, bad = Row("d", RECOMPUTED, passed=True, scope=(HEADLINE,)), Row("weights", RECOMPUTED, passed=False)
    listed = "picture 0, picture 1, picture 2, picture 3 and 2 more"
    assert Verification("f", (good, *missed)).summary.startswith(f"verified, except {listed}: 1 claims agree")
    assert Verification("f", (good, bad, *missed)).summary.startswith("NOT VERIFIED: ")
    with pytest.raises(ValueError, match="was not missed"):
        Row("d", RECOMPUTED, passed=True, missed=True)


MODEL = "student: weights, configuration and tokenizer"


def cut_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:10_000])


def drop_weights(folder):
    (folder / "model.safetensors").unlink()


def more_layers(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"n_layers": config["n_layers"] + 1}))


def break_the_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{")


@pytest.mark.parametrize("damage", [cut_weights, drop_weights, more_layers, break_the_tokenizer])
def test_a_model_that_cannot_be_loaded_is_a_row_that_fails(small, damage, capfd):
    damage(small)
    result = verify(small)
    failed = row(result, MODEL)
    assert not result.ok and failed.passed is False and failed.note.startswith(str(small)) and "\n" not in failed.note
    assert row(result, "README.md: text").passed
    told = capfd.readouterr()
    assert "evenhand-verify-" not in told.out + told.err + result.table() and "LOAD REPORT" not in told.out + told.err


@pytest.mark.parametrize("text", ["not json", "{}", '{"schema": "evenhand-report", "schema_version": 99}'])
def test_a_report_that_is_none_is_a_row_that_fails(small, text):
    (small / "report.json").write_text(text)
    result = verify(small)
    assert [r.claim for r in result.failed] == ["report.json: form"] and not result.ok
    assert result.failed[0].note.startswith(str(small / "report.json")) and "\n" not in result.table().splitlines()[1]


def test_a_report_that_lacks_a_number_is_a_row_that_fails(small):
    report = json.loads((small / "report.json").read_text())
    del headline(report)["tests"]["sent-weat6"]["p_value"]
    (small / "report.json").write_text(json.dumps(report))
    assert "p_value" in row(verify(small), "report.json: form").note


def test_values_of_an_entry_that_no_evaluator_writes_are_a_row_that_fails(small):
    report = json.loads((small / "report.json").read_text())
    headline(report)["tests"]["sent-weat6"]["without_word"] = {"X": 3}
    (small / "report.json").write_text(json.dumps(report))
    assert not verify(small).ok


WORSE = {"difference": 0.3, "confidence_interval": [0.1, 0.5], "interval_method": "paired jackknife over words"}


def worse(report, **recipe):
    report["measures"]["seat"][0]["comparison"]["families"]["gender"] |= WORSE
    report["training"]["recipe"]["publish"] = recipe
    return report


def test_a_worse_student_without_a_stated_reason_fails(report):
    accepted = CardFacts(accepted_amplification="a study of it")
    assert [r.passed for r in gate_rows(report, CardFacts())] == [True]
    (failed,) = gate_rows(worse(report), CardFacts())
    assert failed.passed is False and "mean |d| of the gender tests is reliably worse" in failed.note
    assert [r.passed for r in gate_rows(report, accepted)] == [True]


def test_wide_thresholds_of_nobody_s_recipe_fail_and_those_of_the_recipe_are_named(report):
    facts = CardFacts(gate={"mean_margin": 9.0, "test_margin": 9.0})
    rows = gate_rows(worse(report), facts)
    assert [r.passed for r in rows] == [True, False] and "nor those of the recipe" in rows[1].note
    rows = gate_rows(worse(report, gate={"mean_margin": 9.0, "test_margin": 9.0}), facts)
    assert [(r.passed, r.missed) for r in rows] == [(True, False), (None, True)]
    assert "mean_margin 9" in rows[1].claim and "reliably worse" in rows[1].note
    stricter = CardFacts(gate={"alpha": 0.04})
    report["measures"]["seat"][0]["comparison"]["families"]["gender"]["confidence_interval"] = [-0.5, 0.1]
    assert [r.passed for r in gate_rows(worse_recipe(report, alpha=0.04), stricter)] == [True, True]


def worse_recipe(report, **gate):
    report["training"]["recipe"]["publish"] = {"gate": gate}
    return report


def test_the_gate_is_asked_about_every_published_folder(small):
    path = small / "card_facts.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"gate": {"mean_margin": 9.0}}))
    make_card(small)
    failed = verify(small).failed
    assert [r.claim for r in failed] == ["amplification: thresholds mean_margin 9, test_margin 0, alpha 0.05"]
