"""Verification recomputes what it can, says what it cannot, and catches every change."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from evenhand.model_cards import CardFacts, build_card, verify
from evenhand.model_cards.staging import staged_figures
from evenhand.model_cards.verification.rows import HASH_ONLY, RECOMPUTED, UNCHECKED, Row
from evenhand.model_cards.verification.seat_comparison import differing_fields


def row(result, claim):
    return next(row for row in result.rows if row.claim == claim)


def change_report(folder, change, card_too=False):
    path = folder / "report.json"
    report = json.loads(path.read_text())
    change(report)
    path.write_text(json.dumps(report))
    if card_too:
        facts = CardFacts.from_dict(json.loads((folder / "card_facts.json").read_text()))
        (folder / "README.md").write_text(build_card(report, facts, staged_figures(folder)))


def headline_test(report, name="sent-weat6"):
    return report["measures"]["seat"][0]["model"]["tests"][name]


def test_an_untouched_folder_verifies_from_itself_alone(staged, tmp_path, monkeypatch):
    alone = shutil.copytree(staged, tmp_path / "elsewhere" / "copy")
    shutil.rmtree(staged)
    monkeypatch.chdir(tmp_path)
    result = verify(alone)
    assert result.ok and not result.failed
    for name in ("6", "6b", "7", "7b", "8", "8b"):
        assert row(result, f"SEAT mean, builtin: sent-weat{name}").status == RECOMPUTED
    assert row(result, "SEAT mean, builtin: mean |d|").passed
    assert row(result, "student: weights").status == HASH_ONLY
    assert row(result, "README.md: text").passed


def test_what_cannot_be_checked_is_marked_and_never_prints_as_passed(staged_once):
    result = verify(staged_once)
    unchecked = [row for row in result.rows if row.status == UNCHECKED]
    claims = {row.claim for row in unchecked}
    assert {
        "SEAT cls, sent-bias",
        "SEAT mean, builtin: teacher",
        "teacher: hashes and sizes",
        "training record",
    } <= claims
    lines = result.table().splitlines()
    for entry in unchecked:
        line = next(line for line in lines if line.startswith(f"{entry.claim} "))
        assert UNCHECKED in line and " ok" not in line and "FAILED" not in line
    assert lines[-1].startswith("verified:") and f"{len(unchecked)} not checkable here" in lines[-1]


def test_a_row_cannot_pass_unchecked():
    with pytest.raises(ValueError, match="passed=True"):
        Row("claim", UNCHECKED, passed=True)
    with pytest.raises(ValueError, match="passed=None"):
        Row("claim", RECOMPUTED)


def test_imported_stimuli_are_recomputed_when_their_hash_matches(staged, stimuli_folder):
    result = verify(staged, stimuli=stimuli_folder)
    assert result.ok and row(result, "SEAT cls, sent-bias: sent-weat6b").status == RECOMPUTED


def test_other_stimuli_than_the_reported_are_refused(staged, stimuli_folder, tmp_path):
    other = shutil.copytree(stimuli_folder, tmp_path / "other")
    path = other / "sent-weat6b.jsonl"
    path.write_text(path.read_text().replace("This is man.", "Here is man."))
    with pytest.raises(ValueError, match="not those of any number in the report"):
        verify(staged, stimuli=other)
    with pytest.raises(FileNotFoundError):
        verify(staged, stimuli=tmp_path / "none")


def test_one_changed_weight_is_caught_by_hash_and_by_seat(staged):
    path = staged / "model.safetensors"
    tensors = load_file(path)
    tensors["distilbert.embeddings.word_embeddings.weight"][7:60] *= 1.5
    save_file(tensors, path, metadata={"format": "pt"})
    result = verify(staged)
    assert not result.ok and row(result, "student: weights").passed is False
    assert any(r.claim.startswith("SEAT mean") and r.passed is False for r in result.rows)
    assert result.table().splitlines()[-1].startswith("NOT VERIFIED")


def test_a_weight_that_moves_no_seat_number_is_caught_by_its_hash(staged):
    path = staged / "model.safetensors"
    tensors = load_file(path)
    tensors["vocab_projector.bias"][0] += 1e-3
    save_file(tensors, path, metadata={"format": "pt"})
    assert [r.claim for r in verify(staged).failed] == ["student: weights"]


def test_another_vocabulary_is_caught(staged):
    path = staged / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["man"], vocabulary["woman"] = vocabulary["woman"], vocabulary["man"]
    path.write_text(json.dumps(content))
    assert row(verify(staged), "student: tokenizer").passed is False


def test_a_changed_number_in_the_card_is_caught(staged):
    path = staged / "README.md"
    shown = f"{headline_test(json.loads((staged / 'report.json').read_text()))['effect_size']:+.3f}"
    card = path.read_text()
    assert f"| {shown} |" in card
    path.write_text(card.replace(f"| {shown} |", "| +0.001 |", 1))
    result = verify(staged)
    assert [r.claim for r in result.failed] == ["README.md: text"] and "line" in result.failed[0].note


def test_a_changed_number_in_the_front_matter_is_caught(staged):
    path = staged / "README.md"
    path.write_text(path.read_text().replace("value: ", "value: 1", 1))
    assert [r.claim for r in verify(staged).failed] == ["README.md: text"]


def test_a_changed_report_is_caught_by_the_card(staged):
    change_report(staged, lambda report: report["training"].update(steps=1))
    assert {r.claim for r in verify(staged).failed} == {"report.json: hash in the card", "README.md: text"}


def test_a_changed_report_with_a_card_to_match_is_caught_by_recomputing(staged):
    changes = {
        "sent-weat6": {"effect_size": 0.01},
        "sent-weat6b": {"p_value": 0.9},
        "sent-weat7": {"p_value_legacy": 0.9},
        "sent-weat7b": {"p_value_holm": None},
        "sent-weat8": {"confidence_interval": [-0.1, 0.1]},
        "sent-weat8b": {"n_words": {"X": 80, "Y": 80, "A": 80, "B": 80}},
    }

    def change(report):
        for name, values in changes.items():
            headline_test(report, name).update(values)

    change_report(staged, change, card_too=True)
    result = verify(staged)
    assert [r.claim for r in result.failed] == [f"SEAT mean, builtin: {name}" for name in changes]
    for name, values in changes.items():
        assert row(result, f"SEAT mean, builtin: {name}").note == f"differs: {next(iter(values))}"


def test_a_changed_mean_is_caught_by_recomputing(staged):
    def change(report):
        report["measures"]["seat"][0]["model"]["mean_absolute_effect_size"] = 0.0

    change_report(staged, change, card_too=True)
    assert [r.claim for r in verify(staged).failed] == ["SEAT mean, builtin: mean |d|"]


def test_a_changed_size_is_caught(staged):
    change_report(staged, lambda report: report["model"].update(layers=12), card_too=True)
    assert [r.claim for r in verify(staged).failed] == ["student: layers"]


def test_nothing_recomputed_is_not_verified(staged):
    def change(report):
        for part in ("model", "reference"):
            report["measures"]["seat"][0][part]["stimuli"]["sha256"] = "0" * 64
        report["measures"]["seat"][0]["stimuli"]["sha256"] = "0" * 64

    change_report(staged, change, card_too=True)
    result = verify(staged)
    assert not result.failed and not result.ok
    assert row(result, "SEAT mean, builtin").status == UNCHECKED


@pytest.mark.parametrize("name", ["README.md", "card_facts.json"])
def test_a_missing_card_or_facts_fails(staged, name):
    (staged / name).unlink()
    assert not verify(staged).ok


@pytest.mark.parametrize("name", ["pytorch_model.bin", "modeling.py", "modules.json"])
def test_a_file_that_could_run_code_stops_everything(staged, name):
    (staged / name).write_text("x")
    with pytest.raises(ValueError, match=name):
        verify(staged)


def test_another_file_is_named_and_not_held_against_the_folder(staged):
    (staged / "LICENSE").write_text("text")
    result = verify(staged)
    assert result.ok and row(result, "other files: 1").status == UNCHECKED


@pytest.mark.parametrize("text", ["not json", "{}", '{"schema": "evenhand-report", "schema_version": 9}'])
def test_a_report_that_is_none_is_one_clear_error(staged, text):
    (staged / "report.json").write_text(text)
    with pytest.raises(ValueError) as error:
        verify(staged)
    assert "\n" not in str(error.value) and "report.json" in str(error.value)


def test_a_folder_without_a_report_is_one_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no report\.json"):
        verify(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        verify(tmp_path / "none")


@pytest.mark.parametrize(
    ("key", "step", "differs"),
    [
        ("effect_size", 9e-5, False),
        ("effect_size", 1.1e-4, True),
        ("p_value", 1e-10, False),
        ("p_value", 1e-8, True),
        ("p_value_legacy", 9e-4, False),
        ("p_value_legacy", 1.1e-3, True),
    ],
)
def test_tolerances(report, key, step, differs):
    claimed = headline_test(report)
    assert differing_fields(claimed, {**claimed, key: claimed[key] + step}) == ([key] if differs else [])


def test_an_exact_p_value_may_move_a_little_only_when_d_moved(report):
    claimed = headline_test(report)
    moved = {**claimed, "effect_size": claimed["effect_size"] + 1e-6, "p_value": claimed["p_value"] + 5e-4}
    assert differing_fields(claimed, moved) == []
    assert differing_fields(claimed, {**moved, "p_value": claimed["p_value"] + 2e-3}) == ["p_value"]
