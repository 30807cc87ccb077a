"""A metric of this project as a Space on the Hub: its folder, complete in itself, and its publication as one commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evenhand.evaluation.modules import module_path
from evenhand.model_cards.facts import is_hub_id
from evenhand.model_cards.hub.library_sources import flat_sources
from evenhand.model_cards.hub.spaces import Space, SpaceKind, files_of, push_space, refuse_foreign
from evenhand.model_cards.hub.staged_list import LIST, with_list
from evenhand.model_cards.whole_folders import whole_folder

CARD, PAGE, REQUIREMENTS = "README.md", "app.py", "requirements.txt"


def publish_metric(
    name: str,
    repo_id: str,
    folder: str | Path,
    *,
    dry_run: bool = False,
    private: bool = False,
    api: Any = None,
) -> Space:
    """Stage a metric into ``folder`` and publish it as the Space ``repo_id``, in one commit.

    Doing it again changes nothing on the Hub, unless the metric has changed.

    Args:
        name: ``"seat"`` or ``"glue"``.
        repo_id: ``"user/seat"``; the part after the slash must be ``name``, as `evaluate` looks for a script so named.
        folder: where to stage; new, empty, or staged before.
        dry_run: stage only; no login is needed and no network is used.
        private: make a Space that does not exist yet a private one.
        api: what speaks to the Hub; a `huggingface_hub.HfApi` by default, which takes the token of the user's login.

    Raises:
        ValueError: no such metric, a repo_id that cannot be used, or a folder or Space that holds something else.
        RuntimeError: no login, or the Hub refuses or cannot be reached.
    """
    check_repo_id(name, repo_id)
    staged = stage_metric(name, repo_id, folder)
    space = Space(repo_id, staged, files_of(staged), f'Load it with evaluate.load("{repo_id}").')
    if dry_run:
        return space
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    return push_space(space, _kind(name), private, api)


def check_repo_id(name: str, repo_id: str) -> None:
    """Raise ValueError unless ``repo_id`` can be the Space of the metric ``name``."""
    module_path(name)
    owner, _, space = repo_id.partition("/")
    if not owner or not space or not is_hub_id(repo_id):
        raise ValueError(f"{repo_id!r} is no name for a Space; use OWNER/{name}, with your name on the Hub for OWNER")
    if space != name:
        raise ValueError(
            f"the Space must be called {owner}/{name}: evaluate loads the script that has the Space's name"
        )


def stage_metric(name: str, repo_id: str, folder: str | Path) -> Path:
    """Make the folder of the Space: card, page, requirements, the metric and the library files that it needs.

    The metric's imports are made relative (see `flat_sources`), so the folder works where evenhand is not installed,
    and the card loads the metric from ``repo_id``. The same arguments give the same bytes.

    Returns:
        ``folder`` as an absolute path.

    Raises:
        ValueError: no such metric, or ``folder`` holds anything that staging this metric never writes.
    """
    source, folder = module_path(name), Path(folder).resolve()
    refuse_foreign(folder, _kind(name))
    texts = {
        CARD: _card(name, repo_id, (source / CARD).read_text(encoding="utf-8")),
        PAGE: (source / PAGE).read_text(encoding="utf-8"),
        REQUIREMENTS: (source / REQUIREMENTS).read_text(encoding="utf-8"),
        **flat_sources(source / f"{name}.py"),
    }
    with whole_folder(folder) as new:
        for file, text in with_list(texts).items():
            (new / file).write_text(text, encoding="utf-8")
    return folder


def _card(name: str, repo_id: str, text: str) -> str:
    """The card with an example that loads the metric from its Space instead of from the installed library."""
    import_line, by_path = "from evenhand.evaluation.modules import module_path\n", f'str(module_path("{name}"))'
    return text.replace(import_line, "").replace(by_path, f'"{repo_id}"')


def _kind(name: str) -> SpaceKind:
    script = f"{name}.py"
    return SpaceKind(
        _is_staged, frozenset({CARD, PAGE, REQUIREMENTS, script}), script, name, f"Metric {name}, from evenhand"
    )


def _is_staged(path: str) -> bool:
    return path in (CARD, REQUIREMENTS, LIST) or (path.endswith(".py") and "/" not in path)
