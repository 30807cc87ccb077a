"""Loading a model to be measured, and the facts that identify it in a report."""

import hashlib
import json
import logging
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForTextEncoding, AutoTokenizer
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES,
)

from evenhand.evaluation.encoder import max_length

TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "spm.model",
)
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
# A folder of such a name says nothing alone; its parent's name goes before it.
_GENERIC_NAMES = {"student", "teacher", "model", "0_Transformer"}
_log = logging.getLogger(__name__)


def load_model(path: str | Path, device: str | torch.device = "cpu") -> tuple[nn.Module, object]:
    """Model and tokenizer of a folder (or Hub id), in evaluation mode and float32.

    What is loaded follows from the architecture that the config names: a masked LM with its head; a pre-training
    checkpoint with the masked-LM head where it has one; of an encoder-decoder that transformers can split (T5) the
    encoder; of anything else (a classifier, a causal LM, a bare encoder) the body without a head. A folder in the
    layout of sentence-transformers is loaded from its transformer; its other modules (pooling, normalisation, dense)
    are left out, which is logged as a warning: a measure names its own pooling.

    Args:
        path: a folder with config.json, weights and tokenizer, or the id of a model on the Hub.
        device: where to put the model.

    Raises:
        FileNotFoundError: no such folder, and no such model on the Hub.
        ValueError: no config, no tokenizer, weights missing or of another shape than the config says, no text model.
    """
    source = _resolve(path)
    try:
        model, info = _from_pretrained(source)
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        if not Path(source).is_dir():
            raise FileNotFoundError(
                f"{path}: is neither a folder here nor a model that could be had from the Hub: {reason}"
            ) from error
        raise ValueError(f"{path}: cannot be loaded as a transformers model and tokenizer: {reason}") from error
    _refuse_random_weights(model, info, path)
    n_rows, largest = _token_embeddings(model, path), max(tokenizer.get_vocab().values(), default=-1)
    if largest >= n_rows:
        raise ValueError(f"{path}: the tokenizer has ids up to {largest}, the model only {n_rows} embeddings")
    return model.eval().to(device), tokenizer


def has_mlm_head(model: nn.Module) -> bool:
    """Whether ``model`` predicts masked tokens: it is a masked LM of transformers, as `load_model` gives it.

    A causal LM's head and that of an encoder-decoder are none: they do not fill in a token from both sides.
    """
    names = [kind.__name__ for kind in type(model).__mro__]
    return any(map(_names_masked_lm, names)) and not getattr(model.config, "is_encoder_decoder", False)


def _names_masked_lm(architecture: str) -> bool:
    """XLM's masked LM, for one, is not called ForMaskedLM."""
    return architecture.endswith("ForMaskedLM") or architecture in MODEL_FOR_MASKED_LM_MAPPING_NAMES.values()


def _from_pretrained(source: str) -> tuple[nn.Module, dict]:
    """The model of ``source`` and what transformers says about its weights."""
    config = AutoConfig.from_pretrained(source)
    names = config.architectures or ()
    # Misshapen tensors are let through here and refused later, with the name of the first.
    options = {"dtype": torch.float32, "output_loading_info": True, "ignore_mismatched_sizes": True}
    if config.is_encoder_decoder:
        has_encoder = config.model_type in MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES
        return (AutoModelForTextEncoding if has_encoder else AutoModel).from_pretrained(source, **options)
    if any(map(_names_masked_lm, names)):
        return AutoModelForMaskedLM.from_pretrained(source, **options)
    known = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if known and any(name.endswith("ForPreTraining") for name in names):
        model, info = AutoModelForMaskedLM.from_pretrained(source, **options)
        # ELECTRA's discriminator is a pre-training checkpoint without a masked-LM head.
        if not info["missing_keys"]:
            return model, info
    return AutoModel.from_pretrained(source, **options)


def _token_embeddings(model: nn.Module, path: str | Path) -> int:
    """Rows of the model's table of token embeddings."""
    try:
        table = getattr(model.get_input_embeddings(), "weight", None)
    except (AttributeError, NotImplementedError):
        # So transformers answers for a model of characters or of sound, which has no such table: refused below, by name.
        table = None
    if table is None or table.dim() != 2:
        raise ValueError(
            f"{path}: {type(model).__name__} has no table of token embeddings; give a text encoder that has one"
        )
    return len(table)


def _resolve(path: str | Path) -> str:
    """The folder (or Hub id) that transformers should load for ``path``."""
    folder = local_folder(path)
    if folder is None:
        return str(path)
    if (folder / "modules.json").exists():
        folder = _transformer_of(folder)
    require_config(folder, path)
    if not any((folder / name).exists() for name in TOKENIZER_FILES):
        raise ValueError(f"{path}: holds no tokenizer (tokenizer.json or vocab.txt); save one beside the model")
    return str(folder)


def local_folder(path: str | Path) -> Path | None:
    """The folder at ``path``; None for what may be the id of a model on the Hub, ``name`` or ``owner/name``.

    Raises:
        FileNotFoundError: neither. ValueError: a file.
    """
    folder = Path(path)
    if not folder.exists():
        if _HUB_ID.fullmatch(str(path)):
            return None
        raise FileNotFoundError(f"{path}: does not exist; give a model folder or the id of a model on the Hub")
    if not folder.is_dir():
        raise ValueError(f"{path}: is a file; give the folder that holds the model")
    return folder


def require_config(folder: Path, path: str | Path) -> None:
    """Raise ValueError where ``folder`` is no transformers model folder; ``path`` is what it is called."""
    if not (folder / "config.json").exists():
        hint = f"; did you mean {folder / 'student'}?" if (folder / "student" / "config.json").exists() else ""
        raise ValueError(f"{path}: holds no config.json, so it is not a transformers model folder{hint}")


def _transformer_of(folder: Path) -> Path:
    """Where the transformer lies in a folder of sentence-transformers; logs what else the folder holds."""
    modules = folder / "modules.json"
    try:
        entries = [
            (entry["path"], str(entry["type"]).rpartition(".")[2]) for entry in json.loads(modules.read_text("utf-8"))
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{modules}: not sentence-transformers' list of modules ({error!r})") from error
    inner = [path for path, kind in entries if kind == "Transformer"]
    others = [kind for _, kind in entries if kind != "Transformer"]
    if not inner:
        raise ValueError(
            f"{folder}: its modules ({', '.join(others)}) hold no transformer; give a transformers encoder"
        )
    if others:
        _log.warning("%s: its modules %s are left out; each measure names its own pooling", folder, ", ".join(others))
    return folder / inner[0]


def _refuse_random_weights(model: nn.Module, info: dict, path: str | Path) -> None:
    """A tensor that was not in the file is random, and so would be the measure and the hash of the weights."""
    missing = sorted(info["missing_keys"])
    if missing and all(name.startswith("pooler.") for name in missing):
        # BERT's pooler is not used here and masked-LM checkpoints have none.
        model.pooler = None
        missing = []
    wrong = missing + sorted(str(item[0]) for item in info["mismatched_keys"])
    if wrong:
        raise ValueError(f"{path}: weights of {len(wrong)} tensors are missing or misshapen, the first is {wrong[0]}")


def default_name(path: str | Path) -> str:
    """What to call the model at ``path``: its folder's name, with the parent's where it is as general as "student"."""
    if not Path(path).exists():
        return str(path)
    folder = Path(path).resolve()
    return f"{folder.parent.name}/{folder.name}" if folder.name in _GENERIC_NAMES else folder.name


def weights_sha256(model: nn.Module) -> str:
    """Hash of the tensors' names, types, shapes and bytes, in the order of the names.

    It does not depend on the file format, shards or metadata the weights were read from.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def tokenizer_sha256(tokenizer) -> str:
    """Hash of what decides a sentence's ids: vocabulary, special tokens and, of a fast tokenizer, its pipeline.

    Truncation and padding are left out: they are the state of the last call, not of the tokenizer.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    pipeline = json.loads(backend.to_str()) if backend is not None else None
    if pipeline is not None:
        pipeline = {key: value for key, value in pipeline.items() if key not in ("truncation", "padding")}
    special = {key: str(value) for key, value in tokenizer.special_tokens_map.items()}
    content = json.dumps([tokenizer.get_vocab(), special, pipeline], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode("utf-8")).hexdigest()


def model_facts(model: nn.Module, tokenizer, role: str, name: str) -> dict[str, object]:
    """What identifies a model in a report.

    Args:
        model, tokenizer: as `load_model` gives them.
        role: ``"student"`` or ``"teacher"``.
        name: what to call it.
    """
    config = model.config
    return {
        "role": role,
        "name": name,
        "model_type": config.model_type,
        "layers": config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "vocab_size": config.vocab_size,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "max_length": max_length(model, tokenizer),
        "weights_sha256": weights_sha256(model),
        "tokenizer_sha256": tokenizer_sha256(tokenizer),
    }
