import datasets
import pytest
import torch
import yaml
from tiny_text import VOCABULARY, write_text
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory):
    """Folder of a tiny BERT with a masked-LM head and its WordPiece tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "teacher"
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        BertForMaskedLM(config).save_pretrained(folder)
    vocabulary = {token: i for i, token in enumerate(VOCABULARY)}
    BertTokenizerFast(vocab=vocabulary, do_lower_case=True, model_max_length=64).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("text") / "corpus.txt", 80)


@pytest.fixture
def tiny_recipe(tmp_path, tiny_teacher, tiny_corpus, monkeypatch):
    """Writes a recipe file: ``tiny_recipe(section={...}, ...)`` replaces keys of sections; returns its path as text."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")

    def write(**sections) -> str:
        recipe = {
            "teacher": {"path": str(tiny_teacher)},
            "student": {"family": "distilbert", "layers": 1},
            "corpus": {"sources": [{"path": str(tiny_corpus)}], "max_length": 32, "held_out": 0.1, "workers": 1},
            "objective": {"alpha_mse": 0.01},
            "mixup": {"enabled": True, "unequal_pairs": "skip"},
            "training": {
                "max_steps": 6, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "logging_steps": 2, "save_steps": 4,
                "save_strategy": "steps", "use_cpu": True, "disable_tqdm": True, "seed": 1,
            },
        }  # fmt: skip
        for name, changes in sections.items():
            recipe[name] = recipe.get(name, {}) | changes
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        return str(path)

    return write
