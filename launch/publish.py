"""``evenhand publish``: a run into a folder, or as a model repository on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evenhand.launch.declared_facts import run_facts
from evenhand.launch.run_directory import RunDirectory
from evenhand.model_cards import publish
from evenhand.model_cards.hub.target import HubRepository, LocalFolder
from evenhand.model_cards.publishing import Published


def publish_run(run_dir: str | Path, target: Path | LocalFolder | HubRepository, **options: Any) -> Published:
    """Publish a run with the facts that it declares, :func:`evenhand.launch.declared_facts.run_facts`.

    Args:
        run_dir: an evaluated run.
        target: a folder, or a repository (:func:`evenhand.model_cards.hub.target.parse_target`).
        options: as :func:`evenhand.model_cards.publish` takes them.

    Raises:
        FileNotFoundError, ValueError, RuntimeError: as that function.
    """
    return publish(run_dir, target, run_facts(RunDirectory(run_dir)), **options)
