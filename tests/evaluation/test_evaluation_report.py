"""report.json: made, written, read back, refused when it is not one; and its table."""

import json
import subprocess
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from evenhand.evaluation import EvaluationReport, Seat, evaluate_model
from evenhand.evaluation.evaluator import NotApplicable
from evenhand.evaluation.evaluators import make_report, measure_model
from evenhand.evaluation.report_table import report_table
from evenhand.evaluation.scores import Difference, Score


def evaluate(folder) -> EvaluationReport:
    evaluators = [Seat(), Seat(pooling="cls", tests=["C6", "C6b"])]
    return evaluate_model(folder, folder, evaluators, training={"seed": 0}, reference_name="the teacher")


@pytest.fixture(scope="module")
def saved_model(make_bert, tiny_tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated") / "run" / "student"
    make_bert().save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def report(saved_model):
    return evaluate(saved_model)


def test_report_of_a_model_and_its_reference(report):
    assert (report.model["role"], report.model["name"]) == ("student", "run/student")
    assert (report.reference["role"], report.reference["name"]) == ("teacher", "the teacher")
    assert report.model["weights_sha256"] == report.reference["weights_sha256"]
    headline, other = report.measures["seat"]
    assert (headline["pooling"], headline["stimuli"]["source"], other["pooling"]) == ("mean", "builtin", "cls")
    assert headline["model"] == headline["reference"]
    assert report.training == {"seed": 0}


def test_report_without_reference_and_by_the_evaluator_s_name(tiny_folder):
    report = evaluate_model(tiny_folder, evaluators=["seat"])
    assert report.reference is None
    assert report.measures["seat"][0]["reference"] is None
    assert report.training is None
    with pytest.raises(ValueError, match="evaluator 'sat' is unknown; use one of seat"):
        evaluate_model(tiny_folder, evaluators=["sat"])


def test_written_and_read_back_it_is_the_same(report, tmp_path):
    path = report.save(tmp_path / "new" / "report.json")
    assert EvaluationReport.load(path) == report
    assert EvaluationReport.load(path).sha256 == report.sha256
    assert [p.name for p in path.parent.iterdir()] == ["report.json"]
    keys = list(json.loads(path.read_text()))
    assert keys == sorted(keys)


def test_evaluating_again_gives_the_same_report(report, saved_model):
    assert evaluate(saved_model).sha256 == report.sha256


def test_a_failed_write_leaves_the_old_file(report, tmp_path, monkeypatch):
    path = report.save(tmp_path / "report.json")
    old = path.read_text()

    def cut(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", cut)
    with pytest.raises(OSError, match="disk full"):
        report.save(path)
    assert path.read_text() == old
    assert [p.name for p in path.parent.glob("*report.json*")] == ["report.json"]


def put(data, path, value):
    *parents, last = path
    for key in parents:
        data = data[key]
    data[last] = value


C6 = ("measures", "seat", 0, "model", "tests", "sent-weat6")
CHANGE = ("measures", "seat", 0, "comparison", "tests", "sent-weat6")


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("schema",), "something", "not a report"),
        (("schema_version",), 1, "schema version 1, this evenhand reads version 2"),
        ((*C6, "effect_size"), float("nan"), r"seat\[0\].model.tests.sent-weat6.effect_size is nan"),
        ((*C6, "effect_size"), "1.2", r"sent-weat6.effect_size is a str, expected float"),
        ((*C6, "family"), None, "family is a NoneType, expected str"),
        ((*CHANGE, "verdict"), "fine", "verdict is 'fine', expected 'better' or 'worse' or 'not distinguishable'"),
        ((*C6, "confidence_interval"), [0.1, float("inf")], r"confidence_interval\[1\] is inf"),
        (("model", "layers"), 2.0, "model.layers is a float, expected int"),
        (("training",), {"loss": float("-inf")}, "training.loss is -inf"),
        (("training",), {"pair": (1, 2)}, "training.pair is a tuple"),
        (("measures",), {"other": 3}, "measures.other is a int, expected list"),
    ],
)
def test_what_is_not_a_report_is_refused_in_one_line(report, path, value, fault):
    data = report.to_dict()
    put(data, path, value)
    with pytest.raises(ValueError, match=fault) as error:
        EvaluationReport.from_dict(data)
    assert "\n" not in str(error.value)


def test_a_missing_part_is_named(report):
    data = report.to_dict()
    del data["measures"]["seat"][1]["model"]["tests"]["sent-weat6b"]["p_value_legacy"]
    with pytest.raises(ValueError, match=r"seat\[1\].model.tests.sent-weat6b.p_value_legacy is missing"):
        EvaluationReport.from_dict(data)


def test_numbers_of_numpy_are_refused(report):
    import numpy as np

    data = report.to_dict()
    put(data, (*C6, "effect_size"), np.float64(0.5))
    with pytest.raises(ValueError, match="effect_size is a float64"):
        EvaluationReport.from_dict(data)


def test_files_that_cannot_be_read_as_a_report(tmp_path):
    with pytest.raises(FileNotFoundError, match="evenhand evaluate"):
        EvaluationReport.load(tmp_path / "report.json")
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(ValueError, match=r"report.json: not JSON \(line 1"):
        EvaluationReport.load(tmp_path / "report.json")
    (tmp_path / "report.json").write_text('{"schema": "evenhand-report", "schema_version": 2, "x": NaN}')
    with pytest.raises(ValueError, match=r"report.x is nan"):
        EvaluationReport.load(tmp_path / "report.json")


def test_a_copy_is_taken_and_given(report):
    data = report.to_dict()
    data["model"]["name"] = "other"
    assert report.model["name"] == "run/student"


def test_table_has_a_row_a_test_and_both_models(report):
    names, first, second = report_table(report).split("\n\n")
    assert names == "student run/student, teacher the teacher"
    assert first.splitlines()[0].startswith("SEAT, pooling mean, evenhand built-in sentences (builtin)")
    labels = [line.split()[0] for line in first.splitlines()]
    assert [label for label in labels if label in ("C6", "C6b", "C7", "C7b", "C8", "C8b")] == [
        "C6", "C6b", "C7", "C7b", "C8", "C8b",
    ]  # fmt: skip
    headline = report.measures["seat"][0]["model"]
    assert f"{headline['tests']['sent-weat6']['effect_size']:.3f}" in first
    mean = next(line for line in first.splitlines() if line.startswith("mean |d|") and " gender " in line)
    assert f"{headline['mean_absolute_effect_size']:.3f}" in mean
    assert "teacher d" in first and "by chance alone" in first
    # a model against itself: nothing to tell apart, and nothing that could be worse by much
    assert "gender: by chance" in first and "against the reference: not distinguishable (≤ 0.000 worse)" in first
    assert "no mean |d|" in second.splitlines()[-1]


@dataclass(frozen=True)
class Coin:
    """A measure that teachers do not take: the parameters' parity."""

    measure = "coin"

    def settings(self):
        return {"side": "heads"}

    def run(self, model, tokenizer):
        if tokenizer.model_max_length > 64:
            raise NotApplicable("a coin takes short texts")
        return SimpleNamespace(
            to_dict=lambda: {"measure": "coin", "scores": [Score("s", "a score", 1.5, "%", 7, None).to_dict()]}
        )

    def compare(self, result, reference):
        return {"scores": [Difference("s", "a score", 0.0, "points", 7, (-1.0, 2.0), better="lower").to_dict()]}


def test_a_measure_that_a_model_cannot_take_is_listed_with_the_reason(make_bert, tiny_tokenizer, tmp_path):
    for name, length in (("one", 64), ("two", 65)):
        make_bert().save_pretrained(tmp_path / name)
        tiny_tokenizer.save_pretrained(tmp_path / name)
        config = tmp_path / name / "tokenizer_config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"model_max_length": length}))
    report = evaluate_model(tmp_path / "one", tmp_path / "two", [Seat(tests=["C6"]), Coin()])
    (entry,) = report.measures["coin"]
    assert entry["side"] == "heads" and entry["reference"] is None and entry["comparison"] is None
    assert entry["not_applicable"] == {"model": None, "reference": "a coin takes short texts"}
    assert "not applicable to the teacher: a coin takes short texts" in report_table(report)
    both = evaluate_model(tmp_path / "one", tmp_path / "one", [Seat(tests=["C6"]), Coin()])
    assert both.measures["coin"][0]["comparison"]["scores"][0]["verdict"] == "not distinguishable"
    assert "not distinguishable (≤ 2.000 worse)" in report_table(both)


def test_reading_a_report_does_not_import_torch():
    code = "import sys; from evenhand.evaluation.report import EvaluationReport; print('torch' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "False"


class Race(Coin):
    """A measure that two models are taken together for."""

    measure = "race"

    def run_pair(self, model, tokenizer, reference, reference_tokenizer):
        results = [self.run(*one) for one in ((model, tokenizer), (reference, reference_tokenizer))]
        return tuple(SimpleNamespace(to_dict=lambda n=n, r=r: r.to_dict() | {"lane": n}) for n, r in enumerate(results))


def test_a_measure_of_pairs_takes_both_models_at_once_and_one_alone_without_a_reference(tiny_folder, monkeypatch):
    evaluators, ran = [Seat(tests=["C6"]), Race()], []
    monkeypatch.setattr(Coin, "run", lambda self, *one, run=Coin.run: ran.append(one[0]) or run(self, *one))
    (alone,) = evaluate_model(tiny_folder, evaluators=evaluators).measures["race"]
    assert len(ran) == 1 and alone["reference"] is None and "lane" not in alone["model"]
    ran.clear()
    (entry,) = evaluate_model(tiny_folder, tiny_folder, evaluators).measures["race"]
    assert [entry[side]["lane"] for side in ("model", "reference")] == [0, 1]
    assert len(ran) == 2 and ran[0] is not ran[1]  # both in memory, and neither measured alone before
    assert entry["comparison"]["scores"][0]["verdict"] == "not distinguishable"


def test_a_measure_of_pairs_that_one_model_cannot_take_is_listed_for_both(tiny_folder, monkeypatch):
    monkeypatch.setattr(Coin, "run", lambda *_: (_ for _ in ()).throw(NotApplicable("no race today")))
    report = evaluate_model(tiny_folder, tiny_folder, [Seat(tests=["C6"]), Race()])
    (entry,) = report.measures["race"]
    assert entry["model"] is entry["reference"] is entry["comparison"] is None
    assert set(entry["not_applicable"].values()) == {"no race today"}


def test_the_code_that_measured_is_optional_and_checked(tiny_folder):
    seat = Seat(tests=["C6"])
    measured = measure_model(tiny_folder, "student", [seat])
    assert make_report([seat], measured).data["code"] is None
    code = {"version": "0.1.0", "commit": "a" * 40, "modified": False}
    data = make_report([seat], measured, code=code).to_dict()
    assert data["code"] == code
    with pytest.raises(ValueError, match=r"report\.code\.commit is a int, expected str"):
        EvaluationReport.from_dict(data | {"code": code | {"commit": 7}})
    del data["code"]  # as in reports of earlier evenhands
    assert EvaluationReport.from_dict(data).data == data
