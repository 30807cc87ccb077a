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
from evenhand.evaluation.pass_times import FEWEST, MOST, WARM_UP, PassTimes
from evenhand.evaluation.report import EvaluationReport
from evenhand.evaluation.seat import Seat
from evenhand.evaluation.speed import NOTE, Speed, SpeedResult
from evenhand.evaluation.stimuli import builtin_stimuli


def result(seconds, tokens=9, seed=0, beside=None, **machine):
    where = {"device": "cpu", "name": "a CPU", "processor": "a CPU", "cpu_cores": 2, "threads": 1} | machine
    beside = None if beside is None else np.array(beside)
    return SpeedResult({"stimuli": {}, "batch_size": 32}, np.array(seconds), tokens, where, 0.95, seed, beside)


def compared(seconds, others, tokens=9, **machine):
    """The comparison of two models timed in turns."""
    pair = result(seconds, beside=others), result(others, tokens, beside=seconds, **machine)
    return pair[0].compare(pair[1])["scores"][0]


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
    assert (found.seconds > 0.004).all() and found.beside is None
    assert found.sentences_per_second == pytest.approx(8 / np.median(found.seconds))
    assert found.sentences_per_second < 8 / 0.004


def test_two_models_take_turns_and_are_left_as_they_were(tiny_distilbert, tiny_bert, tiny_tokenizer, monkeypatch):
    turns = []
    for name, model in (("A", tiny_distilbert), ("B", tiny_bert)):
        model.train()
        forward = body_of(model).forward

        def counted(name=name, forward=forward, **inputs):
            turns.append(name)
            assert not torch.is_grad_enabled()
            return forward(**inputs)

        monkeypatch.setattr(body_of(model), "forward", counted)
    evaluator = Speed(batch_size=2, seconds=0.001)
    pair = evaluator.run_pair(tiny_distilbert, tiny_tokenizer, tiny_bert, tiny_tokenizer)
    assert "".join(turns) == "A" * WARM_UP + "B" * WARM_UP + "ABBA" * FEWEST
    assert tiny_distilbert.training and tiny_bert.training
    assert [len(of_model.seconds) for of_model in pair] == [FEWEST, FEWEST]
    assert evaluator.compare(*pair)["scores"][0]["ratio"] > 0


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


def test_the_ratio_is_the_median_of_the_repeats_and_its_interval_is_exact():
    draw = np.random.default_rng(4)
    load = draw.lognormal(-3, 1.0, size=25)  # falls on both models of a repeat
    fast, slow = load * draw.lognormal(0, 0.02, size=25), load * draw.lognormal(0.7, 0.02, size=25)
    change = compared(fast, slow)
    ratios = np.sort(slow / fast)
    assert change["ratio"] == pytest.approx(np.median(ratios))
    # 7 or fewer of 25 coins show heads with probability .0216, 8 or fewer with .0539: the 8th from either end
    assert stats.binom.cdf(7, 25, 0.5) < 0.025 < stats.binom.cdf(8, 25, 0.5)
    assert change["ratio_confidence_interval"] == pytest.approx([ratios[7], ratios[17]])
    assert (change["verdict"], change["note"][: len(NOTE)], change["n"]) == ("better", NOTE, 25)


def test_values_difference_and_ratio_agree_and_give_one_verdict():
    draw = np.random.default_rng(5)
    for scale in (0.5, 0.98, 1.0, 1.02, 2.0):
        seconds, others = draw.lognormal(-3, 0.1, size=25), scale * draw.lognormal(-3, 0.1, size=25)
        change = compared(seconds, others)
        values = [result(*pair[:1], beside=pair[1]).score.value for pair in ((seconds, others), (others, seconds))]
        assert values[0] - values[1] == pytest.approx(change["difference"], rel=1e-12)
        assert values[0] / values[1] == pytest.approx(change["ratio"], rel=1e-12)
        assert values == pytest.approx([32 / np.median(seconds), 32 / np.median(others)], rel=0.05)
        assert change["confidence_interval"][0] < change["difference"] < change["confidence_interval"][1]
        ends = zip(change["confidence_interval"], change["ratio_confidence_interval"], strict=True)
        assert all((of_difference > 0) == (of_ratio > 1) for of_difference, of_ratio in ends)


def test_a_load_that_comes_half_way_does_not_move_the_ratio():
    load = np.array([1.0] * 12 + [1.4] + [3.0] * 12)
    seconds = 0.1 * load
    seconds[12] = 0.1  # this model was done before the load came
    change = compared(seconds, 0.1 * load * np.tile([0.99, 1.0, 1.01], 9)[:25])
    assert change["ratio"] == pytest.approx(1.0, abs=0.011)


def test_too_few_repeats_or_equal_ones_give_no_interval():
    for seconds, others in ((np.linspace(0.1, 0.11, 9), [0.2] * 9), ([0.1] * 12, [0.2] * 12)):
        change = compared(seconds, others)
        assert change["confidence_interval"] is change["ratio_confidence_interval"] is None
        assert change["ratio"] == pytest.approx(np.median(np.array(others) / seconds))


def test_times_of_two_machines_are_not_compared():
    change = compared([0.1] * 12, [0.2] * 12, name="another CPU")
    assert change["difference"] is change["ratio"] is change["ratio_confidence_interval"] is change["verdict"] is None
    assert "different machines" in change["note"]


def test_times_one_after_the_other_are_not_compared():
    draw = np.random.default_rng(6)
    alone, other = draw.lognormal(-3, 0.1, size=20), draw.lognormal(-3, 0.1, size=20)
    for pair in ((result(alone), result(other)), (result(alone, beside=other), result(other[::-1], beside=alone))):
        (change,) = pair[0].compare(pair[1])["scores"]
        assert change["difference"] is change["ratio"] is change["ratio_confidence_interval"] is None
        assert "one after the other" in change["note"]


def test_a_busy_machine_and_other_tokens_are_noted():
    calm, busy = [0.1, 0.101] * 10, [0.1, 0.13] * 10
    assert result(calm).note == NOTE
    assert result(busy).note.endswith("this machine was busy: the middle half of the times spans 26% of their median")
    for pair in ((calm, busy), (busy, calm)):
        assert "was busy" in compared(*pair)["note"]
    assert "9 tokens a sentence against 7" in compared(calm, calm, tokens=7)["note"]


def test_a_machine_that_gave_its_processors_to_others_is_noted(monkeypatch, tiny_distilbert, tiny_tokenizer):
    steady = np.tile([0.1, 0.101], (2, 10))
    monkeypatch.setattr("evenhand.evaluation.speed.pass_times", lambda passes, budget: PassTimes(steady, 0.52, 1.6))
    loaded = (tiny_distilbert, tiny_tokenizer)
    student, teacher = Speed(batch_size=2).run_pair(*loaded, *loaded)
    busy = "the passes had a processor for 52% of their time, 1.6 processes wanted each processor"
    assert student.note == teacher.note == f"{NOTE}; this machine was busy: {busy}"
    assert student.compare(teacher)["scores"][0]["note"] == student.note


def test_it_stands_in_a_report_with_the_machine(tiny_folder, tmp_path):
    report = evaluate_model(tiny_folder, tiny_folder, [Seat(tests=["C6"]), Speed(batch_size=2, seconds=0.001)])
    (entry,) = EvaluationReport.load(report.save(tmp_path / "report.json")).measures["speed"]
    assert entry["stimuli"] == builtin_stimuli().describe()
    assert entry["model"]["hardware"] == hardware("cpu")
    assert len(entry["model"]["scores"]) == len(entry["comparison"]["scores"]) == 1
    assert entry["comparison"]["scores"][0]["ratio"] > 0
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
