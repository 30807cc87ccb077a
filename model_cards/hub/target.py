"""Where a student is published, or what is verified: a folder, or a repository on the Hub."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

HUB = "hf://"
_PATH_LIKE = re.compile(r"(\.{1,2}|~[^/\\]*)?([/\\]|$)|[A-Za-z]:[\\/]")
# What git allows in the name of a branch, tag, pull request or commit, without the characters that a shell would read.
_REVISION = re.compile(r"(?!.*(\.\.|//))[A-Za-z0-9][A-Za-z0-9._/-]*(?<![./])")


@dataclass(frozen=True)
class LocalFolder:
    """A folder on this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class HubRepository:
    """A model repository; `revision` is a branch, tag, pull request (`refs/pr/1`) or commit, None for the default branch."""

    repo_id: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.repo_id if self.revision is None else f"{self.repo_id}@{self.revision}"


def parse_target(text: str, for_publishing: bool = False) -> LocalFolder | HubRepository:
    """What a person means by a folder or `OWNER/NAME[@REVISION]`.

    An existing folder is that folder, and so is whatever begins as a path (`./`, `../`, `/`, `~`). `OWNER/NAME` is a
    model on the Hub; `hf://OWNER/NAME` is one whatever folders there are.

    Args:
        text: as typed on the command line.
        for_publishing: refuse `OWNER/NAME` where a folder `OWNER` stands here and holds no `NAME`: it may be meant as
            a new folder in it, or as a repository on the Hub.

    Raises:
        ValueError: it is neither, or ambiguous; one line that names what to write instead.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError("no target is named; give a folder such as ./student, or OWNER/NAME for the Hub")
    if text.startswith(HUB):
        return _repository(text.removeprefix(HUB), text)
    path = Path(os.path.expanduser(text))  # where there is no such user, the path as it stands
    if path.is_file():
        raise ValueError(f"{text} is a file; give a folder, or OWNER/NAME for the Hub")
    if path.is_dir() or _PATH_LIKE.match(text):
        return LocalFolder(path)
    if "/" not in text:
        raise ValueError(f"{text!r} is neither an existing folder nor OWNER/NAME; write ./PATH for a new folder")
    repository = _repository(text, text)
    owner = repository.repo_id.split("/")[0]
    if for_publishing and os.path.isdir(owner):
        raise ValueError(
            f"{text} may be a new folder in ./{owner} or a repository on the Hub; write ./{text} or {HUB}{text}"
        )
    return repository


def _repository(name: str, text: str) -> HubRepository:
    """`OWNER/NAME[@REVISION]`, checked as the Hub would."""
    repo_id, at, revision = name.partition("@")
    if repo_id.count("/") != 1:
        raise ValueError(f"{text!r} is neither an existing folder nor OWNER/NAME; write ./PATH for a new folder")
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{text!r} is no repository of the Hub ({reason}); write ./PATH for a folder") from None
    if at and not _REVISION.fullmatch(revision):
        raise ValueError(f"{text!r} names no revision that git would accept; write OWNER/NAME@BRANCH")
    return HubRepository(repo_id, revision or None)
