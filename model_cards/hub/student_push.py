"""One student on its way to one repository: who may, what is there, and when it becomes visible."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evenhand.model_cards.escaping import one_line
from evenhand.model_cards.facts import CardFacts
from evenhand.model_cards.hub import unfinished
from evenhand.model_cards.hub.benchmark_results import benchmark_results
from evenhand.model_cards.hub.edited_blocks import card_on_the_hub, merged_notes
from evenhand.model_cards.hub.push import Push
from evenhand.model_cards.hub.refusals import one_line_errors
from evenhand.model_cards.hub.repository_state import DEFAULT_BRANCH, RepositoryState, branch_exists, read_state
from evenhand.model_cards.hub.retries import passing, retried
from evenhand.model_cards.hub.target import HubRepository
from evenhand.model_cards.publishing import Published, file_sizes, listing
from evenhand.model_cards.staging import stage_checked
from evenhand.model_cards.superseded_text import note_superseded, superseded_text

# Without a network the user should know in seconds; later calls may wait longer.
_FIRST_TRIES = 3


@dataclass(frozen=True)
class StudentPush:
    """Arguments as those of `publish`; ``target`` is a repository with its revision."""

    api: Any
    run: Path
    target: HubRepository
    private: bool
    create_pr: bool
    show: Callable[[str], None] | None

    @property
    def repo_id(self) -> str:
        return self.target.repo_id

    @property
    def _noted(self) -> tuple[Path, str, str]:
        return self.run, self.api.endpoint, self.repo_id

    def publish(
        self,
        published: Mapping[str, Any],
        facts: CardFacts,
        written: Mapping[str, str],
        folder: Path,
        notes: list[str],
    ) -> Published:
        """Look, stage, push, show to the public: in this order, so that whatever is wrong is found before anything leaves.

        ``written`` is the run's own hand-written text; that of ``facts`` may have been taken over from ``folder``.
        """
        failed = f"{self.target} was not published"
        with one_line_errors(failed, self.repo_id):
            author = self._author()
            state = read_state(self.api, self.repo_id, self.target.revision)
            self._check_visibility(state)
            self._check_revision(state)
            begun = state is not None and unfinished.is_begun(*self._noted, state.made)
            superseded = superseded_text(self.run, self.repo_id)
            blocks, taken = (facts.notes, []) if state is None else _reviewed(state, False, facts.notes, superseded)
            results = benchmark_results(published, self.api)
        facts = replace(facts, notes=blocks, repo_id=self.repo_id)
        staged = stage_checked(self.run, folder, facts, results)
        note_superseded(self.run, self.repo_id, written, facts.notes)
        files = file_sizes(staged)
        if self.show is not None:
            self.show(f"{self.target} on the Hub is to hold:\n{listing(files)}")
        check = _unmoved(facts, just_made=state is None)
        push = Push(
            self.api, self.repo_id, staged, tuple(files), _message(facts), self.target.revision, check, self.show
        )
        if self.create_pr:
            return self._proposed(push, state, author, Published(self.target, staged, files, notes=(*notes, *taken)))
        if state is None or begun:
            failed += ", and nothing of it can be seen: the new repository is private until it is complete"
        with one_line_errors(failed, self.repo_id):
            state, begun = self._made(state, begun)
            commit, changed = push.commit(state)
            hidden = self._hidden(push, commit, begun) if state.private and not self.private else None
            becomes_public = begun and hidden is None
        if becomes_public:
            self._show_to_the_public()
        elif hidden is not None:
            notes = [*notes, hidden]
        return Published(
            self.target,
            staged,
            files,
            self._url(),
            commit,
            changed or becomes_public,
            notes=(*notes, *taken),
        )

    def _author(self) -> str:
        """The user's name; raises where the token cannot write here, as far as the Hub says."""
        me = retried(self.api.whoami, tries=_FIRST_TRIES)
        token = (me.get("auth") or {}).get("accessToken") or {}
        if token.get("role") == "read":
            raise RuntimeError("the token may only read: use one with write access ('hf auth login')")
        owner, names = self.repo_id.split("/")[0], [me["name"], *(org["name"] for org in me.get("orgs") or [])]
        # Other kinds of tokens may write where the list of organisations does not say so; then the Hub decides.
        if token.get("role") == "write" and not self.create_pr and owner not in names:
            raise RuntimeError(
                f"{owner} is not {' or '.join(names)}: use a name of yours, or propose it with --create-pr"
            )
        return me["name"]

    def _check_visibility(self, state: RepositoryState | None) -> None:
        if state is None and self.create_pr:
            raise ValueError(f"{self.repo_id} does not exist, so there is nothing to propose a change to")
        if self.private and state is not None and not state.private:
            raise ValueError(f"{self.repo_id} is there and public; leave --private out, or publish under another name")

    def _check_revision(self, state: RepositoryState | None) -> None:
        """A branch is made where it is missing; `refs/pr/N` is nobody's to make."""
        revision = self.target.revision or ""
        if revision.startswith("refs/") and (state is None or not branch_exists(self.api, self.repo_id, revision)):
            raise ValueError(f"{self.repo_id} has no {revision}; name a branch, or use --create-pr")

    def _made(self, state: RepositoryState | None, begun: bool) -> tuple[RepositoryState, bool]:
        """The repository, made private where it is missing, and whether it is to become public at the end."""
        if state is None:
            if not self.private:
                unfinished.begin(*self._noted)
            try:
                retried(self.api.create_repo, self.repo_id, private=True, exist_ok=True)
            except Exception as error:
                # A repository of this name that is there later is somebody else's work. A lost answer may hide ours.
                if not passing(error):
                    unfinished.finish(*self._noted)
                raise
            state = read_state(self.api, self.repo_id, self.target.revision)
            if state is None:
                raise RuntimeError("the Hub made the repository but does not show it; run the same command again")
            if not self.private:
                unfinished.begin(*self._noted, state.made)
            return state, not self.private
        if self.private:
            unfinished.finish(*self._noted)
        return state, begun and not self.private

    def _hidden(self, push: Push, commit: str, begun: bool) -> str | None:
        """Why a private repository stays so, for people; None where it is ours to show, and complete."""
        by_hand = "its settings on the Hub make it public."
        if not begun:
            return f"{self.repo_id} is private and stays so; {by_hand}"
        if self.target.revision not in (None, DEFAULT_BRANCH):
            return f"{self.repo_id} is private until its {DEFAULT_BRANCH} is published too: leave the revision out."
        others = self._check_complete(push, commit).files_of_others()
        if others:
            unfinished.finish(*self._noted)
            return f"{self.repo_id} stays private, as it holds {others[0]}, which is not the student's; {by_hand}"
        return None

    def _check_complete(self, push: Push, commit: str) -> RepositoryState:
        """What the commit holds; raises unless that is every file as it was staged, whatever the Hub answered."""
        state = read_state(self.api, self.repo_id, commit)
        missing = state.changes(push.folder, push.names)[0] if state else list(push.names)
        if missing:
            raise RuntimeError(f"the Hub does not hold {missing[0]} as it was sent; run the same command again")
        return state

    def _show_to_the_public(self) -> None:
        with one_line_errors(f"{self.target} is complete on the Hub but still private", self.repo_id):
            retried(self.api.update_repo_settings, self.repo_id, private=False)
        unfinished.finish(*self._noted)

    def _proposed(self, push: Push, state: RepositoryState, author: str, published: Published) -> Published:
        if not any(state.changes(push.folder, push.names)):
            return replace(published, url=self._url(), commit=state.commit)
        with one_line_errors(f"the change to {self.target} was not proposed", self.repo_id):
            url, changed = push.pull_request(state, author)
        return replace(published, url=url, changed=changed)

    def _url(self) -> str:
        page = f"{self.api.endpoint}/{self.repo_id}"
        return page if self.target.revision is None else f"{page}/tree/{self.target.revision}"


def _message(facts: CardFacts) -> str:
    return f"{one_line(facts.title or '') or facts.repo_id.split('/')[1]}, from evenhand"


def _reviewed(
    state: RepositoryState, just_made: bool, notes: Mapping[str, str], superseded: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """The hand-written blocks to publish, and what is to be said of them; raises where the repository is not one for a student."""
    state.check_ours(just_made)
    return merged_notes(card_on_the_hub(state), notes, superseded)


def _unmoved(facts: CardFacts, just_made: bool) -> Callable[[RepositoryState], None]:
    """A check for each state that a commit builds on: what was staged is still what the Hub should hold."""

    def check(state: RepositoryState) -> None:
        if _reviewed(state, just_made, facts.notes, {})[0] != facts.notes:
            raise RuntimeError("its card was edited meanwhile; run the same command again")

    return check
