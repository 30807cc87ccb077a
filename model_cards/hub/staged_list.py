"""The list of a Space's staged files, which is one of them: what a later version may delete is only what an earlier one put there."""

from __future__ import annotations

import json
from collections.abc import Mapping

LIST = "staged_files.json"


def with_list(texts: Mapping[str, str]) -> dict[str, str]:
    """``texts`` by path, and the list of their paths and its own."""
    return {**texts, LIST: json.dumps(sorted([*texts, LIST]), indent=1) + "\n"}


def listed(text: str) -> frozenset[str]:
    """The paths that such a list names; none where somebody has made something else of it."""
    try:
        names = json.loads(text)
    except ValueError:
        return frozenset()
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()
