"""What the app computes: the numbers of the public evaluator, model by model, and text that says them safely."""

import re
from html.parser import HTMLParser

import pytest
import torch
import transformers
from tiny_encoders import tiny_model, tiny_tokenizer
from transformers import AddedToken, DistilBertModel, RobertaConfig, RobertaForMaskedLM, RobertaTokenizer

from evenhand.evaluation import Seat
from evenhand.evaluation.models import weights_sha256
from evenhand.evaluation.paired_difference import compare_results
from evenhand.model_cards.space.association_plot import association_plot
from evenhand.model_cards.space.compared_models import ComparedModel, LoadedModel, check_models, load_models
from evenhand.model_cards.space.comparison import HEADERS, compare, reading, table
from evenhand.model_cards.space.fill_mask import fill_gap, likeliest_table, words_table
from evenhand.model_cards.space.html_table import html_table
from evenhand.model_cards.space.own_test import Box, words_test

TEACHER = ComparedModel("teacher", "teacher", "teacher")
STUDENT = ComparedModel("student", "student", "student", "teacher")
WORDS = {"X": "man\nboy\nbrother\nson", "Y": "woman\ngirl\nsister\ndaughter", "A": "office\nsalary\nbusiness", "B": "home\nfamily\nwedding"}  # fmt: skip
BOXES = {role: Box(f"set {role}", text) for role, text in WORDS.items()}


@pytest.fixture(scope="module")
def models():
    tokenizer = tiny_tokenizer()
    return [LoadedModel(a, tiny_model(tokenizer, seed).eval(), tokenizer) for seed, a in enumerate((TEACHER, STUDENT))]


def test_the_numbers_are_those_of_the_evaluator_on_a_file_of_the_same_words(models, tmp_path):
    sets = "".join(f"  {r}: {{class: noun, words: [{', '.join(text.split())}]}}\n" for r, text in WORDS.items())
    (tmp_path / "own.yaml").write_text(f"sets:\n{sets}tests:\n  own: {{X: X, Y: Y, A: A, B: B}}\n")
    seat = Seat(pooling="cls", stimuli=tmp_path / "own.yaml")
    expected = [seat.run(loaded.model, loaded.tokenizer) for loaded in models]
    comparison = compare(models, words_test(BOXES), "cls")
    named = {role: f"set {role}" for role in "XYAB"}
    for loaded, result in zip(models, expected, strict=True):
        of_file = result.tests["own"].to_dict()
        of_file |= {"targets": [named["X"], named["Y"]], "attributes": [named["A"], named["B"]]}
        assert comparison.test(loaded.about.name) == of_file
    change = compare_results(expected[1].to_dict(), expected[0].to_dict())["tests"]["own"]
    assert comparison.differences == {"student": change}
    rows = table(comparison)
    d, (low, high) = expected[1].tests["own"].effect_size, expected[1].tests["own"].confidence_interval
    assert rows[1][:3] == ["student (student)", f"{d:+.3f}", f"[{low:+.2f}, {high:+.2f}]"]
    assert rows[1][3] == f"{expected[1].tests['own'].p_value:.4f}"
    assert rows[1][5] == f"{change['difference']:+.3f}" and rows[0][5:] == ["–"] * 3
    assert all(len(row) == len(HEADERS) for row in rows)


def test_what_is_said_follows_from_the_numbers(models):
    comparison = compare(models, words_test(BOXES))
    said = reading(comparison)
    d = comparison.test("teacher")["effect_size"]
    near, far = ("set X", "set Y") if d > 0 else ("set Y", "set X")
    assert f"**teacher (teacher)**: {near} lean to set A, {far} to set B (d {d:+.3f}" in said
    low, high = comparison.test("teacher")["confidence_interval"]
    first = said.splitlines()[0]
    assert ("may be chance" in first) == (low <= 0 <= high)
    words = {"better": "weaker than", "worse": "stronger than"}
    verdict = comparison.differences["student"]["verdict"]
    assert f"Its association is {words.get(verdict, 'not distinguishable in strength from')} its teacher's" in said
    assert "4 words in X, 4 words in Y, 3 words in A, 3 words in B, 112 sentences, pooling mean" in said


def test_a_model_that_cannot_be_measured_has_its_reason_and_the_others_their_numbers(models):
    unlike = tiny_tokenizer()
    unlike.add_special_tokens({"unk_token": "[UNK]"})
    boxes = {**BOXES, "A": Box("set A", "office\nsalary\nzebrafish")}
    frames = "This is {word}."
    broken = LoadedModel(ComparedModel("no words", "x"), models[0].model, unlike)
    with pytest.raises(ValueError, match=r"^no words: .*does not know 'zebrafish'"):
        compare([broken], words_test(boxes, frames))
    model = tiny_model(unlike, 3)
    with torch.no_grad():
        model.distilbert.embeddings.word_embeddings.weight.fill_(float("nan"))
    comparison = compare(
        [*models, LoadedModel(ComparedModel("broken", "x", "student", "teacher"), model, unlike)], words_test(BOXES)
    )
    assert table(comparison)[2] == ["broken (student)", *["–"] * 7]
    assert "**broken (student)** could not be measured: the model's output for" in reading(comparison)
    assert set(comparison.differences) == {"student"}


def test_the_plot_shows_every_measured_model_at_its_effect_size(models):
    comparison = compare(models, words_test(BOXES))
    axes = association_plot(comparison).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["teacher", "student"]
    points = [line.get_xdata()[0] for line in axes.lines if line.get_marker() not in ("", "None", None)]
    assert points == [comparison.test(name)["effect_size"] for name in ("teacher", "student")]


class Texts(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_names_and_words_are_shown_as_they_stand(models):
    hostile = "<img src=x onerror=alert(1)>|`*"
    page = Texts(html_table(hostile, [hostile, "d"], [[hostile, '"&<b>']]))
    assert set(page.tags) == {"div", "table", "caption", "thead", "tr", "th", "tbody", "td"}
    assert page.texts == [hostile, hostile, "d", hostile, '"&<b>']
    renamed = LoadedModel(ComparedModel(hostile, "x"), models[0].model, models[0].tokenizer)
    boxes = {**BOXES, "X": Box("<script>alert(1)</script>\n| x |", WORDS["X"])}
    said = reading(compare([renamed], words_test(boxes)))
    assert not re.search(r"<(img|script)|\| x \|", said)


def test_a_gap_is_filled_as_the_pipeline_of_transformers_fills_it(models):
    filled = fill_gap(models, "The [MASK] came up again.", 4, ["man", "zzz", "man", " woman "])
    for loaded, one in zip(models, filled, strict=True):
        pipeline = transformers.pipeline("fill-mask", model=loaded.model, tokenizer=loaded.tokenizer)
        expected = [(a["token_str"], pytest.approx(a["score"], rel=1e-4)) for a in pipeline("The [MASK] came up again.", top_k=4)]  # fmt: skip
        assert list(one.likeliest) == expected
        words = {a["token_str"]: a["score"] for a in pipeline("The [MASK] came up again.", targets=["man", "woman"])}
        assert dict(one.words) == {
            "man": pytest.approx(words["man"], rel=1e-4),
            "woman": pytest.approx(words["woman"], rel=1e-4),
            "zzz": None,
        }
    assert [row[0] for row in likeliest_table(filled)] == ["1", "2", "3", "4"]
    rows = words_table(filled)
    assert [row[0] for row in rows] == ["man", "zzz", "woman"] and rows[1][1:] == ["not one token"] * 2


def test_a_vocabulary_with_blanks_before_words_gives_the_form_that_belongs_into_the_gap():
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"Ġheshaytrwmnoi.", "he", "she", "Ġhe", "Ġs", "Ġshe", "He"]
    merges = [("h", "e"), ("s", "he"), ("Ġ", "he"), ("Ġ", "s"), ("Ġ", "she"), ("H", "e")]
    vocabulary = {token: i for i, token in enumerate([*dict.fromkeys(tokens), "H"])}
    # as published: the mask takes the blank before it
    mask = AddedToken("<mask>", lstrip=True, special=True)
    tokenizer = RobertaTokenizer(vocab=vocabulary, merges=merges, model_max_length=32, mask_token=mask)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    torch.manual_seed(0)
    model = RobertaForMaskedLM(RobertaConfig(vocab_size=len(vocabulary), max_position_embeddings=40, **sizes)).eval()
    loaded = LoadedModel(ComparedModel("roberta", "x"), model, tokenizer)
    for sentence, form in (("He saw [MASK].", "Ġhe"), ("[MASK] saw.", "he")):
        (filled,) = fill_gap([loaded], sentence, 20, ["he"])
        ids = tokenizer(sentence.replace("[MASK]", "<mask>"), return_tensors="pt")
        place = ids["input_ids"][0].tolist().index(tokenizer.mask_token_id)
        expected = model(**ids).logits[0, place].softmax(-1)[vocabulary[form]].item()
        assert dict(filled.words)["he"] == pytest.approx(expected, rel=1e-4)


def test_a_model_without_a_masked_lm_head_fills_no_gap(models):
    headless = LoadedModel(ComparedModel("encoder", "x"), DistilBertModel(models[0].model.config), models[0].tokenizer)
    filled = fill_gap([models[0], headless], "The [MASK] came up again.", 2, ["man"])
    assert "no masked-LM head" in filled[1].reason
    assert likeliest_table(filled)[0][2] == filled[1].reason and words_table(filled)[0][2] == "–"


@pytest.mark.parametrize(
    ("sentence", "n_tokens", "words", "fault"),
    [
        ("No gap.", 5, [], "holds [MASK] 0 times"),
        ("[MASK] and [MASK].", 5, [], "holds [MASK] 2 times"),
        ("[MASK]" + "x" * 500, 5, [], "at most 500 characters"),
        ("[MASK].", 5, [f"w{i}" for i in range(21)], "20 words"),
        ("[MASK].", 0, [], "between 1 and 20 tokens"),
    ],
)
def test_a_sentence_that_has_no_gap_is_one_line(models, sentence, n_tokens, words, fault):
    with pytest.raises(ValueError) as refused:
        fill_gap(models, sentence, n_tokens, words)
    assert fault in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("models", "fault"),
    [
        ([], "the app needs a model"),
        ([TEACHER, TEACHER], "two models would be called 'teacher'"),
        ([STUDENT], "its teacher 'teacher' is not among the models"),
        ([ComparedModel("x", "x", "pupil")], "the role is 'pupil'"),
        ([ComparedModel(str(i), "x") for i in range(13)], "at most 12 models"),
    ],
)
def test_a_list_that_the_app_cannot_show_is_refused(models, fault):
    with pytest.raises(ValueError, match=fault):
        check_models(models)


def test_folders_are_loaded_and_what_is_no_model_is_one_line(models, tmp_path):
    for part in (models[0].model, models[0].tokenizer):
        part.save_pretrained(tmp_path)
    (loaded,) = load_models([ComparedModel("student", str(tmp_path))])
    assert weights_sha256(loaded.model) == weights_sha256(models[0].model) and not loaded.model.training
    assert loaded.tokenizer.get_vocab() == models[0].tokenizer.get_vocab()
    for source in ("neither/a/model", "no such id!"):
        with pytest.raises(FileNotFoundError, match="neither a model folder here nor the id"):
            load_models([ComparedModel("x", source)])
