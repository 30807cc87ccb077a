"""Loading a classifier of text or of images with its head, and the facts that identify it in a report."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from evenhand.evaluation import models
from evenhand.evaluation.label_names import model_labels
from evenhand.evaluation.models import TOKENIZER_FILES, local_folder, require_config, tokenizer_sha256, weights_sha256
from evenhand.evaluation.tokenized import max_length

TEXT, IMAGE = "text", "image"
IMAGE_PROCESSOR_FILE = "preprocessor_config.json"
_HEADS = {
    "ForSequenceClassification": (TEXT, AutoModelForSequenceClassification, AutoTokenizer),
    "ForImageClassification": (IMAGE, AutoModelForImageClassification, AutoImageProcessor),
}


def load_classifier(path: str | Path, device: str | torch.device = "cpu") -> tuple[nn.Module, object]:
    """A fine-tuned classifier with its head, and its tokenizer or image processor; in evaluation mode and float32.

    Which of the two it is follows from the architecture that the config names: ``…ForSequenceClassification`` (the BERT
    family, T5 as encoder-decoder …) or ``…ForImageClassification`` (ViT, ResNet …).

    Args:
        path: a folder with config.json, weights and tokenizer or image processor, or the id of a model on the Hub.
        device: where to put the model.

    Raises:
        FileNotFoundError: no such folder, and no such model on the Hub.
        ValueError: no config, no classifier, no tokenizer or image processor, weights missing (those of the head, say) or
            of another shape than the config says.
    """
    source = _source(path)
    try:
        config = AutoConfig.from_pretrained(source)
        kind, model_class, processor_class = _head(config, path)
        _check_beside(source, kind, path)
        # Misshapen tensors are let through here and refused below, with the name of the first.
        options = {"dtype": torch.float32, "output_loading_info": True, "ignore_mismatched_sizes": True}
        model, info = model_class.from_pretrained(source, **options)
        processor = processor_class.from_pretrained(source)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        if isinstance(error, _NoClassifier):
            raise ValueError(reason) from None
        if not Path(source).is_dir():
            raise FileNotFoundError(
                f"{path}: is neither a folder here nor a model that could be had from the Hub: {reason}"
            ) from error
        raise ValueError(f"{path}: cannot be loaded as a classifier: {reason}") from error
    wrong = sorted(info["missing_keys"]) + sorted(str(item[0]) for item in info["mismatched_keys"])
    if wrong:
        raise ValueError(
            f"{path}: weights of {len(wrong)} tensors are missing or misshapen, the first is {wrong[0]}; "
            "train the classifier and save it with its head"
        )
    return model.eval().to(device), processor


def load_as_measured(path: str | Path, facts: Mapping[str, object]) -> tuple[nn.Module, object]:
    """The model that a report speaks of, as it was loaded to be measured.

    Args:
        path: a folder.
        facts: of the report, `classifier_facts` or `models.model_facts`; the former name a ``kind``.

    Raises:
        FileNotFoundError, ValueError: as `load_classifier` and `models.load_model`.
    """
    return load_classifier(path) if facts.get("kind") else models.load_model(path)


def facts_as_measured(
    model: nn.Module, processor, facts: Mapping[str, object], role: str | None = None
) -> dict[str, object]:
    """The facts of a loaded model in the form of those of a report, with the report's role (or ``role``) and name."""
    describe = classifier_facts if facts.get("kind") else models.model_facts
    return describe(model, processor, role or str(facts["role"]), str(facts["name"]))


class _NoClassifier(ValueError):
    """What is wrong is said in full by the message."""


def _source(path: str | Path) -> str:
    folder = local_folder(path)
    if folder is None:
        return str(path)
    require_config(folder, path)
    return str(folder)


def _head(config, path: str | Path):
    """Kind, class of the model and class of what prepares its inputs, by the architecture that the config names."""
    names = config.architectures or []
    for ending, found in _HEADS.items():
        if any(name.endswith(ending) for name in names):
            return found
    raise _NoClassifier(
        f"{path}: is no classifier ({', '.join(names) or 'its config names no architecture'}); "
        f"give a fine-tuned one, an architecture ending in {' or '.join(_HEADS)}"
    )


def _check_beside(source: str, kind: str, path: str | Path) -> None:
    """Refuse a folder without what prepares the inputs; transformers would look for it on the Hub, or make one up."""
    folder = Path(source)
    if not folder.is_dir():
        return
    names = TOKENIZER_FILES if kind == TEXT else (IMAGE_PROCESSOR_FILE, "processor_config.json")
    if not any((folder / name).exists() for name in names):
        what = (
            "tokenizer (tokenizer.json or vocab.txt)" if kind == TEXT else f"image processor ({IMAGE_PROCESSOR_FILE})"
        )
        raise _NoClassifier(f"{path}: holds no {what}; save one beside the model")


def kind_of(model: nn.Module) -> str | None:
    """``"text"`` or ``"image"`` for a classifier as `load_classifier` gives it, else ``None``."""
    name = type(model).__name__
    return next((kind for ending, (kind, *_) in _HEADS.items() if name.endswith(ending)), None)


def number_of_blocks(config) -> int:
    """Layers of a body: Transformer blocks, those of the encoder for T5; residual blocks of all stages for ResNet."""
    layers = getattr(config, "num_hidden_layers", None)
    return int(sum(config.depths)) if layers is None else int(layers)


def width_of(config) -> int:
    """Width of what the classifier reads: the hidden size, for ResNet that of the last stage."""
    sizes = getattr(config, "hidden_sizes", None)
    return int(sizes[-1]) if sizes else int(config.hidden_size)


def image_processor_sha256(processor) -> str:
    """Hash of an image processor's settings, whichever backend runs them."""
    return hashlib.sha256(json.dumps(_settings(processor), sort_keys=True).encode("utf-8")).hexdigest()


def _settings(processor) -> dict[str, object]:
    """As they are saved, but for the names of class and version."""
    named = ("image_processor_type", "_processor_class", "processor_class", "transformers_version")
    return {key: value for key, value in json.loads(processor.to_json_string()).items() if key not in named}


def classifier_facts(model: nn.Module, processor, role: str, name: str) -> dict[str, object]:
    """What identifies a classifier in a report: as `models.model_facts`, with the names of its labels.

    An image classifier has no vocabulary, no tokens and no tokenizer: those are ``None``, and ``image_processor_sha256``
    stands beside them. ``layers`` and ``hidden_size`` are `number_of_blocks` and `width_of`; a network of stages has their
    ``hidden_sizes`` and ``depths`` too. The weights are those of body and head.

    Args:
        model, processor: as `load_classifier` gives them.
        role: ``"student"`` or ``"teacher"``.
        name: what to call it.
    """
    config, kind = model.config, kind_of(model)
    stages = {key: list(getattr(config, key)) for key in ("hidden_sizes", "depths") if getattr(config, key, None)}
    text = kind == TEXT
    return {
        "role": role,
        "name": name,
        "kind": kind,
        "model_type": config.model_type,
        "layers": number_of_blocks(config),
        "hidden_size": width_of(config),
        **stages,
        "vocab_size": config.vocab_size if text else None,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "max_length": max_length(model, processor) if text else None,
        "labels": list(model_labels(config)),
        "weights_sha256": weights_sha256(model),
        "tokenizer_sha256": tokenizer_sha256(processor) if text else None,
        "image_processor_sha256": None if text else image_processor_sha256(processor),
    }
