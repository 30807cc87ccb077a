"""Classifiers of sentence pairs with the tokenizer that a task recipe makes, which gives the second sentence a type of its own."""

import numpy as np
import pytest
import torch
from tiny_classifiers import TEXT_KINDS, WORDS, text_rows, toy_texts

from evenhand.evaluation.counterfactual_consistency import class_probabilities
from evenhand.evaluation.glue_data import GlueSplit
from evenhand.evaluation.glue_finetuning import features
from evenhand.evaluation.grouped_data import GroupedData
from evenhand.evaluation.groups import Groups
from evenhand.evaluation.internals import Internals
from evenhand.evaluation.tokenized import input_names
from evenhand.launch.planted_tokenizer import build_tokenizer
from evenhand.trainer.classifiers import ClassifierShape, new_classifier
from evenhand.trainer.model_inputs import inputs_for

LABELS = ("negative", "positive")
SHAPE = ClassifierShape(width=16, layers=2, heads=2, max_positions=32)


def pairs(n=60):
    texts, labels, groups = toy_texts(n)
    rows = text_rows(texts, labels, groups, pairs=texts[::-1])
    return GroupedData("pairs", "text", {"test": rows}, {"aligned": True, "conflicting": False})


def classifier(kind, seed=0):
    """As a task recipe makes one with random weights, these larger, so that predictions differ."""
    tokenizer = build_tokenizer([" ".join(WORDS)], max_length=32)
    model = new_classifier(kind, LABELS, SHAPE, tokenizer, seed).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name.lower():
                parameter.mul_(8.0)
    return model, tokenizer


def as_trained(model, tokenizer, rows):
    """Probabilities of every pair alone, by what training gives the model."""
    inputs = inputs_for(model, tokenizer, 32, "the model")
    with torch.no_grad():
        return np.concatenate([model(**inputs([row])).logits.double().softmax(-1).numpy() for row in rows])


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_a_model_reads_in_evaluation_what_it_read_in_training(kind):
    model, tokenizer = classifier(kind)
    assert set(input_names(model, tokenizer)) == set(inputs_for(model, tokenizer, 32, "the model").names)
    assert ("token_type_ids" in input_names(model, tokenizer)) == (kind == "bert")


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_pairs_are_classified_as_in_training(kind):
    (model, tokenizer), data = classifier(kind), pairs()
    expected = as_trained(model, tokenizer, data.splits["test"])
    found = Groups(data, batch_size=7).run(model, tokenizer).splits["test"].metrics.predictions
    assert found.tolist() == expected.argmax(1).tolist()
    rows = data.splits["test"]
    texts = list(zip(rows["text"], rows["text_pair"], strict=True))
    np.testing.assert_allclose(class_probabilities(model, tokenizer, texts, 32), expected, atol=1e-6)


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_models_of_pairs_are_looked_into(kind):
    (student, tokenizer), (teacher, _), data = classifier(kind), classifier(kind, seed=1), pairs()
    look = Internals(data, split="test", minibatch=8, ablation_examples=8)
    result, _ = look.run_pair(student, tokenizer, teacher, tokenizer)
    chosen = [row for rows in look.chosen.minibatches(8, 8) for row in rows[1]]
    rows = [data.splits["test"][int(number)] for number in chosen]
    expected = as_trained(student, tokenizer, rows).argmax(1) == [row["label"] for row in rows]
    whole = result.to_dict()["ablation"]["whole"]
    found = np.mean([whole[side]["accuracy"]["value"] for side in ("aligned", "conflicting")])
    assert found == pytest.approx(100 * expected.mean())


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_glue_trains_on_what_is_measured(kind):
    model, tokenizer = classifier(kind)
    (row,) = features(model, tokenizer, GlueSplit((("a good film", "the plot"),), (1,)), 32)
    assert {*row} - {"labels"} == set(input_names(model, tokenizer))
    assert ("token_type_ids" in row) == (kind == "bert")
