"""Runs as the models of the app that puts teacher and students side by side, and the app on this machine."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evenhand.launch.declared_facts import run_facts
from evenhand.launch.run_directory import RunDirectory
from evenhand.model_cards.space.compared_models import ComparedModel, LoadedModel, check_models

HERE = "127.0.0.1"


def serve_here(names: Sequence[str], teacher: str | None = None, port: int | None = None) -> int:
    """Load the models and serve the app on this machine until it is interrupted; prints its address.

    Raises:
        ValueError, FileNotFoundError: a model or a port that cannot be used. RuntimeError: gradio is missing, or the port is taken.
    """
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"--port must be between 1 and 65535, not {port}.")
    if port is not None:
        _check_free(port)
    # read at import
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise RuntimeError("the app needs gradio; install it with: pip install 'evenhand[space]'") from error
    from evenhand.model_cards.space.compared_models import load_models
    from evenhand.model_cards.space.page import TITLE, page, serve

    models, teacher_weights = local_models(names, teacher)
    loaded = load_models(models)
    _check_teachers(loaded, teacher_weights)
    blocks = page(loaded)
    options = {"server_name": HERE, "server_port": port, "quiet": True, "prevent_thread_lock": True, "inbrowser": False}
    _, address, _ = serve(blocks, **options)
    print(f"{TITLE}: {address} (Ctrl-C ends it)", flush=True)
    blocks.block_thread()
    return 0


def _check_free(port: int) -> None:
    """Before the models are loaded; in use again meanwhile, gradio says so."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((HERE, port))
        except OSError as error:
            raise RuntimeError(f"port {port} cannot be had ({error.strerror}); choose another --port.") from None


def local_models(
    names: Sequence[str], teacher: str | None = None
) -> tuple[list[ComparedModel], list[tuple[str, str, str]]]:
    """What the app shows here: teachers before their students.

    Args:
        names: run directories, model folders or ids of models on the Hub.
        teacher: in the place of the runs' own.

    Returns:
        The models; and what the runs say of their teachers: its name, the hash that its weights must have, the run's name.

    Raises:
        ValueError, FileNotFoundError: a run that is not finished, a folder that is not there, or models that the app cannot show.
    """
    from evenhand.evaluation.models import default_name
    from evenhand.launch.evaluate import teacher_path
    from evenhand.trainer.teacher import resolve_model_path

    teachers: dict[str, ComparedModel] = {}
    students, expected = [], []
    for name in names:
        run = RunDirectory(name)
        if run.recipe_file.is_file():
            training = run.training()
            path = resolve_model_path(teacher) if teacher else teacher_path(run, run.recipe())
            own = ComparedModel(run.path.resolve().name, str(run.student), "student")
        else:
            path = resolve_model_path(teacher) if teacher else None
            source = resolve_model_path(name)
            own = ComparedModel(default_name(source), source, "student" if teacher else "model")
        if path is not None:
            of = teachers.setdefault(path, ComparedModel(default_name(path), path, "teacher"))
            own = replace(own, teacher=of.name)
            if run.recipe_file.is_file() and not teacher:
                expected.append((of.name, training["teacher"]["weights_sha256"], own.name))
        students.append(own)
    models = [*teachers.values(), *_apart(students)]
    check_models(models)
    return models, expected


def published_models(names: Sequence[str], teacher: str | None = None) -> list[ComparedModel]:
    """The same on the Hub, by their ids there.

    Args:
        names: runs whose recipe names a repository (``publish.repo_id``), or ids of models on the Hub.
        teacher: the id of the students' teacher (default: the runs' ``publish.base_model``).

    Raises:
        ValueError, FileNotFoundError: a run that names no repository, or models that the app cannot show.
    """
    teachers: dict[str, ComparedModel] = {}
    students = []
    for name in names:
        run = RunDirectory(name)
        repo_id, base = name, teacher
        if run.recipe_file.is_file():
            facts = run_facts(run, with_notes=False)
            repo_id, base = facts.repo_id, teacher or facts.base_model
            if repo_id is None or "/" not in repo_id:
                raise ValueError(
                    f"{name} names no repository on the Hub; publish it, and set publish.repo_id in its recipe.yaml or "
                    "give the student's id here"
                )
        elif Path(name).is_dir():
            raise ValueError(f"{name} is a folder, and a Space loads models from the Hub; publish it and give its id")
        if base:
            teachers.setdefault(base, ComparedModel(base, base, "teacher"))
        students.append(ComparedModel(repo_id, repo_id, "student" if base else "model", base))
    models = [*teachers.values(), *students]
    check_models(models)
    return models


def _apart(models: list[ComparedModel]) -> list[ComparedModel]:
    """``models`` with the name of the folder above before names that two of them have."""
    times = Counter(model.name for model in models)
    return [
        replace(m, name=f"{_above(m)}/{m.name}") if times[m.name] > 1 and Path(m.source).is_dir() else m for m in models
    ]


def _above(model: ComparedModel) -> str:
    folder = Path(model.source).resolve()
    return (folder.parents[1] if folder.name == "student" else folder.parent).name


def _check_teachers(models: Sequence[LoadedModel], expected: Sequence[tuple[str, str, str]]) -> None:
    """A run's teacher must be the one that it was distilled from, or the comparison would be with another model."""
    from evenhand.evaluation.models import weights_sha256

    teachers = {loaded.about.name: loaded for loaded in models if loaded.about.role == "teacher"}
    hashes = {name: weights_sha256(loaded.model) for name, loaded in teachers.items() if expected}
    for name, weights, run in expected:
        if hashes[name] != weights:
            source = teachers[name].about.source
            raise ValueError(
                f"{run} was distilled from other weights than those at {source}; name its teacher with --teacher."
            )
