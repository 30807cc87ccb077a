"""A run directory with a tiny student that was really measured against a tiny teacher, in seconds."""

import re

import torch
from transformers import BertTokenizer, DistilBertConfig, DistilBertForMaskedLM

from evenhand.evaluation import Seat, evaluate_model
from evenhand.evaluation.stimuli import builtin_stimuli


def make_run(folder):
    """Weights small enough for seconds and large enough to be cut amid an upload."""
    words = {word for text in builtin_stimuli().distinct_sentences for word in re.findall(r"\w+", text.lower())}
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *sorted(words)]
    tokenizer = BertTokenizer(vocab={token: index for index, token in enumerate(tokens)}, model_max_length=64)
    for seed, name in enumerate(("teacher", "student")):
        torch.manual_seed(seed)
        size = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16, "max_position_embeddings": 64}
        config = DistilBertConfig(vocab_size=len(tokenizer), initializer_range=0.3, **size)
        DistilBertForMaskedLM(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    for name in ("training_args.bin", "optimizer.pt", "trainer.log"):
        (folder / "student" / name).write_bytes(b"stays on this machine")
    evaluators = [Seat(families=["gender"])]
    evaluate_model(folder / "student", folder / "teacher", evaluators).save(folder / "report.json")
    return folder
