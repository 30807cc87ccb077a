"""What must not be published: a check of a staged folder without loading the model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml
from huggingface_hub import ModelCard

from evenhand.model_cards.facts import FACTS_SCHEMA
from evenhand.model_cards.published_report import canonical_sha256, machine_paths, published_report
from evenhand.model_cards.staging import CARD, FACTS, REPORT, unexpected_files

# A vocabulary may hold any string; these are texts that people or libraries wrote.
TEXTS = {CARD, REPORT, FACTS, "config.json", "generation_config.json", "tokenizer_config.json"}
SECRETS = {
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{16,}"),
    "a GitHub token": re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})"),
    "an AWS key": re.compile(r"\bAKIA[A-Z0-9]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
}
REPORT_HASH = re.compile(r"^\| canonical report \(`report\.json`\) \| `([0-9a-f]{64})` \|$", re.MULTILINE)


def lint_staged(folder: str | Path) -> list[str]:
    """Problems of a staged folder, one line each; empty when it may be published.

    Checked: no file that staging never writes (pickles among them), a front matter that the Hub's client reads back
    with its results, pictures that exist, a card that prints the hash of this report, and no machine path or secret
    in any text.

    Args:
        folder: as `stage` made it.

    Raises:
        FileNotFoundError: no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"staged folder {folder} does not exist; make it first: evenhand publish RUN {folder}")
    problems = [f"{name}: staging never writes such a file; remove it" for name in unexpected_files(folder)]
    missing = [name for name in (CARD, REPORT, FACTS, "config.json") if not (folder / name).is_file()]
    problems += [f"{name}: missing; stage the folder again" for name in missing]
    if not missing:
        card = (folder / CARD).read_text(encoding="utf-8")
        problems += _front_matter_problems(card) + _picture_problems(folder, card) + _report_problems(folder, card)
    return problems + _leaks(folder)


def printed_report_hash(card: str) -> str | None:
    """The hash of the canonical report that a card prints, or None."""
    match = REPORT_HASH.search(card)
    return match[1] if match else None


def _front_matter_problems(card: str) -> list[str]:
    match = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    if not match:
        return [f"{CARD}: has no front matter; stage the folder again"]
    try:
        data = yaml.safe_load(match[1])
        parsed = ModelCard(card, ignore_metadata_errors=False).data
    except (yaml.YAMLError, ValueError, TypeError, KeyError) as error:
        return [f"{CARD}: front matter cannot be read ({' '.join(str(error).split())[:120]})"]
    if not isinstance(data, dict) or not parsed.eval_results:
        return [f"{CARD}: front matter has no results (model-index)"]
    keys = [result.unique_identifier for result in parsed.eval_results]
    if len(set(keys)) != len(keys):
        return [f"{CARD}: two results of the model-index share a data set's config, so the Hub would merge them"]
    return []


def _picture_problems(folder: Path, card: str) -> list[str]:
    names = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", card)
    return [f"{CARD}: picture {name} does not exist" for name in names if not (folder / name).is_file()]


def _report_problems(folder: Path, card: str) -> list[str]:
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        published = published_report(report)
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [f"{REPORT} or {FACTS}: {' '.join(str(error).split())[:200]}"]
    problems = []
    if published != report:
        problems.append(f"{REPORT}: holds machine paths; stage the folder again")
    if printed_report_hash(card) != canonical_sha256(report):
        problems.append(f"{CARD}: prints another report's hash than that of {REPORT}; stage the folder again")
    if not isinstance(facts, dict) or facts.get("schema") != FACTS_SCHEMA:
        problems.append(f"{FACTS}: is not of schema {FACTS_SCHEMA!r}; stage the folder again")
    return problems


def _leaks(folder: Path) -> list[str]:
    """Secrets in any file that is text, machine paths in those that people or libraries wrote."""
    problems = []
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".json", ".md", ".txt") or not path.is_file():
            continue
        name, text = path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8", errors="replace")
        problems += [f"{name}: holds {kind}; remove it" for kind, sign in SECRETS.items() if sign.search(text)]
        if name in TEXTS:
            problems += [f"{name}: holds the machine path {found!r}" for found in machine_paths(text)[:1]]
    return problems
