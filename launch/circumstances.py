"""What a training ran with: the code, the libraries and the machine. No fact here decides the student."""

from __future__ import annotations

import os
import subprocess
from importlib import metadata
from pathlib import Path

from accelerate import PartialState

from evenhand.evaluation.evaluators import environment
from evenhand.evaluation.hardware import hardware
from evenhand.trainer.device_support import launcher_says

CHECKOUT = Path(__file__).resolve().parents[1]
"""The repository's root where this package is installed from a checkout (``pip install -e``)."""

LIBRARIES = ("accelerate", "datasets", "huggingface_hub", "numpy", "safetensors", "tokenizers")
GIT_SECONDS = 20
"""A repository on a slow file system must not hold a training up."""


def circumstances() -> dict[str, dict]:
    """``code``, ``environment`` and ``hardware`` for training.json, as they are now: before a training, whose code may be edited meanwhile."""
    state = PartialState()
    libraries = {name: metadata.version(name) for name in LIBRARIES}
    if launcher_says("ACCELERATE_USE_DEEPSPEED"):
        libraries["deepspeed"] = metadata.version("deepspeed")
    return {
        "code": code(),
        "environment": {**environment(), **libraries},
        "hardware": {**hardware(state.device), "processes": state.num_processes},
    }


def code(root: Path = CHECKOUT) -> dict[str, object]:
    """``version``, and of a git checkout its ``commit`` and whether tracked files differ from it (``modified``); both None where this
    package is not installed from a checkout, or git cannot say.

    Args:
        root: where the checkout would be.
    """
    version = metadata.version("evenhand")
    commit = _git(root, "rev-parse", "--verify", "HEAD") if (root / ".git").exists() else None
    changes = _git(root, "status", "--porcelain", "--untracked-files=no") if commit else None
    return {"version": version, "commit": commit, "modified": None if changes is None else bool(changes)}


def _git(root: Path, *words: str) -> str | None:
    # what a hook or another tool has set would point git at another repository
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words],
            env=own | {"GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
