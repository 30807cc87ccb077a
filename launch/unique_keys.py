"""YAML whose keys come once each: of two equal ones, plain YAML silently keeps the last."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import yaml


def read_unique(path: Path, what: str) -> object:
    """The content of a YAML file; an empty one gives an empty mapping.

    Args:
        path: of the file, in UTF-8.
        what: it is, for errors, e.g. ``Study``.

    Raises:
        ValueError: not YAML, or a key that comes twice in one mapping.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), UniqueKeys) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{what} {path} is not valid YAML: {' '.join(str(error).split())}") from None


class UniqueKeys(yaml.SafeLoader):
    """Plain YAML in which a key that comes twice in one mapping is an error."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # the plain loader refuses it
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} comes twice; give every arm and key a name of its own", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)
