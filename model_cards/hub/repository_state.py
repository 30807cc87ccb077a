"""What a repository on the Hub holds at this moment, and how it differs from a staged folder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenhand.model_cards.facts import FACTS_SCHEMA
from evenhand.model_cards.hub.retries import retried
from evenhand.model_cards.staging import CARD, FACTS, is_staged_name
from evenhand.model_cards.unsafe_files import is_unsafe

DEFAULT_BRANCH = "main"
# What a repository that nobody has filled may hold; the Hub's form for a new one writes the last.
_FRESH = {".gitattributes", ".gitignore", CARD}


@dataclass(frozen=True)
class RepositoryState:
    """A model repository at one commit of one branch.

    ``made`` is when the Hub made the repository, which tells it from an earlier one of its name; ``hashes`` maps paths to
    SHA-256 for large files and to git's blob hash for the others, which `changes` compares with.
    """

    repo_id: str
    private: bool
    made: str | None
    commit: str
    hashes: Mapping[str, tuple[str, str]]
    card: str | None
    facts: Mapping[str, Any] | None

    def check_ours(self, just_made: bool) -> None:
        """Raise ValueError unless this is an earlier published student, or a repository that nobody has filled.

        Args:
            just_made: it was made a moment ago; then a file that somebody has put there since may stay beside the student.
        """
        unsafe = sorted(name for name in self.hashes if is_unsafe(name) and not is_staged_name(name))
        if unsafe:
            raise ValueError(
                f"{self.repo_id} holds {unsafe[0]}, which would be loaded in the place of what is published or could run "
                "code; delete it there first, or publish under another name"
            )
        others = sorted(set(self.hashes) - _FRESH)
        if self.facts is None and others and not just_made:
            raise ValueError(f"{self.repo_id} holds something else ({others[0]}); publish under another name")
        if self.facts is None and self.card is not None and _body(self.card):
            raise ValueError(f"{self.repo_id} holds a card that is not evenhand's; publish under another name")

    def files_of_others(self) -> list[str]:
        """Files that staging never writes and that no new repository holds."""
        return sorted(name for name in self.hashes if name not in _FRESH and not is_staged_name(name))

    def changes(self, folder: Path, names: tuple[str, ...]) -> tuple[list[str], list[str]]:
        """Files of ``folder`` that the repository does not hold so, and files of an earlier student that go.

        Files that staging never writes belong to the repository's owner and stay.
        """
        added = [name for name in names if not self._holds(folder, name)]
        stale = sorted(name for name in self.hashes if is_staged_name(name) and name not in names)
        return added, stale

    def _holds(self, folder: Path, name: str) -> bool:
        from huggingface_hub.utils.sha import git_hash, sha_fileobj

        kind, digest = self.hashes.get(name, (None, None))
        if kind == "git":
            return git_hash((folder / name).read_bytes()) == digest
        if kind == "sha256":
            with (folder / name).open("rb") as file:
                return sha_fileobj(file).hex() == digest
        return False


def read_state(api: Any, repo_id: str, revision: str | None) -> RepositoryState | None:
    """The repository at the head of a branch; None where there is no such repository.

    Args:
        api: a `huggingface_hub.HfApi`.
        revision: a branch or `refs/pr/N`; None is the default branch. One that does not exist yet is read as the default
            branch, from which it will be made.

    Raises:
        What the client raises for anything but a missing repository.
    """
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = retried(api.model_info, repo_id, revision=revision or DEFAULT_BRANCH)
    except RevisionNotFoundError:
        return read_state(api, repo_id, None) if revision not in (None, DEFAULT_BRANCH) else None
    except RepositoryNotFoundError:
        return None
    tree = _files(api, repo_id, info.sha)
    hashes = {file.path: ("sha256", file.lfs.sha256) if file.lfs else ("git", file.blob_id) for file in tree}
    card, facts = (_text(api, repo_id, info.sha, name) if name in hashes else None for name in (CARD, FACTS))
    made = info.created_at.isoformat() if info.created_at else None
    return RepositoryState(repo_id, bool(info.private), made, info.sha, hashes, card, our_facts(facts))


def branch_exists(api: Any, repo_id: str, revision: str) -> bool:
    """Whether a branch, or a pull request's `refs/pr/N`, is there."""
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        retried(api.model_info, repo_id, revision=revision)
    except RevisionNotFoundError:
        return False
    return True


def _files(api: Any, repo_id: str, commit: str) -> list[Any]:
    from huggingface_hub.hf_api import RepoFile

    entries = api.list_repo_tree(repo_id, recursive=True, revision=commit)
    return [entry for entry in entries if isinstance(entry, RepoFile)]


def _text(api: Any, repo_id: str, commit: str, name: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = retried(api.hf_hub_download, repo_id, name, revision=commit, local_dir=folder)
        return Path(path).read_text(encoding="utf-8", errors="replace")


def our_facts(text: str | None) -> Mapping[str, Any] | None:
    """The facts of a published card from their file's text; None where it is no such file."""
    try:
        facts = json.loads(text) if text is not None else None
    except ValueError:
        return None
    return facts if isinstance(facts, dict) and facts.get("schema") == FACTS_SCHEMA else None


def _body(card: str) -> str:
    """What a card holds beside its front matter."""
    parts = card.split("---", 2)
    return (parts[2] if not parts[0].strip() and len(parts) == 3 else card).strip()
