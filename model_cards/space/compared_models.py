"""The models that the app compares: the list of them as a file, and the models themselves."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROLES = ("teacher", "student", "model")
MOST_MODELS = 12
# Weights are read from safetensors alone: a pickle can run code, and the app never downloads one.
SAFE_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")


@dataclass(frozen=True)
class ComparedModel:
    """One model of the app.

    Args:
        name: what the app calls it; no other model has it.
        source: a model folder of this machine, or the id of a model on the Hub.
        role: ``"teacher"``, ``"student"``, or ``"model"`` for one of which neither is known.
        teacher: the name of the model that it is compared with; ``None`` for none.
        revision: commit of a model on the Hub; ``None`` for its newest.
    """

    name: str
    source: str
    role: str = "model"
    teacher: str | None = None
    revision: str | None = None


def check_models(models: Sequence[ComparedModel]) -> None:
    """Refuse a list that the app cannot show.

    Raises:
        ValueError: no model or too many, one name for two, or a teacher that is not in the list.
    """
    names = [model.name for model in models]
    if not models:
        raise ValueError("the app needs a model; name a run, a model folder or a model on the Hub")
    if len(models) > MOST_MODELS:
        raise ValueError(f"the app compares at most {MOST_MODELS} models, and these are {len(models)}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two models would be called {twice!r}; rename the folder of one")
    for model in models:
        if model.role not in ROLES:
            raise ValueError(f"{model.name}: the role is {model.role!r}; use one of {', '.join(ROLES)}")
        if model.teacher is not None and (model.teacher not in names or model.teacher == model.name):
            raise ValueError(f"{model.name}: its teacher {model.teacher!r} is not among the models")


def models_text(models: Sequence[ComparedModel]) -> str:
    """The list as the text of ``models.json``; `read_models` reads it back."""
    check_models(models)
    return json.dumps([dataclasses.asdict(model) for model in models], indent=2, ensure_ascii=False) + "\n"


def read_models(path: str | Path) -> list[ComparedModel]:
    """The list of a ``models.json``.

    Raises:
        ValueError: the file is no such list.
    """
    try:
        models = [ComparedModel(**entry) for entry in json.loads(Path(path).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: is no list of models ({' '.join(str(error).split())})") from error
    check_models(models)
    return models


@dataclass(frozen=True)
class LoadedModel:
    """A model of the list with its weights, in evaluation mode, and its tokenizer."""

    about: ComparedModel
    model: Any
    tokenizer: Any


def load_models(models: Sequence[ComparedModel]) -> list[LoadedModel]:
    """All of ``models``, in their order; those on the Hub are downloaded (safetensors only) into its usual cache.

    Raises:
        ValueError, FileNotFoundError: a model that cannot be loaded.
        RuntimeError: the Hub cannot be reached, or does not give the model.
    """
    from evenhand.evaluation.models import load_model

    check_models(models)
    return [LoadedModel(about, *load_model(_folder(about))) for about in models]


def _folder(model: ComparedModel) -> str:
    """Where the files of ``model`` lie, downloaded if need be."""
    if Path(model.source).is_dir():
        return model.source
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, LocalEntryNotFoundError

    try:
        return snapshot_download(model.source, revision=model.revision, allow_patterns=list(SAFE_FILES))
    except HFValidationError:
        raise FileNotFoundError(
            f"{model.source}: is neither a model folder here nor the id of a model on the Hub"
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise RuntimeError(
            f"{model.source}: the Hub answered {status}; a private model needs a login ('hf auth login' or HF_TOKEN)"
        ) from error
    except (LocalEntryNotFoundError, HTTPError, OSError) as error:
        raise RuntimeError(
            f"{model.source}: is not in the cache, and the Hub cannot be reached ({type(error).__name__})"
        ) from error
