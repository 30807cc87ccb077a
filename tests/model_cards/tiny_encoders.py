"""A tiny masked LM with random weights that knows the words of the built-in tests."""

import re

import torch
from transformers import BertTokenizer, DistilBertConfig, DistilBertForMaskedLM

from evenhand.evaluation.stimuli import builtin_stimuli


def tiny_tokenizer():
    words = {word for text in builtin_stimuli().distinct_sentences for word in re.findall(r"\w+", text.lower())}
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *sorted(words)]
    return BertTokenizer(vocab={token: index for index, token in enumerate(tokens)}, model_max_length=64)


def tiny_model(tokenizer, seed):
    torch.manual_seed(seed)
    config = DistilBertConfig(
        vocab_size=len(tokenizer),
        dim=16,
        n_layers=1,
        n_heads=2,
        hidden_dim=16,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    return DistilBertForMaskedLM(config)
