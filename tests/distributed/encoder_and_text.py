"""A tiny teacher and a text on the disk, for tests that start the command in processes of their own."""

from pathlib import Path

import torch
from tiny_distillation import tiny_tokenizer
from transformers import BertConfig, PreTrainedModel

LINE = "he said to her that the old man saw a red house by the river and she read a book to the boy"


def write_teacher(folder: Path, model_class: type[PreTrainedModel]) -> None:
    """A BERT of two layers, of this class, with its tokenizer."""
    tokenizer = tiny_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=64,
        )  # fmt: skip
        model_class(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_text(file: Path) -> None:
    """Sixty lines, each another cut of one sentence."""
    words = LINE.split()
    text = [" ".join(words[i % 7 :] + words[: i % 5]) for i in range(60)]
    file.write_text("\n".join(f"{line} {i % 9}" for i, line in enumerate(text)), encoding="utf-8")
