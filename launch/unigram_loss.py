"""What guessing by frequency loses on the held-out text: beside it a reader sees whether a model's logits carry any context."""

from __future__ import annotations

import torch
from transformers import DistilBertConfig, DistilBertForMaskedLM, PreTrainedTokenizerBase

from evenhand.launch.recipe import Recipe
from evenhand.trainer.corpus import Corpus

_WIDTH = 2


def unigram_loss(tokenizer: PreTrainedTokenizerBase, corpus: Corpus, recipe: Recipe) -> float | None:
    """Held-out masked-LM loss of a model that gives every token its frequency in the corpus, whatever stands around it.

    It goes through the evaluation of every other model, so the masks and targets are the same ones. All processes call this together.

    Args:
        tokenizer: of the teacher.
        corpus: prepared with it; its ``token_counts``, with ½ added to each, are the frequencies.
        recipe: whose ``training`` says how models are evaluated.

    Returns:
        Nats per masked token; None where no text is held out.
    """
    from evenhand.launch.training_facts import held_out_loss

    if len(corpus.held_out) == 0:
        return None
    return held_out_loss(unigram_model(corpus), tokenizer, corpus, recipe)[0]


def unigram_model(corpus: Corpus) -> DistilBertForMaskedLM:
    """A masked LM whose logits are the log frequencies of the corpus's tokens everywhere: its decoder has a bias and nothing else."""
    counts = corpus.token_counts.double() + 0.5
    longest = max(len(example["input_ids"]) for example in corpus.held_out)
    config = DistilBertConfig(
        vocab_size=len(counts),
        dim=_WIDTH,
        hidden_dim=_WIDTH,
        n_heads=1,
        n_layers=1,
        max_position_embeddings=longest,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):  # what comes after draws the same numbers as before there was this model
        model = DistilBertForMaskedLM(config)
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()
        model.get_output_embeddings().bias.copy_((counts / counts.sum()).log())
    return model.eval()
