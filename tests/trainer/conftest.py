"""Tiny tokenizers and models: everything here has fewer than 300 tokens, 16 features and 2 to 4 layers."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import datasets
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertTokenizer,
    DistilBertConfig,
    DistilBertForMaskedLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)

from evenhand.trainer import DistillationArguments

PAIRS = (
    ("man", "woman"),
    ("boy", "girl"),
    ("he", "she"),
    ("father", "mother"),
    ("son", "daughter"),
    ("guy", "gal"),
    ("male", "female"),
    ("his", "her"),
    ("himself", "herself"),
    ("John", "Mary"),
)
FILLERS = (
    "the",
    "a",
    "old",
    "happy",
    "teacher",
    "town",
    "saw",
    "was",
    "with",
    "of",
    "and",
    "in",
    "step",
    "grand",
    "see",
    "law",
)
HIDDEN = 16


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def datasets_cache(tmp_path_factory):
    """Rows that ``datasets`` reads from files stay out of the user's cache."""
    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets")
    datasets.disable_progress_bars()
    yield
    datasets.config.HF_DATASETS_CACHE = before


@pytest.fixture(scope="session")
def ten_pairs():
    """Bolukbasi et al. 2016, typed here anew: (male, female)."""
    return PAIRS


@pytest.fixture(scope="session")
def wordpiece() -> BertTokenizer:
    """Lower-casing WordPiece with every word of the pairs whole, and ``##`` pieces."""
    words = [word.lower() for pair in PAIRS for word in pair]
    pieces = ["##ore", "##s", "##father", "##mother", "##axy"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *FILLERS, *pieces, *".,!\"'-()"]
    assert len(tokens) == len(set(tokens)) < 100
    return BertTokenizer(vocab={token: i for i, token in enumerate(tokens)}, model_max_length=32)


@pytest.fixture(scope="session")
def byte_bpe() -> PreTrainedTokenizerFast:
    """Byte-level BPE as RoBERTa's, trained on the words alone and in running text."""
    words = [form for pair in PAIRS for word in pair for form in (word, word.capitalize())]
    text = [f"{word} {word}" for word in [*words, *FILLERS] for _ in range(20)] + ["galore galaxy . , ! ' ( ) -"] * 3
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(text, trainers.BpeTrainer(vocab_size=280, special_tokens=special, show_progress=False))
    core.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        cls_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=32,
    )


@pytest.fixture(scope="session")
def make_model(wordpiece, byte_bpe):
    """``make_model(kind, layers, seed, **config)``: a masked LM without dropout whose every tensor is random and different."""

    def make(kind: str, layers: int = 2, seed: int = 0, **changes):
        sizes = {"intermediate_size": 20, "hidden_size": HIDDEN, "num_attention_heads": 2, "num_hidden_layers": layers}
        off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        if kind == "bert":
            sizes |= {"vocab_size": len(wordpiece), "max_position_embeddings": 32}
            config = BertConfig(**sizes | off | changes)
            model = BertForMaskedLM
        elif kind == "roberta":
            sizes |= {"vocab_size": len(byte_bpe), "max_position_embeddings": 34, "type_vocab_size": 1}
            config = RobertaConfig(**sizes | off | changes)
            model = RobertaForMaskedLM
        else:
            sizes = {"dim": HIDDEN, "hidden_dim": 20, "n_heads": 2, "n_layers": layers}
            sizes |= {"vocab_size": len(wordpiece), "max_position_embeddings": 32}
            off = {"dropout": 0.0, "attention_dropout": 0.0}
            config = DistilBertConfig(**sizes | off | changes)
            model = DistilBertForMaskedLM
        torch.manual_seed(seed)
        made = model(config)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.2)
        return made

    return make


@pytest.fixture
def arguments(tmp_path):
    """``arguments(**changes)``: quiet training arguments on the CPU that write into the test's folder."""

    def make(**changes) -> DistillationArguments:
        plain = {"output_dir": str(tmp_path / "out"), "use_cpu": True, "report_to": [], "disable_tqdm": True}
        return DistillationArguments(**plain | changes)

    return make
