"""Classifiers to teach or to be taught: loaded with their head, begun on a pretrained body, or made new from sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ResNetConfig,
    RobertaConfig,
    T5Config,
    ViTConfig,
    ViTImageProcessorPil,
)
from transformers.utils import logging as transformers_logging

from evenhand.trainer.label_order import label_names
from evenhand.trainer.model_inputs import IMAGE, TEXT
from evenhand.trainer.randomness import derive_seed
from evenhand.trainer.teacher import load_tokenizer, resolve_model_path

TEXT_FAMILIES = ("bert", "distilbert", "roberta", "t5")
_T5_INITIALISATION = 0.05
"""A new T5's weights times this. As published, its embeddings have deviation 1, for Adafactor, whose steps are in proportion to a weight. AdamW's
are not: with 1, a small T5 that was trained on SST-2 with a planted phrase (800 steps, one seed) had learnt the phrase alone; with this, it had learnt
sentiment too, and was right on most of the held-out examples that the phrase misleads on."""
IMAGE_FAMILIES = ("vit", "resnet")
_CLASSES = {TEXT: AutoModelForSequenceClassification, IMAGE: AutoModelForImageClassification}


@dataclass
class LoadedClassifier:
    """A classifier, its tokenizer or image processor, ``text`` or ``image``, and whether its checkpoint held the head (if not, it is random)."""

    model: PreTrainedModel
    processor: Any
    kind: str
    has_head: bool
    path: str


@dataclass(frozen=True)
class ClassifierShape:
    """Sizes of a new classifier; those that a family does not have are not read.

    Args:
        width: of the hidden states, or of a ResNet's last stage: each stage before has half the width of the next. Default 64.
        layers: of a Transformer (T5: of the encoder and of the decoder each), or blocks of each of a ResNet's stages. Default 2.
        heads: of attention; they divide the width. Default 4.
        intermediate: width of the feed-forward layers; default 4·width.
        stages: of a ResNet. Default 3.
        image_size: pixels of a side, ViT. Default 32.
        patch_size: pixels of a patch's side, ViT; it divides ``image_size``. Default 4.
        max_positions: tokens that BERT, DistilBERT and RoBERTa have positions for. Default 512.
        dropout: of hidden states, attention and classifier. Default 0.1.

    Raises:
        ValueError: a size that is not positive, or does not divide what it must.
    """

    width: int = 64
    layers: int = 2
    heads: int = 4
    intermediate: int | None = None
    stages: int = 3
    image_size: int = 32
    patch_size: int = 4
    max_positions: int = 512
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "stages", "image_size", "patch_size", "max_positions"):
            if getattr(self, name) < 1:
                raise ValueError(f"shape.{name} must be at least 1, not {getattr(self, name)}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"shape.dropout must lie in [0, 1), not {self.dropout}.")
        if self.width % self.heads:
            raise ValueError(f"shape.heads ({self.heads}) must divide shape.width ({self.width}).")
        if self.image_size % self.patch_size:
            raise ValueError(f"shape.patch_size ({self.patch_size}) must divide shape.image_size ({self.image_size}).")
        if self.width % 2 ** (self.stages - 1):
            raise ValueError(
                f"shape.width ({self.width}) must be divisible by 2 for each of the {self.stages} stages but the first."
            )


def load_classifier(
    path: str, labels: Sequence[str] | None = None, revision: str | None = None, seed: int = 0
) -> LoadedClassifier:
    """Load a classifier from a folder, the Hub, or ``package:NAME/FOLDER``, in fp32 on the CPU.

    Args:
        path: of the model.
        labels: given, the model begins on the checkpoint's body with a new head for these labels (random weights from ``seed``), whatever
            head the checkpoint has; by default the checkpoint must have a head, and its labels names.
        revision: on the Hub.
        seed: of a new head.

    Raises:
        FileNotFoundError: the model or its tokenizer or image processor is not there.
        ValueError: it is no classifier of texts or images, its head is missing, its labels have no names, its weights do not fit.
    """
    resolved = resolve_model_path(path)
    try:
        config = AutoConfig.from_pretrained(resolved, revision=revision)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(f"Classifier {path} could not be loaded: {_in_one_line(error)}") from None
    kind = kind_of_config(config, path)
    if labels is not None:
        _set_labels(config, labels)
    model, missing = _load(resolved, path, kind, config, revision, seed, keep_head=labels is None)
    if labels is None:
        if missing:
            raise ValueError(
                f"Classifier {path} has no head ({missing[0]} is missing); give the labels to begin a new one."
            )
        label_names(config, f"Classifier {path}")
    processor = _processor(resolved, path, kind, revision)
    return LoadedClassifier(model, processor, kind, has_head=labels is None, path=path)


def _load(resolved: str, path: str, kind: str, config: PreTrainedConfig, revision, seed: int, keep_head: bool):
    """The model, and which tensors of its head the checkpoint lacks; a new head is drawn from ``seed`` if not ``keep_head``."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # a missing head is reported by us, in one line
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "head"))
            options = {"output_loading_info": True, "ignore_mismatched_sizes": True, "dtype": torch.float32}
            model, info = _CLASSES[kind].from_pretrained(resolved, config=config, revision=revision, **options)
            if not keep_head:
                for name, module in head_modules(model).items():
                    _draw_again(model, name, module)
    except (OSError, SafetensorError) as error:
        raise FileNotFoundError(f"Classifier {path} could not be loaded: {_in_one_line(error)}") from None
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"Classifier {path} could not be loaded: {_in_one_line(error)}") from None
    finally:
        transformers_logging.set_verbosity(verbosity)
    body = model.base_model_prefix + "."
    missing = [*info["missing_keys"], *(str(entry[0]) for entry in info["mismatched_keys"])]
    # a sentence encoder may lack the pooler: it belongs to the head here
    of_body = [
        key for key in missing if key.startswith(body) and ".pooler." not in key and not key.endswith("position_ids")
    ]
    if of_body:
        raise ValueError(
            f"Classifier {path}: its weights do not fit its config; missing {of_body[0]} and {len(of_body) - 1} more."
        )
    return model, sorted(key for key in missing if not key.startswith(body))


def kind_of_config(config: PreTrainedConfig, path: str) -> str:
    """``text`` or ``image``, by the classifiers that transformers has for it.

    Raises:
        ValueError: it has none.
    """
    for kind, of_kind in _CLASSES.items():
        if type(config) in of_kind._model_mapping:
            return kind
    raise ValueError(f"Model {path} ({config.model_type}) has no form in transformers that classifies texts or images.")


def head_modules(model: PreTrainedModel) -> dict[str, nn.Module]:
    """What stands beside the body, by name: ``classifier``, ``pre_classifier``, ``classification_head``."""
    return {
        name: module
        for name, module in model.named_children()
        if name != model.base_model_prefix and any(True for _ in module.parameters())
    }


def _draw_again(model: PreTrainedModel, name: str, module: nn.Module) -> None:
    """New weights for a head whose checkpoint's own would have fitted."""
    for child in module.modules():
        if isinstance(child, nn.Linear):
            width = getattr(model.config, "initializer_range", None) or 0.02
            nn.init.normal_(child.weight, 0.0, width)
            if child.bias is not None:
                nn.init.zeros_(child.bias)


def _processor(resolved: str, path: str, kind: str, revision: str | None) -> Any:
    if kind == TEXT:
        return load_tokenizer(resolved, path, revision)
    try:
        # PIL's everywhere: the same pixels with and without torchvision
        return AutoImageProcessor.from_pretrained(resolved, revision=revision, backend="pil")
    except (OSError, ValueError):
        raise FileNotFoundError(
            f"Model {path} has no image processor beside it; add its preprocessor_config.json to the folder."
        ) from None


def new_classifier(
    family: str,
    labels: Sequence[str],
    shape: ClassifierShape | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    seed: int = 0,
) -> PreTrainedModel:
    """A classifier with random weights, in fp32 on the CPU.

    Args:
        family: ``bert``, ``distilbert``, ``roberta``, ``t5``, ``vit`` or ``resnet``.
        labels: their names in the order of the logits.
        shape: its sizes.
        tokenizer: of the text families, for the number of tokens and the special ones.
        seed: of the weights.

    Raises:
        ValueError: an unknown family, a text family without a tokenizer, fewer than two labels or two of one name.
    """
    shape = shape or ClassifierShape()
    config = classifier_config(family, shape, tokenizer)
    _set_labels(config, labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "classifier"))
        return _CLASSES[IMAGE if family in IMAGE_FAMILIES else TEXT].from_config(config).float()


def classifier_config(
    family: str, shape: ClassifierShape, tokenizer: PreTrainedTokenizerBase | None
) -> PreTrainedConfig:
    """A family's configuration with these sizes; labels are set by :func:`new_classifier`."""
    if family not in (*TEXT_FAMILIES, *IMAGE_FAMILIES):
        known = ", ".join((*TEXT_FAMILIES, *IMAGE_FAMILIES))
        raise ValueError(f"family must be one of {known}, not {family!r}.")
    if family in TEXT_FAMILIES and tokenizer is None:
        raise ValueError(f"A new {family} classifier needs a tokenizer, for the size of its vocabulary.")
    inner = shape.intermediate or 4 * shape.width
    encoder = {
        "hidden_size": shape.width, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads, "intermediate_size": inner,
        "hidden_dropout_prob": shape.dropout, "attention_probs_dropout_prob": shape.dropout,
    }  # fmt: skip
    if family == "vit":
        return ViTConfig(image_size=shape.image_size, patch_size=shape.patch_size, **encoder)
    if family == "resnet":
        widths = [shape.width // 2 ** (shape.stages - 1 - stage) for stage in range(shape.stages)]
        return ResNetConfig(
            embedding_size=widths[0], hidden_sizes=widths, depths=[shape.layers] * shape.stages, layer_type="basic"
        )
    words = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    if family == "bert":
        return BertConfig(max_position_embeddings=shape.max_positions, **encoder, **words)
    if family == "roberta":
        positions = shape.max_positions + tokenizer.pad_token_id + 1  # it numbers them from there
        return RobertaConfig(max_position_embeddings=positions, type_vocab_size=1, **encoder, **words)
    if family == "distilbert":
        return DistilBertConfig(
            dim=shape.width, n_layers=shape.layers, n_heads=shape.heads, hidden_dim=inner, max_position_embeddings=shape.max_positions,
            dropout=shape.dropout, attention_dropout=shape.dropout, seq_classif_dropout=shape.dropout, **words,
        )  # fmt: skip
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    return T5Config(
        d_model=shape.width, d_kv=shape.width // shape.heads, d_ff=inner, num_layers=shape.layers, num_decoder_layers=shape.layers,
        num_heads=shape.heads, dropout_rate=shape.dropout, classifier_dropout=shape.dropout, eos_token_id=end,
        decoder_start_token_id=tokenizer.pad_token_id, initializer_factor=_T5_INITIALISATION, **words,
    )  # fmt: skip


def new_image_processor(size: int) -> ViTImageProcessorPil:
    """Images resized to ``size`` × ``size`` (nothing is cut off), channels to mean 0.5 and deviation 0.5; for every image family."""
    return ViTImageProcessorPil(
        size={"height": size, "width": size}, image_mean=[0.5] * 3, image_std=[0.5] * 3, do_resize=True
    )


def _set_labels(config: PreTrainedConfig, labels: Sequence[str]) -> None:
    config.id2label = dict(enumerate(labels))
    config.label2id = {name: number for number, name in enumerate(labels)}
    label_names(config, "The classifier")


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
