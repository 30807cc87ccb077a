"""Loading a model to be measured, and the facts that identify it in a report."""

import hashlib
import json
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer

from evenhand.evaluation.encoder import max_length

_TOKENIZER_FILES = (
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


def load_model(path: str | Path, device: str | torch.device = "cpu") -> tuple[nn.Module, object]:
    """Model and tokenizer of a folder (or Hub id), in evaluation mode and float32.

    A checkpoint whose config names a masked-LM architecture is loaded with that head, any other as the body alone. A
    folder in the layout of sentence-transformers is loaded from its transformer; its pooling is left to the measure.

    Args:
        path: a folder with config.json, weights and tokenizer, or the id of a model on the Hub.
        device: where to put the model.

    Raises:
        FileNotFoundError: no such folder, and no such model on the Hub.
        ValueError: no config, no tokenizer, weights missing or of another shape than the config says.
    """
    source = _resolve(path)
    try:
        config = AutoConfig.from_pretrained(source)
        masked_lm = any(name.endswith(("ForMaskedLM", "ForPreTraining")) for name in config.architectures or ())
        factory = AutoModelForMaskedLM if masked_lm else AutoModel
        # Misshapen tensors are let through here and refused below, with the name of the first.
        model, info = factory.from_pretrained(
            source, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True
        )
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        if not Path(source).is_dir():
            raise FileNotFoundError(
                f"{path}: is neither a folder here nor a model that could be had from the Hub: {reason}"
            ) from error
        raise ValueError(f"{path}: cannot be loaded as a transformers model and tokenizer: {reason}") from error
    _refuse_random_weights(model, info, path)
    n_rows, largest = model.get_input_embeddings().num_embeddings, max(tokenizer.get_vocab().values(), default=-1)
    if largest >= n_rows:
        raise ValueError(f"{path}: the tokenizer has ids up to {largest}, the model only {n_rows} embeddings")
    return model.eval().to(device), tokenizer


def _resolve(path: str | Path) -> str:
    """The folder (or Hub id) that transformers should load for ``path``."""
    folder = Path(path)
    if not folder.exists():
        if _HUB_ID.fullmatch(str(path)):
            return str(path)
        raise FileNotFoundError(f"{path}: does not exist; give a model folder or the id of a model on the Hub")
    if not folder.is_dir():
        raise ValueError(f"{path}: is a file; give the folder that holds the model")
    modules = folder / "modules.json"
    if modules.exists():
        try:
            entries = json.loads(modules.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{modules}: not JSON ({error})") from error
        inner = [e["path"] for e in entries if str(e.get("type", "")).endswith(".Transformer")]
        folder = folder / inner[0] if inner else folder
    if not (folder / "config.json").exists():
        hint = f"; did you mean {folder / 'student'}?" if (folder / "student" / "config.json").exists() else ""
        raise ValueError(f"{path}: holds no config.json, so it is not a transformers model folder{hint}")
    if not any((folder / name).exists() for name in _TOKENIZER_FILES):
        raise ValueError(f"{path}: holds no tokenizer (tokenizer.json or vocab.txt); save one beside the model")
    return str(folder)


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
