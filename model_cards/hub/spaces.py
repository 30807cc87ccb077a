"""A Space on the Hub from a staged folder: one commit, or none where the Space holds the same files already."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evenhand.model_cards.hub import unfinished
from evenhand.model_cards.hub.refusals import one_line_errors
from evenhand.model_cards.hub.retries import TRIES, passing, pause_before, retried
from evenhand.model_cards.hub.staged_list import LIST, listed

# What a Space that nobody has filled holds.
FRESH_SPACE = {".gitattributes", "README.md"}


@dataclass(frozen=True)
class Space:
    """A staged Space, and what became of it on the Hub.

    Args:
        repo_id: ``OWNER/NAME``.
        folder: where it was staged.
        files: paths in ``folder``.
        use: how it is used, the last line for people.
        url: its address, ``None`` after a dry run.
        commit: the one that holds the files, ``None`` likewise.
        changed: whether the Hub's files are others than before.
        note: a line for people.
    """

    repo_id: str
    folder: Path
    files: tuple[str, ...]
    use: str = ""
    url: str | None = None
    commit: str | None = None
    changed: bool = False
    note: str = ""

    def summary(self) -> str:
        """For people: the files, and what was done."""
        sizes = [(name, (self.folder / name).stat().st_size) for name in self.files]
        width = max(len(name) for name in self.files)
        listing = [f"  {name:<{width}}  {size:>7,} bytes" for name, size in sizes]
        if self.url is None:
            done = f"Dry run: nothing was published. The Space {self.repo_id} would hold {self.folder}:"
        elif self.changed:
            done = f"Published {self.folder} as the Space {self.repo_id} ({self.url}):"
        else:
            done = f"The Space {self.repo_id} already holds {self.folder} ({self.url}); nothing was changed:"
        return "\n".join([done, *listing, *filter(None, [self.use, self.note])])


@dataclass(frozen=True)
class SpaceKind:
    """What tells one kind of Space from others.

    Args:
        own: whether staging may write such a path.
        marks: files that every staged folder of the kind holds.
        mark: the one by which a Space of this kind is known on the Hub; what holds other files and not this is left alone.
        name: of the kind, for messages.
        message: of commits.
    """

    own: Callable[[str], bool]
    marks: frozenset[str]
    mark: str
    name: str
    message: str


def files_of(folder: Path) -> tuple[str, ...]:
    """Paths of all files in ``folder``, relative to it, sorted."""
    return tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()))


def refuse_foreign(folder: Path, kind: SpaceKind) -> None:
    """Raise ValueError unless ``folder`` is new, empty, or an earlier staging of the same kind."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"cannot stage into {folder}: it is a file; choose another folder")
    entries = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    if not entries:
        return
    if not {*kind.marks, LIST} <= set(entries):
        raise ValueError(
            f"cannot stage into {folder}: it is not empty and no staged {kind.name}; choose another folder"
        )
    staged = {name for name in listed((folder / LIST).read_text(encoding="utf-8", errors="replace")) if kind.own(name)}
    # a link may lead to files of others
    foreign = [name for name, path in entries.items() if path.is_symlink() or (path.is_file() and name not in staged)]
    foreign += [name for name, path in entries.items() if path.is_dir() and not any(path.iterdir())]
    if foreign:
        raise ValueError(f"cannot stage into {folder}: it holds {foreign[0]!r}, which staging did not write")


def push_space(space: Space, kind: SpaceKind, private: bool, api: Any) -> Space:
    """Make the Space's files on the Hub those of the staged folder.

    A Space that does not exist yet is made private, filled, and made public last (unless ``private``), so nobody ever
    sees an empty one; ``publishing.json`` beside the staged folder remembers one whose publishing was cut short, and it
    becomes public when it is published from there again, if it holds nothing else. Any other existing one keeps its
    visibility.

    Args:
        space: staged.
        kind: of the Space; files that an earlier publishing listed as staged and that no longer are get deleted, and files of
            the Space's owner stay.
        private: whether a new Space stays private.
        api: a `huggingface_hub.HfApi`.

    Returns:
        ``space`` with what became of it.

    Raises:
        ValueError: the Space holds something else, or is public and was to be private.
        RuntimeError: no login, or the Hub refuses or cannot be reached.
    """
    repo_id, noted = space.repo_id, (space.folder.parent, api.endpoint, f"spaces/{space.repo_id}")
    remembered, failed = noted[0] / unfinished.FILE, f"{repo_id} was not published"
    with one_line_errors(failed, repo_id):
        retried(api.whoami)
        if not retried(api.repo_exists, repo_id, repo_type="space"):
            _make(repo_id, None if private else noted, api)
        elif private and not retried(api.repo_info, repo_id, repo_type="space").private:
            raise ValueError(f"{repo_id} is there and public; leave --private out, or publish under another name")
        begun = unfinished.is_begun(*noted)
        becomes_public = begun and not private and _is_still_ours(space, noted, api)
    if becomes_public:
        failed += (
            f", and nothing of it can be seen: the new Space is private until it is complete, as {remembered} says"
        )
    note = ""
    with one_line_errors(failed, repo_id):
        head, changed = _commit(space, kind, api)
        if becomes_public:
            retried(api.update_repo_settings, repo_id, repo_type="space", private=False)
        elif not private and retried(api.repo_info, repo_id, repo_type="space").private:
            note = (
                f"{repo_id} is private and stays so, as {remembered} does not say that an unfinished publishing made it; "
                "its settings on the Hub make it public."
            )
        if begun:
            unfinished.finish(*noted)
    return replace(space, url=f"{api.endpoint}/spaces/{repo_id}", commit=head, changed=changed, note=note)


def _make(repo_id: str, noted: tuple[Path, str, str] | None, api: Any) -> None:
    """A private Space; ``noted`` remembers that it shall become public, unless it cannot be made at all."""
    if noted:
        unfinished.begin(*noted)
    try:
        retried(api.create_repo, repo_id, repo_type="space", space_sdk="gradio", private=True, exist_ok=True)
    except Exception as error:
        if noted and not passing(error):
            unfinished.finish(*noted)
        raise
    if noted:
        unfinished.begin(*noted, _made(retried(api.repo_info, repo_id, repo_type="space")))


def _made(info: Any) -> str | None:
    return info.created_at.isoformat() if info.created_at else None


def _is_still_ours(space: Space, noted: tuple[Path, str, str], api: Any) -> bool:
    """Whether the Space waits, private, and is the one that was noted, not made again since, and nobody put anything there."""
    info = retried(api.repo_info, space.repo_id, repo_type="space")
    held = {sibling.rfilename for sibling in info.siblings}
    return info.private and unfinished.is_begun(*noted, _made(info)) and held <= FRESH_SPACE | set(space.files)


def _commit(space: Space, kind: SpaceKind, api: Any) -> tuple[str, bool]:
    """The commit that holds the folder's files, and whether it had to be made.

    One commit upon the head that was looked at; looked at again after a fault, as the lost answer may hide a success.
    `create_commit` and not `upload_folder`, which may spread its files over several commits.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete
    from huggingface_hub.utils.sha import git_hash

    wanted = {file: git_hash((space.folder / file).read_bytes()) for file in space.files}
    for number in range(1, TRIES + 1):
        head = retried(api.repo_info, space.repo_id, repo_type="space", files_metadata=True)
        held = {sibling.rfilename: sibling.blob_id for sibling in head.siblings}
        if set(held) - FRESH_SPACE and kind.mark not in held:
            other = min(set(held) - FRESH_SPACE)
            raise ValueError(f"the Space {space.repo_id} holds something else ({other}); publish under another name")
        unwanted = {file for file in held if kind.own(file) and file not in wanted}
        stale = _left_over(space.repo_id, head.sha, unwanted, api) if unwanted and LIST in held else []
        if not stale and all(held.get(file) == blob for file, blob in wanted.items()):
            return head.sha, number > 1
        try:
            commit = api.create_commit(
                space.repo_id,
                [
                    *(CommitOperationDelete(path_in_repo=file) for file in stale),
                    *(CommitOperationAdd(path_in_repo=f, path_or_fileobj=str(space.folder / f)) for f in space.files),
                ],
                commit_message=kind.message,
                repo_type="space",
                parent_commit=head.sha,
            )
            return commit.oid, True
        except Exception as error:
            overtaken = getattr(getattr(error, "response", None), "status_code", None) in (409, 412)
            if number == TRIES or not (overtaken or passing(error)):
                raise
            if not overtaken:
                pause_before(number, error)
    raise AssertionError("the last try returns or raises")


def _left_over(repo_id: str, commit: str, unwanted: set[str], api: Any) -> list[str]:
    """Those of the files that an earlier publishing put there, as its list says; the others are the owner's."""
    with tempfile.TemporaryDirectory() as folder:
        where = {"repo_type": "space", "revision": commit, "local_dir": folder}
        path = retried(api.hf_hub_download, repo_id, LIST, **where)
        return sorted(unwanted & listed(Path(path).read_text(encoding="utf-8", errors="replace")))
