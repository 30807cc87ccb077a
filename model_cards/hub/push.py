"""A staged folder becomes the content of a repository: one commit or none, however the connection behaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenhand.model_cards.hub.repository_state import DEFAULT_BRANCH, RepositoryState, branch_exists, read_state
from evenhand.model_cards.hub.retries import TRIES, passing, pause_before, retried


@dataclass(frozen=True)
class Push:
    """What is to be pushed, and where.

    Args:
        api: a `huggingface_hub.HfApi`.
        repo_id: of the model repository.
        folder: a staged folder.
        names: its files, relative to it.
        message: of the commit.
        revision: a branch (made where it is missing) or `refs/pr/N`; None is the default branch.
        check: called with every state of the repository that a commit would build on; raises to stop.
        say: called with a line before each upload, which may take long, and longer where the network fails: the client tries
            again by itself, silently, for minutes.
    """

    api: Any
    repo_id: str
    folder: Path
    names: tuple[str, ...]
    message: str
    revision: str | None
    check: Callable[[RepositoryState], None]
    say: Callable[[str], None] | None = None

    def commit(self, state: RepositoryState) -> tuple[str, bool]:
        """Make the branch hold the folder: the commit that does, and whether it had to be made.

        An answer that is lost does not say whether the commit was made, and a commit of somebody else makes ours fail. In
        both cases the branch is read again: holds it the folder, all is done; else the commit is tried again upon it.

        Args:
            state: of the branch, as `read_state` gave it.

        Raises:
            What the client raised the last time, or `check`.
        """
        if self.revision not in (None, DEFAULT_BRANCH) and not branch_exists(self.api, self.repo_id, self.revision):
            retried(self.api.create_branch, self.repo_id, branch=self.revision, revision=state.commit, exist_ok=True)
        committed, failure = False, None
        for number in range(1, TRIES + 2):
            self.check(state)
            added, stale = state.changes(self.folder, self.names)
            if not added and not stale:
                return state.commit, committed
            if number > TRIES:
                raise failure
            operations, committed = self._uploaded(added, stale, create_pr=False), True
            try:
                return self._create_commit(operations, state.commit, create_pr=False).oid, True
            except Exception as error:
                if not (passing(error) or _overtaken(error)):
                    raise
                failure = error
            if passing(failure) and number < TRIES:
                pause_before(number, failure)
            state = read_state(self.api, self.repo_id, self.revision) or state
        raise AssertionError("unreachable")

    def pull_request(self, state: RepositoryState, author: str) -> tuple[str, bool]:
        """Propose the folder's content: the address of a pull request that does, and whether it had to be opened.

        Args:
            state: of the default branch.
            author: the user's name on the Hub, whose open pull requests are looked at first.
        """
        failure = None
        for number in range(1, TRIES + 2):
            self.check(state)
            if url := self._open_pull_request(author):
                return url, number > 1
            if number > TRIES:
                raise failure
            operations = self._uploaded(*state.changes(self.folder, self.names), create_pr=True)
            try:
                return self._create_commit(operations, state.commit, create_pr=True).pr_url, True
            except Exception as error:
                if not passing(error):
                    raise
                failure = error
            if number < TRIES:
                pause_before(number, failure)
        raise AssertionError("unreachable")

    def _uploaded(self, added: list[str], stale: list[str], create_pr: bool) -> list[Any]:
        """The operations of the commit, their large files on the Hub already, where no commit shows them yet.

        The client repeats these calls by itself, and sends nothing that the Hub has from an earlier attempt.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        additions = [CommitOperationAdd(name, str(self.folder / name)) for name in added]
        if self.say is not None:
            size = sum((self.folder / name).stat().st_size for name in added)
            self.say(
                f"Uploading {len(added)} files, {size:,} bytes; where the network fails it is tried again for minutes"
            )
        self.api.preupload_lfs_files(self.repo_id, additions, free_memory=False, **self._where(create_pr))
        # The client would leave these out of the commit without a word.
        ignored = [addition.path_in_repo for addition in additions if addition._should_ignore]
        if ignored:
            raise ValueError(f"the .gitignore of {self.repo_id} keeps {ignored[0]} out; delete it there first")
        return [*(CommitOperationDelete(name) for name in stale), *additions]

    def _create_commit(self, operations: list[Any], parent: str, create_pr: bool) -> Any:
        """`create_commit` and not `upload_folder`, which may spread its files over several commits."""
        where = self._where(create_pr)
        return self.api.create_commit(
            self.repo_id, operations, commit_message=self.message, parent_commit=parent, **where
        )

    def _where(self, create_pr: bool) -> dict[str, Any]:
        return {"revision": DEFAULT_BRANCH if create_pr else self.revision or DEFAULT_BRANCH, "create_pr": create_pr}

    def _open_pull_request(self, author: str) -> str | None:
        """An open pull request of the user's whose files are those of the folder."""
        filters = {"author": author, "discussion_type": "pull_request", "discussion_status": "open"}
        found = retried(lambda: list(self.api.get_repo_discussions(self.repo_id, **filters)))
        for discussion in found:
            if discussion.title == self.message:
                proposed = read_state(self.api, self.repo_id, f"refs/pr/{discussion.num}")
                if proposed and not any(proposed.changes(self.folder, self.names)):
                    return f"{self.api.endpoint}/{self.repo_id}/discussions/{discussion.num}"
        return None


def _overtaken(error: Exception) -> bool:
    """Whether the branch has moved since its head was read."""
    return getattr(getattr(error, "response", None), "status_code", None) in (409, 412)
