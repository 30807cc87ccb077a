"""Sentences per second: what is timed, how the numbers come from the times, and what is refused."""

import platform
import time

import numpy as np
import pytest
import torch
from scipy import stats

from evenhand.evaluation.encoder import body_of
from evenhand.evaluation.evaluators import evaluate_model
from evenhand.evaluation.hardware import hardware, processor, usable_cores
from evenhand.evaluation.report import EvaluationReport
from evenhand.evaluation.seat import Seat
from evenhand.evaluation.speed import FEWEST, MOST, NOTE, WARM_UP, Speed, SpeedResult
from evenhand.evaluation.stimuli import builtin_stimuli


def result(seconds, tokens=9, seed=0, **machine):
    where = {"device": "cpu", "name": "a CPU", "processor": "a CPU", "cpu_cores": 2, "threads": 1} | machine
    return SpeedResult({"stimuli": {}, "batch_size": 32}, np.array(seconds), tokens, where, 0.95, seed)


@pytest.fixture
def passes(tiny_distilbert, monkeypatch):
    """Inputs of every forward pass of the tiny model's body, each of which takes 4 ms more than it needs."""
    seen, forward = [], body_of(tiny_distilbert).forward

    def slower(**inputs):
        seen.append((inputs, tiny_distilbert.training, torch.is_grad_enabled()))
        time.sleep(0.004)
        return forward(**inputs)

    monkeypatch.setattr(body_of(tiny_distilbert), "forward", slower)
    monkeypatch.setattr(tiny_distilbert, "forward", lambda **inputs: pytest.fail("the head was timed too"))
    return seen


def test_the_body_is_timed_on_one_batch_of_built_in_sentences_without_padding(passes, tiny_distilbert, tiny_tokenizer):
    tiny_distilbert.train()
    found = Speed(batch_size=8, seconds=0.001).run(tiny_distilbert, tiny_tokenizer)
    assert tiny_distilbert.training  # left as it was
    assert len(passes) == WARM_UP + FEWEST == WARM_UP + len(found.seconds)
    assert all((training, gradients) == (False, False) for _, training, gradients in passes)
    ids = passes[0][0]["input_ids"]
    assert all(torch.equal(inputs["input_ids"], ids) for inputs, _, _ in passes)
    assert ids.shape == (8, found.tokens_per_sentence) and passes[0][0]["attention_mask"].all()
    lengths = [len(tiny_tokenizer(text)["input_ids"]) for text in builtin_stimuli().distinct_sentences]
    assert lengths.count(found.tokens_per_sentence) == max(map(lengths.count, lengths))
    assert (found.seconds > 0.004).all()
    assert found.sentences_per_second == pytest.approx(8 / np.median(found.seconds))
    assert found.sentences_per_second < 8 / 0.004


def test_a_fast_model_is_timed_a_limited_number_of_times(passes, tiny_distilbert, tiny_tokenizer):
    assert len(Speed(batch_size=2, seconds=60.0).run(tiny_distilbert, tiny_tokenizer).seconds) == MOST


def test_the_interval_is_that_of_the_median():
    seconds = np.random.default_rng(3).lognormal(-3, 0.1, size=40)
    score = result(seconds).score.to_dict()
    assert (score["key"], score["unit"], score["n"]) == ("sentences_per_second", "sentences/s", 40)
    assert score["value"] == pytest.approx(32 / np.median(seconds))
    expected = stats.bootstrap((seconds,), lambda s, axis: 32 / np.median(s, axis=axis), method="percentile", rng=1)
    assert score["confidence_interval"] == pytest.approx(tuple(expected.confidence_interval), rel=0.02)
    assert result(seconds[:5]).score.confidence_interval is None  # too few repeats


def test_the_difference_and_the_ratio_have_intervals_of_unpaired_repeats():
    draw = np.random.default_rng(4)
    fast, slow = draw.lognormal(-3.5, 0.1, size=30), draw.lognormal(-3, 0.1, size=30)
    (change,) = result(fast).compare(result(slow))["scores"]
    assert change["difference"] == pytest.approx(32 / np.median(fast) - 32 / np.median(slow))
    assert change["ratio"] == pytest.approx(np.median(slow) / np.median(fast))
    expected = stats.bootstrap(
        (fast, slow), lambda f, s, axis: np.median(s, axis=axis) / np.median(f, axis=axis), method="percentile", rng=1
    )
    assert change["ratio_confidence_interval"] == pytest.approx(list(expected.confidence_interval), rel=0.02)
    assert (change["verdict"], change["note"]) == ("better", NOTE)
    assert change["confidence_interval"][0] < change["difference"] < change["confidence_interval"][1]
    (itself,) = result(fast).compare(result(fast))["scores"]
    assert itself["ratio_confidence_interval"][0] < 1 < itself["ratio_confidence_interval"][1]


def test_times_of_two_machines_are_not_compared():
    (change,) = result([0.1] * 12).compare(result([0.2] * 12, name="another CPU"))["scores"]
    assert change["difference"] is change["ratio"] is change["ratio_confidence_interval"] is change["verdict"] is None
    assert "different machines" in change["note"]


def test_a_busy_machine_and_other_tokens_are_noted():
    calm, busy = [0.1, 0.101] * 10, [0.1, 0.13] * 10
    assert result(calm).note == NOTE
    assert result(busy).note.endswith("this machine was busy: the middle half of the times spans 26% of their median")
    for pair in ((calm, busy), (busy, calm)):
        (change,) = result(pair[0]).compare(result(pair[1]))["scores"]
        assert "was busy" in change["note"]
    assert "9 tokens a sentence against 7" in result(calm).compare(result(calm, tokens=7))["scores"][0]["note"]


def test_it_stands_in_a_report_with_the_machine(tiny_folder, tmp_path):
    report = evaluate_model(tiny_folder, tiny_folder, [Seat(tests=["C6"]), Speed(batch_size=2, seconds=0.001)])
    (entry,) = EvaluationReport.load(report.save(tmp_path / "report.json")).measures["speed"]
    assert entry["stimuli"] == builtin_stimuli().describe()
    assert entry["model"]["hardware"] == hardware("cpu")
    assert len(entry["model"]["scores"]) == len(entry["comparison"]["scores"]) == 1
    broken = report.to_dict()
    del broken["measures"]["speed"][0]["comparison"]["scores"][0]["ratio"]
    with pytest.raises(ValueError, match=r"measures\.speed\[0\]\.comparison\.scores\[0\]\.ratio is missing"):
        EvaluationReport.from_dict(broken)


def test_of_a_gpu_its_own_name_is_told_beside_the_processors(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    found = hardware(torch.device("cuda", 0))
    assert (found["device"], found["name"], found["processor"]) == ("cuda", "a GPU", processor())


def test_the_machine_is_described_without_its_name_on_the_network():
    found = hardware("cpu")
    assert found.keys() == {"device", "name", "processor", "cpu_cores", "threads"}
    assert found["device"] == "cpu" and found["name"] == found["processor"] == processor() != ""
    assert found["threads"] == torch.get_num_threads() and 1 <= found["cpu_cores"] == usable_cores()
    assert platform.node() not in found.values()


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"seconds": 0.0}, {"seconds": float("nan")}, {"seed": -1}])
def test_settings_that_cannot_be_used_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Speed(**wrong)
