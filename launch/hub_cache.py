"""What of the Hub lies in the local caches, complete and at its revision: models and data sets have a cache each.

A model is read from the Hub's cache (``HF_HOME/hub``), which ``hf download`` fills. A data set is read from the cache of
``datasets`` (``HF_HOME/datasets``), because offline ``load_dataset`` looks nowhere else: ``hf download`` does not help, only
``load_dataset`` itself does (datasets 5.2, ``CachedDatasetModuleFactory``).
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import datasets
from datasets.naming import camelcase_to_snakecase
from huggingface_hub import constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.file_download import repo_folder_name

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "sentencepiece.bpe.model", "spiece.model")
IMAGE_PROCESSOR = "preprocessor_config.json"
OTHER_FRAMEWORKS = ("*.h5", "*.msgpack", "*.ot", "*.onnx", "onnx/*", "openvino/*", "coreml/*")
"""Files of a model's repository that PyTorch does not read; they often are most of its bytes."""

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubModel:
    """A model on the Hub.

    Args:
        name: ``user/model``.
        revision: commit, tag or branch; None is ``main``.
    """

    name: str
    revision: str | None = None

    def missing(self) -> str | None:
        """What is wrong, in words; None if the cache holds configuration, tokenizer or image processor, and all weights."""
        if self._cached("config.json") is None:
            return "only another revision is in the cache" if self._any_revision() else "not in the cache"
        if not any(self._cached(name) for name in (*TOKENIZERS, IMAGE_PROCESSOR)):
            return "the cache has no tokenizer or image processor of it"
        if any(self._cached(name) for name in WEIGHTS):
            return None
        for name in WEIGHTS:
            index = self._cached(f"{name}.index.json")
            if index is not None:
                shards = set(json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values())
                absent = sorted(shard for shard in shards if self._cached(shard) is None)
                return (
                    f"the cache lacks {len(absent)} of {len(shards)} files of weights ({absent[0]})" if absent else None
                )
        return "the cache has no weights of it"

    def command(self) -> str:
        """How to fetch it."""
        words = ["hf", "download", self.name, *(["--revision", self.revision] if self.revision else [])]
        return shlex.join([*words, *(word for pattern in OTHER_FRAMEWORKS for word in ("--exclude", pattern))])

    def folder(self) -> str:
        """The folder of the cache with this revision; what it lacks is fetched unless offline mode is on.

        Raises:
            FileNotFoundError: offline, and the cache holds nothing of it.
        """
        config = self._cached("config.json")
        if constants.is_offline_mode():
            if config is None:
                raise FileNotFoundError(
                    f"{self.name} (revision {self.revision or 'main'}) is not in the cache {constants.HF_HUB_CACHE}, and offline mode "
                    f"is on (HF_HUB_OFFLINE); on a machine with a network run: {self.command()}"
                )
            return str(Path(config).parent)
        return snapshot_download(self.name, revision=self.revision, ignore_patterns=list(OTHER_FRAMEWORKS))

    def _cached(self, file: str) -> str | None:
        path = try_to_load_from_cache(self.name, file, revision=self.revision)
        return path if isinstance(path, str) else None  # else a mark that it is known not to exist

    def _any_revision(self) -> bool:
        return any((_repository(self.name, "model") / "snapshots").glob("*/config.json"))


@dataclass(frozen=True)
class HubDataset:
    """Configurations of a data set on the Hub.

    Args:
        name: ``user/dataset``.
        configurations: names; None stands for the only or default one.
        revision: commit, tag or branch; None is ``main``.
    """

    name: str
    configurations: tuple[str | None, ...] = (None,)
    revision: str | None = None

    def missing(self) -> str | None:
        """What is wrong, in words; None if ``datasets`` has prepared every configuration at the revision."""
        absent = [name for name in self.configurations if not self._prepared(name)]
        if not absent:
            return None
        of = f"of {', '.join(filter(None, absent))} " if any(absent) else ""
        if any(self._folders(name) for name in absent):
            return f"only another revision {of}is in the cache"
        return f"{of}nothing is in the cache" if of else "not in the cache"

    def command(self) -> str:
        """How to fetch it."""
        revision = f", revision={self.revision!r}" if self.revision else ""
        if self.configurations == (None,):
            code = f"load_dataset({self.name!r}{revision})"
        elif len(self.configurations) == 1:
            code = f"load_dataset({self.name!r}, {self.configurations[0]!r}{revision})"
        else:
            code = f"[load_dataset({self.name!r}, name{revision}) for name in {self.configurations!r}]"
        return f'python -c "from datasets import load_dataset; {code}"'

    def _prepared(self, configuration: str | None) -> bool:
        commit = self._commit()
        return any(commit in (None, folder.name) for folder in self._folders(configuration))

    def _folders(self, configuration: str | None) -> list[Path]:
        """``…/user___dataset/CONFIGURATION/VERSION/COMMIT`` with its description, which is written last."""
        *namespace, name = self.name.split("/")
        root = Path(datasets.config.HF_DATASETS_CACHE) / "___".join([*namespace, camelcase_to_snakecase(name)])
        found = root.glob(f"{configuration or '*'}/*/*/dataset_info.json")
        return [path.parent for path in found if not path.parent.name.endswith(".incomplete")]

    def _commit(self) -> str | None:
        """The commit that the revision stands for; None where only the Hub knows, or any will do."""
        if self.revision is None or _COMMIT.fullmatch(self.revision):
            return self.revision
        reference = _repository(self.name, "dataset") / "refs" / self.revision
        return reference.read_text(encoding="utf-8").strip() if reference.is_file() else None


def _repository(name: str, kind: str) -> Path:
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type=kind)
