"""Files of a repository on the Hub at one commit: listed first, then those that are named are downloaded, and no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from evenhand.model_cards.hub.refusals import one_line_errors
from evenhand.model_cards.hub.retries import retried
from evenhand.model_cards.hub.target import HubRepository

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_Answer = TypeVar("_Answer")


def list_files(repository: HubRepository, api: HfApi | None = None) -> tuple[str, list[str]]:
    """The commit that the revision stands for, and the paths of all files at it.

    Raises:
        FileNotFoundError: no such repository or revision, or one that is not yours to see.
        RuntimeError: the Hub cannot be reached, or refuses.
    """
    client = _client(api)
    info = _asked(repository, lambda: client.model_info(repository.repo_id, revision=repository.revision))
    if not info.sha:
        raise RuntimeError(f"{repository}: the Hub names no commit of it")
    return info.sha, sorted(sibling.rfilename for sibling in info.siblings or [])


def download(repo_id: str, commit: str, names: Sequence[str], api: HfApi | None = None) -> Path:
    """The folder of the Hugging Face cache with the named files; what it lacks is fetched.

    Raises:
        FileNotFoundError, RuntimeError: as `list_files`.
    """
    client, repository = _client(api), HubRepository(repo_id, commit)
    return Path(
        _asked(repository, lambda: client.snapshot_download(repo_id, revision=commit, allow_patterns=list(names)))
    )


def _client(api: HfApi | None) -> HfApi:
    from huggingface_hub import HfApi

    return HfApi() if api is None else api


def _asked(repository: HubRepository, question: Callable[[], _Answer]) -> _Answer:
    """The answer, asked for again after a fault that passes; what the client raises becomes one line."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    with one_line_errors(f"{repository} cannot be had from the Hub", repository.repo_id):
        try:
            return retried(question)
        except RevisionNotFoundError:
            missing = "the repository has no such branch, tag or commit"
        except GatedRepoError:
            missing = "it is gated: ask for access on its page, and log in with 'hf auth login'"
        except RepositoryNotFoundError:
            missing = "there is no such model, or it is private: log in with 'hf auth login' as somebody who may see it"
    raise FileNotFoundError(f"{repository}: {missing}")
