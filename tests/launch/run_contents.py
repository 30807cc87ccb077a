"""What a run directory holds, without what differs from one training to the next of the same recipe: the time and the energy that it took."""

import json
from pathlib import Path

COSTS = ("seconds", "energy")
FILES_WITH_COSTS = ("training.json", "evenhand_mlm_head.json")


def facts_without_costs(file: Path) -> dict:
    """training.json, or what is kept of a masked-LM head's training."""
    facts = json.loads(file.read_text(encoding="utf-8"))
    head = facts.get("teacher", {}).get("mlm_head") if isinstance(facts.get("teacher"), dict) else None
    for part in filter(None, (facts, head)):
        for name in COSTS:
            del part[name]  # it has to be there
    return facts


def contents(folder: Path) -> dict[str, object]:
    """By relative path the bytes of every file; of those with costs, the facts without them."""
    return {
        str(path.relative_to(folder)): facts_without_costs(path) if path.name in FILES_WITH_COSTS else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
