"""Verification recomputes what it can, says what it cannot, and catches every change."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import load_file, save_file

from evenhand.model_cards import CardFacts, build_card, verify
from evenhand.model_cards.figures.pictures import draw_pictures
from evenhand.model_cards.published_report import canonical_sha256
from evenhand.model_cards.staging import staged_figures
from evenhand.model_cards.verification import card_rows
from evenhand.model_cards.verification.rows import HASH_ONLY, RECOMPUTED, UNCHECKED, Row
from evenhand.model_cards.verification.seat_comparison import compare_seat, differing_fields


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return tmp_path_factory.mktemp("drawn")


@pytest.fixture(autouse=True)
def pictures_of_a_report_are_drawn_once(drawn, monkeypatch, same_runs_once):
    """Drawing takes longer than all else that verification does with a tiny model."""

    def draw(report, folder):
        known = drawn / canonical_sha256(report)
        if not known.is_dir():
            draw_pictures(report, known)
        shutil.copytree(known, folder, dirs_exist_ok=True)

    monkeypatch.setattr(card_rows, "draw_pictures", draw)


def row(result, claim):
    return next(row for row in result.rows if row.claim == claim)


def change_report(folder, change, card_too=False):
    """Change report.json; with ``card_too`` all that is made from it is made again, hashes and pictures included."""
    path = folder / "report.json"
    report = json.loads(path.read_text())
    change(report)
    path.write_text(json.dumps(report))
    if card_too:
        card_rows.draw_pictures(report, folder / "figures")
        facts = CardFacts.from_dict(json.loads((folder / "card_facts.json").read_text()))
        (folder / "README.md").write_text(build_card(report, facts, staged_figures(folder)))


def headline_test(report, name="sent-weat6"):
    return report["measures"]["seat"][0]["model"]["tests"][name]


def test_an_untouched_folder_verifies_from_itself_alone(small, tmp_path, monkeypatch):
    alone = shutil.copytree(small, tmp_path / "elsewhere" / "copy")
    shutil.rmtree(small)
    monkeypatch.chdir(tmp_path)
    result = verify("elsewhere/copy")
    assert result.ok and not result.failed
    for name in ("6", "8b"):
        assert row(result, f"SEAT mean, builtin: sent-weat{name}").status == RECOMPUTED
        assert "as claimed" in row(result, f"SEAT mean, builtin, change: sent-weat{name}").note
    assert row(result, "SEAT mean, builtin: mean |d|").passed
    assert row(result, "student: weights").status == HASH_ONLY
    assert row(result, "README.md: text").passed
    assert {r.status for r in result.rows if r.claim.startswith("picture ")} == {RECOMPUTED}
    assert alone.is_dir() and not list(alone.glob(".*"))


def test_what_cannot_be_checked_is_marked_and_never_prints_as_passed(small_once):
    result = verify(small_once)
    unchecked = [row for row in result.rows if row.status == UNCHECKED]
    claims = {row.claim for row in unchecked}
    assert {
        "SEAT cls, sent-bias",
        "SEAT mean, builtin: teacher",
        "SEAT by pooling and layer: teacher",
        "teacher: hashes and sizes",
        "training record",
        "measure glue",
        "measure crows_pairs",
        "card_facts.json: declared facts",
        "names",
        "where it was measured",
    } <= claims
    assert {row.status for row in result.rows if "passed" in row.verdict or row.passed} <= {RECOMPUTED, HASH_ONLY}
    lines = result.table().splitlines()
    for entry in unchecked:
        line = next(line for line in lines if line.startswith(f"{entry.claim} "))
        assert UNCHECKED in line and " ok" not in line and "FAILED" not in line
    assert lines[-1].startswith("verified:") and f"{len(unchecked)} not checkable here" in lines[-1]


def test_the_table_for_programs_says_the_same(small_once):
    result = verify(small_once)
    told = json.loads(json.dumps(result.to_dict()))
    assert told["ok"] is True and told["target"] == str(small_once) and told["commit"] is None
    assert [row["claim"] for row in told["rows"]] == [row.claim for row in result.rows]
    assert {row["verdict"] for row in told["rows"]} == {"ok", "-"}


def test_the_grid_of_poolings_and_layers_is_recomputed(small_once):
    result = verify(small_once)
    assert row(result, "SEAT by pooling and layer: student").status == RECOMPUTED
    assert "as claimed" in row(result, "SEAT by pooling and layer: change").note


def test_a_row_cannot_pass_unchecked():
    with pytest.raises(ValueError, match="passed=True"):
        Row("claim", UNCHECKED, passed=True)
    with pytest.raises(ValueError, match="passed=None"):
        Row("claim", RECOMPUTED)


def test_imported_stimuli_are_recomputed_when_their_hash_matches(small_once, small_run):
    result = verify(small_once, stimuli=[small_run.parent / "sent-bias-files"])
    assert result.ok and row(result, "SEAT cls, sent-bias: sent-weat6b").status == RECOMPUTED


def test_other_stimuli_than_the_reported_are_refused_before_any_work(small_once, small_run, tmp_path, monkeypatch):
    monkeypatch.setattr("evenhand.evaluation.models.load_model", lambda path: pytest.fail("the model was loaded"))
    other = shutil.copytree(small_run.parent / "sent-bias-files", tmp_path / "other")
    path = other / "sent-weat6b.jsonl"
    path.write_text(path.read_text().replace("This is man.", "Here is man."))
    with pytest.raises(ValueError, match="not those of any number in the report"):
        verify(small_once, stimuli=other)
    with pytest.raises(FileNotFoundError):
        verify(small_once, stimuli=tmp_path / "none")


def test_one_changed_weight_is_caught_by_hash_and_by_seat(small):
    path = small / "model.safetensors"
    tensors = load_file(path)
    tensors["distilbert.embeddings.word_embeddings.weight"][7:60] *= 1.5
    save_file(tensors, path, metadata={"format": "pt"})
    result = verify(small)
    assert not result.ok and row(result, "student: weights").passed is False
    assert any(r.claim.startswith("SEAT mean") and r.passed is False for r in result.rows)
    assert result.table().splitlines()[-1].startswith("NOT VERIFIED")


def test_a_weight_that_moves_no_seat_number_is_caught_by_its_hash(small):
    path = small / "model.safetensors"
    tensors = load_file(path)
    tensors["vocab_projector.bias"][0] += 1e-3
    save_file(tensors, path, metadata={"format": "pt"})
    assert [r.claim for r in verify(small).failed] == ["student: weights", "training record, student: weights"]


def test_another_vocabulary_is_caught(small):
    path = small / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["man"], vocabulary["woman"] = vocabulary["woman"], vocabulary["man"]
    path.write_text(json.dumps(content))
    assert row(verify(small), "student: tokenizer").passed is False


def test_a_changed_number_in_the_card_is_caught(small):
    path = small / "README.md"
    shown = f"{headline_test(json.loads((small / 'report.json').read_text()))['effect_size']:+.3f}"
    card = path.read_text()
    assert f"| {shown} [" in card
    path.write_text(card.replace(f"| {shown} [", "| +0.001 [", 1))
    result = verify(small)
    assert [r.claim for r in result.failed] == ["README.md: text"] and "line" in result.failed[0].note


def test_a_changed_number_in_the_front_matter_is_caught(small):
    path = small / "README.md"
    path.write_text(path.read_text().replace("value: ", "value: 1", 1))
    assert [r.claim for r in verify(small).failed] == ["README.md: text"]


def test_a_changed_report_is_caught_by_the_card(small):
    change_report(small, lambda report: report["training"].update(steps=1))
    assert {r.claim for r in verify(small).failed} == {"report.json: hash in the card", "README.md: text"}


@pytest.mark.parametrize(
    ("name", "values", "follows"),
    [
        ("sent-weat6", {"effect_size": 0.01}, True),
        ("sent-weat8b", {"p_value": 0.9}, True),
        ("sent-weat6", {"p_value_legacy": 0.9}, False),
        ("sent-weat8b", {"confidence_interval": [-0.1, 0.1]}, True),
    ],
)
def test_a_changed_report_with_card_and_pictures_to_match_is_caught_by_recomputing(small, name, values, follows):
    change_report(small, lambda report: headline_test(report, name).update(values), card_too=True)
    result = verify(small)
    others = ["report.json: numbers that follow from others"] if follows else []
    assert [r.claim for r in result.failed] == [*others, f"SEAT mean, builtin: {name}"]
    assert result.failed[-1].note == f"differs: {next(iter(values))}"


def test_a_changed_difference_from_the_teacher_is_caught_without_the_teacher(small):
    def change(report):
        report["measures"]["seat"][0]["comparison"]["tests"]["sent-weat8b"]["difference_absolute"] = -1.0

    change_report(small, change, card_too=True)
    assert [r.claim for r in verify(small).failed] == ["SEAT mean, builtin, change: sent-weat8b"]


def test_a_changed_mean_is_caught_by_recomputing(report):
    claimed = report["measures"]["seat"][0]["model"]
    rows = compare_seat("SEAT", {**claimed, "mean_absolute_effect_size": 0.0}, claimed)
    assert [r.claim for r in rows if not r.passed] == ["SEAT: mean |d|"]
    assert all(r.passed for r in compare_seat("SEAT", claimed, claimed))


def test_a_training_record_of_another_student_is_caught(small):
    change_report(small, lambda report: report["training"]["student"].update(weights_sha256="1" * 64), card_too=True)
    assert [r.claim for r in verify(small).failed] == ["training record, student: weights"]


def test_a_changed_configuration_that_moves_a_number_is_caught(small):
    path = small / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"activation": "relu"}))
    result = verify(small)
    assert not result.ok and row(result, "student: weights").passed
    assert any(r.claim.startswith("SEAT mean, builtin: sent-") for r in result.failed)


def test_changed_facts_are_caught_by_the_card(small):
    path = small / "card_facts.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"licence": "mit"}))
    failed = verify(small).failed
    assert [r.claim for r in failed] == ["README.md: text"]
    assert "apache-2.0" in failed[0].note and "mit" in failed[0].note


def test_text_written_by_hand_into_the_published_card_is_named_and_not_held_against_it(small):
    path = small / "README.md"
    start = "<!-- hand-written: contact, kept when the card is made again -->\n"
    assert start in path.read_text()
    path.write_text(path.read_text().replace(start, f"{start}\nWrite to us. d is 0.001.\n\n"))
    result = verify(small)
    assert result.ok and row(result, "README.md: text").passed
    by_hand = row(result, "README.md: hand-written text")
    assert by_hand.status == UNCHECKED and "changed since it was published" in by_hand.note


def paint(path, **saved):
    with Image.open(path) as image:
        pixels, info = np.array(image.convert("RGBA")), PngInfo()
        info.add_text("Software", saved.get("software") or image.info["Software"])
    pixels[100:104, 100:104] = (0, 0, 0, 255)
    Image.fromarray(pixels).save(path, pnginfo=info)


def test_a_painted_over_picture_is_caught(small):
    paint(small / "figures" / "seat.png")
    failed = verify(small).failed
    assert [r.claim for r in failed] == ["picture seat.png"] and "pixels are not what" in failed[0].note


def test_a_picture_of_another_matplotlib_is_not_called_checked(small):
    paint(small / "figures" / "seat.png", software="matplotlib 1.0")
    result = verify(small)
    assert result.ok and row(result, "picture seat.png").status == UNCHECKED
    assert result.summary.startswith("verified, except picture seat.png: ")


def test_a_picture_that_is_none_or_not_of_the_report(small):
    (small / "figures" / "seat.png").write_bytes(b"no picture")
    shutil.copy(small / "figures" / "glue.png", small / "figures" / "bias_over_training.png")
    shutil.copy(small / "figures" / "glue.png", small / "figures" / "mine.png")
    result = verify(small)
    assert row(result, "picture seat.png").note == "is no PNG file"
    assert row(result, "picture bias_over_training.png").note == "the report has no numbers for it"
    assert row(result, "picture mine.png").status == UNCHECKED


def test_a_changed_size_is_caught(small):
    change_report(small, lambda report: report["model"].update(layers=12), card_too=True)
    assert [r.claim for r in verify(small).failed] == ["student: layers"]


def test_nothing_recomputed_is_not_verified(small):
    def change(report):
        for part in ("model", "reference"):
            report["measures"]["seat"][0][part]["stimuli"]["sha256"] = "0" * 64
        report["measures"]["seat"][0]["stimuli"]["sha256"] = "0" * 64

    change_report(small, change, card_too=True)
    result = verify(small)
    assert not result.failed and not result.ok
    assert row(result, "SEAT mean, builtin").status == UNCHECKED


@pytest.mark.parametrize("name", ["README.md", "card_facts.json"])
def test_a_missing_card_or_facts_fails(small, name):
    (small / name).unlink()
    assert not verify(small).ok


def test_files_that_could_run_code_are_not_loaded_and_fail(small):
    for name in ("pytorch_model.bin", "modeling.py", "modules.json", "adapter_config.json", "LICENSE"):
        (small / name).write_text("not even JSON")
    result = verify(small)
    assert [r.claim for r in result.failed] == ["files: weights without code"]
    assert "adapter_config.json" in result.failed[0].note and "(and 3 more)" in result.failed[0].note
    assert "LICENSE" in row(result, "other files: 1").note and row(result, "other files: 1").status == UNCHECKED
    assert row(result, "SEAT mean, builtin: sent-weat6").passed


def test_a_configuration_that_names_code_is_not_loaded(small, monkeypatch):
    monkeypatch.setattr("evenhand.evaluation.models.load_model", lambda path: pytest.fail("the model was loaded"))
    path = small / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoConfig": "evil.py--x"}}))
    result = verify(small)
    assert not result.ok and "auto_map" in row(result, "files: weights without code").note
    assert row(result, "student").passed is False


def test_an_index_that_names_weights_elsewhere_is_not_loaded(small, monkeypatch):
    monkeypatch.setattr("evenhand.evaluation.models.load_model", lambda path: pytest.fail("the model was loaded"))
    index = {"weight_map": {"x": "../other/model.safetensors"}}
    (small / "model.safetensors.index.json").write_text(json.dumps(index))
    assert not verify(small).ok


def test_another_file_is_named_and_not_held_against_the_folder(small):
    (small / "LICENSE").write_text("text")
    (small / ".cache" / "huggingface").mkdir(parents=True)
    (small / ".cache" / "huggingface" / "x.metadata").write_text("of a download")
    result = verify(small)
    assert result.ok and row(result, "other files: 1").status == UNCHECKED


def test_a_folder_without_a_report_is_one_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no report\.json"):
        verify(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        verify(tmp_path / "none")


@pytest.mark.parametrize(
    ("key", "tolerated"),
    [
        ("effect_size", 1e-4),
        ("p_value", 1e-3),
        ("p_value_legacy", 1e-3),
        ("p_value_holm", 6e-3),
        ("standard_error", 1e-3),
    ],
)
def test_tolerances_are_those_of_another_machine_or_none_at_all(report, key, tolerated):
    claimed = headline_test(report)

    def differs(step, same):
        return differing_fields(claimed, {**claimed, key: claimed[key] + step}, same=same) == [key]

    assert not differs(0.9 * tolerated, False) and differs(1.1 * tolerated, False)
    assert not differs(1e-10, True) and differs(1e-8, True)
