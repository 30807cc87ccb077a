"""Publishing a student: checked, staged as one folder, and on the Hub as one commit."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evenhand.model_cards.amplification_gate import Gate
from evenhand.model_cards.facts import CardFacts
from evenhand.model_cards.hub.target import HubRepository, LocalFolder, parse_target
from evenhand.model_cards.licence import known_licence
from evenhand.model_cards.published_report import published_report
from evenhand.model_cards.staging import read_run, stage_checked
from evenhand.model_cards.superseded_text import note_superseded, superseded_text

STAGING = "published"
"""Folder of a run where what goes to the Hub is put together."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Published:
    """What was published, and what became of it.

    ``files`` maps each file's path to its size in bytes. ``url`` is the address on the Hub, of the pull request where one was
    asked for; None for a folder and after a dry run. ``commit`` is the commit that holds the files, None likewise and for a
    pull request. ``changed`` says whether the target is other than before; ``notes`` are lines for people.
    """

    target: LocalFolder | HubRepository
    folder: Path
    files: Mapping[str, int]
    url: str | None = None
    commit: str | None = None
    changed: bool = False
    dry_run: bool = False
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """For people: what was done, and where it is."""
        if self.dry_run:
            where = f"the folder {self.target}" if self.is_local else f"{self.target} on the Hub"
            done = f"Dry run: nothing was published. This would go to {where}:\n{listing(self.files)}"
        elif self.is_local:
            done = (
                f"Published into {self.folder}"
                if self.changed
                else f"{self.folder} holds this already; nothing changed"
            )
        elif self.changed:
            done = f"Published {self.target}: {self.url}"
        else:
            done = f"{self.target} holds this already; nothing was changed: {self.url}"
        return "\n".join([done, *self.notes])

    @property
    def is_local(self) -> bool:
        return isinstance(self.target, LocalFolder)


def publish(
    run_dir: str | Path,
    target: str | Path | LocalFolder | HubRepository,
    facts: CardFacts,
    *,
    accept_amplification: str | None = None,
    private: bool = False,
    create_pr: bool = False,
    dry_run: bool = False,
    revision: str | None = None,
    staging_dir: str | Path | None = None,
    show: Callable[[str], None] | None = None,
    api: Any = None,
) -> Published:
    """Publish an evaluated run into a folder or as a model repository on the Hub. Doing it again changes nothing.

    Before anything leaves: the bias gate, a licence, the linter, and that weights and tokenizer are those that were measured.
    On the Hub there is one commit or none. A new repository is made private and becomes public when it is complete; one that
    was there keeps its visibility. Files of an earlier student that this one has not are deleted in the same commit; files that
    staging never writes stay. Faults that pass by are retried; uploads go on where they stopped. Hand-written text that was
    edited on the Hub, in the folder or in ``staging_dir`` is taken over, or the publishing stops.

    Args:
        run_dir: a run directory with `student/` and `report.json`.
        target: a folder (`Path`, or `LocalFolder`), a `HubRepository`, or text as `parse_target` reads it: ``"user/name"`` is on
            the Hub, ``"./name"`` a folder.
        facts: what the card states beyond the report; on the Hub, ``repo_id`` becomes the target's.
        accept_amplification: why a student is published whose association is reliably worse than its teacher's, or that was
            not compared with it; the reason stands in the card.
        private: make a repository that does not exist yet a private one.
        create_pr: propose the change as a pull request, to a repository of somebody else or one's own.
        dry_run: stage and check only; no login is needed and no network is used.
        revision: a branch to commit to, made where it is missing; by default the target's, or the default branch.
        staging_dir: where the files for the Hub are put together; ``RUN/published`` by default.
        show: called with a list of the files and their sizes before the first of them leaves.
        api: what speaks to the Hub; a `huggingface_hub.HfApi` by default, which takes the token of the user's login.

    Raises:
        FileNotFoundError, ValueError: no such run, student or report; a target, or flags together, that cannot be; a repository
            or folder that holds something else, or whose hand-written text and the run's have both changed.
        RuntimeError: a check failed, no login, or the Hub refuses or cannot be reached; one line.
    """
    target = _target(target, revision, private, create_pr)
    run = Path(run_dir).resolve()
    published = published_report(read_run(run))
    facts, notes = _accepted(published, facts, accept_amplification)
    if known_licence(published, facts).licence is None:
        raise RuntimeError(
            "not published: no licence is known, and none is guessed; the teacher's card states none that could be read, so "
            "declare the student's as publish.licence in the run's recipe.yaml (`unknown` and a bare `other` "
            "name no licence)"
        )
    if isinstance(target, LocalFolder):
        return _into_folder(run, target, facts, dry_run, notes)
    folder, written = Path(staging_dir) if staging_dir is not None else run / STAGING, facts.notes
    facts, taken = _with_text_of(folder, facts, target.repo_id, superseded_text(run, target.repo_id))
    notes = [*notes, *taken]
    if dry_run:
        staged = stage_checked(run, folder, replace(facts, repo_id=target.repo_id))
        note_superseded(run, target.repo_id, written, facts.notes)
        return Published(target, staged, file_sizes(staged), dry_run=True, notes=tuple(notes))
    from evenhand.model_cards.hub.student_push import StudentPush

    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    return StudentPush(api, run, target, private, create_pr, show).publish(published, facts, written, folder, notes)


def file_sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file below ``folder``, by its path from there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def listing(files: Mapping[str, int]) -> str:
    """Files and sizes, one a line, and their sum."""
    width = max(map(len, files))
    lines = [f"  {name:<{width}}  {size:>13,} bytes" for name, size in files.items()]
    return "\n".join([*lines, f"  {f'{len(files)} files':<{width}}  {sum(files.values()):>13,} bytes"])


def _target(target: Any, revision: str | None, private: bool, create_pr: bool) -> LocalFolder | HubRepository:
    """The target with its revision; raises where the flags do not go together."""
    if isinstance(target, str):
        target = parse_target(target, for_publishing=True)
    elif isinstance(target, Path):
        target = LocalFolder(target)
    if isinstance(target, LocalFolder):
        given = {"--private": private, "--create-pr": create_pr, "--revision": revision is not None}
        for flag in (flag for flag, is_given in given.items() if is_given):
            raise ValueError(f"{flag} is for the Hub, and {target} is a folder; name OWNER/NAME, or leave it out")
        return target
    if revision is not None and target.revision not in (None, revision):
        raise ValueError(f"{target} and --revision {revision} name two revisions; give one")
    target = replace(target, revision=revision or target.revision)
    if target.revision is not None and _COMMIT.fullmatch(target.revision):
        raise ValueError(f"{target.revision} is a commit, which cannot be changed; name a branch")
    if create_pr and target.revision is not None:
        raise ValueError("--create-pr proposes a change to the default branch; leave the revision out")
    if create_pr and private:
        raise ValueError("--create-pr goes to a repository that exists, --private makes one; give one of them")
    return target


def _accepted(published: Mapping[str, Any], facts: CardFacts, reason: str | None) -> tuple[CardFacts, list[str]]:
    """The facts with the accepted reason where the gate needs one, without where it does not; raises where it lacks."""
    facts = replace(facts, accepted_amplification=reason) if reason is not None else facts
    reasons = Gate(**facts.gate).reasons(published)
    if not reasons:
        notes = ["No amplification was found, so the reason to accept it is not in the card."]
        return replace(facts, accepted_amplification=None), notes if facts.accepted_amplification else []
    if facts.accepted_amplification is None:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        raise RuntimeError(
            f'not published: {reasons[0]}{more}; publish it with --accept-amplification "why" only if that is meant'
        )
    return facts, []


def _with_text_of(
    folder: Path, facts: CardFacts, repo_id: str | None, superseded: Mapping[str, str]
) -> tuple[CardFacts, list[str]]:
    """The facts with what people wrote into the card of a folder that is about to be replaced, and lines that say so.

    What stands there for another repository is not meant for this one, but for what was written by hand since.
    """
    from evenhand.model_cards.hub.edited_blocks import card_in_a_folder, merged_notes

    card = card_in_a_folder(folder)
    edits_alone = card is not None and card.repo_id != repo_id
    blocks, taken = merged_notes(card, facts.notes, superseded, edits_alone)
    return replace(facts, notes=blocks), taken


def _into_folder(run: Path, target: LocalFolder, facts: CardFacts, dry_run: bool, notes: list[str]) -> Published:
    name, written = str(target.path.resolve()), facts.notes
    facts, taken = _with_text_of(target.path, facts, facts.repo_id, superseded_text(run, name))
    notes = [*notes, *taken]
    if dry_run:
        with TemporaryDirectory() as temporary:
            staged = stage_checked(run, Path(temporary) / "staged", facts)
            return Published(target, target.path, file_sizes(staged), dry_run=True, notes=tuple(notes))
    before = _hashes(target.path)
    staged = stage_checked(run, target.path, facts)
    note_superseded(run, name, written, facts.notes)
    changed = _hashes(staged) != before
    return Published(target, staged, file_sizes(staged), changed=changed, notes=tuple(notes))


def _hashes(folder: Path) -> dict[str, str]:
    hashes = {}
    for name in file_sizes(folder) if folder.is_dir() else ():
        with (folder / name).open("rb") as file:
            hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes
