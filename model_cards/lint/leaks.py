"""Secrets and paths of this machine in what would leave it."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from evenhand.model_cards.lint.problem import Problem, shortened
from evenhand.model_cards.published_report import machine_paths

# Without quotes, as in a shell: letters and digits mixed, no number (`1.5e-05`) and no name that a program looks up (`os.environ[...]`).
_SETTING = r"(?:[\w-]*(?:[_-](?:key|token)|api[ _-]?key|secret\w*|passw(?:or)?d|passphrase)|(?:access|secret) key)"
_SIGN = r"[\w+/.~!@#%^&*-]"
_VALUE = rf"(?={_SIGN}*[a-z])(?={_SIGN}*\d)(?!\d+(?:\.\d+)?e[+-]?\d+\b){_SIGN}{{6,}}(?![(\[]|{_SIGN})"
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
        r"[\"']?\b(?:\w+_)?(?:hub_token|api_?key|access_token|auth_token|secret|secret_key|password|passwd)[\"']?\s*[:=]\s*[\"'][^\"'<>\s]{6,}[\"']"
        rf"|\b(?!(?:bos|eos|unk|sep|pad|cls|mask)_token){_SETTING}[\"']?\s*[:=]\s*[\"']?{_VALUE}"
        rf"|\bpassw(?:or)?d={_SIGN}{{6,}}(?![(\[]|{_SIGN})",
        re.IGNORECASE,
    ),
}
# A vocabulary may hold any string that looks like a path; in these somebody or some library wrote one.
_VOCABULARIES = {"tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "added_tokens.json"}
_LARGEST_TEXT = 200 * 2**20


def text_of(path: Path) -> str | None:
    """The text that a file carries: all of a text file, the head of a safetensors file, the notes in a PNG, None for others.

    A file of any name is text where it is UTF-8 without a NUL.
    """
    if path.suffix == ".safetensors":
        return _safetensors_notes(path)
    if path.suffix == ".png":
        return _picture_notes(path)
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


def _picture_notes(path: Path) -> str | None:
    """What programs wrote beside the pixels of a PNG, a line each at least: titles, comments, camera data."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            # Notes may stand behind the pixels.
            image.load()
            notes = dict(image.info)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if isinstance(camera := notes.get("exif"), bytes):
        notes["exif"] = camera.decode("latin-1")
    return "\n".join(f"{key}: {note}" for key, note in notes.items() if isinstance(note, str))


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
