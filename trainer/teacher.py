"""Loading, checking and placing the teacher."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from evenhand.trainer.device_support import half_dtype

PACKAGE_PREFIX = "package:"


@dataclass
class LoadedTeacher:
    """A teacher, its tokenizer, and whether its checkpoint held an MLM head (if not, the head is random)."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    has_mlm_head: bool
    path: str


def resolve_model_path(path: str) -> str:
    """Turn ``package:NAME/FOLDER`` (a model carried by an installed package) into a local path; others pass unchanged.

    Raises:
        FileNotFoundError: the package is not installed, or a path that looks local does not exist.
    """
    if path.startswith(PACKAGE_PREFIX):
        package, _, folder = path.removeprefix(PACKAGE_PREFIX).partition("/")
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError(f"{path}: the Python package {package} is not installed; pip install it first.")
        return _transformer_in(Path(spec.submodule_search_locations[0]) / folder)
    looks_local = path.startswith((".", "/", "~")) or path.count("/") > 1 or (os.sep != "/" and os.sep in path)
    expanded = os.path.expanduser(path)
    if looks_local and not os.path.isdir(expanded):
        raise FileNotFoundError(f"Model folder {path} does not exist.")
    return _transformer_in(expanded)


def _transformer_in(path: str | Path) -> str:
    """``path``, or the folder of the transformer in it: older sentence-transformers kept it apart."""
    inner = Path(path) / "0_Transformer"
    return str(inner) if inner.is_dir() else str(path)


def load_teacher(path: str, revision: str | None = None, seed: int = 0) -> LoadedTeacher:
    """Load a masked-LM teacher from a folder, the Hub, or ``package:NAME/FOLDER``.

    A checkpoint without an MLM head (a sentence encoder) gets a head with random weights drawn from ``seed``.

    Raises:
        FileNotFoundError: the model or its tokenizer is not there.
        ValueError: the model cannot be a masked language model.
    """
    resolved = resolve_model_path(path)
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # a missing head is reported by us, in one line
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model, info = AutoModelForMaskedLM.from_pretrained(
                resolved, revision=revision, dtype=torch.float32, output_loading_info=True
            )
    except ValueError as error:
        raise ValueError(f"Teacher {path} has no masked-LM form in transformers: {_first_line(error)}") from None
    except (OSError, SafetensorError) as error:  # the second: a weights file that was cut short
        raise FileNotFoundError(f"Teacher {path} could not be loaded: {_first_line(error)}") from None
    finally:
        transformers_logging.set_verbosity(verbosity)
    missing = [key for key in info["missing_keys"] if not key.endswith("position_ids")]
    body = [key for key in missing if key.startswith(model.base_model_prefix + ".") and ".pooler." not in key]
    if body:
        raise ValueError(
            f"Teacher {path}: its weights do not fit its config; missing {body[0]} and {len(body) - 1} more."
        )
    return LoadedTeacher(model, load_tokenizer(resolved, path, revision), has_mlm_head=not missing, path=path)


def load_tokenizer(resolved: str, shown: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer that lies with a model.

    Raises:
        FileNotFoundError: there is none.
    """
    names = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "sentencepiece.bpe.model", "spiece.model")
    message = f"Model {shown} has no tokenizer beside it; add its tokenizer files (tokenizer.json or vocab.txt) to the folder."
    if os.path.isdir(resolved) and not any(os.path.isfile(os.path.join(resolved, name)) for name in names):
        raise FileNotFoundError(message)
    try:
        return AutoTokenizer.from_pretrained(resolved, revision=revision)
    except (OSError, ValueError):
        raise FileNotFoundError(message) from None


def check_same_vocabulary(student: PreTrainedTokenizerBase, teacher: PreTrainedTokenizerBase) -> None:
    """Logits are compared index by index, so both vocabularies must be one, in size and in content.

    Raises:
        ValueError: they differ; the message names the first differing token.
    """
    ours, theirs = ({index: token for token, index in t.get_vocab().items()} for t in (student, teacher))
    for index in range(max(len(ours), len(theirs))):
        if ours.get(index) != theirs.get(index):
            raise ValueError(
                f"Student and teacher do not share one vocabulary ({len(ours)} and {len(theirs)} tokens): token {index} is "
                f"{ours.get(index)!r} for the student and {theirs.get(index)!r} for the teacher; use one tokenizer for both."
            )


def check_widths(student: PreTrainedModel, teacher: PreTrainedModel, alpha_cos: float) -> None:
    """Sizes that the objective needs to be equal.

    Raises:
        ValueError: logits of different size, or hidden states of different width with α_cos > 0.
    """
    if student.config.vocab_size != teacher.config.vocab_size:
        raise ValueError(
            f"Student and teacher have logits of different size ({student.config.vocab_size} and "
            f"{teacher.config.vocab_size}); make both models with one tokenizer."
        )
    widths = student.config.hidden_size, teacher.config.hidden_size
    if alpha_cos > 0 and widths[0] != widths[1]:
        raise ValueError(
            f"L_cos needs hidden states of one width, but the student's is {widths[0]} and the teacher's {widths[1]}; "
            "set objective.alpha_cos=0 or make a student of the teacher's width."
        )


def place_teacher(teacher: nn.Module, device: torch.device, dtype: str = "auto") -> nn.Module:
    """Freeze the teacher and move it: eval mode, no gradients, ``dtype`` half where the device computes in it.

    Args:
        teacher: the model; changed in place.
        device: where the student trains.
        dtype: ``float32``, ``float16``, ``bfloat16`` or ``auto``: bf16 on a CUDA device that has it natively, fp16 on an older one
            (V100), fp32 elsewhere.
    """
    chosen = half_dtype(device) if dtype == "auto" else getattr(torch, dtype)
    return teacher.to(device=device, dtype=chosen).eval().requires_grad_(False)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
