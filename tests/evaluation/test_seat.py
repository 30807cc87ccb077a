"""The evaluator as a whole, on tiny models; and on all-MiniLM-L6-v2 against published code's numbers."""

import json

import numpy as np
import pytest
import torch

from evenhand.evaluation import Seat
from evenhand.evaluation.association import measure
from evenhand.evaluation.multiplicity import holm
from evenhand.evaluation.stimuli import GENDER_TESTS, AssociationTest, Stimulus, StimulusSet, builtin_stimuli


@pytest.fixture(scope="module")
def result(make_bert, tiny_tokenizer):
    return Seat().run(make_bert(), tiny_tokenizer)


def test_result_holds_every_test_with_its_numbers(result):
    assert tuple(result.tests) == GENDER_TESTS
    assert result.n_distinct_sentences == len(builtin_stimuli().distinct_sentences) == 632
    for test in result.tests.values():
        low, high = test.confidence_interval
        assert -2 <= low < test.effect_size < high <= 2
        assert 0 < test.p_value <= test.p_value_holm <= 1
        assert (test.p_value_method, test.p_value_permutations) == ("exact", 12870)
        assert (test.p_value_legacy_method, test.p_value_legacy_permutations) == ("sampled", 99_999)
        assert test.n_words == {"X": 8, "Y": 8, "A": 8, "B": 8}
        assert test.n_sentences == {"X": 64, "Y": 64, "A": 64, "B": 64}


def test_mean_of_absolute_effect_sizes(result):
    sizes = [abs(test.effect_size) for test in result.tests.values()]
    assert result.mean_absolute_effect_size == pytest.approx(sum(sizes) / 6)


def test_on_built_in_sentences_words_and_sentences_weigh_alike(result):
    for test in result.tests.values():
        assert test.effect_size_word_balanced == pytest.approx(test.effect_size, abs=1e-9)
        assert test.p_value_word_balanced == pytest.approx(test.p_value)
        assert test.sign_disagreement is False


def test_holm_is_over_the_six(result):
    adjusted = holm({name: test.p_value for name, test in result.tests.items()})
    assert {name: test.p_value_holm for name, test in result.tests.items()} == adjusted


def test_dictionary_is_plain_json(result):
    content = result.to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["stimuli"] == builtin_stimuli().describe()
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
    result = Seat().run(tiny_bert, tiny_tokenizer)
    test = result.tests["sent-weat6"]
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
    ],
)
def test_unusable_settings_are_refused_at_once(arguments, fault):
    with pytest.raises(ValueError, match=fault):
        Seat(**arguments)


GOLDEN = {"cls": {"C6": 1.4019, "C6b": 0.5432, "C7": 0.2836}, "mean": {"C6": 1.2938, "C6b": 0.2765, "C7": 0.7279}}


@pytest.mark.shared
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_minilm_on_sent_bias_matches_reference_code(pooling, minilm, shared_data):
    gender = Seat(pooling=pooling, stimuli=shared_data / "seat", tests=list(GENDER_TESTS)).run(*minilm)
    by_label = {test.label: test for test in gender.tests.values()}
    assert {label: round(by_label[label].effect_size, 4) for label in GOLDEN[pooling]} == GOLDEN[pooling]
    assert round(gender.mean_absolute_effect_size, 3) == {"cls": 0.778, "mean": 0.958}[pooling]


@pytest.mark.shared
def test_minilm_agrees_with_a_few_independent_lines_in_float64(minilm, minilm_folder, shared_data):
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(minilm_folder)
    model = AutoModel.from_pretrained(minilm_folder).double().eval()
    sets = json.loads((shared_data / "seat" / "sent-weat6.jsonl").read_text())

    def hidden(sentence):
        with torch.no_grad():
            return model(**tokenizer(sentence, return_tensors="pt")).last_hidden_state[0].numpy()

    states = [[hidden(s) for s in sets[key]["examples"]] for key in ("targ1", "targ2", "attr1", "attr2")]
    for pooling, pool in {"cls": lambda h: h[0], "mean": lambda h: h.mean(0)}.items():
        x, y, a, b = (np.array([pool(h) / np.sqrt(pool(h) @ pool(h)) for h in of_set]) for of_set in states)
        s_x, s_y = ((w @ a.T).mean(1) - (w @ b.T).mean(1) for w in (x, y))
        d = (s_x.mean() - s_y.mean()) / np.concatenate([s_x, s_y]).std(ddof=1)
        ours = Seat(pooling=pooling, stimuli=shared_data / "seat", tests=["C6"]).run(*minilm)
        assert ours.tests["sent-weat6"].effect_size == pytest.approx(d, abs=1e-5)


@pytest.mark.shared
def test_controls_are_positive_and_outside_the_family(minilm, shared_data):
    result = Seat(stimuli=shared_data / "seat", tests=["C1", "C2", "C6"]).run(*minilm)
    for label in ("sent-weat1", "sent-weat2"):
        control = result.tests[label]
        assert control.family == "control"
        assert control.effect_size > 1
        assert control.p_value < 0.001
        assert (control.p_value_method, control.p_value_permutations) == ("monte_carlo", 99_999)
        assert control.p_value_holm is None
    assert result.tests["sent-weat6"].p_value_holm == result.tests["sent-weat6"].p_value
