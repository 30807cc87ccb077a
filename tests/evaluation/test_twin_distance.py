"""How far apart a model holds a sentence and its gender twin, against a slow computation in float64."""

import copy
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_masked_lms as tiny
import torch
from scipy import stats

from evenhand.evaluation import Seat, evaluate_model
from evenhand.evaluation.effect_parts import effect_parts
from evenhand.evaluation.evaluator import NotApplicable
from evenhand.evaluation.gender_swaps import builtin_swaps
from evenhand.evaluation.gender_twins import align, builtin_twins
from evenhand.evaluation.report import EvaluationReport
from evenhand.evaluation.stimuli import GENDER_TESTS, builtin_stimuli
from evenhand.evaluation.twin_distance import TwinDistance
from evenhand.evaluation.twin_distance_result import PlaceStates

TEXTS = builtin_stimuli().of_families(["gender", "gender-extended"]).distinct_sentences
SCORES = [
    f"{place}_{key}"
    for place in ("word", "other", "pooled")
    for key in ("cosine_distance", "relative_distance", "mean_cosine", "share")
]


@pytest.fixture(scope="module")
def bert(make_bert):
    return make_bert()


@pytest.fixture(scope="module")
def result(bert, tiny_tokenizer):
    return TwinDistance().run(bert, tiny_tokenizer)


def values_of(result):
    return {score.key: score.value for score in result.scores}


def slow_states(model, tokenizer, twins, side):
    """(states at the word, at the others, mean of all) of one sentence of words that are one token each, in float64."""
    sentence = twins.sentences[side]
    words = re.findall(r"\w+|\.", sentence.lower())
    place = words.index(twins.words[side])
    ids = [tokenizer.cls_token_id, *tokenizer.convert_tokens_to_ids(words), tokenizer.sep_token_id]
    with torch.no_grad():
        hidden = model.bert(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
    others = [1 + i for i in range(len(words)) if i != place]
    return hidden[1 + place], hidden[others], hidden.mean(axis=0)


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_numbers_equal_a_slow_computation_in_float64(bert, tiny_tokenizer, result):
    exact, twins = tiny.in_float64(bert), builtin_twins()
    cosines = {"word": {}, "other": {}, "pooled": {}}
    relative, vectors = copy.deepcopy(cosines), copy.deepcopy(cosines)
    for one in twins:
        sides = [slow_states(exact, tiny_tokenizer, one, side) for side in (0, 1)]
        for place, a, b in zip(cosines, *sides, strict=True):
            a, b = np.atleast_2d(a), np.atleast_2d(b)
            pairs = list(zip(a, b, strict=True))
            cosines[place].setdefault(one.name, []).append(np.mean([1 - cosine(x, y) for x, y in pairs]))
            lengths = [2 * np.linalg.norm(x - y) / (np.linalg.norm(x) + np.linalg.norm(y)) for x, y in pairs]
            relative[place].setdefault(one.name, []).append(np.mean(lengths))
            vectors[place].setdefault(one.name, []).append([*a, *b])
    found = values_of(result)
    assert list(found) == SCORES
    for place in cosines:
        distance = np.mean([np.mean(values) for values in cosines[place].values()])
        assert found[f"{place}_cosine_distance"] == pytest.approx(distance, abs=2e-6)
        of_pairs = np.mean([np.mean(values) for values in relative[place].values()])
        assert found[f"{place}_relative_distance"] == pytest.approx(of_pairs, abs=2e-6)
        if place == "other":  # 2,000 vectors; the same code as for the rest, which is checked pair by pair
            continue
        names = list(vectors[place])
        between = [
            np.mean([cosine(x, y) for s in vectors[place][n] for x in s for t in vectors[place][m] for y in t])
            for i, n in enumerate(names[:6])
            for m in names[:i]
        ]
        states = result.places[place].only(names[:6])
        assert states.mean_cosine() == pytest.approx(np.mean(between), abs=2e-6)
        share = found[f"{place}_share"] * (1 - found[f"{place}_mean_cosine"])
        assert share == pytest.approx(distance, abs=2e-6)


def test_twins_are_every_gendered_word_in_every_frame_and_differ_in_it_alone():
    twins, swaps = builtin_twins(), builtin_swaps()
    assert len(twins) == 192 and len({one.name for one in twins}) == 24
    for one in twins:
        parts = [s[:start] + "_" + s[end:] for s, (start, end) in zip(one.sentences, one.spans, strict=True)]
        assert parts[0] == parts[1]
        shown = tuple(s[start:end].lower() for s, (start, end) in zip(one.sentences, one.spans, strict=True))
        assert shown == one.words
        # the rule of the swaps agrees wherever it has no choice to make
        if one.words[0] not in ("his", "him"):
            assert swaps.swap(one.sentences[0]) == one.sentences[1]


def test_a_model_that_sees_no_gender_has_twins_at_distance_zero(bert, tiny_tokenizer):
    blind = copy.deepcopy(bert)
    table = blind.get_input_embeddings().weight
    with torch.no_grad():
        for one in builtin_twins():
            male, female = tiny_tokenizer.convert_tokens_to_ids(list(one.words))
            table[female] = table[male]
    found = values_of(TwinDistance().run(blind, tiny_tokenizer))
    for place in ("word", "other", "pooled"):
        assert found[f"{place}_cosine_distance"] == found[f"{place}_share"] == 0
        assert found[f"{place}_relative_distance"] == 0
    assert found["word_mean_cosine"] < 0.99


def test_a_narrow_cone_makes_distances_small_and_leaves_the_share():
    """The same directions around a common vector: everything is near everything, and twins no nearer than before."""
    draw = np.random.default_rng(0)
    names, base = [f"m{i}/f{i}" for i in range(40)], draw.standard_normal((40, 300))
    male, female = base + 0.3 * draw.standard_normal((40, 300)), base + 0.3 * draw.standard_normal((40, 300))
    wide, narrow = (
        PlaceStates.of(names, [m[None] + shift for m in male], [f[None] + shift for f in female])
        for shift in (0.0, 5.0)
    )
    assert narrow.cosine.mean() < 0.1 * wide.cosine.mean() and narrow.mean_cosine() > 0.9 > 0.1 > wide.mean_cosine()
    assert narrow.share() == pytest.approx(wide.share(), rel=0.05)


def test_the_interval_of_a_mean_is_the_t_interval_over_pairs_of_words(result):
    values = result.places["word"].cosine
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    score = next(score for score in result.scores if score.key == "word_cosine_distance")
    assert score.confidence_interval == pytest.approx((low, high)) and score.n == 24
    share = next(score for score in result.scores if score.key == "word_share")
    assert share.confidence_interval[0] < share.value < share.confidence_interval[1]


def test_effect_sizes_are_seat_s_and_come_apart_into_their_parts(bert, tiny_tokenizer, result):
    seat = Seat(families=["gender"]).run(bert, tiny_tokenizer)
    assert list(result.tests) == list(GENDER_TESTS)
    for name, parts in result.tests.items():
        assert parts["effect_size"] == pytest.approx(seat.tests[name].effect_size, abs=1e-9)
        cosines = parts["mean_cosines"]
        assert parts["means"]["X"] == pytest.approx(cosines["XA"] - cosines["XB"])
        assert parts["numerator"] == pytest.approx(cosines["XA"] - cosines["XB"] - cosines["YA"] + cosines["YB"])
        assert parts["effect_size"] == pytest.approx(parts["numerator"] / parts["denominator"])


def test_parts_of_an_effect_by_hand():
    """In the plane, with A along x and B along y, s is cos − sin of the angle."""
    at = {"X": [0.0, 0.1], "Y": [0.9, 1.4], "A": [0.0], "B": [np.pi / 2]}
    vectors = {role: np.array([[3 * np.cos(a), 3 * np.sin(a)] for a in angles]) for role, angles in at.items()}
    parts = effect_parts(SimpleNamespace(label="T"), vectors)
    s = {role: [np.cos(a) - np.sin(a) for a in at[role]] for role in "XY"}
    numerator = np.mean(s["X"]) - np.mean(s["Y"])
    deviation = np.std([*s["X"], *s["Y"]], ddof=1)
    assert parts["means"] == pytest.approx({"X": np.mean(s["X"]), "Y": np.mean(s["Y"])})
    assert (parts["numerator"], parts["denominator"]) == pytest.approx((numerator, deviation))
    assert parts["effect_size"] == pytest.approx(numerator / deviation)
    alike = effect_parts(SimpleNamespace(label="T"), {role: np.ones((2, 2)) for role in "XYAB"})
    assert alike["effect_size"] is None


def test_words_of_several_tokens_are_averaged_and_twins_of_unequal_lengths_left_out():
    split = ("nephew", "niece", "duchess")
    tokenizer = tiny.word_tokenizer(TEXTS, split=split)
    model = tiny.bert(tokenizer)
    result = TwinDistance().run(model, tokenizer)
    assert result.left_out == {"unknown_words": [], "n_unaligned": 8}
    assert "duke/duchess" not in result.n_twins and result.n_twins["nephew/niece"] == 8
    assert result.note == "left out: 8 twins of unequal numbers of tokens"
    exact, distances = tiny.in_float64(model), []
    twins = [one for one in builtin_twins() if one.name == "nephew/niece"]
    pieces = {id_ for word in split for id_ in tokenizer(word, add_special_tokens=False)["input_ids"]}
    for one in twins:
        states = []
        for sentence in one.sentences:
            ids = tokenizer(sentence)["input_ids"]
            places = [place for place, id_ in enumerate(ids) if id_ in pieces]
            with torch.no_grad():
                hidden = exact.bert(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
            states.append(hidden[places].mean(axis=0))
            assert len(places) == 2
        distances.append(1 - cosine(*states))
    found = result.places["word"]
    assert found.cosine[found.words.index("nephew/niece")] == pytest.approx(np.mean(distances), abs=2e-6)
    aligned, _ = align(twins[:1], tokenizer)
    assert aligned[0].word == (5, 6) and aligned[0].others == (1, 2, 3, 4, 7)


def test_unknown_words_are_left_out_and_named_but_those_of_seat_are_needed():
    tokenizer = tiny.word_tokenizer(TEXTS, without=["stepfather", "bride"])
    result = TwinDistance().run(tiny.bert(tokenizer), tokenizer)
    assert result.left_out["unknown_words"] == ["bride", "stepfather"] and len(result.n_twins) == 22
    assert result.note == "left out: words that the tokenizer does not know: bride, stepfather"
    tokenizer = tiny.word_tokenizer(TEXTS, without=["algebra"])
    with pytest.raises(NotApplicable, match="does not know 'algebra'"):
        TwinDistance().run(tiny.bert(tokenizer), tokenizer)


def test_a_byte_level_tokenizer_finds_the_word_at_either_place_of_a_sentence():
    tokenizer = tiny.byte_tokenizer(TEXTS, size=2000)
    (first,) = [t for t in builtin_twins() if t.sentences[0] == "He came up again."]
    (later,) = [t for t in builtin_twins() if t.sentences[0] == "They had heard that he was there before."]
    for one in (first, later):
        aligned, _ = align([one], tokenizer)
        ids = tokenizer(one.sentences[1])["input_ids"]
        text = tokenizer.decode([ids[place] for place in aligned[0].word])
        assert text.strip().lower() == "she"
    assert np.isfinite(list(values_of(TwinDistance().run(tiny.roberta(tokenizer), tokenizer)).values())).all()


def test_the_batch_does_not_matter_and_the_model_is_left_as_it_was(bert, tiny_tokenizer, result):
    before = {name: tensor.clone() for name, tensor in bert.state_dict().items()}
    bert.train()
    one = TwinDistance(batch_size=1).run(bert, tiny_tokenizer)
    assert bert.training and all(torch.equal(before[name], tensor) for name, tensor in bert.state_dict().items())
    bert.eval()
    assert values_of(one) == pytest.approx(values_of(result), abs=1e-5)


def test_a_difference_is_paired_by_word(bert, tiny_tokenizer, result):
    torch.manual_seed(5)
    other = copy.deepcopy(bert)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    reference = TwinDistance().run(other, tiny_tokenizer)
    change = {one["key"]: one for one in TwinDistance().compare(result, reference)["scores"]}
    paired = result.places["word"].cosine - reference.places["word"].cosine
    low, high = stats.t.interval(0.95, 23, paired.mean(), stats.sem(paired))
    assert change["word_cosine_distance"]["difference"] == pytest.approx(paired.mean())
    assert change["word_cosine_distance"]["confidence_interval"] == pytest.approx([low, high])
    assert list(change) == SCORES and {one["verdict"] for one in change.values()} == {None}
    nothing = result.compare(result)["scores"]
    assert all(one["difference"] == 0 for one in nothing)


def test_only_words_that_both_models_know_are_compared(result):
    tokenizer = tiny.word_tokenizer(TEXTS, without=["stepfather", "bride"])
    reference = TwinDistance().run(tiny.bert(tokenizer), tokenizer)
    change = result.compare(reference)["scores"][0]
    known = [name for name in result.n_twins if name not in ("stepfather/stepmother", "groom/bride")]
    mine, theirs = (one.places["word"].only(known).cosine.mean() for one in (result, reference))
    assert change["n"] == 22 and change["difference"] == pytest.approx(mine - theirs)


def test_what_it_cannot_be_taken_on_is_said_in_one_line(bert, tiny_tokenizer):
    slow = SimpleNamespace(is_fast=False)
    with pytest.raises(NotApplicable, match="no character offsets"):
        TwinDistance().run(bert, slow)
    tokenizer = tiny.word_tokenizer(
        TEXTS, without=[one.words[1] for one in builtin_twins() if one.words[1] != "sister"]
    )
    with pytest.raises(NotApplicable, match="only 1 pairs of gendered words"):
        TwinDistance().run(tiny.bert(tokenizer), tokenizer)
    for settings, message in (({"pooling": "median"}, "median"), ({"confidence_level": 1.0}, "confidence_level")):
        with pytest.raises(ValueError, match=message):
            TwinDistance(**settings)


def test_a_report_holds_and_checks_it(bert, tiny_tokenizer, tmp_path):
    bert.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    evaluators = [Seat(tests=["C6"]), "twin_distance", TwinDistance(pooling="cls")]
    report = evaluate_model(tmp_path / "model", tmp_path / "model", evaluators)
    report.save(tmp_path / "report.json")
    entries = EvaluationReport.load(tmp_path / "report.json").measures["twin_distance"]
    assert [entry["pooling"] for entry in entries] == ["mean", "cls"]
    assert entries[0]["model"]["word_pairs"]["man/woman"]["n_twins"] == 8
    assert entries[0]["comparison"]["scores"][0]["difference"] == 0
    data = json.loads((tmp_path / "report.json").read_text())
    del data["measures"]["twin_distance"][0]["model"]["tests"]["sent-weat6"]["numerator"]
    with pytest.raises(ValueError, match="numerator is missing"):
        EvaluationReport.from_dict(data)
