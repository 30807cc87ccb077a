"""The evaluator as a whole, on tiny models; and on all-MiniLM-L6-v2 against published code's numbers."""

import json
import time

import numpy as np
import pytest
import torch

from evenhand.evaluation import Seat
from evenhand.evaluation.association import measure
from evenhand.evaluation.detectable_effect import detectable_effect_size
from evenhand.evaluation.multiplicity import holm
from evenhand.evaluation.stimuli import GENDER_TESTS, AssociationTest, Stimulus, StimulusSet

GENDER = Seat(families=["gender"])


@pytest.fixture(scope="module")
def result(make_bert, tiny_tokenizer):
    return GENDER.run(make_bert(), tiny_tokenizer)


def test_result_holds_every_test_with_its_numbers(result):
    assert tuple(result.tests) == GENDER_TESTS
    assert result.n_distinct_sentences == len(GENDER.loaded_stimuli.distinct_sentences) > 600
    for test in result.tests.values():
        low, high = test.confidence_interval
        assert -2 <= low < test.effect_size < high <= 2
        assert 0 < test.p_value <= test.p_value_holm <= 1
        assert (test.p_value_method, test.p_value_permutations) == ("exact", 12870)
        assert (test.p_value_legacy_method, test.p_value_legacy_permutations) == ("sampled", 99_999)
        assert test.n_words == {"X": 8, "Y": 8, "A": 8, "B": 8}
        assert test.n_sentences == {"X": 64, "Y": 64, "A": 64, "B": 64}
        assert test.standard_error > 0
        assert -0.2 < test.word_correlation <= 1
        assert 0.5 < test.detectable_effect_size < 1.5


def test_mean_of_absolute_effect_sizes(result):
    sizes = [abs(test.effect_size) for test in result.tests.values()]
    assert result.mean_absolute_effect_size == pytest.approx(sum(sizes) / 6)


def test_on_built_in_sentences_words_and_sentences_weigh_alike(result):
    for test in result.tests.values():
        assert test.effect_size_word_balanced == pytest.approx(test.effect_size, abs=1e-9)
        assert test.p_value_word_balanced == pytest.approx(test.p_value)
        assert test.sign_disagreement is False


def test_a_family_counts_the_distinct_sentences_of_its_own_tests(make_bert, tiny_tokenizer):
    seat = Seat(tests=["C6", "C6b", "C1"])
    result = seat.run(make_bert(), tiny_tokenizer)
    for family, labels in (("gender", ("C6", "C6b")), ("control", ("C1",))):
        tests = [test for test in seat.loaded_stimuli.tests if test.label in labels]
        sentences = {one.sentence for test in tests for role in test.sets.values() for one in role.stimuli}
        assert result.families[family]["n_sentences"] == len(sentences) < result.n_distinct_sentences


def test_holm_is_over_the_six(result):
    adjusted = holm({name: test.p_value for name, test in result.tests.items()})
    assert {name: test.p_value_holm for name, test in result.tests.items()} == adjusted


def test_dictionary_is_plain_json(result):
    content = result.to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["stimuli"] == GENDER.loaded_stimuli.describe()
    assert content["tests"]["sent-weat6b"]["label"] == "C6b"
    assert content["tests"]["sent-weat6b"]["targets"] == ["male terms", "female terms"]


def test_a_test_alone_gives_what_it_gives_among_the_others(result, tiny_bert, tiny_tokenizer):
    alone = Seat(tests=["C7"]).run(tiny_bert, tiny_tokenizer)
    assert list(alone.tests) == ["sent-weat7"]
    # Vectors may differ in the last bits as batches are others.
    assert alone.tests["sent-weat7"].effect_size == pytest.approx(result.tests["sent-weat7"].effect_size, abs=1e-6)
    assert alone.tests["sent-weat7"].p_value_legacy == result.tests["sent-weat7"].p_value_legacy
    assert alone.mean_absolute_effect_size is None
    assert "sent-weat6" in alone.note
    assert alone.to_dict()["mean_absolute_effect_size"] is None


def test_family_is_summed_up(result):
    family = result.families["gender"]
    assert list(result.families) == ["gender"]
    assert family["tests"] == list(GENDER_TESTS)
    assert family["mean_absolute_effect_size"] == pytest.approx(result.mean_absolute_effect_size)
    low, high = family["confidence_interval"]
    assert 0 <= low < family["mean_absolute_effect_size"] < high < 2
    floor = family["noise_floor"]
    assert 0 < floor["expected"] < floor["quantile_95"] < 1
    assert 0 < floor["p_value"] <= 1
    assert family["detectable_effect_size"] == max(test.detectable_effect_size for test in result.tests.values())
    assert family["note"] is None


def test_checks_on_the_model_stand_beside_the_numbers(result):
    content = result.to_dict()
    assert content["random_labels"]["relabellings"] == 198
    assert 0 <= content["random_labels"]["rejected"] <= 0.12
    assert -1 <= content["anisotropy"]["mean_cosine"] <= 1


def test_part_of_a_family_says_so(tiny_bert, tiny_tokenizer):
    family = Seat(tests=["C6", "C7"]).run(tiny_bert, tiny_tokenizer).families["gender"]
    assert family["tests"] == ["sent-weat6", "sent-weat7"]
    assert family["note"] == "over 2 of the family's 6 tests"


def test_families_are_chosen_by_name_and_corrected_each_on_its_own():
    by_default = Seat().loaded_stimuli
    assert by_default.families == ("gender", "gender-extended", "control")
    assert Seat(families=["race"]).loaded_stimuli.families == ("race",)
    assert [test.family for test in Seat(tests=["C9"]).loaded_stimuli.tests] == ["health"]
    with pytest.raises(ValueError, match="'taste' is not in evenhand built-in sentences"):
        Seat(families=["taste"]).settings()
    seat = Seat(tests=["C6", "C6b", "C1", "C9", "E6"])
    vectors = np.random.default_rng(0).normal(size=(len(seat.loaded_stimuli.distinct_sentences), 16))
    result = seat.result_of(vectors)
    assert {name: test.p_value_holm is None for name, test in result.tests.items()} == {
        name: name == "sent-weat1" for name in result.tests
    }
    assert result.tests["sent-weat9"].p_value_holm == result.tests["sent-weat9"].p_value
    gender = {name: result.tests[name].p_value for name in ("sent-weat6", "sent-weat6b")}
    assert {name: result.tests[name].p_value_holm for name in gender} == holm(gender)
    # What a test can find depends on how many it is corrected for; a control is read without correction.
    for name, steps in (("sent-weat6", 2), ("sent-weat9", 1), ("sent-weat1", 1)):
        test = result.tests[name]
        expected = detectable_effect_size(test.n_words["X"], test.n_words["Y"], 8, test.word_correlation, steps)
        assert test.detectable_effect_size == pytest.approx(expected)


def test_same_vectors_against_themselves_do_not_differ(result):
    compared = GENDER.compare(result, result)
    assert compared == json.loads(json.dumps(compared, allow_nan=False))
    assert {test["verdict"] for test in compared["tests"].values()} == {"not distinguishable"}
    assert {test["p_value"] for test in compared["tests"].values()} == {1.0}


def test_statistics_of_the_six_gender_tests_take_seconds():
    vectors = np.random.default_rng(0).normal(size=(len(GENDER.loaded_stimuli.distinct_sentences), 384))
    started = time.process_time()
    GENDER.result_of(vectors)
    assert time.process_time() - started < 5


def test_same_seed_same_result_and_pooling_matters(tiny_bert, tiny_tokenizer):
    one, two = (Seat(tests=["C6"]).run(tiny_bert, tiny_tokenizer) for _ in range(2))
    assert one == two
    cls = Seat(tests=["C6"], pooling="cls").run(tiny_bert, tiny_tokenizer)
    assert cls.tests["sent-weat6"].effect_size != one.tests["sent-weat6"].effect_size


def test_model_that_says_the_same_of_everything_has_no_effect_size(tiny_bert, tiny_tokenizer):
    last = tiny_bert.bert.encoder.layer[-1].output.LayerNorm
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(0.5)
    result = GENDER.run(tiny_bert, tiny_tokenizer)
    test = result.tests["sent-weat6"]
    assert (test.associations, test.without_word, test.detectable_effect_size) == (None, None, None)
    family = result.families["gender"]
    assert (family["mean_absolute_effect_size"], family["noise_floor"], family["detectable_effect_size"]) == (None,) * 3
    assert "no mean |d|: C6, C6b" in family["note"]
    assert result.random_labels is None
    assert (test.effect_size, test.p_value, test.confidence_interval, test.p_value_holm) == (None, None, None, None)
    assert "alike" in test.note
    assert result.mean_absolute_effect_size is None
    json.dumps(result.to_dict(), allow_nan=False)


def named_set(name, counts):
    stimuli = [Stimulus(f"{word} {i}", word, "") for word, n in counts.items() for i in range(n)]
    return StimulusSet(name, tuple(stimuli))


def test_disagreement_in_sign_between_sentences_and_words_is_flagged():
    # One word of X with many sentences leans to A, two with few lean to B.
    X, Y = named_set("x", {"p": 12, "q": 2, "r": 2}), named_set("y", {"s": 5, "t": 5, "u": 5})
    A, B = named_set("a", {"k": 2, "l": 2}), named_set("b", {"m": 2, "n": 2})
    test = AssociationTest("sent-weat6", "C6", X, Y, A, B, "gender")
    lean = {"p": 0.4, "q": -0.6, "r": -0.5, "s": 0.1, "t": -0.1, "u": 0.02}
    plane = {role: np.array([[np.sin(lean[w]), np.cos(lean[w])] for w in s.words]) for role, s in (("X", X), ("Y", Y))}
    vectors = {**plane, "A": np.tile([1.0, 0.1], (4, 1)), "B": np.tile([-1.0, 0.1], (4, 1))}
    result = measure(test, vectors)
    assert result.effect_size > 0 > result.effect_size_word_balanced
    assert result.sign_disagreement is True


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"pooling": "max"}, "pooling 'max'"),
        ({"confidence_level": 95}, "confidence_level"),
        ({"seed": -1}, "seed"),
        ({"tests": "C6"}, "tests must be a list"),
        ({"families": "gender"}, "families must be a list"),
    ],
)
def test_unusable_settings_are_refused_at_once(arguments, fault):
    with pytest.raises(ValueError, match=fault):
        Seat(**arguments)


GOLDEN = {"cls": {"C6": 1.4019, "C6b": 0.5432, "C7": 0.2836}, "mean": {"C6": 1.2938, "C6b": 0.2765, "C7": 0.7279}}


@pytest.fixture(scope="module")
def on_sent_bias(minilm, shared_data):
    """all-MiniLM-L6-v2 on the six gender tests and both controls of sent-bias, by pooling."""
    tests = [*GENDER_TESTS, "C1", "C2"]
    return {pooling: Seat(pooling, shared_data / "seat", tests).run(*minilm) for pooling in GOLDEN}


@pytest.mark.shared
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_minilm_on_sent_bias_matches_reference_code(pooling, on_sent_bias):
    result = on_sent_bias[pooling]
    by_label = {test.label: test for test in result.tests.values()}
    assert {label: round(by_label[label].effect_size, 4) for label in GOLDEN[pooling]} == GOLDEN[pooling]
    assert round(result.mean_absolute_effect_size, 3) == {"cls": 0.778, "mean": 0.958}[pooling]


@pytest.mark.shared
def test_minilm_agrees_with_a_few_independent_lines_in_float64(on_sent_bias, minilm_folder, shared_data):
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(minilm_folder)
    model = AutoModel.from_pretrained(minilm_folder).double().eval()
    files = {name: json.loads((shared_data / "seat" / f"{name}.jsonl").read_text()) for name in GENDER_TESTS}
    keys = ("targ1", "targ2", "attr1", "attr2")
    sentences = sorted({s for sets in files.values() for key in keys for s in sets[key]["examples"]})
    ids = {sentence: tokenizer(sentence)["input_ids"] for sentence in sentences}
    unit = {"cls": {}, "mean": {}}
    for length in set(map(len, ids.values())):  # only sentences of equal length together: nothing is padded
        batch = [s for s in sentences if len(ids[s]) == length]
        with torch.no_grad():
            hidden = model(input_ids=torch.tensor([ids[s] for s in batch])).last_hidden_state.numpy()
        for pooling, pooled in (("cls", hidden[:, 0]), ("mean", hidden.mean(1))):
            unit[pooling] |= {s: v / np.sqrt(v @ v) for s, v in zip(batch, pooled, strict=True)}
    for pooling, vector in unit.items():
        for name, sets in files.items():
            x, y, a, b = (np.array([vector[s] for s in sets[key]["examples"]]) for key in keys)
            s_x, s_y = ((w @ a.T).mean(1) - (w @ b.T).mean(1) for w in (x, y))
            d = (s_x.mean() - s_y.mean()) / np.concatenate([s_x, s_y]).std(ddof=1)
            assert on_sent_bias[pooling].tests[name].effect_size == pytest.approx(d, abs=1e-5)


@pytest.mark.shared
def test_controls_are_positive_and_outside_the_family(on_sent_bias):
    result = on_sent_bias["mean"]
    for label in ("sent-weat1", "sent-weat2"):
        control = result.tests[label]
        assert control.family == "control"
        assert control.effect_size > 1
        assert control.p_value < 0.001
        assert (control.p_value_method, control.p_value_permutations) == ("monte_carlo", 99_999)
        assert control.p_value_holm is None
    gender = {name: result.tests[name].p_value for name in GENDER_TESTS}
    assert {name: result.tests[name].p_value_holm for name in GENDER_TESTS} == holm(gender)
    assert result.families["control"]["mean_absolute_effect_size"] > 1


@pytest.mark.shared
def test_what_the_legacy_p_value_calls_significant_the_words_do_not(on_sent_bias):
    result = on_sent_bias["mean"]
    by_words = {"sent-weat6b": 0.633, "sent-weat7": 0.167, "sent-weat8": 0.203}
    for name, p in by_words.items():
        test = result.tests[name]
        assert test.p_value_legacy < 0.05
        assert test.p_value == pytest.approx(p, abs=0.001)
        assert 0.67 < test.word_correlation < 0.95
    assert result.random_labels["note"] is None
