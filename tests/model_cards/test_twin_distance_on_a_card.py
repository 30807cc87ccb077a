"""Twin distances in a report: on the card, in its front matter, and computed again by whoever verifies."""

import json

import pytest

from evenhand.evaluation import Seat, evaluate_model
from evenhand.evaluation.twin_distance import TwinDistance
from evenhand.model_cards import verify
from evenhand.model_cards.model_index import model_index
from evenhand.model_cards.sections.score_tables import score_tables
from evenhand.model_cards.verification import verify_folder
from evenhand.model_cards.verification.rows import RECOMPUTED, UNCHECKED

ASKED = {"twin_distance": {"batch_size": 7}}


@pytest.fixture(scope="module")
def entries(small_run):
    evaluators = [Seat(tests=["C6"]), TwinDistance(pooling="cls")]
    return evaluate_model(small_run / "student", small_run / "teacher", evaluators).measures["twin_distance"]


@pytest.fixture
def measured(small, entries, monkeypatch, same_runs_once):
    """A published folder whose report has the measure; its card is not looked at here."""
    monkeypatch.setattr(verify_folder, "_card_rows", lambda *arguments: [])
    path = small / "report.json"
    report = json.loads(path.read_text())
    report["measures"]["twin_distance"] = entries
    path.write_text(json.dumps(report))
    return small


def claims(result):
    return {row.claim: row for row in result.rows if "twin_distance" in row.claim}


def test_it_is_computed_again_when_asked_for_without_any_data(measured, small_run):
    (row,) = claims(verify(measured)).values()
    assert row.status == UNCHECKED and row.note.endswith("--measure twin_distance")
    found = claims(verify(measured, measures=ASKED, teacher=small_run / "teacher"))
    for part in ("student", "teacher", "change"):
        assert found[f"measure twin_distance, {part}: word_cosine_distance"].passed
        assert found[f"measure twin_distance, {part}: all else"].status == RECOMPUTED
    assert all(row.passed for row in found.values())


def test_a_changed_part_of_an_effect_is_caught(measured):
    path = measured / "report.json"
    report = json.loads(path.read_text())
    report["measures"]["twin_distance"][0]["model"]["tests"]["sent-weat7"]["numerator"] += 0.01
    path.write_text(json.dumps(report))
    failed = [row for row in claims(verify(measured, measures=ASKED)).values() if row.passed is False]
    assert [row.claim for row in failed] == ["measure twin_distance, student: all else"]
    assert "numerator" in failed[0].note


def test_a_card_shows_the_distances_with_intervals_and_calls_none_of_them_better(measured):
    report = json.loads((measured / "report.json").read_text())
    (table,) = [table for table in score_tables(report) if table["measure"] == "twin_distance"]
    assert table["title"] == "Distance of gender twins" and len(table["rows"]) == 12 and table["has_teacher"]
    row = table["rows"][0]
    assert (
        row["name"] == "cosine distance of twins, at the exchanged word" and row["interval"] and row["teacher_interval"]
    )
    assert {row["verdict"] for row in table["rows"]} == {None}
    assert table["settings"] == {"pooling": "cls"}
    # a diagnosis is no result of a benchmark
    assert not [entry for entry in model_index(report) if "twin" in entry.dataset_type + entry.metric_type]
