"""Files that a published folder must not hold: they run code when it is loaded, or change which weights are."""

from __future__ import annotations

_SUFFIXES = (
    *(".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack", ".ot", ".joblib"),
    *(".py", ".pyc", ".so", ".dll", ".dylib", ".sh", ".safetensors", ".safetensors.index.json"),
)
_NAMES = ("modules.json", "adapter_config.json")


def is_unsafe(name: str) -> bool:
    """Whether a file that staging did not write is a pickle, code, other weights, or a list of other things to load.

    Args:
        name: path relative to the folder.
    """
    return name.lower().endswith(_SUFFIXES) or name.split("/")[-1] in _NAMES
