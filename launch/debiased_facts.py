"""What lies beside a debiased teacher's weights: that it was debiased, how, and from which teacher."""

from __future__ import annotations

import json
from pathlib import Path

DEBIASED_FILE = "evenhand_debiasing.json"


def read_debiased_facts(path: str) -> dict | None:
    """How the teacher at ``path`` was debiased; None for any other teacher.

    Args:
        path: as the recipe has it: a folder, a model on the Hub, or ``package:NAME/FOLDER``.
    """
    file = Path(path).expanduser() / DEBIASED_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
