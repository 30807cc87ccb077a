"""Further measures and the teacher's numbers, recomputed with the report's settings on the data of whoever verifies."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from evenhand.evaluation.evaluators import EVALUATORS
from evenhand.model_cards import verify
from evenhand.model_cards.published_report import published_report
from evenhand.model_cards.verification import verify_folder
from evenhand.model_cards.verification.claimed_evaluators import plan_entries
from evenhand.model_cards.verification.entry_rows import entry_rows
from evenhand.model_cards.verification.measure_comparison import compare_part, loose_tolerance
from evenhand.model_cards.verification.rows import HASH_ONLY, RECOMPUTED, UNCHECKED


@pytest.fixture(autouse=True)
def without_the_card(monkeypatch, same_runs_once):
    """What is tested here does not look at card and pictures."""
    monkeypatch.setattr(verify_folder, "_card_rows", lambda *arguments: [])


@pytest.fixture
def data(small_run):
    return small_run.parent / "data"


def row(result, claim):
    return next(row for row in result.rows if row.claim == claim)


def unload(monkeypatch):
    monkeypatch.setattr("evenhand.evaluation.models.load_model", lambda path: pytest.fail("a model was loaded"))


def change(folder, entry, **values):
    path = folder / "report.json"
    report = json.loads(path.read_text())
    holder = report["measures"]
    for key in entry:
        holder = holder[key]
    holder.update(values)
    path.write_text(json.dumps(report))


def test_with_data_and_teacher_everything_but_the_declared_is_recomputed(small_once, small_run, data, tmp_path):
    measures = {
        "glue": {"data": data / "glue", "store": tmp_path / "parts"},
        "crows_pairs": {"data": data / "pairs.csv", "batch_size": 3},
        "pseudo_perplexity": {"data": data / "text.txt"},
    }
    stimuli, teacher = small_run.parent / "sent-bias-files", small_run / "teacher"
    result = verify(small_once, stimuli, measures=measures, teacher=teacher)
    assert result.ok and not result.failed
    unchecked = {row.claim for row in result.rows if row.status == UNCHECKED}
    assert unchecked == {
        "where it was measured", "names", "training record", "measure speed", "config.json, tokenizer_config.json",
    }  # fmt: skip
    assert row(result, "teacher: weights").status == HASH_ONLY
    for claim in (
        "measure glue, student: sst2",
        "measure glue, change: sst2",
        "measure crows_pairs, teacher: stereotype_score_gender",
        "measure pseudo_perplexity, change: all else",
        "SEAT mean, builtin, teacher: sent-weat6",
        "SEAT by pooling and layer: teacher",
        "SEAT cls, sent-bias, change: sent-weat6b",
    ):
        assert row(result, claim).status == RECOMPUTED
    assert "were not computed again" in row(result, "measure glue, student: sst2").note
    assert list((tmp_path / "parts").glob("sst2-*.json"))


def test_without_the_teacher_a_measure_s_student_alone_is_recomputed(small_once, data):
    result = verify(small_once, measures=[("crows_pairs", {"data": data / "pairs.csv"})])
    assert result.ok
    assert row(result, "measure crows_pairs, student: stereotype_score_gender").passed
    assert row(result, "measure crows_pairs: teacher and change").status == UNCHECKED
    assert row(result, "measure glue").status == UNCHECKED and "data=PATH" in row(result, "measure glue").note


def test_a_changed_score_is_caught_by_recomputing(small, data):
    path = ("crows_pairs", 0, "model", "scores", 0)
    change(small, path, value=10.0)
    result = verify(small, measures={"crows_pairs": {"data": data / "pairs.csv"}})
    failed = row(result, "measure crows_pairs, student: stereotype_score_gender")
    assert not result.ok and failed.passed is False and failed.claimed.startswith("10.0000")
    assert row(result, "measure crows_pairs, student: all else").status == UNCHECKED


def test_a_teacher_that_was_made_to_look_worse_is_caught_with_the_teacher(small, small_run):
    """Everything that follows from the changed numbers is made to match, so that only the model itself can tell."""
    path = small / "report.json"
    report = json.loads(path.read_text())
    cell = report["measures"]["seat_sensitivity"][0]["reference"]["cells"][0]
    cell["effect_sizes"] = {name: d + 0.5 for name, d in cell["effect_sizes"].items()}
    cell["mean_absolute_effect_size"] = sum(map(abs, cell["effect_sizes"].values())) / len(cell["effect_sizes"])
    path.write_text(json.dumps(report))
    assert row(verify(small, teacher=small_run / "teacher"), "SEAT by pooling and layer: teacher").passed is False


def test_other_data_are_refused_before_any_model_is_loaded(small_once, data, tmp_path, monkeypatch):
    unload(monkeypatch)
    other = tmp_path / "other.csv"
    other.write_text((data / "pairs.csv").read_text().replace("science", "math"))
    with pytest.raises(ValueError, match=r"crows_pairs: the data at .*other.csv are not those of the report"):
        verify(small_once, measures={"crows_pairs": {"data": other}})
    with pytest.raises(FileNotFoundError):
        verify(small_once, measures={"crows_pairs": {"data": tmp_path / "none.csv"}})


@pytest.mark.parametrize(
    ("measures", "message"),
    [
        ({"stereoset": {"data": "x"}}, "the report has no measure 'stereoset'; it has crows_pairs"),
        ({"seat": {}}, "seat is always computed again"),
        ({"speed": {}}, "depends on the machine"),
        ({"crows_pairs": {}}, "crows_pairs needs data=PATH: the report's are pairs.csv"),
        ({"crows_pairs": {"data": "x", "seed": 1}}, "seed is the report's to name"),
        ({"glue": {"data": "x", "batch_size": 1}}, "batch_size is the report's to name"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line_before_any_model_is_loaded(small_once, measures, message, monkeypatch):
    unload(monkeypatch)
    with pytest.raises(ValueError, match=message):
        verify(small_once, measures=measures)


def test_another_teacher_than_the_report_s_is_refused(small_once, small_run, monkeypatch):
    with pytest.raises(ValueError, match="is not the teacher of the report: its weights have the hash"):
        verify(small_once, teacher=small_run / "student")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        verify(small_once, teacher="./nowhere")


def test_a_report_without_a_teacher_verifies_and_refuses_one(small, small_run):
    path = small / "report.json"
    report = json.loads(path.read_text())
    report["reference"] = None
    for entry in (entry for entries in report["measures"].values() for entry in entries):
        entry["reference"] = entry["comparison"] = None
    path.write_text(json.dumps(report))
    result = verify(small)
    assert result.ok and row(result, "SEAT mean, builtin: no teacher").passed
    with pytest.raises(ValueError, match="compares the student with no teacher"):
        verify(small, teacher=small_run / "teacher")


def test_a_headline_on_stimuli_that_are_not_at_hand_is_not_verified(small, small_run):
    path = small / "report.json"
    report = json.loads(path.read_text())
    report["measures"]["seat"].reverse()
    path.write_text(json.dumps(report))
    result = verify(small)
    assert not result.failed and not result.ok
    assert verify(small, small_run.parent / "sent-bias-files").ok


def test_settings_of_a_wrong_type_are_told_in_one_line(small_once, data):
    report = published_report(json.loads((small_once / "report.json").read_text()))
    report["measures"]["glue"][0]["task_names"] = 3
    (entry,) = [e for e in plan_entries(report, [], {"glue": {"data": data / "glue"}}) if e.measure == "glue"]
    (failed,) = entry_rows(entry, None, None)
    assert failed.passed is False and "are no settings of it" in failed.note and "\n" not in failed.note
    # data without the report's bias types are other data than the report's, or the report is wrong
    report["measures"]["crows_pairs"][0]["bias_types"] = [["gender"]]
    with pytest.raises(ValueError, match="is unknown; the data have gender"):
        plan_entries(report, [], {"crows_pairs": {"data": data / "pairs.csv"}})


@dataclass(frozen=True)
class LongWords:
    """A measure of one's own, on no data: tokens longer than ``letters``."""

    letters: int = 5

    measure = "long_words"

    def settings(self):
        return {"letters": self.letters}

    def run(self, model, tokenizer):
        found = sum(len(token) > self.letters for token in tokenizer.get_vocab())
        return SimpleNamespace(to_dict=lambda: {"measure": self.measure, "found": found})


def test_a_measure_of_one_s_own_that_needs_no_data_is_recomputed_when_asked_for(small, small_run, monkeypatch):
    from evenhand.evaluation.models import load_model

    monkeypatch.setitem(EVALUATORS, "long_words", LongWords)
    result = LongWords(6).run(*load_model(small_run / "student")).to_dict()
    nothing = {"reference": None, "comparison": None, "not_applicable": {"model": None, "reference": None}}
    entry = {"letters": 6, "model": result, **nothing}
    change(small, (), long_words=[entry])
    assert row(verify(small), "measure long_words").status == UNCHECKED
    asked = {"long_words": {}}
    assert row(verify(small, measures=asked), "measure long_words, student: all else").passed
    change(small, ("long_words", 0), letters=7)
    assert not verify(small, measures=asked).ok
    change(small, ("long_words", 0), letters=6, model={"measure": "long_words", "found": 3})
    assert not verify(small, measures=asked).ok
    change(small, (), long_words=[{"letters": 6}])
    damaged = row(verify(small, measures=asked), "measure long_words")
    assert damaged.passed is False and "its entry is not of the form" in damaged.note


def test_the_speed_of_another_machine_is_never_called_checked(small):
    speed = row(verify(small), "measure speed")
    assert speed.status == UNCHECKED and "depends on the machine" in speed.note
    change(small, ("speed", 0, "comparison", "scores", 0), ratio=100.0)
    follows = row(verify(small), "report.json: numbers that follow from others")
    assert follows.passed is False and "ratio" in follows.note


SCORE = {
    "key": "sst2", "name": "SST-2, accuracy", "value": 80.0, "unit": "points", "n": 1000, "confidence_interval": [78.0, 82.0],
    "confidence_level": 0.95, "interval_method": "bootstrap", "ideal": None, "better": "higher", "note": None,
}  # fmt: skip
FIELD = ("measures", "glue", 0, "model")


def rows_of(moved_by, **other):
    claimed = {"scores": [SCORE], "tasks": {"sst2": {"p": 0.04}}}
    actual = {
        "scores": [
            SCORE | {"value": 80.0 + moved_by, "confidence_interval": [78.0 + moved_by, 82.0 + moved_by]} | other
        ],
        "tasks": {"sst2": {"p": 0.04 + moved_by}},
    }
    return compare_part("t", claimed, actual, FIELD)


def test_where_fine_tuning_moved_scores_have_a_wider_tolerance_and_the_rest_is_not_called_checked():
    widest = loose_tolerance("glue", SCORE)
    assert widest == pytest.approx(3 * 100 * (0.1 / 1000) ** 0.5)
    same, inside, outside = rows_of(0.0), rows_of(0.9 * widest), rows_of(1.1 * widest)
    assert [r.passed for r in same] == [True, True]
    assert [r.passed for r in inside] == [None, None] and "within 3" in inside[0].note
    assert inside[0].missed and inside[0].claimed == "80.0000 points" and inside[0].actual.startswith("82.")
    assert [r.passed for r in outside] == [False, None] and "value" in outside[0].note
    assert rows_of(0.9 * widest, n=999)[0].passed is False
    interval = rows_of(0.9 * widest, confidence_interval=[70.0, 90.0])[0]
    assert interval.passed is False and "confidence_interval" in interval.note


def score(key, value, name="accuracy", **more):
    return SCORE | {"key": key, "name": f"{key}, {name}", "value": value, "confidence_interval": None} | more


def passed_of(claimed, actual, field=FIELD):
    rows = compare_part("t", {"scores": claimed}, {"scores": actual}, field)
    return [row.passed for row in rows]


def test_a_tampered_score_fails_where_another_came_out_to_the_last_digit():
    accuracies = [score(key, value) for key, value in (("sst2", 80.5), ("rte", 61.25), ("qnli", 70.125), ("qqp", 75.5))]
    found = [*accuracies, score("cola", 12.345, "Matthews correlation")]
    tampered = [accuracies[0] | {"value": 83.5}, *found[1:]]
    assert passed_of(tampered, found) == [False, True, True, True, True, True]
    # without a correlation three of four alike say it too, one of two does not, and then the score is not called checked
    assert passed_of(tampered[:4], found[:4]) == [False, True, True, True, True]
    assert passed_of(tampered[:2], found[:2]) == [None, True, None]
    # the correlation of a student that learnt nothing is zero on every machine
    trivial = score("cola", 0.0, "Matthews correlation")
    assert passed_of([tampered[0], trivial], [found[0], trivial]) == [None, True, None]


def test_a_share_of_pairs_may_move_by_a_near_tie_while_others_stay():
    field = ("measures", "crows_pairs", 0, "model")
    found = [score(key, 54.0, unit="%") for key in ("gender", "race", "age", "religion")]
    claimed = [found[0] | {"value": 54.25}, *found[1:]]
    assert passed_of(claimed, found, field) == [None, True, True, True, None]
    nats = [score("gap", 1.2345, unit="nats")]
    assert passed_of([*claimed, *nats], [*found, *nats], field) == [False, True, True, True, True, True]


def test_scores_that_the_report_leaves_out_or_adds_are_caught():
    for claimed, actual in (([SCORE], []), ([], [SCORE])):
        rows = compare_part("t", {"scores": claimed}, {"scores": actual}, FIELD)
        assert [r.passed for r in rows] == [False]
    assert [r.passed for r in compare_part("t", None, {"scores": []}, FIELD)] == [False]
    assert [r.passed for r in compare_part("t", None, None, FIELD)] == [True]
