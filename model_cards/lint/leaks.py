"""Secrets and paths of this machine in what would leave it."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from evenhand.model_cards.lint.problem import Problem, shortened
from evenhand.model_cards.published_report import machine_paths

SECRETS = {
    "a Hugging Face token": re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9]{16,}"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})"),
    "a GitLab token": re.compile(r"\bglpat-[\w-]{20,}"),
    "an AWS key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a Google key": re.compile(r"\bAIza[\w-]{35}"),
    "an API key": re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"),
    "a Slack token": re.compile(r"\bxox[abpors]-[A-Za-z0-9-]{10,}"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "a JSON web token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    "a password in an address": re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"'<>]+:[^\s/@\"'<>]+@"),
    # The value, not only the name of a setting, and not what a library puts in a token's place.
    "the value of a secret setting": re.compile(
        r"[\"']?\b(?:\w+_)?(?:hub_token|api_?key|access_token|auth_token|secret|secret_key|password|passwd)[\"']?\s*[:=]\s*[\"'][^\"'<>\s]{6,}[\"']",
        re.IGNORECASE,
    ),
}
# A vocabulary may hold any string that looks like a path; in these somebody or some library wrote one.
_VOCABULARIES = {"tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "added_tokens.json"}
_LARGEST_TEXT = 200 * 2**20


def text_of(path: Path) -> str | None:
    """The text that a file carries: all of a text file, the head of a safetensors file, None for others.

    A file of any name is text where it is UTF-8 without a NUL.
    """
    if path.suffix == ".safetensors":
        return _safetensors_notes(path)
    if path.stat().st_size > _LARGEST_TEXT:
        return None
    with path.open("rb") as file:
        if b"\0" in file.read(4096):
            return None
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def _safetensors_notes(path: Path) -> str | None:
    """The free text in the head of a safetensors file, as JSON."""
    with path.open("rb") as file:
        length = file.read(8)
        if len(length) < 8:
            return None
        try:
            head = json.loads(file.read(min(struct.unpack("<Q", length)[0], _LARGEST_TEXT)))
        except ValueError:
            return None
    return json.dumps(head.get("__metadata__"), indent=0) if isinstance(head, dict) else None


def leaks(name: str, text: str) -> Iterator[Problem]:
    """Every line of a text that holds a secret, and every one with a machine path where the file is no vocabulary.

    The secret itself is not repeated.

    Args:
        name: of the file, relative to the published folder.
        text: its content.
    """
    for kind, sign in SECRETS.items():
        for match in sign.finditer(text):
            yield Problem(text.count("\n", 0, match.start()) + 1, f"holds {kind}; remove it")
    if name.split("/")[-1] not in _VOCABULARIES:
        for number, line in enumerate(text.split("\n"), start=1):
            # In a link `./` is the folder of the card.
            for path in machine_paths(line.replace("](./", "]("))[:1]:
                yield Problem(number, f"holds the machine path {shortened(path)!r}; cut it to its last part")
