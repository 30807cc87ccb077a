"""Sentence vectors: what each pooling is, that padding and batching change nothing, that the model is left alone."""

import numpy as np
import pytest
import torch

from evenhand.evaluation.encoder import POOLINGS, encode

SENTENCES = [
    "He came up again.",
    "They had heard that he was there before.",
    "You asked me about an equation.",
    "He came up again.",
    "The next one is hers.",
]


def hidden_states(model, tokenizer, sentence, special=True):
    """Last hidden states of one sentence alone, (tokens, hidden)."""
    model.eval()
    ids = tokenizer(sentence, add_special_tokens=special, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return model.base_model(input_ids=ids).last_hidden_state[0].double().numpy()


@pytest.mark.parametrize("family", ["tiny_bert", "tiny_distilbert"])
@pytest.mark.parametrize(
    ("pooling", "by_hand"),
    [
        ("mean", lambda with_special, without: with_special.mean(0)),
        ("mean_no_special", lambda with_special, without: with_special[1:-1].mean(0)),
        ("cls", lambda with_special, without: with_special[0]),
        ("first_token", lambda with_special, without: without[0]),
    ],
)
def test_pooling_is_what_it_is_called(family, pooling, by_hand, tiny_tokenizer, request):
    model = request.getfixturevalue(family)
    vectors = encode(model, tiny_tokenizer, SENTENCES, pooling=pooling)
    assert vectors.dtype == np.float64
    assert vectors.shape == (5, 24)
    for sentence, vector in zip(SENTENCES, vectors, strict=True):
        alone = [hidden_states(model, tiny_tokenizer, sentence, special) for special in (True, False)]
        np.testing.assert_allclose(vector, by_hand(*alone), atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("family", ["tiny_bert", "tiny_distilbert"])
def test_padding_and_batch_size_do_not_change_a_vector(family, pooling, tiny_tokenizer, request):
    model = request.getfixturevalue(family)
    one = encode(model, tiny_tokenizer, SENTENCES, pooling=pooling, batch_size=1)
    many = encode(model, tiny_tokenizer, SENTENCES, pooling=pooling, batch_size=32)
    np.testing.assert_allclose(one, many, atol=1e-6)
    assert np.abs(one[0] - one[1]).max() > 1e-2


def test_each_distinct_sentence_goes_through_the_model_once(tiny_bert, tiny_tokenizer):
    rows = []
    tiny_bert.bert.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(kwargs["input_ids"].shape[0]), with_kwargs=True
    )
    vectors = encode(tiny_bert, tiny_tokenizer, SENTENCES * 3, batch_size=3)
    assert sum(rows) == 4
    assert vectors.shape[0] == 15
    np.testing.assert_array_equal(vectors[0], vectors[3])


def test_training_mode_of_every_module_is_put_back_and_no_gradient_is_kept(tiny_bert, tiny_tokenizer):
    tiny_bert.train()
    tiny_bert.bert.embeddings.eval()
    before = [module.training for module in tiny_bert.modules()]
    first = encode(tiny_bert, tiny_tokenizer, SENTENCES)
    assert [module.training for module in tiny_bert.modules()] == before
    np.testing.assert_array_equal(first, encode(tiny_bert, tiny_tokenizer, SENTENCES))  # no dropout
    assert all(parameter.grad is None for parameter in tiny_bert.parameters())


def test_nan_in_the_output_is_named(tiny_bert, tiny_tokenizer):
    word = tiny_tokenizer.convert_tokens_to_ids("equation")
    with torch.no_grad():
        tiny_bert.get_input_embeddings().weight[word] = float("nan")
    with pytest.raises(ValueError, match=r"'You asked me about an equation\.' holds NaN"):
        encode(tiny_bert, tiny_tokenizer, SENTENCES, batch_size=2)


def test_unusable_arguments(tiny_bert, tiny_tokenizer):
    with pytest.raises(ValueError, match="pooling 'max' is unknown; use one of mean"):
        encode(tiny_bert, tiny_tokenizer, SENTENCES, pooling="max")
    with pytest.raises(ValueError, match="batch_size"):
        encode(tiny_bert, tiny_tokenizer, SENTENCES, batch_size=0)
    with pytest.raises(ValueError, match="has 102 tokens, the model takes 64"):
        encode(tiny_bert, tiny_tokenizer, ["he " * 100])
    with pytest.raises(ValueError, match="no token to pool over"):
        encode(tiny_bert, tiny_tokenizer, [" "], pooling="mean_no_special")


def test_tokenizer_without_a_padding_token(tiny_bert, tiny_tokenizer):
    import copy

    expected = encode(tiny_bert, tiny_tokenizer, SENTENCES)
    bare = copy.deepcopy(tiny_tokenizer)
    bare.pad_token = None
    np.testing.assert_allclose(encode(tiny_bert, bare, SENTENCES), expected, atol=1e-6)
