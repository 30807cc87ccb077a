"""The app that compares teacher and students as a Space on the Hub: a folder that is complete in itself, published as one commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from evenhand.model_cards.escaping import code, markdown
from evenhand.model_cards.facts import is_hub_id
from evenhand.model_cards.hub.library_sources import package_sources
from evenhand.model_cards.hub.refusals import one_line_errors
from evenhand.model_cards.hub.retries import retried
from evenhand.model_cards.hub.spaces import Space, SpaceKind, files_of, push_space, refuse_foreign
from evenhand.model_cards.hub.staged_list import LIST, with_list
from evenhand.model_cards.space.compared_models import ComparedModel, models_text
from evenhand.model_cards.whole_folders import whole_folder

CARD, PAGE, REQUIREMENTS, MODELS = "README.md", "app.py", "requirements.txt", "models.json"
SDK_VERSION = "6.31.0"
# What the library's files read of their package, in the app's closure of imports.
DATA = ("templates.yaml", "word_lists.yaml", "extended_gender.yaml")


def publish_space(
    models: Sequence[ComparedModel],
    repo_id: str,
    folder: str | Path,
    *,
    dry_run: bool = False,
    private: bool = False,
    api: Any = None,
) -> Space:
    """Stage the app into ``folder`` and publish it as the Space ``repo_id``, in one commit.

    The Space loads each model at the commit that is its newest now, so its numbers stay what they are; publish it again
    to take newer ones. Doing it again changes nothing while models and app are the same.

    Args:
        models: with the id of a model on the Hub as ``source`` each.
        repo_id: ``"user/name"``.
        folder: where to stage; new, empty, or staged before.
        dry_run: stage only, without the models' commits; no login is needed and no network is used.
        private: make a Space that does not exist yet a private one.
        api: a `huggingface_hub.HfApi`; by default one with the token of the user's login.

    Raises:
        ValueError: a repo_id or models that cannot be used, or a folder or Space that holds something else.
        RuntimeError: no login, a model that is not on the Hub, or the Hub refuses or cannot be reached.
    """
    check_space_id(repo_id)
    check_published(models)
    if api is None and not dry_run:
        from huggingface_hub import HfApi

        api = HfApi()
    if not dry_run:
        models = [at_newest(model, repo_id, api) for model in models]
    staged = stage_space(models, repo_id, folder)
    space = Space(repo_id, staged, files_of(staged), _use(models))
    if dry_run:
        return space
    return push_space(space, KIND, private, api)


def stage_space(models: Sequence[ComparedModel], repo_id: str, folder: str | Path) -> Path:
    """Make the folder of the Space: card, app, requirements, the list of models and the library files that it needs.

    The same arguments give the same bytes, and the folder works where evenhand is not installed.

    Returns:
        ``folder`` as an absolute path.

    Raises:
        ValueError: models that the app cannot show, or ``folder`` holds anything that staging never writes.
    """
    folder = Path(folder).resolve()
    check_published(models)
    refuse_foreign(folder, KIND)
    app, library = Path(str(files("evenhand.model_cards.space"))), Path(str(files("evenhand.evaluation")))
    sources = package_sources(app / PAGE)
    # Empty, so that importing one file does not import a whole package.
    packages = {f"{Path(path).parent.as_posix()}/__init__.py": "" for path in sources}
    texts = {
        CARD: _card(models, repo_id),
        PAGE: (app / PAGE).read_text(encoding="utf-8"),
        REQUIREMENTS: (app / REQUIREMENTS).read_text(encoding="utf-8"),
        MODELS: models_text(models),
        **packages,
        "evenhand/__init__.py": "",
        "evenhand/model_cards/__init__.py": "",
        **sources,
        **{f"evenhand/evaluation/{name}": (library / name).read_text(encoding="utf-8") for name in DATA},
    }
    with whole_folder(folder) as new:
        for file, text in with_list(texts).items():
            (new / file).parent.mkdir(parents=True, exist_ok=True)
            (new / file).write_text(text, encoding="utf-8")
    return folder


def check_space_id(repo_id: str) -> None:
    """Raise ValueError unless ``repo_id`` can be a Space: ``OWNER/NAME``."""
    if repo_id.count("/") != 1 or not is_hub_id(repo_id):
        raise ValueError(f"{repo_id!r} is no name for a Space; use OWNER/NAME, with your name on the Hub for OWNER")


def check_published(models: Sequence[ComparedModel]) -> None:
    """Raise ValueError unless every model has the id of one on the Hub, as a Space can load no other."""
    models_text(models)
    for model in models:
        if model.source.count("/") > 1 or not is_hub_id(model.source):
            raise ValueError(
                f"{model.name}: a Space loads models from the Hub, and {model.source!r} is no id of one there"
            )


def at_newest(model: ComparedModel, repo_id: str, api: Any) -> ComparedModel:
    """``model`` at the commit that its repository is at, or that its revision means.

    Raises:
        RuntimeError: it is not on the Hub, or the Hub cannot be asked; ``repo_id`` is the Space that waits for it.
    """
    with one_line_errors(f"{repo_id} was not published", model.source):
        info = retried(api.model_info, model.source, revision=model.revision)
    return replace(model, revision=info.sha)


def _card(models: Sequence[ComparedModel], repo_id: str) -> str:
    front = {
        "title": "Teacher and students side by side",
        "emoji": "⚖️",
        "colorFrom": "indigo",
        "colorTo": "green",
        "sdk": "gradio",
        "sdk_version": SDK_VERSION,
        "python_version": "3.11",
        "app_file": PAGE,
        "pinned": False,
        "license": "apache-2.0",
        "short_description": "SEAT and fill-mask of a teacher and its students",
        "tags": ["bias", "fairness", "knowledge-distillation", "evenhand"],
        "models": [model.source for model in models],
    }
    rows = [
        f"| {markdown(m.name)} | {m.role} | {code(m.source)} | {code(m.revision) if m.revision else 'newest'} |"
        for m in models
    ]
    return (
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n"
        "# Teacher and students side by side\n\n"
        "SEAT on word lists or sentences of your own, with an interval and a p-value for each model and the difference of "
        "each student from its teacher; and what each model puts into the gap of a sentence. It runs on the Space's CPU, "
        "downloads safetensors only, and keeps nothing of what is entered.\n\n"
        "| Model | Role | On the Hub | Commit |\n| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n\n"
        "Private models need a token that may read them, as the secret `HF_TOKEN` of this Space. "
        f"To run it elsewhere: clone {code(repo_id)}, `pip install gradio -r requirements.txt`, `python app.py`. "
        "Association is not harm, and no association is not fairness; the page says what else its numbers do not show.\n"
    )


def _use(models: Sequence[ComparedModel]) -> str:
    return f"It compares {', '.join(model.source for model in models)}; run it here with python app.py in its folder."


def _is_staged(path: str) -> bool:
    return path in (CARD, PAGE, REQUIREMENTS, MODELS, LIST) or (
        path.startswith("evenhand/") and path.endswith((".py", ".yaml"))
    )


KIND = SpaceKind(
    _is_staged, frozenset({CARD, PAGE, REQUIREMENTS, MODELS}), MODELS, "app", "Teacher and students, from evenhand"
)
