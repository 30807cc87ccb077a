"""Where a teacher and a corpus come from: the commit on the Hub, and the licence as their own card states it. What is not known is None."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.request import getproxies

import yaml
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.repocard import metadata_load

from evenhand.launch.doctor import hub_answers
from evenhand.trainer.corpus_sources import CorpusSource
from evenhand.trainer.documents import Documents
from evenhand.trainer.teacher import PACKAGE_PREFIX, resolve_model_path

CARD = constants.REPOCARD_NAME
_COMMIT = re.compile(r"[0-9a-f]{40}")


def teacher_origin(path: str, revision: str | None = None) -> dict[str, object]:
    """``revision`` (commit of a model on the Hub) and ``licence`` of a teacher that has been loaded.

    Args:
        path: as the recipe has it: a folder, a model on the Hub, or ``package:NAME/FOLDER``.
        revision: as the recipe has it.

    Returns:
        ``licence`` is as `stated_licence` gives it.
    """
    try:
        resolved = resolve_model_path(path)
    except FileNotFoundError:  # a teacher's head was trained elsewhere, and the teacher itself is not here
        return UNKNOWN
    if Path(resolved).is_dir():
        shown, card = path if path.startswith(PACKAGE_PREFIX) else Path(resolved).resolve().name, Path(resolved, CARD)
        return {"revision": None, "licence": stated_licence(card if card.is_file() else None, shown)}
    commit = _cached_commit(resolved, "config.json", revision, "model")
    return {"revision": commit, "licence": stated_licence(_hub_card(resolved, commit, "model"), resolved)}


def corpus_origins(sources: Sequence[CorpusSource], documents: Sequence[Documents]) -> list[dict[str, object]]:
    """``hub`` and ``name`` (data set and configuration), ``revision`` and ``licence`` (as `teacher_origin`) of each source; all None for a
    local one, whose licence can be declared in the recipe (``publish.data_licences``).

    Args:
        sources: the recipe's.
        documents: the same, opened.
    """
    return [
        _hub_source(source, opened) if source.hub is not None else dict.fromkeys(("hub", "name", "revision", "licence"))
        for source, opened in zip(sources, documents, strict=True)
    ]


def stated_licence(card: Path | None, name: str) -> dict[str, str | None]:
    """What the front matter of a card says.

    Args:
        card: a README.md; None where there is none.
        name: of what it describes.

    Returns:
        ``licence`` (the Hub's identifier as it stands there; several are separated by commas), ``name`` and ``link`` (as a licence ``other``
        has them), each None where the card names none; and ``source``, which card it is, None where none can be read.
    """
    try:
        stated = None if card is None else metadata_load(card) or {}
    except (OSError, ValueError, yaml.YAMLError):
        stated = None
    source = None if stated is None else f"the card of {name}"
    stated = stated or {}
    return {
        "licence": _text(stated.get("license")),
        "name": _text(stated.get("license_name")),
        "link": _text(stated.get("license_link")),
        "source": source,
    }


def _text(value: object) -> str | None:
    if isinstance(value, list):
        value = ", ".join(entry for entry in value if isinstance(entry, str))
    return " ".join(value.split()) or None if isinstance(value, str) else None


UNKNOWN = {"revision": None, "licence": stated_licence(None, "")}
"""The origin of a teacher of which nothing is known."""


def _hub_source(source: CorpusSource, opened: Documents) -> dict[str, object]:
    commit = _prepared_commit(opened) or _cached_commit(source.hub, CARD, source.revision, "dataset")
    licence = stated_licence(_hub_card(source.hub, commit, "dataset"), source.hub)
    return {"hub": source.hub, "name": source.name, "revision": commit, "licence": licence}


def _prepared_commit(opened: Documents) -> str | None:
    """``datasets`` keeps what it has prepared in a folder named for the commit; a stream is not prepared."""
    files = getattr(getattr(opened, "rows", None), "cache_files", None) or []
    commits = {name for file in files if _COMMIT.fullmatch(name := Path(file["filename"]).parent.name)}
    return commits.pop() if len(commits) == 1 else None


def _cached_commit(name: str, file: str, revision: str | None, kind: str) -> str | None:
    """The commit that the cache has for ``revision``, which a load has just brought up to date."""
    if revision and _COMMIT.fullmatch(revision):
        return revision
    found = try_to_load_from_cache(name, file, revision=revision, repo_type=kind)
    if not isinstance(found, str):
        return None
    parts = Path(found).parts
    commit = parts[parts.index("snapshots") + 1] if "snapshots" in parts else ""
    return commit if _COMMIT.fullmatch(commit) else None


def _hub_card(name: str, commit: str | None, kind: str) -> Path | None:
    """The card at that commit, from the cache or the Hub; of an unknown commit there is none: another one's may say something else."""
    if commit is None:
        return None
    cached = try_to_load_from_cache(name, CARD, revision=commit, repo_type=kind)
    if isinstance(cached, str):
        return Path(cached)
    # a proxy is asked for the Hub's address in another way
    if cached is not None or constants.is_offline_mode() or not (getproxies() or hub_answers()):
        return None
    try:
        return Path(hf_hub_download(name, CARD, revision=commit, repo_type=kind))
    except Exception:  # gated, no card, or one of many kinds of network failure: a training does not depend on it
        return None
